package com.example.greeting;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

@RestController
public class GreetingController {

    private final String salutation;

    public GreetingController(@Value("${greeting.salutation}") String salutation) {
        this.salutation = salutation;
    }

    public record Greeting(String text, int java) {}

    @GetMapping("/greeting")
    public Greeting greeting(@RequestParam(defaultValue = "world") String name) {
        return new Greeting(salutation + ", " + name + "!", Runtime.version().feature());
    }
}
