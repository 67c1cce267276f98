"""What export writes adopts the cluster and alters nothing on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.control import changes, declare
from penstock.control.declare.export import export, write
from penstock.control.observations import Observed, ObservedCluster, ObservedTopic, Recorded
from penstock.control.observe import admin_of, observe
from penstock.control.plan import make_plan
from penstock.errors import ConfigError
from penstock.model import clusters
from penstock.runtime import embedded

OLD = clusters.Cluster(
    name="old", environment="production", bootstrap={clusters.AuthMode.PLAINTEXT: "one:9092"}
)

numbers = st.sampled_from(["-1", "0", "1", "1000", "1500", "604800000", "1048588", "1073741824"])
configs = st.fixed_dictionaries(
    {},
    optional={
        "retention.ms": numbers,
        "retention.bytes": numbers,
        "segment.ms": numbers,
        "segment.bytes": numbers,
        "max.message.bytes": numbers,
        "cleanup.policy": st.sampled_from(["compact", "delete,compact", "compact,delete"]),
        "min.insync.replicas": st.just("1"),
        "compression.type": st.just("zstd"),
        "unclean.leader.election.enable": st.sampled_from(["true", "false"]),
        "leader.replication.throttled.replicas": st.sampled_from(["*", "", "0:1,1:2"]),
    },
)
names = st.sampled_from(["a", "A", "null", "true", "12", "1e3", "a.b", "-x", "no", "2026-01-01"])


@st.composite
def observed_clusters(draw: st.DrawFn) -> ObservedCluster:
    found = [
        ObservedTopic(
            name=name,
            partitions=draw(st.integers(1, 512)),
            replication=draw(st.integers(1, 3)),
            config=draw(configs),
        )
        for name in draw(st.lists(names, unique=True))
    ]
    return ObservedCluster(
        name="old",
        reachable=True,
        cluster_id="Zm9vYmFyMTIzNDU2Nzg5MA",
        brokers=3,
        topics={topic.name: topic for topic in found},
    )


def adoptions(seen: ObservedCluster, estate: declare.Estate) -> list[str]:
    plan = make_plan(estate, Observed(clusters={"old": seen}), Recorded())
    assert plan.refusals == ()
    register, *others = plan.changes
    assert isinstance(register, changes.RegisterCluster)
    adopted = [c.subject for c in others if isinstance(c, changes.AdoptTopic)]
    served = [c for c in others if isinstance(c, changes.DeclareTopic)]
    assert len(adopted) + len(served) == len(others)
    return adopted


@pytest.mark.unit
@given(observed_clusters())
def test_the_plan_of_an_export_adopts_and_alters_nothing(seen: ObservedCluster) -> None:
    estate = declare.parse(export(seen, OLD, owner="platform"))
    assert adoptions(seen, estate) == sorted(seen.topics)


@pytest.mark.unit
def test_an_export_is_written_as_people_write() -> None:
    topic = ObservedTopic(
        name="orders",
        partitions=12,
        replication=3,
        config={"retention.ms": "604800000", "segment.bytes": "1073741824", "flush.ms": "5"},
    )
    seen = ObservedCluster(
        name="old", reachable=True, cluster_id="x", brokers=3, topics={"orders": topic}
    )
    assert export(seen, OLD, owner="shop")[1].content == (
        "kind: Topic\n"
        "name: orders\n"
        "owner: shop\n"
        "clusters: [old]\n"
        "partitions: 12\n"
        "replication: 3\n"
        "retention: 1w\n"
        "segment-bytes: 1GiB\n"
        "config: {flush.ms: '5'}\n"
    )


@pytest.mark.unit
def test_what_somebody_edited_is_not_overwritten(tmp_path: Path) -> None:
    seen = ObservedCluster(name="old", reachable=True, cluster_id="x")
    files = export(seen, OLD, owner="shop")
    write(files, tmp_path)
    write(files, tmp_path)
    edited = tmp_path / "clusters/old.yaml"
    edited.write_text(edited.read_text() + "region: moon\n")
    with pytest.raises(ConfigError, match="says something else"):
        write(files, tmp_path)
    assert "moon" in edited.read_text()


@pytest.mark.real
def test_a_real_cluster_is_exported_and_adopted(
    kafka: embedded.Cluster, topic_name: str, wait_until: Callable[..., None], tmp_path: Path
) -> None:
    cluster = clusters.Cluster(
        name="old",
        environment="production",
        bootstrap={clusters.AuthMode.PLAINTEXT: kafka.bootstrap},
    )
    config = {"retention.ms": "86400000", "cleanup.policy": "compact,delete"}
    admin_of(cluster).create_topic(topic_name, partitions=3, replication=1, config=config)

    def look() -> ObservedCluster:
        return observe({"old": cluster}, timeout_s=30.0).clusters["old"]

    wait_until(lambda: topic_name in look().topics, message=f"{topic_name} is seen")
    seen = look()
    assert seen.topics[topic_name].config == config
    write(export(seen, cluster, owner="platform"), tmp_path)
    assert adoptions(seen, declare.load([tmp_path])) == sorted(seen.topics)
