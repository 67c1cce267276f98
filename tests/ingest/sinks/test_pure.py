"""What a copy decides without Snowflake: versions, columns, which row of many changes remains."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ConfigError, Refused
from penstock.ingest.sinks import snowflake_sql, snowflake_types, staging, versions
from penstock.ingest.sinks.snowflake_client import account_from
from penstock.ingest.sinks.versions import WHOLE, Position, missing
from penstock.model import types

pytestmark = pytest.mark.unit

COLUMNS = snowflake_types.columns(pa.schema([("id", pa.int64()), ("v", pa.string())]))


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(1, 700))
def test_spans_hold_every_missing_version_once_and_in_order(version, more, at_most):
    position = Position(source="a", version=version)
    spans = missing(position, source="a", newest=version + more, at_most=at_most)
    copied = [each for span in spans for each in range(span.first, span.last + 1)]
    assert copied == list(range(version + 1, version + more + 1))
    assert all(span.last - span.first < at_most for span in spans)


def test_a_copy_begins_whole_and_says_when_it_cannot_go_on():
    begun = Position(source="a")
    for position in (None, begun):
        assert missing(position, source="a", newest=3) == WHOLE
    there = Position(source="a", version=3)
    assert missing(there, source="b", newest=9, full=True) == WHOLE
    for source, newest in (("b", 9), ("a", 2)):
        with pytest.raises(Refused, match="--full"):
            missing(there, source=source, newest=newest)


SURVIVORS = sqlglot.transpile(
    snowflake_sql.survivors("STAGING", COLUMNS, key=("ID",)), read="snowflake", write="duckdb"
)[0]
DUCKDB = duckdb.connect(config={"threads": 1})

HISTORIES = st.lists(
    st.dictionaries(st.integers(0, 4), st.sampled_from(["put", "delete", "move"]), max_size=4),
    max_size=8,
)


def feed_of(history):
    """Return the changes of commits as Delta tells them, and the rows they come to."""
    rows, changes = {}, []
    for version, commit in enumerate(history, start=1):
        before, text = dict(rows), f"v{version}"
        for key, what in commit.items():
            if what == "put":
                rows[key] = text
            elif what == "delete":
                rows.pop(key, None)
            elif key in before and key in rows:
                rows.pop(key)
                rows[key + 10] = text
        for key in before.keys() | rows.keys():
            old, new = before.get(key), rows.get(key)
            # Delta may tell a change of a row as a delete and an insert, or as its two images.
            if old != new and old is not None:
                changes.append((key, old, version, "update_preimage" if new else "delete"))
            if old != new and new is not None:
                changes.append((key, new, version, "update_postimage" if old else "insert"))
    return rows, changes


@given(HISTORIES, st.randoms())
def test_of_several_changes_of_a_key_the_newest_state_remains(history, shuffle):
    rows, changes = feed_of(history)
    shuffle.shuffle(changes)  # a feed comes in no order
    staged = pa.table(
        [
            pa.array(column, kind)
            for column, kind in zip(
                list(zip(*changes, strict=True)) or [[], [], [], []],
                [pa.int64(), pa.string(), pa.int64(), pa.string()],
                strict=True,
            )
        ],
        names=["ID", "V", snowflake_sql.VERSION, snowflake_sql.CHANGE],
    )
    with DUCKDB.cursor() as cursor:
        cursor.register("STAGING", staged)
        found = cursor.execute(SURVIVORS).fetchall()
    changed = {change[0] for change in changes}
    assert sorted(found) == sorted((k, v) for k, v in rows.items() if k in changed)


def test_columns_follow_where_no_value_can_be_lost():
    now = snowflake_types.columns(
        pa.schema([("id", pa.int64()), ("price", pa.decimal128(12, 2)), ("new", pa.string())])
    )
    found = snowflake_types.evolve({"ID": "NUMBER(38,0)", "PRICE": "NUMBER(10,2)"}, now)
    assert [column.name for column in found.added] == ["NEW"]
    assert [column.type for column in found.widened] == ["NUMBER(12,2)"]


@pytest.mark.parametrize("was", ["NUMBER(12,1)", "NUMBER(14,2)", "VARCHAR"])
def test_columns_that_cannot_follow_are_told_together(was):
    now = snowflake_types.columns(pa.schema([("price", pa.decimal128(12, 2))]))
    with pytest.raises(Refused, match=r"GONE is gone; PRICE is NUMBER\(12,2\) and was .*--full"):
        snowflake_types.evolve({"GONE": "DATE", "PRICE": was}, now)


def test_names_that_differ_by_case_alone_are_refused():
    with pytest.raises(Refused, match="id, ID"):
        snowflake_types.columns(pa.schema([("id", pa.int64()), ("ID", pa.int64())]))


@pytest.mark.parametrize(
    ("declared", "there"),
    [
        ("byte", "NUMBER(38,0)"),
        ("long", "NUMBER(38,0)"),
        ("decimal(20,4)", "NUMBER(20,4)"),
        ("float", "FLOAT"),
        ("binary", "BINARY"),
        ("timestamp", "TIMESTAMP_LTZ(6)"),
        ("map<string, array<long>>", "VARIANT"),
    ],
)
def test_types_are_those_of_the_page(declared, there):
    assert snowflake_types.declared(types.parse(declared)) == there


def test_nested_values_keep_what_json_has_no_type_for():
    kind = pa.struct([("d", pa.decimal128(30, 3)), ("b", pa.binary()), ("f", pa.float64())])
    value = {"d": 12345678901234567890, "b": b"\x00\xff", "f": float("nan")}
    values = pa.chunked_array([pa.array([value, None], kind)])
    assert staging.as_json(values).to_pylist() == [
        '{"d":"12345678901234567890.000","b":"00FF","f":"NaN"}',
        None,
    ]


def test_only_staging_tables_a_day_old_are_left_over():
    old, new = snowflake_sql.staging_name(1000, "ab"), snowflake_sql.staging_name(90_000, "cd")
    assert snowflake_sql.leftovers([old, new, "PENSTOCK_STAGING_OF_MINE"], now_s=90_100) == [old]


def test_an_account_needs_a_user_and_a_means_to_log_in(tmp_path):
    with pytest.raises(ConfigError, match=r"ACCOUNT; SNOWFLAKE_USER; SNOWFLAKE_PRIVATE_KEY_FILE"):
        account_from({})
    password = tmp_path / "password"
    password.write_text("hidden\n")
    told = {"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_USER": "u"}
    by_file = account_from({**told, "SNOWFLAKE_PASSWORD_FILE": str(password)})
    assert by_file.secrets == {"password": "hidden"}
    assert "hidden" not in repr(by_file)
    key = account_from(
        {
            **told,
            "SNOWFLAKE_PRIVATE_KEY_FILE": str(password),
            "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "hidden",
            "SNOWFLAKE_PASSWORD": "unused",
        }
    )
    assert key.secrets["authenticator"] == "SNOWFLAKE_JWT"
    assert "password" not in key.secrets
    with pytest.raises(ConfigError, match="cannot be read"):
        account_from({**told, "SNOWFLAKE_PASSWORD_FILE": str(tmp_path / "none")})


def test_versions_that_are_gone_name_the_way_on():
    assert "--full" in versions.gone(versions.Span(first=1, last=2)).message
