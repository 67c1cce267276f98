package org.penstock.connect;

import java.util.Set;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;

/** What Debezium's records have in common. */
final class Envelopes {
    private static final Set<String> NOISE =
            Set.of("Heartbeat", "SchemaChangeValue", "TransactionMetadataValue", "Notification");
    private static final String MONGO = "mongodb";

    private Envelopes() {}

    /** Tells whether the record tells of a row, or of several. */
    static boolean isEnvelope(ConnectRecord<?> record) {
        return record.value() instanceof Struct value
                && value.schema().field("op") != null
                && value.schema().field("source") != null;
    }

    static boolean isMongo(ConnectRecord<?> record) {
        Struct source = ((Struct) record.value()).getStruct("source");
        return source != null && MONGO.equals(text(source, "connector"));
    }

    /** Tells whether the record is one of the connector's own: a heartbeat, a schema change … */
    static boolean isNoise(ConnectRecord<?> record) {
        Schema schema = record.valueSchema();
        if (schema == null || schema.name() == null || !schema.name().startsWith("io.debezium.")) {
            return false;
        }
        return NOISE.contains(schema.name().substring(schema.name().lastIndexOf('.') + 1));
    }

    static String text(Struct struct, String field) {
        return struct.schema().field(field) == null ? null : struct.getString(field);
    }
}
