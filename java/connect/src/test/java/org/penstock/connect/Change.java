package org.penstock.connect;

import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.source.SourceRecord;

/** A change as Debezium's relational connectors tell of it, put together for a test. */
final class Change {
    static final Schema KEY = SchemaBuilder.struct().name("p.shop.orders.Key").field("id", Schema.INT32_SCHEMA).build();
    private static final Schema SOURCE =
            SchemaBuilder.struct()
                    .name("io.debezium.connector.postgresql.Source")
                    .field("connector", Schema.STRING_SCHEMA)
                    .field("ts_ms", Schema.INT64_SCHEMA)
                    .field("db", Schema.STRING_SCHEMA)
                    .field("sequence", Schema.OPTIONAL_STRING_SCHEMA)
                    .field("schema", Schema.STRING_SCHEMA)
                    .field("table", Schema.STRING_SCHEMA)
                    .field("lsn", Schema.OPTIONAL_INT64_SCHEMA)
                    .build();

    private final String operation;
    private Schema row = SchemaBuilder.struct().name("p.shop.orders.Value").optional().field("id", Schema.INT32_SCHEMA).build();
    private Struct after;
    private Struct key = new Struct(KEY).put("id", 7);
    private final Struct source =
            new Struct(SOURCE)
                    .put("connector", "postgresql")
                    .put("ts_ms", 1_700_000_000_123L)
                    .put("db", "postgres")
                    .put("schema", "shop")
                    .put("table", "orders")
                    .put("lsn", 99L);
    private final ConnectHeaders headers = new ConnectHeaders();

    private Change(String operation) {
        this.operation = operation;
    }

    static Change of(String operation) {
        return new Change(operation);
    }

    /** A row with an id, and one more column. */
    Change column(String name, Schema schema, Object value) {
        row =
                SchemaBuilder.struct()
                        .name("p.shop.orders.Value")
                        .optional()
                        .field("id", Schema.INT32_SCHEMA)
                        .field(name, schema)
                        .build();
        after = new Struct(row).put("id", 7).put(name, value);
        return this;
    }

    Change keyless() {
        key = null;
        return this;
    }

    Change source(String field, Object value) {
        source.put(field, value);
        return this;
    }

    Change nextKey(int id) {
        headers.add("__debezium.newkey", new Struct(KEY).put("id", id), KEY);
        return this;
    }

    Change formerKey(int id) {
        headers.add("__debezium.oldkey", new Struct(KEY).put("id", id), KEY);
        headers.addString("mine", "kept");
        return this;
    }

    SourceRecord record() {
        Schema envelope =
                SchemaBuilder.struct()
                        .name("p.shop.orders.Envelope")
                        .field("before", row)
                        .field("after", row)
                        .field("source", SOURCE)
                        .field("op", Schema.STRING_SCHEMA)
                        .build();
        Struct value = new Struct(envelope).put("op", operation).put("source", source).put("after", after);
        return new SourceRecord(
                Map.of("server", "p"),
                Map.of("lsn", 99L),
                "p.shop.orders",
                null,
                key == null ? null : KEY,
                key,
                envelope,
                value,
                null,
                headers);
    }
}
