package org.penstock.connect;

import java.time.DateTimeException;
import java.time.ZoneId;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.Importance;
import org.apache.kafka.common.config.ConfigDef.Range;
import org.apache.kafka.common.config.ConfigDef.Type;
import org.apache.kafka.common.config.ConfigDef.ValidString;
import org.apache.kafka.common.config.ConfigException;

/**
 * What a connector's configuration may say to the transform.
 *
 * @param zone of timestamps without one; null leaves them without
 * @param truncations whether truncations become events
 * @param tombstones whether records without a value are kept
 * @param nestedJson whether JSON columns are documents, not text
 * @param ignoredNamespaces tables whose records are dropped
 * @param placeholder what a connector gives for a value that the source did not send
 * @param fullDocuments whether MongoDB's updates carry the whole document
 * @param epoch of the sequence: its top bits
 */
record Settings(
        ZoneId zone,
        boolean truncations,
        boolean tombstones,
        boolean nestedJson,
        Set<String> ignoredNamespaces,
        String placeholder,
        boolean fullDocuments,
        int epoch) {

    private static final String TIMEZONE = "timezone";
    private static final String TRUNCATIONS = "truncations";
    private static final String TOMBSTONES = "tombstones";
    private static final String JSON = "json";
    private static final String IGNORED_NAMESPACES = "ignored.namespaces";
    private static final String PLACEHOLDER = "unavailable.value.placeholder";
    private static final String FULL_DOCUMENTS = "full.documents";
    private static final String SEQUENCE_EPOCH = "sequence.epoch";
    private static final int LAST_EPOCH = 127;
    private static final String NO_ZONE = "none";

    static final ConfigDef DEFINITION =
            new ConfigDef()
                    .define(
                            TIMEZONE,
                            Type.STRING,
                            "UTC",
                            (name, value) -> zone(name, (String) value),
                            Importance.HIGH,
                            "The zone in which timestamps without one are wall-clock time: they become instants"
                                    + " there. 'none' leaves them without a zone.")
                    .define(
                            TRUNCATIONS,
                            Type.STRING,
                            "event",
                            ValidString.in("event", "drop"),
                            Importance.MEDIUM,
                            "What becomes of a truncation: an event with oc T, or nothing.")
                    .define(
                            TOMBSTONES,
                            Type.STRING,
                            "drop",
                            ValidString.in("drop", "keep"),
                            Importance.MEDIUM,
                            "What becomes of records without a value, which compacted topics want.")
                    .define(
                            JSON,
                            Type.STRING,
                            "text",
                            ValidString.in("text", "nested"),
                            Importance.MEDIUM,
                            "How JSON columns are written: as text, or as the document itself.")
                    .define(
                            IGNORED_NAMESPACES,
                            Type.LIST,
                            List.of(),
                            Importance.MEDIUM,
                            "Tables (schema.table) or collections (database.collection) whose records are"
                                    + " dropped, such as the signal table.")
                    .define(
                            PLACEHOLDER,
                            Type.STRING,
                            "__debezium_unavailable_value",
                            Importance.LOW,
                            "The connector's placeholder for a value that the source did not send.")
                    .define(
                            FULL_DOCUMENTS,
                            Type.BOOLEAN,
                            true,
                            Importance.MEDIUM,
                            "MongoDB: whether updates carry the whole document. One that does not is of a"
                                    + " document deleted since, and is dropped: its deletion follows. If false,"
                                    + " updates carry the changed fields.")
                    .define(
                            SEQUENCE_EPOCH,
                            Type.INT,
                            0,
                            Range.between(0, LAST_EPOCH),
                            Importance.LOW,
                            "Raise by one when the database was moved or restored and its LSNs began anew.");

    static Settings of(Map<String, ?> configuration) {
        AbstractConfig config = new AbstractConfig(DEFINITION, configuration, false);
        return new Settings(
                zone(TIMEZONE, config.getString(TIMEZONE)),
                config.getString(TRUNCATIONS).equals("event"),
                config.getString(TOMBSTONES).equals("keep"),
                config.getString(JSON).equals("nested"),
                Set.copyOf(config.getList(IGNORED_NAMESPACES)),
                config.getString(PLACEHOLDER),
                config.getBoolean(FULL_DOCUMENTS),
                config.getInt(SEQUENCE_EPOCH));
    }

    boolean ignores(Origin origin) {
        return ignoredNamespaces.contains(origin.namespace());
    }

    private static ZoneId zone(String name, String text) {
        try {
            return text.equals(NO_ZONE) ? null : ZoneId.of(text);
        } catch (DateTimeException error) {
            throw new ConfigException(name, text, "write a zone such as UTC or Europe/Berlin, or none");
        }
    }
}
