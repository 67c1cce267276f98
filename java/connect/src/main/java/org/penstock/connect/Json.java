package org.penstock.connect;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.connect.errors.DataException;

/** The door to the JSON library: trees of maps, lists, text, numbers, booleans and null. */
final class Json {
    private static final JsonMapper MAPPER =
            JsonMapper.builder()
                    // As the MongoDB driver's strict mode writes a double that is no number.
                    .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
                    .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                    .build();
    private static final ObjectReader READER = MAPPER.readerFor(Object.class);
    private static final ObjectReader EXACT =
            READER.with(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);
    private static final ObjectWriter WRITER = MAPPER.writer();

    private Json() {}

    static String write(Object tree) {
        try {
            return WRITER.writeValueAsString(tree);
        } catch (JsonProcessingException error) {
            throw new DataException("cannot be written as JSON: " + error.getOriginalMessage(), error);
        }
    }

    /** Reads a document whose fractions are doubles, as MongoDB's are. */
    static Object read(String text) {
        return read(READER, text);
    }

    /** Reads a document whose fractions are exact numbers, as PostgreSQL's are. */
    static Object readExactly(String text) {
        return read(EXACT, text);
    }

    private static Object read(ObjectReader reader, String text) {
        try {
            return reader.readValue(text);
        } catch (JsonProcessingException error) {
            throw new DataException("is no JSON: " + error.getOriginalMessage(), error);
        }
    }

    /** Returns the tree with the members of every object in the order of their names. */
    static Object sorted(Object tree) {
        if (tree instanceof Map<?, ?> object) {
            Map<String, Object> members = new TreeMap<>();
            object.forEach((name, member) -> members.put((String) name, sorted(member)));
            return members;
        }
        if (tree instanceof List<?> list) {
            return list.stream().map(Json::sorted).toList();
        }
        return tree;
    }

    /** Returns the tree as an object. */
    static Map<String, Object> object(Object tree, String what) {
        if (tree instanceof Map<?, ?> object) {
            Map<String, Object> members = new LinkedHashMap<>();
            object.forEach((name, member) -> members.put((String) name, member));
            return members;
        }
        throw new DataException(what + " is no JSON object");
    }
}
