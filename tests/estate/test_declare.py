"""Estate files to an estate: what a good one becomes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.control import declare
from penstock.control.declare import Estate, EstateFile
from penstock.errors import ConfigError
from penstock.model import tables, topics

pytestmark = pytest.mark.unit

CLUSTERS = """
kind: Cluster
name: primary
environment: development
category: metrics
embedded: true
topic-defaults: {replication: 1, config: {segment.ms: 60000}}
---
kind: Cluster
name: standby
environment: development
embedded: true
---
kind: Cluster
name: live
environment: production
bootstrap: {mtls: 'one:9094,two:9094'}
cluster-id: abc
"""

PROFILES = """
kind: TopicProfile
name: base
retention: 1d
replication: 2
partitions: 2
---
kind: TopicProfile
name: small
extends: base
partitions: 3
"""

TOPIC = """
kind: Topic
name: host-metrics
owner: platform
description: What machines do.
clusters: [primary, standby, live]
routing: failover
profile: small
retention-bytes: 1GiB
min-in-sync: 1
dev-variant-suffix: [-v2, -qa]
config: {compression.type: zstd, unclean.leader.election.enable: false}
environments:
  production: {partitions: 12, routing: roundrobin}
overrides:
  standby: {partitions: 4}
"""

TABLE = """
kind: Table
name: host-metrics
topic: host-metrics
environment: development
owner: platform
columns:
  at: timestamp
  cpu: {type: double, nullable: false}
derived: {day: date(at), where: cluster}
partition-by: day
latency: 2s
"""


def parse(*contents: str) -> Estate:
    return declare.parse(
        [EstateFile(path=f"{n}.yaml", content=text) for n, text in enumerate(contents)]
    )


ESTATE = parse(CLUSTERS, PROFILES, TOPIC, TABLE)


def test_a_topic_over_two_environments_is_one_topic_in_each() -> None:
    made = ESTATE.topics["production/host-metrics"]
    assert made.current.routing is topics.Routing.ROUNDROBIN
    [placement] = made.current.placements
    assert (placement.cluster, placement.partitions, placement.replication) == ("live", 12, 2)


def test_variants_are_made_in_development_only() -> None:
    assert list(ESTATE.topics) == [
        "development/host-metrics",
        "development/host-metrics-qa",
        "development/host-metrics-v2",
        "production/host-metrics",
    ]
    variant = ESTATE.topics["development/host-metrics-v2"]
    assert {p.topic for p in variant.current.placements} == {"host-metrics-v2"}


def test_later_layers_cover_earlier_ones() -> None:
    primary, standby = ESTATE.topics["development/host-metrics"].current.placements
    assert (primary.partitions, standby.partitions) == (3, 4)
    assert (primary.replication, standby.replication) == (2, 2)
    assert primary.config == {
        "compression.type": "zstd",
        "min.insync.replicas": "1",
        "retention.bytes": str(2**30),
        "retention.ms": "86400000",
        "segment.ms": "60000",
        "unclean.leader.election.enable": "false",
    }
    assert "segment.ms" not in standby.config


def test_a_declared_topic_has_one_epoch_and_it_is_open() -> None:
    for topic in ESTATE.topics.values():
        [epoch] = topic.epochs
        assert (epoch.number, epoch.state) == (1, topics.EpochState.OPEN)


def test_a_table_is_made_where_it_says() -> None:
    [table] = ESTATE.tables.values()
    assert table.ident == "development/host-metrics"
    assert table.path == "development/host-metrics"
    assert table.latency_ms == 2_000
    assert table.partition_by == ("day",)
    assert table.columns[1] == tables.Column(name="cpu", type="double", nullable=False)


def test_a_table_that_names_no_environment_is_made_in_each() -> None:
    made = parse(CLUSTERS, PROFILES, TOPIC, TABLE.replace("environment: development\n", ""))
    assert list(made.tables) == ["development/host-metrics", "production/host-metrics"]


def test_a_variant_can_feed_a_table() -> None:
    made = parse(CLUSTERS, PROFILES, TOPIC, TABLE.replace("topic: host-", "topic: host-", 1))
    other = TABLE.replace("topic: host-metrics", "topic: host-metrics-v2")
    assert list(parse(CLUSTERS, PROFILES, TOPIC, other).tables) == list(made.tables)


DOCUMENTS = [
    document for text in (CLUSTERS, PROFILES, TOPIC, TABLE) for document in text.split("---\n")
]


@given(st.permutations(DOCUMENTS), st.lists(st.booleans(), min_size=7, max_size=7))
def test_the_order_of_documents_and_files_does_not_matter(
    documents: list[str], joined: list[bool]
) -> None:
    contents = [""]
    for document, join in zip(documents, joined, strict=True):
        if join:
            contents[-1] += f"---\n{document}"
        else:
            contents.append(document)
    assert parse(*contents) == ESTATE


def test_a_directory_is_searched_for_yaml_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "topics/team").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "clusters.yml").write_text(CLUSTERS + "---" + PROFILES)
    (tmp_path / "topics/team/host-metrics.yaml").write_text(TOPIC)
    (tmp_path / "README.md").write_text("not: [yaml")
    (tmp_path / ".git/broken.yaml").write_text("not: [yaml")
    made = declare.load([tmp_path, tmp_path / "clusters.yml"])
    assert made.topics == ESTATE.topics


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("größe: 1".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        declare.load([tmp_path / "nowhere", tmp_path])
    assert [fault.what for fault in caught.value.faults] == [
        "No such file or directory",
        "it is not UTF-8 text",
    ]


def test_the_quickstart_is_sound() -> None:
    root = Path(__file__).resolve().parents[2]
    made = declare.load([root / "examples/quickstart"])
    assert "development/host-metrics" in made.topics
