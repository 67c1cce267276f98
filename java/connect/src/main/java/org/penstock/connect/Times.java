package org.penstock.connect;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.time.temporal.ChronoField;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.connect.errors.DataException;

/**
 * Dates, times and timestamps of connectors as ISO 8601 text.
 *
 * <p>An instant ends with Z. A timestamp without a zone is wall-clock time in the zone of the
 * settings, and becomes an instant there; without such a zone it stays what it is, and has no Z. Of
 * a wall-clock time that a zone has twice the earlier is taken, and one that it skips is moved on.
 */
final class Times {
    /** What Debezium gives for the infinities of PostgreSQL's timestamps, whatever its unit. */
    private static final LocalDateTime INFINITY = ofMicros(9_223_372_036_825_200_000L);

    private static final LocalDateTime MINUS_INFINITY = ofMicros(-9_223_372_036_832_400_000L);

    /** And of its dates: the same, cut to an int. PostgreSQL has no such days. */
    private static final long INFINITE_DAY = -622_191_234;

    private static final long MINUS_INFINITE_DAY = -625_821_272;
    private static final long NANOS_OF_DAY = TimeUnit.DAYS.toNanos(1);
    private static final DateTimeFormatter TIME =
            new DateTimeFormatterBuilder()
                    .appendPattern("HH:mm:ss")
                    .appendFraction(ChronoField.NANO_OF_SECOND, 0, 9, true)
                    .toFormatter();
    private static final DateTimeFormatter TIMESTAMP =
            new DateTimeFormatterBuilder()
                    .append(DateTimeFormatter.ISO_LOCAL_DATE)
                    .appendLiteral('T')
                    .append(TIME)
                    .toFormatter();

    /** Null for none: zone-less timestamps stay without a zone. */
    private final ZoneId zone;

    Times(ZoneId zone) {
        this.zone = zone;
    }

    static String date(long epochDay) {
        if (epochDay == INFINITE_DAY || epochDay == MINUS_INFINITE_DAY) {
            return infinity(epochDay == INFINITE_DAY);
        }
        return LocalDate.ofEpochDay(epochDay).toString();
    }

    /** A date as text, from which a connector's false zone is taken. */
    static String isoDate(String text) {
        return withoutZ(text);
    }

    static String time(long value, TimeUnit unit) {
        long nanos = unit.toNanos(value);
        // PostgreSQL has the end of a day as well as the beginning of the next one.
        return nanos == NANOS_OF_DAY ? "24:00:00" : TIME.format(LocalTime.ofNanoOfDay(nanos));
    }

    static String isoTime(String text) {
        return withoutZ(text);
    }

    /** A timestamp without a zone, counted since 1970 as if it were in UTC. */
    String timestamp(long value, TimeUnit unit) {
        return timestamp(wallClock(value, unit));
    }

    private static LocalDateTime ofMicros(long value) {
        return wallClock(value, TimeUnit.MICROSECONDS);
    }

    private static LocalDateTime wallClock(long value, TimeUnit unit) {
        long perSecond = unit.convert(1, TimeUnit.SECONDS);
        long nano = unit.toNanos(Math.floorMod(value, perSecond));
        return LocalDateTime.ofEpochSecond(Math.floorDiv(value, perSecond), (int) nano, ZoneOffset.UTC);
    }

    /** A timestamp without a zone, as text with a connector's false zone. */
    String isoTimestamp(String text) {
        return timestamp(LocalDateTime.parse(withoutZ(text)));
    }

    private String timestamp(LocalDateTime wallClock) {
        if (isInfinite(wallClock)) {
            return infinity(wallClock.getYear() > 0);
        }
        return zone == null ? TIMESTAMP.format(wallClock) : instant(wallClock.atZone(zone).toInstant());
    }

    /** A timestamp with its zone, as text. */
    static String zonedTimestamp(String text) {
        if (text.endsWith("infinity")) {
            return text;
        }
        try {
            OffsetDateTime at = OffsetDateTime.parse(text);
            LocalDateTime inUtc = at.withOffsetSameInstant(ZoneOffset.UTC).toLocalDateTime();
            return isInfinite(inUtc) ? infinity(inUtc.getYear() > 0) : instant(at.toInstant());
        } catch (DateTimeException error) {
            throw new DataException("'" + text + "' is no timestamp with a zone", error);
        }
    }

    static String instant(Instant at) {
        return TIMESTAMP.format(at.atOffset(ZoneOffset.UTC)) + "Z";
    }

    private static boolean isInfinite(LocalDateTime at) {
        return at.equals(INFINITY) || at.equals(MINUS_INFINITY);
    }

    private static String infinity(boolean positive) {
        return positive ? "infinity" : "-infinity";
    }

    private static String withoutZ(String text) {
        return text.endsWith("Z") ? text.substring(0, text.length() - 1) : text;
    }
}
