CREATE SCHEMA shop;
CREATE TYPE shop.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN shop.positive AS integer CHECK (VALUE > 0);

CREATE TABLE shop.finished (run text PRIMARY KEY);
CREATE TABLE shop.signal (id text PRIMARY KEY, type text, data text);

CREATE TABLE shop.types (
    id bigint PRIMARY KEY,
    a_boolean boolean, a_smallint smallint, an_integer integer, a_bigint bigint,
    a_real real, a_double double precision,
    a_numeric numeric(12, 2), any_numeric numeric, some_money money,
    a_text text, a_varchar varchar(20), a_char char(5), a_uuid uuid, a_mood shop.mood,
    a_positive shop.positive,
    a_json json, a_jsonb jsonb, an_inet inet, a_macaddr macaddr,
    some_bytes bytea, one_bit bit(1), some_bits bit(10), varying_bits bit varying(10),
    a_date date, a_time time, a_time_ms time(3), a_time_with_zone timetz,
    a_timestamp timestamp, a_timestamp_ms timestamp(3), a_timestamp_with_zone timestamptz,
    an_interval interval,
    texts text[], integers integer[], numerics numeric(8, 2)[], timestamps timestamptz[], days date[],
    a_point point, a_range int4range, a_timestamp_range tstzrange,
    with_default integer DEFAULT 7, required_default text NOT NULL DEFAULT 'none'
);
INSERT INTO shop.types VALUES (
    1, true, -32768, 2147483647, 9223372036854775807,
    1.1, 0.1,
    1234567890.12, 12345678901234567890.123456789, 12.34,
    E'tab\t"quote" \\ line\nžluť 🚀', 'varchar', 'ab', '5f1b9a43-11bb-4a5c-9e0c-2f3a1d5c7e90', 'happy',
    5,
    '{"b": 1, "a": [1.10, null]}', '{"b": 1, "a": [1.10, null], "long": 12345678901234567890}',
    '192.168.0.1/24', '08:00:2b:01:02:03',
    '\xdeadbeef00', B'1', B'1010101010', B'101',
    '2024-02-29', '23:59:59.123456', '01:02:03.4', '12:00:00+02',
    '2024-02-29 12:34:56.123456', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.123456+02',
    '1 year 2 mons 3 days 04:05:06.789',
    ARRAY['a', NULL, 'c"'], '{1,NULL,3}', '{1.10,2.20}', '{2024-02-29 12:00:00+00,NULL}', '{2024-02-29}',
    '(1.5,-2.5)', '[1,5)', '[2024-01-01 00:00+00,2024-02-01 00:00+00)',
    NULL, 'given'
);
INSERT INTO shop.types (id) VALUES (2);
INSERT INTO shop.types (id, a_real, a_double, a_numeric, any_numeric, a_date, a_time, a_timestamp, a_timestamp_with_zone,
                        texts, a_text, a_bigint)
VALUES (3, 'NaN', 'Infinity', 'NaN', '-Infinity', 'infinity', '24:00', 'infinity', '-infinity', '{}', '', -9223372036854775808),
       (4, '-Infinity', '-0', 0.00, 1e20, '-infinity', '00:00', '-infinity', 'infinity', NULL, NULL, 0),
       (5, 3.4028235e38, 1.7976931348623157e308, -0.01, 1e-20, '0044-03-15 BC', '12:00', '0044-03-15 12:00 BC',
        '1883-11-18 12:00:00.000001+00', NULL, NULL, NULL),
       (6, 1e-45, 5e-324, 9999999999.99, 0, '12345-06-07', '00:00:00.000001', '12345-06-07 08:09:10.5', '9999-12-31 23:59:59.999999+00',
        NULL, NULL, NULL);

CREATE TABLE shop.exact AS
    SELECT id, a_numeric, any_numeric, some_money, some_bytes, a_date, a_time, a_time_with_zone, a_timestamp,
           a_timestamp_with_zone, an_interval, numerics, a_jsonb
    FROM shop.types WHERE id IN (1, 2);
ALTER TABLE shop.exact ADD PRIMARY KEY (id);

CREATE TABLE shop.orders (region text, number integer, note text, PRIMARY KEY (region, number));
INSERT INTO shop.orders VALUES ('eu', 1, 'from before');

CREATE TABLE shop.documents (
    id integer PRIMARY KEY, title text, body text, bytes bytea, payload jsonb, tags text[], integers integer[],
    longs bigint[], uuids uuid[], amount numeric
);
ALTER TABLE shop.documents ALTER body SET STORAGE EXTERNAL, ALTER bytes SET STORAGE EXTERNAL,
    ALTER tags SET STORAGE EXTERNAL, ALTER integers SET STORAGE EXTERNAL, ALTER longs SET STORAGE EXTERNAL,
    ALTER uuids SET STORAGE EXTERNAL, ALTER payload SET STORAGE EXTERNAL;

CREATE TABLE shop.whole (id integer PRIMARY KEY, note text, extra text);
ALTER TABLE shop.whole REPLICA IDENTITY FULL;

CREATE TABLE shop.keyless (note text);
ALTER TABLE shop.keyless REPLICA IDENTITY FULL;
