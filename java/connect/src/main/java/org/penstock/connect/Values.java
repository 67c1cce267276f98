package org.penstock.connect;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;

/**
 * Values of Connect as JSON, by their schemas.
 *
 * <p>What JSON's readers would change on the way is text: decimals (most read numbers as doubles),
 * NaN and the infinities (JSON has none), bytes (base64).
 */
final class Values {
    private final Times times;
    private final boolean nestedJson;

    Values(Settings settings) {
        this.times = new Times(settings.zone());
        this.nestedJson = settings.nestedJson();
    }

    /** Returns the fields of a row by name. */
    Map<String, Object> row(Struct row) {
        Map<String, Object> columns = new LinkedHashMap<>();
        for (Field field : row.schema().fields()) {
            columns.put(field.name(), column(row, field));
        }
        return columns;
    }

    /** Returns one field of a row; what is wrong with it is told by its name. */
    Object column(Struct row, Field field) {
        try {
            // Struct.get would give the column's default where the row has a null.
            return value(field.schema(), row.getWithoutDefault(field.name()));
        } catch (RuntimeException error) {
            throw new DataException("column '" + field.name() + "': " + error.getMessage(), error);
        }
    }

    Object value(Schema schema, Object value) {
        if (value == null) {
            return null;
        }
        return schema.name() == null ? plain(schema, value) : named(schema, value);
    }

    private Object named(Schema schema, Object value) {
        return switch (schema.name()) {
            case Decimal.LOGICAL_NAME -> ((BigDecimal) value).toPlainString();
            case "io.debezium.data.VariableScaleDecimal" -> variableScale((Struct) value);
            case "io.debezium.data.Json" -> nestedJson ? Json.readExactly((String) value) : value;
            case "io.debezium.time.Date" -> Times.date(((Number) value).longValue());
            case "io.debezium.time.IsoDate" -> Times.isoDate((String) value);
            case org.apache.kafka.connect.data.Date.LOGICAL_NAME ->
                    Times.date(TimeUnit.MILLISECONDS.toDays(((Date) value).getTime()));
            case "io.debezium.time.Time" -> Times.time(((Number) value).longValue(), TimeUnit.MILLISECONDS);
            case "io.debezium.time.MicroTime" -> Times.time((Long) value, TimeUnit.MICROSECONDS);
            case "io.debezium.time.NanoTime" -> Times.time((Long) value, TimeUnit.NANOSECONDS);
            case "io.debezium.time.IsoTime" -> Times.isoTime((String) value);
            case org.apache.kafka.connect.data.Time.LOGICAL_NAME ->
                    Times.time(((Date) value).getTime(), TimeUnit.MILLISECONDS);
            case "io.debezium.time.Timestamp" -> times.timestamp((Long) value, TimeUnit.MILLISECONDS);
            case "io.debezium.time.MicroTimestamp" -> times.timestamp((Long) value, TimeUnit.MICROSECONDS);
            case "io.debezium.time.NanoTimestamp" -> times.timestamp((Long) value, TimeUnit.NANOSECONDS);
            case "io.debezium.time.IsoTimestamp" -> times.isoTimestamp((String) value);
            case org.apache.kafka.connect.data.Timestamp.LOGICAL_NAME ->
                    times.timestamp(((Date) value).getTime(), TimeUnit.MILLISECONDS);
            case "io.debezium.time.ZonedTimestamp" -> Times.zonedTimestamp((String) value);
            // Names that say no more than the plain type does: uuid, enum, xml, interval, year …
            default -> plain(schema, value);
        };
    }

    private Object plain(Schema schema, Object value) {
        return switch (schema.type()) {
            case INT8, INT16, INT32, INT64, BOOLEAN, STRING -> value;
            case FLOAT32 -> finite((Float) value, Float.isFinite((Float) value));
            case FLOAT64 -> finite((Double) value, Double.isFinite((Double) value));
            case BYTES -> base64(value);
            case ARRAY -> array(schema, (List<?>) value);
            case MAP -> map(schema, (Map<?, ?>) value);
            case STRUCT -> row((Struct) value);
        };
    }

    private static Object finite(Number value, boolean isFinite) {
        return isFinite ? value : value.toString();
    }

    static String base64(Object value) {
        if (value instanceof byte[] bytes) {
            return Base64.getEncoder().encodeToString(bytes);
        }
        ByteBuffer buffer = ((ByteBuffer) value).duplicate();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return Base64.getEncoder().encodeToString(bytes);
    }

    private static String variableScale(Struct value) {
        Object unscaled = value.get("value");
        byte[] bytes = unscaled instanceof ByteBuffer buffer ? buffer.duplicate().array() : (byte[]) unscaled;
        return new BigDecimal(new BigInteger(bytes), value.getInt32("scale")).toPlainString();
    }

    private List<Object> array(Schema schema, List<?> values) {
        List<Object> elements = new ArrayList<>(values.size());
        for (Object each : values) {
            elements.add(value(schema.valueSchema(), each));
        }
        return elements;
    }

    private Map<String, Object> map(Schema schema, Map<?, ?> values) {
        Map<String, Object> members = new LinkedHashMap<>();
        values.forEach(
                (key, each) ->
                        members.put(
                                String.valueOf(value(schema.keySchema(), key)),
                                value(schema.valueSchema(), each)));
        return members;
    }
}
