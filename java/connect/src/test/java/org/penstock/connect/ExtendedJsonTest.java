package org.penstock.connect;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.kafka.connect.errors.DataException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every type of BSON, in each of the modes its drivers write. */
class ExtendedJsonTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "1 | 1",
                "null | null",
                "NaN | \"NaN\"",
                "-Infinity | \"-Infinity\"",
                "{\"$oid\": \"65f0\"} | \"65f0\"",
                "{\"$numberInt\": \"7\"} | 7",
                "{\"$numberLong\": \"9223372036854775807\"} | 9223372036854775807",
                "{\"$numberDouble\": \"0.1\"} | 0.1",
                "{\"$numberDouble\": \"NaN\"} | \"NaN\"",
                "{\"$numberDouble\": \"-Infinity\"} | \"-Infinity\"",
                "{\"$numberDecimal\": \"12.500\"} | \"12.500\"",
                "{\"$numberDecimal\": \"1E+3\"} | \"1000\"",
                "{\"$numberDecimal\": \"1E+6111\"} | \"1E+6111\"",
                "{\"$numberDecimal\": \"-Infinity\"} | \"-Infinity\"",
                "{\"$date\": 1709210096789} | \"2024-02-29T12:34:56.789Z\"",
                "{\"$date\": {\"$numberLong\": \"-1\"}} | \"1969-12-31T23:59:59.999Z\"",
                "{\"$date\": \"2024-02-29T12:34:56.789Z\"} | \"2024-02-29T12:34:56.789Z\"",
                "{\"$date\": \"2024-02-29T12:34:56+02:00\"} | \"2024-02-29T10:34:56Z\"",
                "{\"$binary\": \"3q0A\", \"$type\": \"00\"} | \"3q0A\"",
                "{\"$binary\": {\"base64\": \"3q0A\", \"subType\": \"80\"}} | \"3q0A\"",
                "{\"$binary\": \"XxuaQxG7SlyeDC86HVx+kA==\", \"$type\": \"04\"} | \"5f1b9a43-11bb-4a5c-9e0c-2f3a1d5c7e90\"",
                "{\"$binary\": \"XxuaQxG7SlyeDC86HVx+kA==\", \"$type\": \"03\"} | \"XxuaQxG7SlyeDC86HVx+kA==\"",
                "{\"$uuid\": \"5f1b9a43-11bb-4a5c-9e0c-2f3a1d5c7e90\"} | \"5f1b9a43-11bb-4a5c-9e0c-2f3a1d5c7e90\"",
                "{\"$timestamp\": {\"t\": 17, \"i\": 3}} | {\"t\":17,\"i\":3}",
                "{\"$regex\": \"^a\", \"$options\": \"i\"} | \"/^a/i\"",
                "{\"$regularExpression\": {\"pattern\": \"^a\", \"options\": \"\"}} | \"/^a/\"",
                "{\"$code\": \"f()\"} | \"f()\"",
                "{\"$code\": \"f()\", \"$scope\": {\"a\": {\"$numberInt\": \"1\"}}} | {\"code\":\"f()\",\"scope\":{\"a\":1}}",
                "{\"$symbol\": \"s\"} | \"s\"",
                "{\"$minKey\": 1} | \"MinKey\"",
                "{\"$maxKey\": 1} | \"MaxKey\"",
                "{\"$undefined\": true} | null",
                "{\"$ref\": \"c\", \"$id\": {\"$oid\": \"65f0\"}} | {\"$ref\":\"c\",\"$id\":\"65f0\"}",
                "{\"b\": [{\"$numberLong\": \"1\"}, null], \"a\": {}} | {\"b\":[1,null],\"a\":{}}",
            })
    void aTypeIsUndone(String extended, String plain) {
        assertEquals(plain, Json.write(ExtendedJson.read(extended)));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{\"$numberLong\": \"many\"}",
                "{\"$numberLong\": 1}",
                "{\"$date\": \"yesterday\"}",
                "{\"$binary\": \"!\", \"$type\": \"00\"}",
                "{\"$numberDecimal\": \"1,5\"}",
                "{\"a\": 1} {\"b\": 2}",
                "{",
            })
    void whatIsNotIsAFault(String extended) {
        assertThrows(DataException.class, () -> ExtendedJson.read(extended));
    }

    @Test
    void aFaultShowsTheValue() {
        String message =
                assertThrows(DataException.class, () -> ExtendedJson.read("{\"$numberLong\": \"many\"}")).getMessage();
        assertTrue(message.contains("many"), message);
    }
}
