package org.penstock.connect;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.transforms.Transformation;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The transform as Connect sees it. */
class StandardEventTest {
    private static SourceRecord record(Schema keySchema, Object key, Schema schema, Object value) {
        return new SourceRecord(Map.of(), Map.of("lsn", 5), "t", 3, keySchema, key, schema, value, 17L);
    }

    @Test
    void topicPartitionAndTimeStay() {
        SourceRecord record = Change.of("d").record();
        SourceRecord made = Transformed.apply(record);
        assertEquals(record.topic(), made.topic());
        assertEquals(record.kafkaPartition(), made.kafkaPartition());
        assertEquals(record.timestamp(), made.timestamp());
        assertEquals(record.sourceOffset(), made.sourceOffset());
        assertEquals(Schema.STRING_SCHEMA, made.valueSchema());
    }

    @Test
    void theKeyHasItsColumnsInTheOrderOfTheirNames() {
        Schema schema =
                SchemaBuilder.struct().field("b", Schema.STRING_SCHEMA).field("a", Schema.INT32_SCHEMA).build();
        Struct key = new Struct(schema).put("b", "x").put("a", 1);
        SourceRecord deletion = Change.of("d").record();
        SourceRecord record =
                deletion.newRecord("t", null, schema, key, deletion.valueSchema(), deletion.value(), null);
        SourceRecord made = Transformed.apply(record);
        assertEquals("{\"a\":1,\"b\":\"x\"}", made.key());
        assertTrue(((String) made.value()).contains("\"pk\":{\"b\":\"x\",\"a\":1}"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "io.debezium.connector.common.Heartbeat",
                "io.debezium.connector.common.TransactionMetadataValue",
                "io.debezium.connector.common.Notification",
                "io.debezium.connector.mysql.SchemaChangeValue",
            })
    void theConnectorsOwnRecordsAreDropped(String name) {
        Schema schema = SchemaBuilder.struct().name(name).field("ts_ms", Schema.INT64_SCHEMA).build();
        assertNull(Transformed.apply(record(null, null, schema, new Struct(schema).put("ts_ms", 1L))));
    }

    @Test
    void anyOtherRecordIsAFaultThatNamesItsPlace() {
        Schema schema = SchemaBuilder.struct().field("id", Schema.INT64_SCHEMA).build();
        SourceRecord unwrapped = record(null, null, schema, new Struct(schema).put("id", 1L));
        String message = assertThrows(DataException.class, () -> Transformed.apply(unwrapped)).getMessage();
        assertTrue(message.startsWith("topic t, source position {lsn=5}: "), message);
        SinkRecord sunk = new SinkRecord("t", 3, null, null, schema, unwrapped.value(), 42L, 17L, TimestampType.CREATE_TIME);
        message = assertThrows(DataException.class, () -> Transformed.apply(sunk)).getMessage();
        assertTrue(message.startsWith("topic t partition 3 offset 42: "), message);
    }

    @Test
    void tombstonesAreDroppedOrKept() {
        Struct key = new Struct(Change.KEY).put("id", 7);
        SourceRecord tombstone = record(Change.KEY, key, null, null);
        assertNull(Transformed.apply(tombstone));
        SourceRecord kept = Transformed.apply(tombstone, "tombstones", "keep");
        assertEquals("{\"id\":7}", kept.key());
        assertNull(kept.value());
        assertNull(Transformed.apply(record(null, null, null, null), "tombstones", "keep"));
    }

    @Test
    void aTombstonesKeyIsReadAsItsDeletions() throws Exception {
        List<SourceRecord> records = Recorded.records(RecordedTest.file("mongodb.json"));
        try (StandardEvent<SourceRecord> transform = new StandardEvent<>()) {
            transform.configure(Map.of("tombstones", "keep"));
            Object deleted = null;
            for (SourceRecord record : records) {
                SourceRecord made = transform.apply(record);
                if (record.value() == null) {
                    assertEquals(deleted, made.key());
                }
                deleted = made == null ? deleted : made.key();
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "timezone, Mars/Olympus",
        "truncations, maybe",
        "tombstones, maybe",
        "json, binary",
        "sequence.epoch, 128",
        "sequence.epoch, -1",
        "full.documents, perhaps"
    })
    void aWrongSettingIsTold(String name, String value) {
        SourceRecord record = Change.of("d").record();
        ConfigException fault = assertThrows(ConfigException.class, () -> Transformed.apply(record, name, value));
        assertTrue(fault.getMessage().contains(name), fault.getMessage());
    }

    @Test
    void connectFindsItByItsManifest() {
        @SuppressWarnings("rawtypes")
        List<Transformation> found =
                ServiceLoader.load(Transformation.class).stream()
                        .filter(each -> each.type() == StandardEvent.class)
                        .<Transformation>map(ServiceLoader.Provider::get)
                        .toList();
        assertEquals(1, found.size());
        StandardEvent<?> transform = assertInstanceOf(StandardEvent.class, found.get(0));
        assertEquals(8, transform.config().names().size());
        assertEquals("0.1.0", transform.version());
    }
}
