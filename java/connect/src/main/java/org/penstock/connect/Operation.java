package org.penstock.connect;

/** What happened to a row; the code is what stands in the event. */
enum Operation {
    /** The row is as given, whatever was there before. */
    INSERT("I"),
    /** Columns that are absent are unchanged. */
    UPDATE("U"),
    DELETE("D"),
    /** Every row of the table is gone. */
    TRUNCATE("T");

    private final String code;

    Operation(String code) {
        this.code = code;
    }

    String code() {
        return code;
    }
}
