package com.example.ledger;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Adds amounts over HTTP: {@code /sum?1.10&2.20}. */
public final class LedgerServer {

    private static final int PORT = 8080;

    private LedgerServer() {}

    public static void main(String[] args) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(PORT), 0);
        ExecutorService threads = Executors.newFixedThreadPool(4);
        server.setExecutor(threads);
        server.createContext("/health", exchange -> answer(exchange, 200, "ok java " + System.getProperty("java.specification.version")));
        server.createContext("/sum", LedgerServer::sum);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            server.stop(1);
            threads.shutdown();
            System.out.println("ledger stopped");
        }));
        server.start();
        System.out.println("ledger listens on port " + PORT);
    }

    private static void sum(HttpExchange exchange) throws IOException {
        String query = exchange.getRequestURI().getQuery();
        Amount total = Amount.parse("");
        try {
            for (String term : query == null ? new String[0] : query.split("&")) {
                total = total.plus(Amount.parse(term));
            }
        } catch (NumberFormatException error) {
            answer(exchange, 400, "not a number");
            return;
        }
        answer(exchange, 200, total.toString());
    }

    private static void answer(HttpExchange exchange, int status, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "text/plain; charset=utf-8");
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }
}
