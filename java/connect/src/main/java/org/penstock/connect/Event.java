package org.penstock.connect;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * One change in the standard form.
 *
 * @param key the primary key by column; null for a truncation
 * @param values the other columns; null for a deletion and a truncation
 * @param unchanged columns left out of the values because the source did not send them
 * @param formerKey of an insertion that gave a row another key: the one it had; null for most
 * @param nextKey of the deletion that came with it: the one it gets; null for most
 */
record Event(
        Operation operation,
        Origin origin,
        Map<String, Object> key,
        Map<String, Object> values,
        List<String> unchanged,
        Map<String, Object> formerKey,
        Map<String, Object> nextKey) {

    static Event of(Operation operation, Origin origin, Map<String, Object> key, Map<String, Object> values) {
        return new Event(operation, origin, key, values, List.of(), null, null);
    }

    /** Returns the event as a JSON object's members, in the order in which people read them. */
    Map<String, Object> members() {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("oc", operation.code());
        members.put("ns", origin.namespace());
        members.put("ot", origin.timeMs());
        if (origin.sequence() != null) {
            members.put("sq", origin.sequence());
        }
        members.put("pk", key);
        if (formerKey != null) {
            members.put("ok", formerKey);
        }
        if (nextKey != null) {
            members.put("nk", nextKey);
        }
        members.put("va", values);
        if (!unchanged.isEmpty()) {
            members.put("un", unchanged);
        }
        return members;
    }
}
