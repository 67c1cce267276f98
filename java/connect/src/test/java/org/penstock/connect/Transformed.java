package org.penstock.connect;

import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.source.SourceRecord;

/** What the transform makes of one record. */
final class Transformed {
    private Transformed() {}

    static <R extends ConnectRecord<R>> R apply(R record, String... settings) {
        Map<String, String> configuration = new HashMap<>();
        for (int index = 0; index < settings.length; index += 2) {
            configuration.put(settings[index], settings[index + 1]);
        }
        try (StandardEvent<R> transform = new StandardEvent<>()) {
            transform.configure(configuration);
            return transform.apply(record);
        }
    }

    /** Returns the event; null when the record is dropped. */
    static String event(SourceRecord record, String... settings) {
        SourceRecord made = apply(record, settings);
        return made == null ? null : (String) made.value();
    }

    /** Returns a column's value as it stands in the event. */
    static String column(Schema schema, Object value, String... settings) {
        String event = event(Change.of("c").column("x", schema, value).record(), settings);
        String before = "\"va\":{\"x\":";
        return event.substring(event.indexOf(before) + before.length(), event.length() - 2);
    }
}
