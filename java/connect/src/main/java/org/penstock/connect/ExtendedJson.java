package org.penstock.connect;

import java.math.BigDecimal;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.connect.errors.DataException;

/**
 * MongoDB's extended JSON as plain JSON: canonical, relaxed, and the older strict mode.
 *
 * <pre>
 *   {"$oid": "65…"} ─▶ "65…"     {"$date": 0} ─▶ "1970-01-01T00:00:00Z"     {"$numberLong": "7"} ─▶ 7
 * </pre>
 *
 * <p>As in {@link Values}, what JSON's readers would change is text. Documents and arrays stay
 * nested; of types only MongoDB has, the value stays, and the type's name goes.
 */
final class ExtendedJson {
    /** Beyond it a decimal's plain digits would be pages long. */
    private static final int LONGEST_EXPONENT = 64;

    private static final int UUID_SUBTYPE = 4;
    private static final int UUID_BYTES = 16;
    private static final int HEXADECIMAL = 16;

    private ExtendedJson() {}

    /** Reads a document or a value, such as an {@code _id}. */
    static Object read(String text) {
        return plain(Json.read(text));
    }

    /** Returns the tree with every type wrapper undone. */
    static Object plain(Object tree) {
        if (tree instanceof Map<?, ?> object) {
            return object(Json.object(object, "a document"));
        }
        if (tree instanceof List<?> list) {
            return list.stream().map(ExtendedJson::plain).toList();
        }
        return tree instanceof Double number && !Double.isFinite(number) ? number.toString() : tree;
    }

    private static Object object(Map<String, Object> object) {
        if (!object.isEmpty()) {
            String first = object.keySet().iterator().next();
            if (first.startsWith("$")) {
                try {
                    return typed(first, object);
                } catch (RuntimeException error) {
                    throw new DataException(Json.write(object) + " is no " + first.substring(1), error);
                }
            }
        }
        return members(object);
    }

    private static Map<String, Object> members(Map<String, Object> object) {
        Map<String, Object> members = new LinkedHashMap<>();
        object.forEach((name, member) -> members.put(name, plain(member)));
        return members;
    }

    private static Object typed(String type, Map<String, Object> object) {
        Object value = object.get(type);
        return switch (type) {
            case "$oid", "$symbol", "$uuid" -> value;
            case "$numberInt", "$numberLong" -> Long.parseLong((String) value);
            case "$numberDouble" -> plain(Double.valueOf((String) value));
            case "$numberDecimal" -> decimal((String) value);
            case "$date" -> date(value);
            case "$binary" -> binary(value, object);
            case "$timestamp" -> plain(value);
            case "$regularExpression" -> {
                Map<String, Object> expression = Json.object(value, type);
                yield "/" + expression.get("pattern") + "/" + expression.get("options");
            }
            case "$regex" -> "/" + value + "/" + object.getOrDefault("$options", "");
            case "$code" -> object.size() == 1 ? value : codeWithScope(value, object);
            case "$dbPointer" -> plain(value);
            case "$undefined" -> null;
            case "$minKey" -> "MinKey";
            case "$maxKey" -> "MaxKey";
            // {"$ref", "$id", "$db"} and names that a user chose.
            default -> members(object);
        };
    }

    private static String decimal(String text) {
        if (text.endsWith("NaN") || text.endsWith("Infinity")) {
            return text;
        }
        BigDecimal number = new BigDecimal(text);
        return Math.abs(number.scale()) > LONGEST_EXPONENT ? text : number.toPlainString();
    }

    private static String date(Object value) {
        if (value instanceof String text) {
            return Times.instant(OffsetDateTime.parse(text).toInstant());
        }
        return Times.instant(Instant.ofEpochMilli(((Number) plain(value)).longValue()));
    }

    /** {"$binary": "…", "$type": "04"}, or {"$binary": {"base64": "…", "subType": "04"}}. */
    private static String binary(Object value, Map<String, Object> object) {
        boolean nested = value instanceof Map<?, ?>;
        Map<String, Object> parts = nested ? Json.object(value, "$binary") : object;
        String base64 = (String) parts.get(nested ? "base64" : "$binary");
        Object subtype = parts.get(nested ? "subType" : "$type");
        byte[] bytes = Base64.getDecoder().decode(base64);
        boolean isUuid =
                subtype instanceof String text
                        && Integer.parseInt(text, HEXADECIMAL) == UUID_SUBTYPE
                        && bytes.length == UUID_BYTES;
        return isUuid ? uuid(bytes) : base64;
    }

    private static String uuid(byte[] bytes) {
        java.nio.ByteBuffer buffer = java.nio.ByteBuffer.wrap(bytes);
        return new UUID(buffer.getLong(), buffer.getLong()).toString();
    }

    private static Map<String, Object> codeWithScope(Object code, Map<String, Object> object) {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("code", code);
        members.put("scope", plain(object.get("$scope")));
        return members;
    }
}
