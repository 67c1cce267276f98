package org.penstock.connect;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.source.SourceRecord;

/**
 * Debezium's connector for MongoDB: documents and ids are extended JSON as text.
 *
 * <pre>
 *   c, r ─▶ I    u ─▶ U (a replacement, which names no changed fields: I)    d ─▶ D
 * </pre>
 */
final class DebeziumMongo implements Shape {
    private static final long MS = 1000;

    /**
     * A row of a snapshot has the time of the connector's clock, not the cluster's. Every change
     * since the snapshot began is told after it, and must win whatever the clocks say.
     */
    private static final long SNAPSHOT_MARGIN_S = 60;

    private final Settings settings;
    private final Documents documents;

    DebeziumMongo(Settings settings) {
        this.settings = settings;
        this.documents = new Documents(settings);
    }

    @Override
    public boolean accepts(ConnectRecord<?> record) {
        return Envelopes.isEnvelope(record) && Envelopes.isMongo(record);
    }

    @Override
    public Optional<Event> read(ConnectRecord<?> record) {
        Struct envelope = (Struct) record.value();
        Origin origin = origin(record, envelope.getStruct("source"));
        if (settings.ignores(origin)) {
            return Optional.empty();
        }
        Map<String, Object> key = key(record);
        String after = Envelopes.text(envelope, "after");
        Map<String, Object> document = after == null ? null : document(after);
        String operation = envelope.getString("op");
        return switch (operation) {
            case "c", "r" -> Optional.of(Documents.written(origin, key, present(document)));
            case "u" -> updated(origin, key, document, envelope);
            case "d" -> Optional.of(Event.of(Operation.DELETE, origin, key, null));
            default -> throw new DataException("op '" + operation + "' is not known");
        };
    }

    @Override
    public Map<String, Object> key(ConnectRecord<?> record) {
        if (record.key() instanceof Struct key && key.schema().field("id") != null) {
            return Documents.key(ExtendedJson.read(key.getString("id")));
        }
        throw new DataException("the record's key holds no id");
    }

    private Optional<Event> updated(
            Origin origin, Map<String, Object> key, Map<String, Object> document, Struct envelope) {
        Field field = envelope.schema().field("updateDescription");
        Struct description = field == null ? null : envelope.getStruct(field.name());
        if (description == null && document != null) {
            return Optional.of(Documents.written(origin, key, document));
        }
        return documents.updated(origin, key, document, changes(description));
    }

    private static Documents.Changes changes(Struct description) {
        if (description == null) {
            return new Documents.Changes(Map.of(), List.of(), false);
        }
        String updated = description.getString("updatedFields");
        List<String> removed = description.getArray("removedFields");
        List<?> truncated = description.getArray("truncatedArrays");
        return new Documents.Changes(
                updated == null ? Map.of() : document(updated),
                removed == null ? List.of() : removed,
                truncated != null && !truncated.isEmpty());
    }

    private static Map<String, Object> document(String text) {
        return Json.object(ExtendedJson.read(text), "the document");
    }

    private static Map<String, Object> present(Map<String, Object> document) {
        if (document == null) {
            throw new DataException("the event has no document after the change");
        }
        return document;
    }

    private static Origin origin(ConnectRecord<?> record, Struct source) {
        long timeMs = source.getInt64("ts_ms");
        String snapshot = Envelopes.text(source, "snapshot");
        long sequence =
                snapshot == null || snapshot.equals("false")
                        ? Documents.sequence(second(record, source), source.getInt32("ord"))
                        : Documents.sequence(timeMs / MS - SNAPSHOT_MARGIN_S, 0);
        return new Origin(source.getString("db") + "." + source.getString("collection"), timeMs, sequence);
    }

    /**
     * Returns the second of the cluster time. The event has the wall clock's, whose seconds begin at
     * other moments: with them the ordinals would not be in order. The position has the cluster's.
     */
    private static long second(ConnectRecord<?> record, Struct source) {
        if (record instanceof SourceRecord change
                && change.sourceOffset() != null
                && change.sourceOffset().get("sec") instanceof Number second
                && change.sourceOffset().get("ord") instanceof Number ordinal
                && ordinal.intValue() == source.getInt32("ord")) {
            return second.longValue();
        }
        return source.getInt64("ts_ms") / MS;
    }
}
