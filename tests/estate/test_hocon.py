"""HOCON files of an estate: the same documents as YAML's, with lines, and nothing from outside."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pyparsing
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyhocon import ConfigFactory

from penstock.control import declare
from penstock.control.declare import EstateFile, hocon, reader
from penstock.control.declare.hocon_scan import Stop
from penstock.control.declare.places import Document
from penstock.control.observations import Observed, Recorded
from penstock.control.plan import make_plan
from penstock.errors import ConfigError, Fault

pytestmark = pytest.mark.unit

ESTATE_YAML = """\
kind: Cluster
name: primary
environment: development
embedded: true
---
kind: Topic
name: orders
owner: shop
clusters: [primary]
partitions: 3
replication: 1
retention: 7d
config: {compression.type: zstd}
---
# One row an order.
kind: Table
name: orders
topic: orders
owner: shop
description: 5 minutes after each order, at https://shop.example/orders
mode: merge
decoder: {format: protobuf, registry: https://registry:8081}
columns:
  id: {type: long, nullable: false}
  at: timestamp
  total: decimal(18,2)
  lines: 'array<struct<sku: string, count: integer>>'
derived:
  day: date(at)
  place: kafka.partition * 1000 + kafka.offset
partition-by: [day]
primary-key: id
order-by: [at]
latency: 1m
change-feed: true
dead-letters: {max-ratio: 0.1}
compaction: {target: 64MiB, retention: 2d}
"""

ESTATE_HOCON = """\
let { owner = shop }  # said once
documents = [
  {
    kind = Cluster, name = primary
    environment : development
    embedded = true
  }
  { kind = Topic
    name = orders
    owner = ${let.owner}
    clusters = [
      primary
    ]
    partitions = 3, replication = 1
    retention = 7d
    config { "compression.type" = zstd }
  }
  // One row an order.
  {
    kind = Table
    name = orders
    topic = orders
    owner = ${let.owner}
    description = "5 minutes after each order, at https://shop.example/orders"
    mode = merge
    decoder { format = protobuf, registry = "https://registry:8081" }
    columns {
      id { type = long, nullable = false }
      at = timestamp
      total = "decimal(18,2)"
      lines = "array<struct<sku: string, count: integer>>"
    }
    derived.day = date(at)
    derived.place = "kafka.partition * 1000 + kafka.offset"
    partition-by = [day]
    primary-key = id
    order-by = [at]
    latency = 1m
    change-feed = true
    dead-letters.max-ratio = 0.1
    compaction { target = 64MiB
                 retention = 2d }
  }
]
"""


def read(text: str) -> list[Document]:
    return hocon.read_hocon(EstateFile(path="x.conf", content=text))


def content(text: str) -> dict[str, object]:
    [document] = read(text)
    return dict(document.content)


def stop_of(text: str) -> Stop:
    with pytest.raises(Stop) as caught:
        read(text)
    assert caught.value.next_step
    return caught.value


def test_hocon_and_yaml_of_the_same_estate_give_the_same_plan() -> None:
    other = ESTATE_HOCON.replace("latency = 1m", "latency = 2m")
    estates = [
        declare.parse([EstateFile(path=path, content=content)])
        for path, content in (("a.yaml", ESTATE_YAML), ("b.conf", ESTATE_HOCON), ("c.conf", other))
    ]
    assert estates[0] == estates[1]
    plans = [make_plan(estate, Observed(), Recorded()) for estate in estates]
    assert plans[0] == plans[1]
    assert plans[0].digest == plans[1].digest != plans[2].digest


def test_the_example_of_the_reference_page_is_an_estate() -> None:
    page = Path(__file__).resolve().parents[2] / "docs/reference/estate.md"
    [example] = re.findall(r"^```text\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    clusters = "".join(
        f"---\nkind: Cluster\nname: {name}\nenvironment: e\nembedded: true\n"
        for name in ("events-a", "events-b")
    )
    files = [("a.conf", example), ("b.yaml", clusters)]
    made = declare.parse([EstateFile(path=path, content=content) for path, content in files])
    assert made.topics["e/refunds"].current.placements[0].config["compression.type"] == "zstd"
    assert {topic.owner for topic in made.topics.values()} == {"billing"}


def test_one_document_stands_at_the_top_of_its_file() -> None:
    [document] = read(
        "# mine\nlet.o = shop\nkind = Table\nowner = ${let.o}\ncolumns {\n  a = long\n}"
    )
    assert document.content == {"kind": "Table", "owner": "shop", "columns": {"a": "long"}}
    assert document.line(("kind",)) == 3
    assert document.line(("columns", "a")) == 6


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a = 5 minutes after", "5 minutes after"),
        ("a = 1m", "1m"),
        ("a = 1mo # a month", "1mo"),
        ("a = https://x:80/y // z", "https://x:80/y"),
        ("a = 10 GiB", "10 GiB"),
        ("a = 10", 10),
        ("a = -1.5e3", -1500.0),
        ("a = 1 2", "1 2"),
        ("a = true", True),
        ("a = True", "True"),
        ("a = null", None),
        ("a = array<string>", "array<string>"),
        ('a = "x" y "z"', "x y z"),
        ('a = "say \\"x\\"\\n"', 'say "x"\n'),
        ('a = """x\n"y\\z" """', 'x\n"y\\z" '),
        ("a = [1, 2\n3,\n]", [1, 2, 3]),
        ("a = [[x], [y z]]", [["x"], ["y z"]]),
        ("a = {}", {}),
        ("a = []", []),
        ("a {\n}", {}),
        ("a.b = 1\na.c = 2", {"b": 1, "c": 2}),
        ("a { b = 1 }\na { c = 2 }", {"b": 1, "c": 2}),
        ("b = 1\na = ${b}", 1),
        ("b = x\na = s3://${b}/y", "s3://x/y"),
        ("b { c = 1 }\na = ${b} { d = 2 }", {"c": 1, "d": 2}),
        ("a = x\na = ${a}/y", "x/y"),
        ("a = 1\r\n", 1),
        ("{ a = 1 }", 1),
        ("a = date(at)", "date(at)"),
        ("a = 2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("a = include_me", "include_me"),
    ],
)
def test_a_value_is_what_yaml_would_have(text: str, value: object) -> None:
    assert content(text)["a"] == value


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a = 1\nb = {\n  c = 1\n", 2, "{ is left open"),
        ("a = 1\nb = [1,\n", 2, "[ is left open"),
        ("a = 1\n}\n", 2, "'}' is no key"),
        ("{ a = 1 }\n}", 2, "after the last brace"),
        ('a = 1\nb = "x\nc = 2', 2, "a quote is left open"),
        ("a = 1\nb c\n", 3, "b c: is followed by the end"),
        ("a = 1\n= 2", 2, "'=' is no key"),
        ("a =\n", 2, "a: has no value"),
        ("a = 1\nb = decimal(18,2)", 2, "is followed by"),
        ("a = kafka.offset + 1", 1, "'+' cannot stand here without quotes"),
        ("a = b = c", 1, "'=' cannot stand here without quotes"),
        ("a = [1}", 1, "in place of ]"),
        ("a = 1\n\nb = ${HOME}", 3, "does not read the environment"),
        ("a = ${?PENSTOCK_HOME}", 1, "does not read the environment"),
        ("PATH = ${PATH}/x", 1, "does not read the environment"),
        ("PATH = ${PATH}/x\nPATH = y", 1, "does not read the environment"),
        ("a = ${b}\nb = ${a}", 0, "this is not HOCON"),
        ('a = 1\ninclude "other.conf"', 2, "include reads another file"),
        ('a { include file("other.conf") }', 1, "include reads another file"),
        ('include required(url("http://x"))', 1, "include reads another file"),
        ('a = INCLUDE "other.conf"', 1, "include reads another file"),
        ("a = [1]\na += 2", 2, "+= is read in several ways"),
        ('a = ["", x]', 1, "an empty text says nothing in a list"),
        ("[1]", 1, "'[' is no key"),
        ("documents = 1", 1, "documents: is no list"),
        ("documents = [\n1\n]", 2, "a document must be a mapping"),
        ("documents = []\nkind = Table", 2, "kind: stands beside documents"),
        ("a = " + "[" * 2_000 + "]" * 2_000, 0, "without end"),
    ],
)
def test_what_is_no_hocon_of_an_estate(text: str, line: int, what: str) -> None:
    stop = stop_of(text)
    assert (stop.line, what in stop.what) == (line, True), (stop.line, stop.what)


def test_broken_hocon_is_one_fault_of_the_estate_and_hides_no_other() -> None:
    files = [
        EstateFile(path="a.conf", content="kind = Table\nname = {"),
        EstateFile(path="b.yaml", content="kind: Topic\n"),
    ]
    with pytest.raises(ConfigError) as caught:
        declare.parse(files)
    assert [(f.file, f.line) for f in caught.value.faults if f.file == "a.conf"] == [("a.conf", 2)]
    assert any(fault.file == "b.yaml" for fault in caught.value.faults)


def test_faults_in_a_hocon_file_have_the_line_of_their_key() -> None:
    broken = ESTATE_HOCON.replace("date(at)", "now()").replace("latency = 1m", "latency = 1x")
    broken = broken.replace("topic = orders", "topic = order").replace("type = long, ", "")
    with pytest.raises(ConfigError) as caught:
        declare.parse([EstateFile(path="x.conf", content=broken)])
    wrong = ("topic = order\n", "id {", "now()", "1x")
    lines = broken.split("\n")
    expected = [n for n, line in enumerate(lines, 1) if any(w in f"{line}\n" for w in wrong)]
    assert {fault.line for fault in caught.value.faults} == {*expected}


def test_directories_are_searched_for_both(tmp_path) -> None:
    for name in ("a.yaml", "b.conf", "c.hocon", "d.txt", ".e.conf"):
        (tmp_path / name).write_text("kind = Table")
    found = [file.path.rpartition("/")[2] for file in reader.walk([tmp_path])]
    assert found == ["a.yaml", "b.conf", "c.hocon"]


def test_a_fault_leaves_the_parser_as_it_was() -> None:
    stop_of("a = ${b}\nb = ${a}")
    assert set(pyparsing.ParserElement.DEFAULT_WHITE_CHARS) >= {"\n", " "}


texts = st.text("ab -.:/'\\\"{}[]=#,$é", min_size=1, max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab-.", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["kind", "a", "b"]), values, min_size=1))
def test_json_is_hocon_and_every_key_has_its_line(value: dict[str, object]) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1)
    [document] = read(text)
    assert document.content == value
    lines = text.splitlines()
    for loc, line in document.lines.items():
        if loc and isinstance(loc[-1], str):
            assert json.dumps(loc[-1], ensure_ascii=False) in lines[line - 1] or "\\" in loc[-1]


PIECES = r"""include Include "x" file( url("u") ) required( = { } [ ] a b.c , # // " \"\"\"
    ${a} ${HOME} ${?HOME} \ : 1m += ' x: ://"""
pieces = st.sampled_from([*re.findall(r"\S+", PIECES), " ", "\n", '"""'])


@settings(max_examples=60)
@given(st.lists(pieces, max_size=14).map("".join))
@example('a = """\ninclude "x"\n"""')
def test_no_text_reads_a_file_or_the_environment_or_falls_over(text: str) -> None:
    read_elsewhere = []
    with pytest.MonkeyPatch.context() as patch:
        for method in ("parse_file", "parse_URL"):
            patch.setattr(ConfigFactory, method, lambda *a, **_: read_elsewhere.append(a))
        patch.setenv("HOME", "from the environment")
        with contextlib.suppress(Stop):
            assert "from the environment" not in str([d.content for d in read(text)])
    assert read_elsewhere == []


def test_faults_compare_like_those_of_yaml() -> None:
    text = "kind = Table\nname = Orders\n"
    with pytest.raises(ConfigError) as caught:
        declare.parse([EstateFile(path="x.conf", content=text)])
    with pytest.raises(ConfigError) as yaml:
        declare.parse([EstateFile(path="x.conf.yaml", content=text.replace(" =", ":"))])

    def told(faults: tuple[Fault, ...]) -> list[tuple[int, str]]:
        return [(fault.line, fault.what) for fault in faults]

    assert told(caught.value.faults) == told(yaml.value.faults)
