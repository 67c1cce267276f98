package org.penstock.connect;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.stream.Stream;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.source.SourceRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** What happens to rows, and in which order. */
class DebeziumRelationalTest {
    private static final String PLACEHOLDER = "__debezium_unavailable_value";
    private static final String HEAD = "\"ns\":\"shop.orders\",\"ot\":1700000000123,\"sq\":99,";

    private static Change note(String operation) {
        return Change.of(operation).column("note", Schema.OPTIONAL_STRING_SCHEMA, "a");
    }

    @ParameterizedTest
    @CsvSource({"c, I", "r, I", "u, U"})
    void aRowThatIsWritten(String operation, String code) {
        String expected = "{\"oc\":\"" + code + "\"," + HEAD + "\"pk\":{\"id\":7},\"va\":{\"note\":\"a\"}}";
        assertEquals(expected, Transformed.event(note(operation).record()));
    }

    @Test
    void aRowThatIsDeletedHasNoValues() {
        assertEquals(
                "{\"oc\":\"D\"," + HEAD + "\"pk\":{\"id\":7},\"va\":null}", Transformed.event(Change.of("d").record()));
    }

    @Test
    void aTruncationIsAnEventOrNothing() {
        SourceRecord truncation = Change.of("t").keyless().record();
        SourceRecord made = Transformed.apply(truncation);
        assertEquals("{\"oc\":\"T\"," + HEAD + "\"pk\":null,\"va\":null}", made.value());
        assertNull(made.key());
        assertNull(Transformed.event(truncation, "truncations", "drop"));
    }

    @Test
    void aMessageInTheLogIsNoRow() {
        assertNull(Transformed.event(Change.of("m").record()));
    }

    @Test
    void anUnknownOperationIsAFault() {
        assertThrows(DataException.class, () -> Transformed.event(Change.of("x").record()));
    }

    @Test
    void aRowWithAnotherKeyRemembersTheFormerOne() {
        SourceRecord made = Transformed.apply(note("c").formerKey(6).record());
        assertTrue(((String) made.value()).contains("\"pk\":{\"id\":7},\"ok\":{\"id\":6},\"va\""), (String) made.value());
        assertNull(made.headers().lastWithName("__debezium.oldkey"));
        assertEquals("kept", made.headers().lastWithName("mine").value());
    }

    @Test
    void aRowThatGetsAnotherKeySaysWhich() {
        String event = Transformed.event(Change.of("d").nextKey(8).record());
        assertTrue(event.endsWith("\"pk\":{\"id\":7},\"nk\":{\"id\":8},\"va\":null}"), event);
    }

    @Test
    void aTableWithoutAKeyIsAFaultThatSaysWhatToDo() {
        DataException fault =
                assertThrows(DataException.class, () -> Transformed.event(note("c").keyless().record()));
        assertTrue(fault.getMessage().contains("message.key.columns"), fault.getMessage());
    }

    static Stream<Arguments> placeholders() {
        byte[] bytes = PLACEHOLDER.getBytes(StandardCharsets.UTF_8);
        List<Integer> integers = new ArrayList<>();
        List<Long> longs = new ArrayList<>();
        for (byte each : bytes) {
            integers.add((int) each);
            longs.add((long) each);
        }
        String uuid = UUID.nameUUIDFromBytes(bytes).toString();
        return Stream.of(
                Arguments.of(Schema.STRING_SCHEMA, PLACEHOLDER),
                Arguments.of(Schema.BYTES_SCHEMA, bytes),
                Arguments.of(SchemaBuilder.string().name("io.debezium.data.Json").build(), PLACEHOLDER),
                Arguments.of(SchemaBuilder.array(Schema.STRING_SCHEMA).build(), List.of(PLACEHOLDER)),
                Arguments.of(SchemaBuilder.array(Schema.BYTES_SCHEMA).build(), List.of(bytes)),
                Arguments.of(SchemaBuilder.array(Schema.INT32_SCHEMA).build(), integers),
                Arguments.of(SchemaBuilder.array(Schema.INT64_SCHEMA).build(), longs),
                Arguments.of(SchemaBuilder.array(Schema.STRING_SCHEMA).build(), List.of(uuid)),
                Arguments.of(
                        SchemaBuilder.map(Schema.STRING_SCHEMA, Schema.STRING_SCHEMA).build(),
                        Map.of(PLACEHOLDER, PLACEHOLDER)));
    }

    @ParameterizedTest
    @MethodSource("placeholders")
    void aValueThatWasNotSentIsLeftOutAndNamed(Schema schema, Object placeholder) {
        String event = Transformed.event(Change.of("u").column("x", schema, placeholder).record());
        assertTrue(event.endsWith("\"va\":{},\"un\":[\"x\"]}"), event);
    }

    static Stream<Arguments> noPlaceholders() {
        return Stream.of(
                Arguments.of(Schema.STRING_SCHEMA, PLACEHOLDER + "s"),
                Arguments.of(SchemaBuilder.array(Schema.STRING_SCHEMA).build(), List.of()),
                Arguments.of(SchemaBuilder.array(Schema.STRING_SCHEMA).build(), List.of(PLACEHOLDER, PLACEHOLDER)),
                Arguments.of(SchemaBuilder.array(Schema.INT32_SCHEMA).build(), List.of(95)),
                Arguments.of(
                        SchemaBuilder.map(Schema.STRING_SCHEMA, Schema.STRING_SCHEMA).build(), Map.of("a", PLACEHOLDER)));
    }

    @ParameterizedTest
    @MethodSource("noPlaceholders")
    void aValueThatIsAlikeStays(Schema schema, Object value) {
        assertFalse(Transformed.event(Change.of("u").column("x", schema, value).record()).contains("\"un\""));
    }

    @Test
    void thePlaceholderCanBeAnother() {
        SourceRecord update = note("u").record();
        assertTrue(Transformed.event(update, "unavailable.value.placeholder", "a").endsWith("\"un\":[\"note\"]}"));
    }

    @Test
    void theTablesOfOneSchemaAreIgnoredByName() {
        // The signal table has no interest in a key either.
        SourceRecord signal = note("c").keyless().record();
        assertNull(Transformed.event(signal, "ignored.namespaces", "shop.debezium_signal, shop.orders"));
    }

    @Test
    void theSequenceGrowsWithTheEpoch() {
        String event = Transformed.event(note("c").record(), "sequence.epoch", "1");
        assertTrue(event.contains("\"sq\":" + ((1L << 56) + 99)), event);
        assertThrows(DataException.class, () -> Transformed.event(note("c").source("lsn", 1L << 56).record()));
    }

    @Test
    void aRowOfAnIncrementalSnapshotHasTheWatermarksSequence() {
        Change row = note("r").source("lsn", null).source("sequence", "[\"120\",\"125\"]");
        assertTrue(Transformed.event(row.record()).contains("\"sq\":125,"));
        Change unknown = note("r").source("lsn", null).source("sequence", "[\"120\",null]");
        assertFalse(Transformed.event(unknown.record()).contains("\"sq\""));
    }
}
