"""Everything that can be wrong in estate files: each with its line and its way on."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.control import declare
from penstock.control.declare import EstateFile
from penstock.control.declare.documents import KINDS
from penstock.control.declare.schema import schema
from penstock.errors import ConfigError, Fault

pytestmark = pytest.mark.unit

GOOD = """\
kind: Cluster
name: primary
environment: development
embedded: true
policies:
  naming-pattern: '[a-z0-9._-]+'
  min-replication: 1
  max-replication: 3
  max-partitions: 12
  max-retention: 30d
  forbidden-config: [cleanup.policy]
limits:
  brokers: 2
  topics: 3
  replicas: 40
---
kind: Cluster
name: live
environment: production
bootstrap: {mtls: 'one:9094'}
"""

TOPIC = """\
kind: Topic
name: orders
owner: shop
clusters: [primary]
partitions: 3
replication: 1
"""

TABLE = """\
kind: Table
name: orders
topic: orders
owner: shop
columns: {at: timestamp, total: long}
"""


def faults_of(*contents: str) -> tuple[Fault, ...]:
    files = [EstateFile(path=f"{n}.yaml", content=text) for n, text in enumerate(contents)]
    with pytest.raises(ConfigError) as caught:
        declare.parse(files)
    assert caught.value.exit_code == 3
    return caught.value.faults


def only_fault(*contents: str) -> Fault:
    [fault] = faults_of(GOOD, *contents)
    assert fault.next_step
    return fault


@pytest.mark.parametrize(
    ("line", "number", "what", "next_step"),
    [
        ("partitons: 3", 7, "partitons: is unknown", "Did you mean partitions?"),
        ("config: {a: 1}\nconfig: {b: 2}", 8, "config: is given twice, first on line 7", "Remove"),
        ("retention: 7", 7, "retention: it needs a unit", "Write e.g. 7d."),
        ("retention: 0d", 7, "'0d' is zero", "Write more than zero."),
        ("retention: -1d", 7, "'-1d' is not a number with a unit", "Write e.g. 7d or 12h."),
        ("retention: 7 parsecs", 7, "'7 parsecs' is not a number", "Write e.g. 7d"),
        ("segment: forever", 7, "'forever' is not allowed here", "Write a number with a unit"),
        ("max-message: 1d", 7, "'1d' is not a number with a unit", "64MiB"),
        ("min-in-sync: 0", 7, "min-in-sync: 0 is wrong", "Write 1 or more."),
        ("min-in-sync: true", 7, "min-in-sync: True is wrong", "whole number"),
        ("min-in-sync: 2", 7, "min.insync.replicas 2 is more than replication 1", "1 or less"),
        ("routing: fail", 7, "routing: 'fail' is wrong", "'na', 'failover', 'roundrobin'"),
        ("ordering: key\nrouting: failover", 8, "would break ordering: key", "routing: na"),
        ("profile: small", 7, "no TopicProfile is called 'small'", "Add a document"),
        ("overrides: {live: {partitions: 1}}", 7, "none of the topic's clusters", "primary"),
        ("environments: {staging: {}}", 7, "is in staging", "development"),
        ("environments:\n  development: {partitions: 0}", 8, "partitions: 0 is wrong", "1 or more"),
        ("retention: 1d\nconfig: {retention.ms: 1}", 8, "is given twice", "Keep retention:"),
        ("overrides: {primary: {partitions: 13}}", 7, "13 is more than 12, by policies", "12 or"),
        (
            "overrides: {primary: {replication: 3}}",
            7,
            "3 is more than 2, by limits.brokers",
            "2 or",
        ),
        ("retention: 31d", 7, "retention is longer than 30d, by policies", "30d or less"),
        ("retention: forever", 7, "retention is longer than 30d", "30d or less"),
        ("cleanup: compact", 7, "cleanup.policy must not be set, by policies", "Remove it."),
        ("cleanup: shred", 7, "cleanup: 'shred' is wrong", "Write one of 'delete'"),
        ("dev-variant-suffix: v2", 7, "'v2' runs into the topic's name", "-v2"),
        ("dev-variant-suffix: [-a, -a]", 7, "-a is given twice", "Remove one."),
        (f"dev-variant-suffix: -{'x' * 244}", 7, "at most 249 characters", "Shorten it."),
        ("config: {a: [1]}", 7, "config.a: [1] is no single value", "Write text"),
        ("config: 7", 7, "config: 7 is wrong", "Write a mapping"),
        ("description: *other", 7, "*other is an alias", "Write the value out here."),
    ],
)
def test_a_topic_with_a_wrong_line(line: str, number: int, what: str, next_step: str) -> None:
    fault = only_fault(TOPIC + line + "\n")
    assert (fault.file, fault.line) == ("1.yaml", number)
    assert what in fault.what
    assert next_step in fault.next_step


@pytest.mark.parametrize(
    ("old", "new", "number", "what"),
    [
        ("name: orders", "name: ''", 2, "cannot be empty"),
        ("name: orders", "name: ..", 2, "Kafka refuses the topic name '..'"),
        ("name: orders", "name: a b", 2, "not ' '"),
        ("name: orders", f"name: {'x' * 250}", 2, "at most 249 characters, this one 250"),
        ("name: orders", "name: __offsets", 2, "Kafka's own"),
        ("name: orders", "name: 7", 2, "name: 7 is wrong"),
        ("name: orders", "name: Orders", 2, "does not match [a-z0-9._-]+, by policies"),
        ("owner: shop", "owner: [shop, billing]", 3, "owner: ['shop', 'billing'] is wrong"),
        ("owner: shop\n", "", 1, "this Topic has no owner"),
        ("clusters: [primary]", "clusters: []", 4, "clusters: [] is wrong"),
        ("clusters: [primary]", "clusters: [primry]", 4, "no Cluster is called 'primry'"),
        ("clusters: [primary]", "clusters: [primary, primary]", 4, "primary is named twice"),
        ("partitions: 3\n", "", 1, "orders on primary: nothing says its partitions"),
        ("partitions: 3", "partitions: 0", 5, "partitions: 0 is wrong"),
        ("partitions: 3", "partitions: -3", 5, "partitions: -3 is wrong"),
        ("partitions: 3", "partitions: 1.5", 5, "partitions: 1.5 is wrong"),
        ("partitions: 3", "partitions: '3'", 5, "partitions: '3' is wrong"),
        ("partitions: 3", "partitions: 13", 5, "policies.max-partitions at 0.yaml:9"),
        ("kind: Topic", "kind: Topick", 1, "kind: Topick is unknown"),
        ("kind: Topic", "kind: [Topic]", 1, "is unknown"),
        ("kind: Topic\n", "", 1, "the document has no kind"),
    ],
)
def test_a_topic_with_a_wrong_value(old: str, new: str, number: int, what: str) -> None:
    fault = only_fault(TOPIC.replace(old, new, 1))
    assert (fault.file, fault.line) == ("1.yaml", number)
    assert what in fault.what


@pytest.mark.parametrize(
    ("old", "new", "number", "what"),
    [
        ("embedded: true", "embedded: true\nbootstrap: {mtls: 'a:1'}", 2, "and has a bootstrap"),
        ("embedded: true\n", "", 2, "is nowhere to be found"),
        ("embedded: true", "bootstrap: {mtls: nohost}", 4, "'nohost' is no address"),
        ("embedded: true", "bootstrap: {mtls: 'a:99999'}", 4, "'a:99999' is no address"),
        ("embedded: true", "bootstrap: {kerberos: 'a:1'}", 4, "bootstrap.kerberos"),
        ("embedded: true", "embedded: maybe", 4, "embedded: 'maybe' is wrong"),
        ("name: primary", "name: Primary", 2, "'Primary': names take lower-case"),
        ("'[a-z0-9._-]+'", "'[a-z'", 6, "is no regular expression"),
        ("environment: development", "environment: development\nstate: asleep", 4, "'asleep'"),
        ("  topics: 3", "  topics: 3\n  toppings: 3", 15, "limits.toppings: is unknown"),
    ],
)
def test_a_cluster_with_a_wrong_value(old: str, new: str, number: int, what: str) -> None:
    [fault] = faults_of(GOOD.replace(old, new, 1))
    assert (fault.file, fault.line) == ("0.yaml", number)
    assert what in fault.what


@pytest.mark.parametrize(
    ("old", "new", "number", "what"),
    [
        ("topic: orders", "topic: order", 3, "no Topic is called 'order'"),
        ("at: timestamp", "at: tim", 5, "columns.at: 'tim' is no type"),
        ("at: timestamp", "1at: timestamp", 5, "columns.1at"),
        ("owner: shop", "owner: shop\npartition-by: day", 5, "partition-by: there is no column"),
        ("owner: shop", "owner: shop\nderived: {day: date(wen)}", 5, "there is no column wen"),
        ("owner: shop", "owner: shop\nderived: {day: now()}", 5, "'now()' reads the clock"),
        ("owner: shop", "owner: shop\nderived: {at: cluster}", 5, "derived.at: is also a column"),
        ("owner: shop", "owner: shop\nenvironment: production", 5, "is not in production"),
        ("owner: shop", "owner: shop\nlatency: 0s", 5, "0s is no time to wait"),
    ],
)
def test_a_table_with_a_wrong_value(old: str, new: str, number: int, what: str) -> None:
    fault = only_fault(TOPIC, TABLE.replace(old, new, 1))
    assert (fault.file, fault.line) == ("2.yaml", number)
    assert what in fault.what


def test_a_topic_declared_twice_names_both_places() -> None:
    fault = only_fault(TOPIC, "# a comment\n" + TOPIC)
    assert (fault.file, fault.line) == ("2.yaml", 3)
    assert fault.what == "topic development/orders is declared twice, first at 1.yaml:2"


def test_two_owners_are_named_with_their_places() -> None:
    other = TOPIC.replace("owner: shop", "owner: billing").replace("[primary]", "[live]")
    fault = only_fault(TOPIC, other)
    assert (fault.file, fault.line) == ("2.yaml", 3)
    assert fault.what == "topic orders has two owners: billing, and shop at 1.yaml:3"


def test_a_topic_may_be_declared_once_in_each_environment() -> None:
    files = (GOOD, TOPIC, TOPIC.replace("[primary]", "[live]"))
    made = declare.parse([EstateFile(path=str(n), content=c) for n, c in enumerate(files)])
    assert list(made.topics) == ["development/orders", "production/orders"]


def test_names_that_kafka_takes_for_the_same_collide() -> None:
    dotted, underlined = (TOPIC.replace("name: orders", f"name: o{c}s") for c in "._")
    assert (
        "topic o_s collides on primary with o.s at 1.yaml:2" in only_fault(dotted, underlined).what
    )


def test_a_variant_with_another_topics_name_is_a_duplicate() -> None:
    variant = TOPIC + "dev-variant-suffix: -v2\n"
    fault = only_fault(TOPIC.replace("orders", "orders-v2"), variant)
    assert "orders-v2, a variant of orders, is declared twice, first at 1.yaml:2" in fault.what


def test_profiles_that_extend_each_other_are_a_circle() -> None:
    names = ("a", "b", "c")
    profiles = "---\n".join(
        f"kind: TopicProfile\nname: {one}\nextends: {names[(n + 1) % 3]}\n"
        for n, one in enumerate(names)
    )
    found = faults_of(GOOD, profiles, TOPIC + "profile: a\n")
    assert [fault.line for fault in found] == [3, 7, 11]
    assert found[0].what == "extends: goes in a circle: a → b → c → a"


def test_a_profile_that_extends_itself_and_one_that_extends_nothing_known() -> None:
    own = "kind: TopicProfile\nname: a\nextends: a\n"
    assert "a → a" in only_fault(own).what
    assert (
        "no TopicProfile is called 'z'" in only_fault(own.replace("extends: a", "extends: z")).what
    )


def test_a_profile_with_a_fault_is_not_told_again_by_its_topics() -> None:
    topic = TOPIC.replace("partitions: 3\n", "profile: a\n")
    profile = "kind: TopicProfile\nname: a\npartitions: few\n"
    assert only_fault(profile, topic).what == "partitions: 'few' is wrong"
    assert "no TopicProfile is called 'a'" in only_fault(topic).what


def test_a_number_too_long_to_count_is_told() -> None:
    fault = only_fault(TOPIC.replace("partitions: 3", f"partitions: {'9' * 5_000}"))
    assert "partitions: '999" in fault.what


def test_clusters_said_twice_and_ids_said_twice() -> None:
    again = GOOD.rpartition("---\n")[2]
    assert "Cluster live is declared twice, first at 0.yaml:17" in only_fault(again).what
    ids = "".join(
        f"---\nkind: Cluster\nname: {name}\nenvironment: e\nembedded: true\ncluster-id: x\n"
        for name in ("one", "two")
    )
    assert "cluster-id: x is also that of one at 1.yaml:2" in only_fault(ids).what


def test_two_tables_in_one_place_are_refused() -> None:
    other = TABLE.replace("name: orders", "name: others") + "path: development/orders\n"
    fault = only_fault(TOPIC, TABLE, other)
    assert "development/orders is taken, by 2.yaml:1" in fault.what


def test_a_cluster_declared_more_than_it_can_carry() -> None:
    found = faults_of(
        GOOD, *(TOPIC.replace("orders", f"orders-{n}").replace("3", "12") for n in range(4))
    )
    assert [(f.file, f.line) for f in found] == [("0.yaml", 14), ("0.yaml", 15)]
    assert "4 topics are declared on primary, the limit is 3" in found[0].what
    assert "48 replicas are declared on primary, the limit is 40" in found[1].what


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        ("kind: Topic\nclusters: [primary", 2, "this is not YAML"),
        ("kind: Topic\nname: 'orders", 2, "this is not YAML"),
        ("kind: Topic\n name: orders", 2, "this is not YAML"),
        ("kind: Topic\nname:\torders: x", 2, "this is not YAML"),
        ("kind: Topic\nname: \x01", 0, "special characters are not allowed"),
        ("- kind: Topic", 1, "a document must be a mapping"),
        ("just words", 1, "is not a document"),
        ("kind: Topic\n[a]: b", 2, "a key must be text"),
    ],
)
def test_what_is_not_yaml_or_no_document(content: str, line: int, what: str) -> None:
    found = faults_of(content)
    assert any(what in fault.what for fault in found)
    assert found[0].line == line


def test_a_truncated_file_is_told_once_and_not_again_by_what_refers_to_it() -> None:
    truncated = GOOD[: GOOD.index("one:9094")]
    [fault] = faults_of(truncated, TOPIC.replace("[primary]", "[live]"))
    assert "this is not YAML" in fault.what


def test_a_document_with_a_fault_is_still_known_to_those_that_refer_to_it() -> None:
    [fault] = faults_of(GOOD.replace("embedded: true", "embedded: 1"), TOPIC, TABLE)
    assert fault.what == "embedded: 1 is wrong"


TWENTY = """\
kind: Cluster
name: Primary  # ! no DNS label
environment: development
region: here
---
kind: Topick  # ! unknown
---
kind: Topic
name: a b  # ! Kafka refuses it
owner: shop
clusters: [live]
partitons: 3  # ! an unknown field
partitions: 0  # ! zero
replication: "3"  # ! text for a number
retention: 7  # ! no unit
retention-bytes: 3 parsecs  # ! a wrong unit
routing: fail  # ! a wrong choice
---
kind: Topic
name: fine
owner: shop
clusters: [nowhere]  # ! an unknown cluster
ordering: key
routing: failover
overrides: {othr: {partitions: -1}}  # !! a negative number, none of its clusters
retention: 1d
config: {retention.ms: 7}  # ! said twice
---
kind: TopicProfile
name: p1
extends: p1  # ! a circle
---
no: kind  # ! no kind
---
kind: Table
name: fine
topic: fine
owner: shop
columns: {a: strin, 1b: long}  # !! an unknown type, a name that is none
---
kind: Table
name: other
topic: nothing  # ! an unknown topic
owner: shop
columns: {a: long}
owner: shop  # ! said twice
description: [x]  # ! a list for text
"""


def test_twenty_faults_are_told_in_one_go_each_with_its_line() -> None:
    marked = [n for n, line in enumerate(TWENTY.splitlines(), 1) for _ in range(line.count("!"))]
    assert len(marked) == 20
    found = [fault for fault in faults_of(GOOD, TWENTY) if fault.file == "1.yaml"]
    assert [fault.line for fault in found] == marked
    assert all(fault.what and fault.next_step for fault in found)


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.text("ab-.:*&'%", max_size=6))
fields = st.sampled_from([name for kind in KINDS for name in schema(kind)["properties"]])
shapes = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(fields, inner, max_size=3),
)
documents = st.builds(
    lambda kind, content: {**content, "kind": kind},
    st.sampled_from(list(KINDS)),
    st.dictionaries(fields, shapes, max_size=8),
)


@given(st.text("kind: Topc\n-[]{}'\"*&!|>%@`,#\t", max_size=60))
def test_no_text_makes_the_reader_fall_over(text: str) -> None:
    with contextlib.suppress(ConfigError):
        declare.parse([EstateFile(path="x.yaml", content=text)])


@given(st.lists(documents, max_size=3))
def test_no_document_makes_validation_fall_over(contents: list[object]) -> None:
    text = "\n---\n".join(json.dumps(content) for content in contents)
    with contextlib.suppress(ConfigError):
        declare.parse([EstateFile(path="x.yaml", content=text)])
