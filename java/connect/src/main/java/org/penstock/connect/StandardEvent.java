package org.penstock.connect;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.components.Versioned;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.header.Headers;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.transforms.Transformation;

/**
 * Turns a connector's change event into the standard one, as text.
 *
 * <pre>
 *   key   {"id":7}
 *   value {"oc":"U","ns":"public.orders","ot":1763740985123,"sq":26543208,"pk":{"id":7},"va":{…}}
 * </pre>
 *
 * <p>The key is the primary key with its columns in the order of their names, so that a row stays in
 * one partition. Both are for {@code StringConverter}. Heartbeats, schema changes, transaction
 * metadata, log messages and the records of ignored namespaces are dropped.
 *
 * @param <R> source or sink records
 */
public class StandardEvent<R extends ConnectRecord<R>> implements Transformation<R>, Versioned {
    private static final String DEBEZIUM_HEADERS = "__debezium.";

    private Settings settings;
    private List<Shape> shapes;

    /** The shape of the last record: a tombstone has none of its own, and follows its deletion. */
    private Shape shape;

    @Override
    public void configure(Map<String, ?> configuration) {
        settings = Settings.of(configuration);
        shapes = List.of(new DebeziumRelational(settings), new DebeziumMongo(settings), new MongoKafka(settings));
        shape = shapes.get(0);
    }

    @Override
    public R apply(R record) {
        if (record.value() == null ? !settings.tombstones() : Envelopes.isNoise(record)) {
            return null;
        }
        try {
            return record.value() == null ? tombstone(record) : changed(record);
        } catch (RuntimeException error) {
            // Of any kind: what Connect tolerates, it tolerates by this class.
            throw new DataException(place(record) + ": " + error.getMessage(), error);
        }
    }

    private R changed(R record) {
        shape = shapeOf(record);
        Optional<Event> event = shape.read(record);
        if (event.isEmpty() || isUnwanted(event.get())) {
            return null;
        }
        Map<String, Object> key = event.get().key();
        return rewritten(record, key == null ? null : text(key), Json.write(event.get().members()));
    }

    private boolean isUnwanted(Event event) {
        return event.operation() == Operation.TRUNCATE && !settings.truncations();
    }

    private R tombstone(R record) {
        Object key = record.key() == null ? null : shape.key(record);
        return key == null ? null : rewritten(record, text(key), null);
    }

    private Shape shapeOf(R record) {
        return shapes.stream()
                .filter(each -> each.accepts(record))
                .findFirst()
                .orElseThrow(
                        () ->
                                new DataException(
                                        "this is no change event of a known connector; let the transform come"
                                                + " first, and the connector's own unwrapping out"));
    }

    private static String text(Object key) {
        return Json.write(Json.sorted(key));
    }

    private R rewritten(R record, String key, String value) {
        return record.newRecord(
                record.topic(),
                record.kafkaPartition(),
                key == null ? null : Schema.STRING_SCHEMA,
                key,
                value == null ? null : Schema.STRING_SCHEMA,
                value,
                record.timestamp(),
                headers(record));
    }

    private static Headers headers(ConnectRecord<?> record) {
        Headers kept = new ConnectHeaders();
        for (Header header : record.headers()) {
            if (!header.key().startsWith(DEBEZIUM_HEADERS)) {
                kept.add(header);
            }
        }
        return kept;
    }

    private static String place(ConnectRecord<?> record) {
        if (record instanceof SourceRecord source) {
            return "topic " + record.topic() + ", source position " + source.sourceOffset();
        }
        String offset = record instanceof SinkRecord sink ? " offset " + sink.kafkaOffset() : "";
        return "topic " + record.topic() + " partition " + record.kafkaPartition() + offset;
    }

    @Override
    public ConfigDef config() {
        return Settings.DEFINITION;
    }

    @Override
    public String version() {
        return "0.1.0";
    }

    @Override
    public void close() {
        // Nothing is held.
    }
}
