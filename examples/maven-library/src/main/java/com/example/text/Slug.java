package com.example.text;

import java.text.Normalizer;
import java.util.Locale;

/** Names for URLs: {@code "Crème brûlée!"} becomes {@code "creme-brulee"}. */
public final class Slug {

    private Slug() {}

    /** The words of a text in ASCII, joined by hyphens. */
    public static String of(String text) {
        String plain = Normalizer.normalize(text, Normalizer.Form.NFKD).replaceAll("\\p{M}", "");
        return plain.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-").replaceAll("^-|-$", "");
    }
}
