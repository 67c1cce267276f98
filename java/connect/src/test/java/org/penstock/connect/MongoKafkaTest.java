package org.penstock.connect;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.source.SourceRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Documents of a change stream, in the form that MongoDB's own connector documents. */
class MongoKafkaTest {
    private static final String TIME =
            "\"clusterTime\": {\"$timestamp\": {\"t\": 17, \"i\": 3}}, \"ns\": {\"db\": \"shop\", \"coll\": \"orders\"}";
    private static final String ID = "\"documentKey\": {\"_id\": {\"$oid\": \"65f0\"}, \"shard\": 1}";
    private static final String HEAD =
            "\"ns\":\"shop.orders\",\"ot\":17000,\"sq\":" + (17L << 32 | 3) + ",\"pk\":{\"_id\":\"65f0\"},\"va\":";

    private static SourceRecord record(String value) {
        String key = "{\"_id\": {\"_data\": \"8265\"}}";
        return new SourceRecord(
                Map.of(), Map.of(), "t", null, Schema.STRING_SCHEMA, key, Schema.STRING_SCHEMA, value);
    }

    private static SourceRecord change(String operation, String more) {
        return record(
                "{\"_id\": {\"_data\": \"8265\"}, \"operationType\": \"" + operation + "\", " + TIME + ", " + ID + more + "}");
    }

    private static String document(String text) {
        return ", \"fullDocument\": " + text;
    }

    @ParameterizedTest
    @ValueSource(strings = {"insert", "replace"})
    void aDocumentThatIsWrittenIsGivenWhole(String operation) {
        SourceRecord change = change(operation, document("{\"_id\": {\"$oid\": \"65f0\"}, \"n\": {\"$numberDecimal\": \"1.0\"}}"));
        SourceRecord made = Transformed.apply(change);
        assertEquals("{\"oc\":\"I\"," + HEAD + "{\"n\":\"1.0\"}}", made.value());
        assertEquals("{\"_id\":\"65f0\"}", made.key());
    }

    @Test
    void anUpdateNullsWhatItRemoved() {
        String changes = ", \"updateDescription\": {\"updatedFields\": {\"n\": 1}, \"removedFields\": [\"old\"]}";
        String event = Transformed.event(change("update", document("{\"_id\": 1, \"n\": 1}") + changes));
        assertEquals("{\"oc\":\"U\"," + HEAD + "{\"n\":1,\"old\":null}}", event);
    }

    @Test
    void anUpdateWithoutTheDocument() {
        String changes = ", \"updateDescription\": {\"updatedFields\": {\"n\": 1}, \"removedFields\": [\"old\"]}";
        SourceRecord update = change("update", document("null") + changes);
        assertNull(Transformed.event(update));
        assertEquals(
                "{\"oc\":\"U\"," + HEAD + "{\"n\":1,\"old\":null}}", Transformed.event(update, "full.documents", "false"));
        String cut = ", \"updateDescription\": {\"updatedFields\": {}, \"truncatedArrays\": [{\"field\": \"a\", \"newSize\": 1}]}";
        assertThrows(DataException.class, () -> Transformed.event(change("update", cut), "full.documents", "false"));
    }

    @Test
    void aDocumentThatIsDeleted() {
        assertEquals("{\"oc\":\"D\"," + HEAD + "null}", Transformed.event(change("delete", "")));
    }

    @Test
    void aCollectionThatIsDroppedIsTruncated() {
        SourceRecord drop = record("{\"operationType\": \"drop\", " + TIME + "}");
        assertTrue(Transformed.event(drop).startsWith("{\"oc\":\"T\",\"ns\":\"shop.orders\""));
        assertNull(Transformed.event(drop, "truncations", "drop"));
    }

    @Test
    void aCopiedDocumentIsOlderThanEveryChange() {
        String copied =
                "{\"operationType\": \"insert\", \"ns\": {\"db\": \"shop\", \"coll\": \"orders\"}, " + ID
                        + document("{\"_id\": 1}") + "}";
        assertTrue(Transformed.event(record(copied)).contains("\"ot\":0,\"sq\":0,"));
    }

    @Test
    void theTimeIsTheWallClocksWhereItIsTold() {
        String event = Transformed.event(change("delete", ", \"wallTime\": {\"$date\": 16999}"));
        assertTrue(event.contains("\"ot\":16999,\"sq\":" + (17L << 32 | 3)), event);
    }

    @Test
    void aHeartbeatIsNoTombstone() {
        SourceRecord change = change("delete", "");
        try (StandardEvent<SourceRecord> transform = new StandardEvent<>()) {
            transform.configure(Map.of("tombstones", "keep"));
            transform.apply(change);
            assertNull(transform.apply(tombstone("{\"_data\": \"8265\"}")));
            assertEquals("{\"_id\":1}", transform.apply(tombstone("{\"_id\": {\"$numberLong\": \"1\"}}")).key());
        }
    }

    private static SourceRecord tombstone(String key) {
        return new SourceRecord(Map.of(), Map.of(), "t", null, Schema.STRING_SCHEMA, key, null, null);
    }

    @Test
    void whatConcernsNoDocumentIsDropped() {
        assertNull(Transformed.event(change("createIndexes", "")));
    }

    @Test
    void whatChangesMoreThanDocumentsIsAFault() {
        assertThrows(DataException.class, () -> Transformed.event(change("rename", "")));
    }

    @Test
    void aDocumentWithoutItsEventIsAFaultThatSaysWhatToDo() {
        DataException fault = assertThrows(DataException.class, () -> Transformed.event(record("{\"_id\": 1}")));
        assertTrue(fault.getMessage().contains("publish.full.document.only"), fault.getMessage());
        assertThrows(DataException.class, () -> Transformed.event(record("no JSON")));
        assertThrows(DataException.class, () -> Transformed.event(record("[1]")));
    }
}
