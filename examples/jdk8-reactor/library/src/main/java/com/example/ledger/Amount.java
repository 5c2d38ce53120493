package com.example.ledger;

import java.math.BigDecimal;
import java.math.RoundingMode;
import org.apache.commons.lang3.StringUtils;

/** An amount of money, kept to the cent. */
public final class Amount {

    private final BigDecimal value;

    private Amount(BigDecimal value) {
        this.value = value.setScale(2, RoundingMode.HALF_EVEN);
    }

    /** Reads an amount; nothing is zero. */
    public static Amount parse(String text) {
        return new Amount(StringUtils.isBlank(text) ? BigDecimal.ZERO : new BigDecimal(text.trim()));
    }

    public Amount plus(Amount other) {
        return new Amount(value.add(other.value));
    }

    @Override
    public String toString() {
        return value.toPlainString();
    }
}
