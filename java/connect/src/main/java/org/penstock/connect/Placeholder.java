package org.penstock.connect;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/**
 * What Debezium gives in place of an unchanged TOAST value, in the form of the column's type.
 *
 * <p>Text and bytes hold the placeholder; lists of text, bytes or UUIDs hold it once; lists of
 * numbers hold its bytes; maps have it for key and value.
 */
final class Placeholder {
    private final String text;
    private final byte[] bytes;
    private final String uuid;

    Placeholder(String text) {
        this.text = text;
        this.bytes = text.getBytes(StandardCharsets.UTF_8);
        this.uuid = UUID.nameUUIDFromBytes(bytes).toString();
    }

    boolean is(Object value) {
        if (value instanceof String || value instanceof byte[] || value instanceof ByteBuffer) {
            return isScalar(value);
        }
        if (value instanceof List<?> list) {
            return isList(list);
        }
        return value instanceof Map<?, ?> map && map.size() == 1 && text.equals(map.get(text));
    }

    private boolean isScalar(Object value) {
        if (value instanceof byte[] array) {
            return Arrays.equals(bytes, array);
        }
        return value instanceof ByteBuffer buffer ? ByteBuffer.wrap(bytes).equals(buffer) : text.equals(value);
    }

    private boolean isList(List<?> list) {
        if (list.size() == 1) {
            Object only = list.get(0);
            return only != null && (isScalar(only) || uuid.equals(only));
        }
        return list.size() == bytes.length && holdsBytes(new ArrayList<>(list));
    }

    private boolean holdsBytes(List<?> list) {
        for (int index = 0; index < bytes.length; index++) {
            if (!(list.get(index) instanceof Number number) || number.longValue() != bytes[index]) {
                return false;
            }
        }
        return true;
    }
}
