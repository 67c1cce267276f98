package org.penstock.connect;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What real connectors gave, and what has to become of it. */
class RecordedTest {
    private static final Path RECORDED = Path.of("..", "..", "tests", "connect", "recorded");

    static Path file(String name) {
        return RECORDED.resolve(name);
    }

    @ParameterizedTest
    @ValueSource(strings = {"postgres", "postgres-precise", "postgres-nanoseconds", "mongodb", "mongo-kafka"})
    void realRecordsBecomeTheExpectedEvents(String name) throws IOException {
        Map<String, String> settings = Map.of("ignored.namespaces", "shop.signal");
        String events = String.join("\n", Recorded.replay(file(name + ".json"), settings)) + "\n";
        assertEquals(Files.readString(file(name + ".events.jsonl")), events);
    }
}
