package org.penstock.connect;

import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.errors.DataException;

/**
 * MongoDB's own connector: the documents of a change stream, as JSON text.
 *
 * <pre>
 *   insert, replace ─▶ I    update ─▶ U    delete ─▶ D    drop ─▶ T
 * </pre>
 *
 * <p>Copied rows come as inserts without a cluster time: their sequence is 0, so that whatever the
 * change stream told of the same document wins.
 */
final class MongoKafka implements Shape {
    private static final long MS = 1000;
    private static final String OPERATION = "operationType";

    /** Of collections and indexes, without a change to any document. */
    private static final Set<String> WITHOUT_ROWS =
            Set.of("create", "createIndexes", "dropIndexes", "modify", "shardCollection",
                    "refineCollectionShardKey", "reshardCollection");

    private final Settings settings;
    private final Documents documents;

    MongoKafka(Settings settings) {
        this.settings = settings;
        this.documents = new Documents(settings);
    }

    @Override
    public boolean accepts(ConnectRecord<?> record) {
        return record.value() instanceof String;
    }

    @Override
    public Optional<Event> read(ConnectRecord<?> record) {
        Map<String, Object> change = Json.object(ExtendedJson.read((String) record.value()), "the value");
        if (!(change.get(OPERATION) instanceof String operation)) {
            throw new DataException(
                    "the value is no change event: set publish.full.document.only=false in the connector");
        }
        if (WITHOUT_ROWS.contains(operation)) {
            return Optional.empty();
        }
        Origin origin = origin(change);
        return settings.ignores(origin) ? Optional.empty() : event(operation, origin, change);
    }

    @Override
    public Object key(ConnectRecord<?> record) {
        Map<String, Object> key = Json.object(ExtendedJson.read((String) record.key()), "the key");
        // A heartbeat has no value either, and a resume token for a key.
        return key.containsKey(Documents.ID) ? key : null;
    }

    private Optional<Event> event(String operation, Origin origin, Map<String, Object> change) {
        return switch (operation) {
            case "insert", "replace" ->
                    Optional.of(Documents.written(origin, key(change), member(change, "fullDocument")));
            case "update" -> updated(origin, change);
            case "delete" -> Optional.of(Event.of(Operation.DELETE, origin, key(change), null));
            case "drop" -> Optional.of(Event.of(Operation.TRUNCATE, origin, null, null));
            default -> throw new DataException(
                    "operationType '" + operation + "' changes more than documents: the table must be loaded anew");
        };
    }

    private Optional<Event> updated(Origin origin, Map<String, Object> change) {
        Map<String, Object> document =
                change.get("fullDocument") == null ? null : member(change, "fullDocument");
        return documents.updated(origin, key(change), document, changes(change));
    }

    private static Documents.Changes changes(Map<String, Object> change) {
        if (change.get("updateDescription") == null) {
            return new Documents.Changes(Map.of(), List.of(), false);
        }
        Map<String, Object> description = member(change, "updateDescription");
        Map<String, Object> updated =
                description.get("updatedFields") == null ? Map.of() : member(description, "updatedFields");
        List<String> removed = new ArrayList<>();
        list(description.get("removedFields")).forEach(path -> removed.add((String) path));
        return new Documents.Changes(updated, removed, !list(description.get("truncatedArrays")).isEmpty());
    }

    private static List<?> list(Object value) {
        return value instanceof List<?> list ? list : List.of();
    }

    private static Map<String, Object> key(Map<String, Object> change) {
        Map<String, Object> key = member(change, "documentKey");
        if (!key.containsKey(Documents.ID)) {
            throw new DataException("documentKey holds no _id");
        }
        // A sharded collection's document key has the shard key's fields as well.
        return Documents.key(key.get(Documents.ID));
    }

    private static Origin origin(Map<String, Object> change) {
        Map<String, Object> namespace = member(change, "ns");
        Object collection = namespace.get("coll");
        String name = namespace.get("db") + (collection == null ? "" : "." + collection);
        if (change.get("clusterTime") == null) {
            return new Origin(name, 0, 0L);
        }
        Map<String, Object> time = member(change, "clusterTime");
        long second = ((Number) time.get("t")).longValue();
        long timeMs =
                change.get("wallTime") instanceof String at
                        ? OffsetDateTime.parse(at).toInstant().toEpochMilli()
                        : second * MS;
        return new Origin(name, timeMs, Documents.sequence(second, ((Number) time.get("i")).longValue()));
    }

    private static Map<String, Object> member(Map<String, Object> object, String name) {
        return Json.object(object.get(name), name);
    }
}
