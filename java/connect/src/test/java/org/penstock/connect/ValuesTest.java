package org.penstock.connect;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every type, as it stands in the event. */
class ValuesTest {
    private static final Schema VARIABLE =
            SchemaBuilder.struct()
                    .name("io.debezium.data.VariableScaleDecimal")
                    .field("scale", Schema.INT32_SCHEMA)
                    .field("value", Schema.BYTES_SCHEMA)
                    .build();
    private static final Schema POINT =
            SchemaBuilder.struct()
                    .name("io.debezium.data.geometry.Point")
                    .field("x", Schema.FLOAT64_SCHEMA)
                    .field("srid", Schema.OPTIONAL_INT32_SCHEMA)
                    .build();

    static Stream<Arguments> values() {
        return Stream.of(
                Arguments.of(Schema.BOOLEAN_SCHEMA, true, "true"),
                Arguments.of(Schema.INT8_SCHEMA, (byte) -128, "-128"),
                Arguments.of(Schema.INT16_SCHEMA, (short) 7, "7"),
                Arguments.of(Schema.INT64_SCHEMA, Long.MIN_VALUE, "-9223372036854775808"),
                Arguments.of(Schema.FLOAT32_SCHEMA, 1.1f, "1.1"),
                Arguments.of(Schema.FLOAT32_SCHEMA, Float.NaN, "\"NaN\""),
                Arguments.of(Schema.FLOAT64_SCHEMA, 0.1, "0.1"),
                Arguments.of(Schema.FLOAT64_SCHEMA, -0.0, "-0.0"),
                Arguments.of(Schema.FLOAT64_SCHEMA, Double.POSITIVE_INFINITY, "\"Infinity\""),
                Arguments.of(Schema.FLOAT64_SCHEMA, Double.NEGATIVE_INFINITY, "\"-Infinity\""),
                Arguments.of(Schema.STRING_SCHEMA, "a\"\\\n\u0000ž🚀", "\"a\\\"\\\\\\n\\u0000ž🚀\""),
                Arguments.of(Schema.BYTES_SCHEMA, new byte[] {(byte) 0xde, (byte) 0xad, 0}, "\"3q0A\""),
                Arguments.of(Schema.BYTES_SCHEMA, ByteBuffer.wrap(new byte[] {1, 2, 3}, 1, 2), "\"AgM=\""),
                Arguments.of(Decimal.schema(2), new BigDecimal("12.50"), "\"12.50\""),
                Arguments.of(Decimal.schema(-3), new BigDecimal("1E+3"), "\"1000\""),
                Arguments.of(
                        VARIABLE,
                        new Struct(VARIABLE).put("scale", 20).put("value", new byte[] {-1}),
                        "\"-0.00000000000000000001\""),
                Arguments.of(named(Schema.Type.STRING, "io.debezium.data.Uuid"), "5f1b-", "\"5f1b-\""),
                Arguments.of(named(Schema.Type.STRING, "io.debezium.data.Enum"), "happy", "\"happy\""),
                Arguments.of(named(Schema.Type.STRING, "io.debezium.time.Interval"), "P1Y2M", "\"P1Y2M\""),
                Arguments.of(
                        named(Schema.Type.BYTES, "io.debezium.data.Bits"), new byte[] {(byte) 0xaa, 2}, "\"qgI=\""),
                Arguments.of(SchemaBuilder.array(Schema.OPTIONAL_INT32_SCHEMA).build(), Arrays.asList(1, null), "[1,null]"),
                Arguments.of(
                        SchemaBuilder.array(Decimal.schema(1)).build(), List.of(new BigDecimal("1.0")), "[\"1.0\"]"),
                Arguments.of(
                        SchemaBuilder.map(Schema.STRING_SCHEMA, Schema.OPTIONAL_STRING_SCHEMA).build(),
                        hstore(),
                        "{\"color\":\"red\",\"size\":null}"),
                Arguments.of(POINT, new Struct(POINT).put("x", 1.5), "{\"x\":1.5,\"srid\":null}"));
    }

    @ParameterizedTest
    @MethodSource("values")
    void aValueStandsAsItIs(Schema schema, Object value, String expected) {
        assertEquals(expected, Transformed.column(schema, value));
    }

    static Stream<Arguments> times() {
        return Stream.of(
                Arguments.of(Schema.Type.INT32, "io.debezium.time.Date", 19782, "2024-02-29"),
                Arguments.of(Schema.Type.INT32, "io.debezium.time.Date", -622_191_234, "infinity"),
                Arguments.of(Schema.Type.INT32, "io.debezium.time.Date", -625_821_272, "-infinity"),
                Arguments.of(Schema.Type.STRING, "io.debezium.time.IsoDate", "2024-02-29Z", "2024-02-29"),
                Arguments.of(Schema.Type.INT32, "io.debezium.time.Time", 3_723_004, "01:02:03.004"),
                Arguments.of(Schema.Type.INT64, "io.debezium.time.MicroTime", 86_399_123_456L, "23:59:59.123456"),
                Arguments.of(Schema.Type.INT64, "io.debezium.time.MicroTime", 86_400_000_000L, "24:00:00"),
                Arguments.of(Schema.Type.INT64, "io.debezium.time.NanoTime", 0L, "00:00:00"),
                Arguments.of(Schema.Type.STRING, "io.debezium.time.IsoTime", "23:59:59.5Z", "23:59:59.5"),
                Arguments.of(Schema.Type.STRING, "io.debezium.time.ZonedTime", "10:00:00Z", "10:00:00Z"),
                Arguments.of(
                        Schema.Type.INT64, "io.debezium.time.Timestamp", 1_709_210_096_789L, "2024-02-29T12:34:56.789Z"),
                Arguments.of(
                        Schema.Type.INT64,
                        "io.debezium.time.MicroTimestamp",
                        1_709_210_096_123_456L,
                        "2024-02-29T12:34:56.123456Z"),
                Arguments.of(Schema.Type.INT64, "io.debezium.time.MicroTimestamp", -1L, "1969-12-31T23:59:59.999999Z"),
                Arguments.of(Schema.Type.INT64, "io.debezium.time.MicroTimestamp", 9_223_372_036_825_200_000L, "infinity"),
                Arguments.of(Schema.Type.INT64, "io.debezium.time.MicroTimestamp", -9_223_372_036_832_400_000L, "-infinity"),
                Arguments.of(Schema.Type.INT64, "io.debezium.time.Timestamp", 9_223_372_036_825_200L, "infinity"),
                Arguments.of(Schema.Type.INT64, "io.debezium.time.NanoTimestamp", 1L, "1970-01-01T00:00:00.000000001Z"),
                Arguments.of(
                        Schema.Type.STRING, "io.debezium.time.IsoTimestamp", "2024-02-29T12:34:56.1Z", "2024-02-29T12:34:56.1Z"),
                Arguments.of(
                        Schema.Type.STRING,
                        "io.debezium.time.ZonedTimestamp",
                        "2024-02-29T12:34:56.123456+02:00",
                        "2024-02-29T10:34:56.123456Z"),
                Arguments.of(Schema.Type.STRING, "io.debezium.time.ZonedTimestamp", "-infinity", "-infinity"));
    }

    @ParameterizedTest
    @MethodSource("times")
    void aTimeStandsAsText(Schema.Type type, String name, Object value, String expected) {
        assertEquals('"' + expected + '"', Transformed.column(named(type, name), value));
    }

    @Test
    void timesOfConnectItselfAreRead() {
        assertEquals("\"2024-02-29\"", Transformed.column(org.apache.kafka.connect.data.Date.SCHEMA, new Date(19782 * 86_400_000L)));
        assertEquals("\"00:00:01.5\"", Transformed.column(org.apache.kafka.connect.data.Time.SCHEMA, new Date(1_500)));
        assertEquals(
                "\"1970-01-01T00:00:01.5Z\"",
                Transformed.column(org.apache.kafka.connect.data.Timestamp.SCHEMA, new Date(1_500)));
    }

    @Test
    void aTimestampWithoutAZoneIsOfTheZoneThatIsSet() {
        Schema micros = named(Schema.Type.INT64, "io.debezium.time.MicroTimestamp");
        long noon = 1_719_835_200_000_000L; // 2024-07-01T12:00
        assertEquals("\"2024-07-01T10:00:00Z\"", Transformed.column(micros, noon, "timezone", "Europe/Berlin"));
        assertEquals("\"2024-07-01T12:00:00\"", Transformed.column(micros, noon, "timezone", "none"));
        Schema iso = named(Schema.Type.STRING, "io.debezium.time.IsoTimestamp");
        assertEquals(
                "\"2024-07-01T10:00:00Z\"", Transformed.column(iso, "2024-07-01T12:00:00Z", "timezone", "Europe/Berlin"));
        assertEquals("\"2024-07-01T12:00:00\"", Transformed.column(iso, "2024-07-01T12:00:00Z", "timezone", "none"));
    }

    @Test
    void anInstantDoesNotCareForTheZoneThatIsSet() {
        Schema zoned = named(Schema.Type.STRING, "io.debezium.time.ZonedTimestamp");
        assertEquals(
                "\"2024-07-01T12:00:00Z\"", Transformed.column(zoned, "2024-07-01T12:00:00Z", "timezone", "Europe/Berlin"));
    }

    @Test
    void jsonIsTextOrTheDocument() {
        Schema json = named(Schema.Type.STRING, "io.debezium.data.Json");
        String document = "{\"a\": 1.10, \"b\": 12345678901234567890}";
        assertEquals("\"{\\\"a\\\": 1.10, \\\"b\\\": 12345678901234567890}\"", Transformed.column(json, document));
        assertEquals("{\"a\":1.10,\"b\":12345678901234567890}", Transformed.column(json, document, "json", "nested"));
        assertEquals("null", Transformed.column(json, "null", "json", "nested"));
    }

    @Test
    void aNullIsNullWhateverTheDefault() {
        Schema withDefault = SchemaBuilder.int32().optional().defaultValue(5).build();
        assertEquals("null", Transformed.column(withDefault, null));
    }

    @Test
    void aFaultNamesTopicPositionAndColumn() {
        Schema zoned = named(Schema.Type.STRING, "io.debezium.time.ZonedTimestamp");
        DataException fault = assertThrows(DataException.class, () -> Transformed.column(zoned, "yesterday"));
        assertTrue(fault.getMessage().contains("topic p.shop.orders"), fault.getMessage());
        assertTrue(fault.getMessage().contains("{lsn=99}"), fault.getMessage());
        assertTrue(fault.getMessage().contains("column 'x'"), fault.getMessage());
    }

    private static Schema named(Schema.Type type, String name) {
        return SchemaBuilder.type(type).name(name).build();
    }

    private static Map<String, String> hstore() {
        Map<String, String> values = new LinkedHashMap<>();
        values.put("color", "red");
        values.put("size", null);
        return values;
    }
}
