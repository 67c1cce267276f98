package org.penstock.connect;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.header.Header;

/**
 * Debezium's connectors for relational databases, PostgreSQL above all.
 *
 * <pre>
 *   c, r ─▶ I    u ─▶ U    d ─▶ D    t ─▶ T    m (a message written into the log) ─▶ nothing
 * </pre>
 *
 * <p>A change of the primary key comes as d of the old key and c of the new one, and stays so; each
 * names the other's key, for in the old row stand the values that the source did not send again.
 */
final class DebeziumRelational implements Shape {
    private static final String OLD_KEY = "__debezium.oldkey";
    private static final String NEW_KEY = "__debezium.newkey";
    private static final int EPOCH_SHIFT = 56;

    private final Settings settings;
    private final Values values;
    private final Placeholder placeholder;

    DebeziumRelational(Settings settings) {
        this.settings = settings;
        this.values = new Values(settings);
        this.placeholder = new Placeholder(settings.placeholder());
    }

    @Override
    public boolean accepts(ConnectRecord<?> record) {
        return Envelopes.isEnvelope(record) && !Envelopes.isMongo(record);
    }

    @Override
    public Optional<Event> read(ConnectRecord<?> record) {
        Struct envelope = (Struct) record.value();
        Origin origin = origin(envelope.getStruct("source"));
        if (settings.ignores(origin)) {
            return Optional.empty();
        }
        String operation = envelope.getString("op");
        return switch (operation) {
            case "c", "r" -> Optional.of(written(Operation.INSERT, origin, record, envelope));
            case "u" -> Optional.of(written(Operation.UPDATE, origin, record, envelope));
            case "d" -> Optional.of(deleted(origin, record));
            case "t" -> Optional.of(Event.of(Operation.TRUNCATE, origin, null, null));
            case "m" -> Optional.empty();
            default -> throw new DataException("op '" + operation + "' is not known");
        };
    }

    @Override
    public Map<String, Object> key(ConnectRecord<?> record) {
        if (record.key() instanceof Struct key) {
            return values.row(key);
        }
        throw new DataException(
                "the table has no primary key: give it one, or name columns in message.key.columns");
    }

    private Event written(Operation operation, Origin origin, ConnectRecord<?> record, Struct envelope) {
        Map<String, Object> key = key(record);
        Struct after = envelope.getStruct("after");
        if (after == null) {
            throw new DataException("the event has no row after the change");
        }
        Map<String, Object> columns = new LinkedHashMap<>();
        List<String> unchanged = new ArrayList<>();
        for (Field field : after.schema().fields()) {
            if (key.containsKey(field.name())) {
                continue;
            }
            if (placeholder.is(after.getWithoutDefault(field.name()))) {
                unchanged.add(field.name());
            } else {
                columns.put(field.name(), values.column(after, field));
            }
        }
        return new Event(operation, origin, key, columns, unchanged, key(record, OLD_KEY), null);
    }

    private Event deleted(Origin origin, ConnectRecord<?> record) {
        return new Event(
                Operation.DELETE, origin, key(record), null, List.of(), null, key(record, NEW_KEY));
    }

    private Map<String, Object> key(ConnectRecord<?> record, String headerName) {
        Header header = record.headers().lastWithName(headerName);
        return header != null && header.value() instanceof Struct key ? values.row(key) : null;
    }

    private Origin origin(Struct source) {
        String container = Envelopes.text(source, "schema");
        String namespace =
                (container == null ? Envelopes.text(source, "db") : container)
                        + "."
                        + Envelopes.text(source, "table");
        return new Origin(namespace, source.getInt64("ts_ms"), sequence(source));
    }

    private Long sequence(Struct source) {
        Long lsn = lsn(source);
        if (lsn == null) {
            return null;
        }
        if (lsn >>> EPOCH_SHIFT != 0) {
            throw new DataException("the LSN " + Long.toUnsignedString(lsn) + " is past what can be ordered");
        }
        return (long) settings.epoch() << EPOCH_SHIFT | lsn;
    }

    /** Returns where in PostgreSQL's log the change is; null for other databases. */
    private static Long lsn(Struct source) {
        Field field = source.schema().field("lsn");
        if (field == null || field.schema().type() != Schema.Type.INT64) {
            return null;
        }
        if (source.get(field) != null) {
            return source.getInt64("lsn");
        }
        // A row of an incremental snapshot has no place in the log. The second of the two positions
        // in "sequence" is that of the watermark before it: later than what it saw.
        String sequence = Envelopes.text(source, "sequence");
        return sequence != null
                        && Json.read(sequence) instanceof List<?> positions
                        && positions.size() == 2
                        && positions.get(1) instanceof String last
                ? Long.valueOf(last)
                : null;
    }
}
