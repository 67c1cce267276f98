package org.penstock.connect;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.source.SourceRecord;

/**
 * Records of real connectors, as {@code tests/connect/recorded} keeps them: each schema once.
 *
 * <p>As a program it prints what the transform makes of them, one JSON object a line; the arguments
 * are files, and settings as {@code name=value}.
 */
final class Recorded {
    private final Map<String, Object> schemas;
    private final JsonConverter keys = converter(true);
    private final JsonConverter values = converter(false);

    private Recorded(Map<String, Object> schemas) {
        this.schemas = schemas;
    }

    public static void main(String[] arguments) throws IOException {
        Map<String, String> settings = new LinkedHashMap<>();
        List<Path> files = new ArrayList<>();
        for (String argument : arguments) {
            String[] parts = argument.split("=", 2);
            if (parts.length == 1) {
                files.add(Path.of(argument));
            } else {
                settings.put(parts[0], parts[1]);
            }
        }
        StringBuilder lines = new StringBuilder();
        for (Path file : files) {
            replay(file, settings).forEach(line -> lines.append(line).append('\n'));
        }
        System.out.write(lines.toString().getBytes(StandardCharsets.UTF_8));
        System.out.flush();
    }

    /** Returns what the transform makes of each record: key and value, null, or the error. */
    static List<String> replay(Path file, Map<String, String> settings) throws IOException {
        try (StandardEvent<SourceRecord> transform = new StandardEvent<>()) {
            transform.configure(settings);
            return records(file).stream().map(record -> line(transform, record)).toList();
        }
    }

    private static String line(StandardEvent<SourceRecord> transform, SourceRecord record) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("topic", record.topic());
        try {
            SourceRecord made = transform.apply(record);
            if (made != null) {
                line.put("key", made.key());
                line.put("value", made.value() == null ? null : Json.read((String) made.value()));
            }
        } catch (RuntimeException error) {
            line.put("error", error.getMessage());
        }
        return Json.write(line);
    }

    static List<SourceRecord> records(Path file) throws IOException {
        Map<String, Object> recorded = Json.object(Json.read(Files.readString(file)), "the file");
        Recorded reader = new Recorded(Json.object(recorded.get("schemas"), "schemas"));
        List<SourceRecord> records = new ArrayList<>();
        for (Object record : (List<?>) recorded.get("records")) {
            records.add(reader.record(Json.object(record, "a record")));
        }
        return records;
    }

    private SourceRecord record(Map<String, Object> record) {
        SchemaAndValue key = read(keys, record.get("key"));
        SchemaAndValue value = read(values, record.get("value"));
        ConnectHeaders headers = new ConnectHeaders();
        for (Object header : (List<?>) record.get("headers")) {
            List<?> parts = (List<?>) header;
            headers.add((String) parts.get(0), read(values, parts.get(1)));
        }
        return new SourceRecord(
                Map.of(),
                Map.of(),
                (String) record.get("topic"),
                null,
                key.schema(),
                key.value(),
                value.schema(),
                value.value(),
                null,
                headers);
    }

    private SchemaAndValue read(JsonConverter converter, Object part) {
        if (part == null) {
            return SchemaAndValue.NULL;
        }
        Map<String, Object> whole = Json.object(part, "a part of a record");
        whole.put("schema", schemas.get(whole.get("schema")));
        SchemaAndValue read = converter.toConnectData("", Json.write(whole).getBytes(StandardCharsets.UTF_8));
        if (read.value() instanceof Struct envelope && envelope.schema().field("after") != null) {
            restore(envelope.get("after"), Json.object(whole.get("payload"), "payload").get("after"));
        }
        return read;
    }

    /** The converter writes NaN and the infinities as text, and reads that as zero. */
    private static void restore(Object after, Object payload) {
        if (!(after instanceof Struct row)) {
            return;
        }
        Map<String, Object> columns = Json.object(payload, "a row");
        for (Field field : row.schema().fields()) {
            if (columns.get(field.name()) instanceof String text) {
                if (field.schema().type() == Schema.Type.FLOAT32) {
                    row.put(field, Float.valueOf(text));
                } else if (field.schema().type() == Schema.Type.FLOAT64) {
                    row.put(field, Double.valueOf(text));
                }
            }
        }
    }

    private static JsonConverter converter(boolean isKey) {
        JsonConverter converter = new JsonConverter();
        // What is null is null, whatever the column's default.
        converter.configure(Map.of("replace.null.with.default", false), isKey);
        return converter;
    }
}
