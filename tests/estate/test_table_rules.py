"""The rules of an onboarding file: each told with its line, all of them at once."""

from __future__ import annotations

import itertools

import pytest

from penstock.control import declare
from penstock.control.declare import EstateFile
from penstock.errors import ConfigError, Fault
from penstock.model import tables

pytestmark = pytest.mark.unit

GROUND = """\
kind: Cluster
name: primary
environment: development
embedded: true
---
kind: Cluster
name: live
environment: production
embedded: true
---
kind: Topic
name: orders
owner: shop
clusters: [primary]
partitions: 3
replication: 1
retention: 6h
---
kind: Topic
name: wide
owner: shop
clusters: [primary, live]
partitions: 3
replication: 1
"""

APPEND = """\
kind: Table
name: orders
topic: orders
owner: shop
columns:
  at: timestamp
  total: double
  tags: array<string>
"""

CDC = """\
kind: Table
name: orders
topic: orders
owner: shop
mode: merge-cdc
columns:
  id: {type: long, nullable: false}
  at: timestamp
  total: double
  tags: array<string>
primary-key: [id]
"""


def tables_of(*contents: str, suffix: str = "yaml") -> list[tables.Table]:
    suffixes = ["yaml", *(suffix for _ in contents[1:])]
    files = [
        EstateFile(path=f"{n}.{kind}", content=text)
        for n, (kind, text) in enumerate(zip(suffixes, contents, strict=True))
    ]
    return list(declare.parse(files).tables.values())


def faults_of(*contents: str, suffix: str = "yaml") -> list[Fault]:
    with pytest.raises(ConfigError) as caught:
        tables_of(GROUND, *contents, suffix=suffix)
    assert all(fault.what and fault.next_step for fault in caught.value.faults)
    return [fault for fault in caught.value.faults if fault.file != "0.yaml"]


def test_a_file_with_everything_in_it_is_a_table() -> None:
    [table] = tables_of(
        GROUND,
        CDC.replace("decoder: json\n", "")
        + """\
derived: {day: date(at), place: kafka.offset}
partition-by: [day]
namespace: public.orders
strategy: change-log
truncation: apply
tombstones: 3d
latency: continuous
evolution: add-columns
change-feed: true
archive: s3://lake/archive/orders
bootstrap: {snapshot: s3://lake/snapshots/orders, taken-at: '2026-01-31T12:00:00+01:00'}
dead-letters: {path: letters/orders, max-ratio: 0.2}
clusters: primary
path: s3://lake/orders
""",
    )
    assert table.bootstrap.taken_at_ms == 1_769_857_200_000
    assert table.latency_ms == 0
    assert table.merge.strategy is tables.Strategy.CHANGE_LOG


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("primary-key: at", "primary-key: means nothing in mode: append"),
        ("order-by: at", "order-by: means nothing in mode: append"),
        ("strategy: change-log", "strategy: means nothing in mode: append"),
        ("tombstones: 1d", "tombstones: means nothing in mode: append"),
        ("namespace: x", "namespace: means nothing in mode: append"),
        ("truncation: apply", "truncation: means nothing in mode: append"),
        ("bootstrap: {snapshot: x}", "bootstrap: means nothing in mode: append"),
        ("derived: {AT: cluster}", "derived.AT: differs from at in case only"),
        ("derived: {_ot: cluster}", "derived._ot: is a name Penstock or Delta keeps"),
        ("derived: {a: cluster, b: a}", "derived.b: a is derived itself"),
        ("derived: {a: totl}", "derived.a: there is no column totl"),
        ("derived: {a: sum(total)}", "'sum(total)' looks at other rows"),
        ("derived: {a: {sql: at, type: tim}}", "derived.a.type: 'tim' is no type"),
        ("partition-by: [at, at]", "partition-by: at is named twice"),
        ("partition-by: tags", "partition-by: tags is of type array<string>"),
        ("partition-by: total", "partition-by: total is of type double"),
        ("partition-by: [at, total, tags]", "partition-by: "),
        ("latency: 50ms", "latency: 50ms is less than a commit takes"),
        ("latency: 25h", "latency: 25h is longer than 1d"),
        ("latency: 6h", "development/orders keeps records on primary for 6h"),
        ("engine: spark", "latency: 1s cannot be held by engine: spark"),
        ("engine: spark\nlatency: continuous", "latency: continuous cannot be held by"),
        ("clusters: live", "clusters: topic orders is not on live"),
        ("clusters: [primary, primary]", "clusters: primary is named twice"),
        ("path: ../up", "path: ../up leaves the directory"),
        ("path: ftp://x/y", "path: ftp:// is no store"),
        ("path: 's3://[x'", "path: 's3://[x' is no path"),
        ("decoder: {format: avro, registry: 'http://[r'}", "'http://[r' is no address"),
        ("archive: s3://user:word@x/y", "archive: holds a password"),
        ("dead-letters: {path: development/orders}", "would be at the same path as the table"),
        ("dead-letters: {path: development/orders/x}", "would be within, or around, the table"),
        ("dead-letters: {max-ratio: 2}", "dead-letters.max-ratio: 2 is wrong"),
        ("decoder: xml", "decoder: 'xml' is wrong"),
        ("decoder: {format: json, registry: 'http://r'}", "decoder.registry: means nothing to"),
        ("decoder: protobuf", "decoder: protobuf needs a registry or a descriptor"),
        ("decoder: {format: protobuf, registry: 'http://r', descriptor: x}", "and has both"),
        ("decoder: {format: protobuf, descriptor: x, subject: y}", "decoder.subject: is of a"),
        ("decoder: avro", "decoder: avro needs a registry or a descriptor"),
        ("decoder: {format: avro, registry: 'http://r', message: m}", "decoder.message: means"),
        ("decoder: {format: function}", "decoder: function needs the function's name"),
        ("decoder: {format: avro, registry: 'r:8081'}", "'r:8081' is no address"),
        ("decoder: {format: avro, registry: 'http://a:b@r'}", "decoder.registry: holds a user or"),
    ],
)
def test_what_a_table_of_mode_append_must_keep_to(line: str, what: str) -> None:
    found = faults_of(APPEND + line + "\n")
    matching = [fault for fault in found if what in fault.what]
    assert matching, found
    assert {fault.line for fault in matching} <= {9, 10}


@pytest.mark.parametrize(
    ("old", "new", "number", "what"),
    [
        ("primary-key: [id]\n", "", 5, "mode: merge-cdc has no primary-key"),
        ("primary-key: [id]", "primary-key: [ids]", 11, "primary-key: there is no column ids"),
        ("primary-key: [id]", "primary-key: [id, id]", 11, "primary-key: id is named twice"),
        ("primary-key: [id]", "primary-key: [at]", 11, "at may be null, and null names no row"),
        ("primary-key: [id]", "primary-key: [total]", 11, "total is of type double"),
        ("primary-key: [id]", "primary-key: [tags]", 11, "tags is of type array<string>"),
        ("[id]\n", "[d]\nderived: {d: date(at)}\n", 11, "d is derived, and a deletion tells only"),
        (
            "[id]\n",
            "[id]\norder-by: [tags]\n",
            12,
            "tags is of type array<string>, which has no order",
        ),
        ("[id]\n", "[id]\norder-by: [nil]\n", 12, "order-by: there is no column nil"),
        ("merge-cdc", "merge-cdc\ndecoder: {format: avro, registry: 'http://r'}", 6, "are JSON"),
        ("merge-cdc", "merge\nnamespace: x", 6, "namespace: means nothing in mode: merge"),
        ("[id]\n", "[id]\nbootstrap: {taken-at: '2026-01-31T12:00:00Z'}\n", 12, "without a snap"),
        ("[id]\n", "[id]\nbootstrap: {snapshot: x, taken-at: '2026-01-31'}\n", 12, "RFC 3339"),
        ("[id]\n", "[id]\nbootstrap: {taken-at: '2026-01-31T12:00:00'}\n", 12, "with a zone"),
        ("[id]\n", "[id]\nbootstrap: {taken-at: '2026-02-31T12:00:00Z'}\n", 12, "is no time"),
        ("[id]\n", "[id]\nbootstrap: {margin: 1h}\n", 12, "margin: says nothing without"),
        ("[id]\n", "[id]\ntombstones: forever\n", 12, "'forever' is not allowed"),
    ],
)
def test_what_a_merged_table_must_keep_to(old: str, new: str, number: int, what: str) -> None:
    [fault] = [fault for fault in faults_of(CDC.replace(old, new, 1)) if what in fault.what]
    assert fault.line == number


def test_columns_are_needed_where_no_schema_has_them() -> None:
    text = "kind: Table\nname: t\ntopic: orders\nowner: shop\ndecoder: json\n"
    [fault] = faults_of(text)
    assert "there are no columns" in fault.what
    for decoder in (
        "{format: avro, registry: 'http://r'}",
        "{format: avro, descriptor: x.avsc}",
        "{format: function, function: 'a:b'}",
    ):
        other = (
            text.replace("json", decoder) + "derived: {a: lower(anything)}\npartition-by: other\n"
        )
        [table] = tables_of(GROUND, other)
        assert table.columns == ()


def test_clusters_must_leave_none_of_the_environments_empty() -> None:
    text = APPEND.replace("topic: orders", "topic: wide")
    [fault] = faults_of(text + "clusters: live\n")
    assert "clusters: none is of development" in fault.what
    [table] = tables_of(GROUND, text + "clusters: live\nenvironment: production\n")
    assert table.clusters == ("live",)


@pytest.mark.parametrize(
    ("one", "other", "line"),
    [
        ("path: a/b", "path: a/b", 9),
        ("path: a/b", "path: ./a//b/", 9),
        ("path: a", "path: a/b", 9),
        ("path: a/b", "path: a", 9),
        ("path: s3://x/a", "path: s3a://x/a/", 9),
        ("path: a", "dead-letters: {path: a/_dead_letters}", 9),
        ("dead-letters: {path: l}", "dead-letters: {path: l}", 9),
        ("path: a", "archive: a/b", 9),
    ],
)
def test_no_two_tables_share_a_place(one: str, other: str, line: int) -> None:
    second = APPEND.replace("name: orders", "name: others")
    [fault] = faults_of(APPEND + one, second + other)
    assert (fault.file, fault.line) == ("2.yaml", line)
    assert "is taken, by 1.yaml:9" in fault.what


def test_what_lies_beside_another_is_no_clash() -> None:
    second = APPEND.replace("name: orders", "name: orders-2")
    own = "dead-letters: {path: development/orders-2/_letters}\narchive: s3://x/archive"
    assert len(tables_of(GROUND, APPEND + "archive: s3://x/archive", second + own)) == 2


TWENTY = """\
kind: Table
name: Orders  # !
topic: ordrs  # !
owner: shop
mode: merge-cdc
decoder: {format: avro, registry: 'r:1', message: m}  # !!!
columns:
  id: {type: lng, nullable: false}  # !
  at: timestamp
  AT: long  # !
  total: double
  _op: string  # !
derived:
  day: date(att)  # !
  now: now()  # !
  sum: sum(total)  # !
  two: day  # !
primary-key: [id, total, nil]  # !!
order-by: [at, at]  # !!
partition-by: [total, dya]  # !!
strategy: fast  # !
latency: 2 days  # !
engine: spak  # !
bootstrap: {taken-at: yesterday}  # !!
colums: {}  # !
"""


@pytest.mark.parametrize("suffix", ["yaml", "conf"])
def test_twenty_faults_in_one_file_are_told_together(suffix: str) -> None:
    marked = [n for n, line in enumerate(TWENTY.splitlines(), 1) for _ in range(line.count("!"))]
    assert len(marked) >= 20
    text = TWENTY if suffix == "yaml" else as_hocon(TWENTY)
    assert [fault.line for fault in faults_of(text, suffix=suffix)] == marked


def as_hocon(yaml: str) -> str:
    """Return the same lines with blocks in braces, which is all the difference there is here."""
    lines = [line.partition("  #")[0].rstrip() for line in yaml.replace("'", '"').splitlines()]
    for number, (line, following) in enumerate(itertools.pairwise([*lines, ""])):
        if line.endswith(":"):
            lines[number] = f"{line.removesuffix(':')} {{"
        elif line.startswith(" ") and not following.startswith(" "):
            lines[number] = f"{line} }}"
    return "\n".join(lines)
