package org.penstock.connect;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.source.SourceRecord;
import org.junit.jupiter.api.Test;

/** What happens to documents, as Debezium tells it. */
class DebeziumMongoTest {
    private static final Schema KEY = SchemaBuilder.struct().field("id", Schema.STRING_SCHEMA).build();
    private static final Schema SOURCE =
            SchemaBuilder.struct()
                    .field("connector", Schema.STRING_SCHEMA)
                    .field("ts_ms", Schema.INT64_SCHEMA)
                    .field("snapshot", Schema.OPTIONAL_STRING_SCHEMA)
                    .field("db", Schema.STRING_SCHEMA)
                    .field("collection", Schema.STRING_SCHEMA)
                    .field("ord", Schema.INT32_SCHEMA)
                    .build();
    private static final Schema DESCRIPTION =
            SchemaBuilder.struct()
                    .optional()
                    .field("removedFields", SchemaBuilder.array(Schema.STRING_SCHEMA).optional().build())
                    .field("updatedFields", Schema.OPTIONAL_STRING_SCHEMA)
                    .field("truncatedArrays", SchemaBuilder.array(Schema.STRING_SCHEMA).optional().build())
                    .build();
    private static final Schema ENVELOPE =
            SchemaBuilder.struct()
                    .field("after", Schema.OPTIONAL_STRING_SCHEMA)
                    .field("updateDescription", DESCRIPTION)
                    .field("source", SOURCE)
                    .field("op", Schema.STRING_SCHEMA)
                    .build();
    private static final String HEAD = "\"ns\":\"shop.orders\",\"ot\":17000,\"sq\":" + (17L << 32 | 3);

    private static SourceRecord record(String operation, String after, Struct description) {
        return record(operation, after, description, null);
    }

    private static SourceRecord record(String operation, String after, Struct description, String snapshot) {
        return record(operation, after, description, snapshot, Map.of());
    }

    private static SourceRecord record(
            String operation, String after, Struct description, String snapshot, Map<String, ?> position) {
        Struct source =
                new Struct(SOURCE)
                        .put("connector", "mongodb")
                        .put("ts_ms", 17_000L)
                        .put("snapshot", snapshot)
                        .put("db", "shop")
                        .put("collection", "orders")
                        .put("ord", snapshot == null ? 3 : -1);
        Struct value =
                new Struct(ENVELOPE)
                        .put("op", operation)
                        .put("source", source)
                        .put("after", after)
                        .put("updateDescription", description);
        Struct key = new Struct(KEY).put("id", "{\"$oid\": \"65f0\"}");
        return new SourceRecord(Map.of(), position, "t", null, KEY, key, ENVELOPE, value);
    }

    private static Struct description(List<String> removed, String updated) {
        return new Struct(DESCRIPTION).put("removedFields", removed).put("updatedFields", updated);
    }

    @Test
    void aDocumentThatIsWrittenIsGivenWhole() {
        String document = "{\"_id\": {\"$oid\": \"65f0\"}, \"n\": {\"$numberLong\": \"1\"}}";
        String expected = "{\"oc\":\"I\"," + HEAD + ",\"pk\":{\"_id\":\"65f0\"},\"va\":{\"n\":1}}";
        assertEquals(expected, Transformed.event(record("c", document, null)));
        // A replacement names no changed fields: what it lacks is gone.
        assertEquals(expected, Transformed.event(record("u", document, null)));
    }

    @Test
    void theSequenceIsTheClustersTime() {
        String event = Transformed.event(record("d", null, null, null, Map.of("sec", 18, "ord", 3)));
        assertTrue(event.contains("\"ot\":17000,\"sq\":" + (18L << 32 | 3)), event);
        // The position is another event's.
        event = Transformed.event(record("d", null, null, null, Map.of("sec", 18, "ord", 4)));
        assertTrue(event.contains("\"sq\":" + (17L << 32 | 3)), event);
    }

    @Test
    void aRowOfTheSnapshotIsOlderThanEveryChange() {
        String event = Transformed.event(record("r", "{\"_id\": 1}", null, "true"));
        assertTrue(event.contains("\"sq\":" + ((17L - 60) << 32)), event);
    }

    @Test
    void anUpdateNullsWhatItRemoved() {
        Struct changes = description(List.of("old", "deep.down", "back"), "{}");
        String event = Transformed.event(record("u", "{\"_id\": 1, \"n\": 1, \"back\": 2}", changes));
        assertTrue(event.startsWith("{\"oc\":\"U\","), event);
        assertTrue(event.endsWith("\"va\":{\"n\":1,\"back\":2,\"old\":null}}"), event);
    }

    @Test
    void anUpdateOfADocumentDeletedSinceIsDropped() {
        assertNull(Transformed.event(record("u", null, description(List.of(), "{\"n\": 1}"))));
    }

    @Test
    void anUpdateMayCarryChangedFieldsOnly() {
        SourceRecord update = record("u", null, description(List.of("old"), "{\"n\": {\"$numberLong\": \"1\"}}"));
        String event = Transformed.event(update, "full.documents", "false");
        assertTrue(event.endsWith("\"va\":{\"n\":1,\"old\":null}}"), event);
        SourceRecord inside = record("u", null, description(List.of(), "{\"a.b\": 1}"));
        DataException fault =
                assertThrows(DataException.class, () -> Transformed.event(inside, "full.documents", "false"));
        assertTrue(fault.getMessage().contains("change_streams_update_full"), fault.getMessage());
    }

    @Test
    void aDocumentThatIsDeleted() {
        assertEquals(
                "{\"oc\":\"D\"," + HEAD + ",\"pk\":{\"_id\":\"65f0\"},\"va\":null}",
                Transformed.event(record("d", null, null)));
    }

    @Test
    void aCollectionIsIgnoredByName() {
        assertNull(Transformed.event(record("d", null, null), "ignored.namespaces", "shop.orders"));
    }
}
