package org.penstock.connect;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.connect.errors.DataException;

/**
 * Changes of MongoDB's documents, whichever connector told of them.
 *
 * <p>A field that a document does not have is null as a column: an insert and a replacement give
 * the row as it is, an update names what it removed, and gets nulls there.
 */
final class Documents {
    static final String ID = "_id";
    private static final int SECOND_SHIFT = 32;

    private final boolean fullDocuments;

    Documents(Settings settings) {
        this.fullDocuments = settings.fullDocuments();
    }

    /** Returns the order of a cluster time, which is a second and a count within it. */
    static long sequence(long second, long ordinal) {
        return second << SECOND_SHIFT | ordinal;
    }

    static Map<String, Object> key(Object id) {
        Map<String, Object> key = new LinkedHashMap<>();
        key.put(ID, id);
        return key;
    }

    static Event written(Origin origin, Map<String, Object> key, Map<String, Object> document) {
        return Event.of(Operation.INSERT, origin, key, withoutId(document));
    }

    /**
     * Returns what an update did.
     *
     * @param document as it was found after the update; null when it was not found any more
     * @param changes what the update changed
     */
    Optional<Event> updated(
            Origin origin, Map<String, Object> key, Map<String, Object> document, Changes changes) {
        if (document == null && fullDocuments) {
            return Optional.empty();
        }
        Map<String, Object> columns = withoutId(document == null ? changes.topLevel() : document);
        for (String name : changes.removed()) {
            if (!name.contains(".")) {
                columns.putIfAbsent(name, null);
            }
        }
        return Optional.of(Event.of(Operation.UPDATE, origin, key, columns));
    }

    private static Map<String, Object> withoutId(Map<String, Object> document) {
        Map<String, Object> columns = new LinkedHashMap<>(document);
        columns.remove(ID);
        return columns;
    }

    /**
     * What an update changed.
     *
     * @param updated new values by path
     * @param removed paths
     * @param truncated whether arrays were cut
     */
    record Changes(Map<String, Object> updated, List<String> removed, boolean truncated) {

        /** Returns the new values, all of whole fields. */
        Map<String, Object> topLevel() {
            List<String> inside = new ArrayList<>(updated.keySet());
            inside.addAll(removed);
            inside.removeIf(path -> !path.contains("."));
            if (truncated || !inside.isEmpty()) {
                throw new DataException(
                        "the update changed parts of fields " + inside + ", and the event does not hold the"
                                + " document: let the connector look documents up (Debezium:"
                                + " capture.mode=change_streams_update_full)");
            }
            return updated;
        }
    }
}
