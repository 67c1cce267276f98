"""Look at every cluster at once: what is there now, and whether some topics hold records.

    clusters ─one thread each, a deadline each─▶ Observed

A cluster that does not answer is told as unreachable; the others do not wait for it. Nothing is
kept: the next plan looks again.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

from penstock.control.observations import Observed, ObservedCluster, ObservedTopic
from penstock.errors import ConfigError, NotReady, PenstockError
from penstock.kafka import contents, probes
from penstock.kafka.admin import Admin
from penstock.model import clusters

__all__ = ["admin_of", "observe"]

_MAX_THREADS = 64


def observe(
    known: Mapping[str, clusters.Cluster],
    *,
    look_into: Collection[tuple[str, str]] = (),
    timeout_s: float,
) -> Observed:
    """Return what the clusters show.

    Args:
        known: declared and recorded clusters, by name.
        look_into: (cluster, physical topic) of which to find out whether they hold records; that
            may mean reading them.
        timeout_s: how long each cluster has for everything it is asked.
    """
    if not known:
        return Observed()
    topics_of: dict[str, set[str]] = defaultdict(set)
    for cluster, topic in look_into:
        topics_of[cluster].add(topic)
    threads = ThreadPoolExecutor(min(_MAX_THREADS, len(known)), thread_name_prefix="observe")
    deadline = time.monotonic() + timeout_s
    try:
        asked = {
            name: threads.submit(
                _look, cluster, look_into=topics_of[name], deadline=deadline, timeout_s=timeout_s
            )
            for name, cluster in known.items()
        }
        seen = {name: _answer(name, future, deadline) for name, future in asked.items()}
    finally:
        # A thread that hangs ends with its own request's deadline; nobody waits for it.
        threads.shutdown(wait=False, cancel_futures=True)
    return Observed(clusters=seen)


def admin_of(cluster: clusters.Cluster, *, timeout_s: float = 10.0) -> Admin:
    """Return the administration of a cluster.

    Raises:
        NotReady: for an embedded cluster that has not been started.
        ConfigError: when it has no listener that this version can use.
    """
    bootstrap = cluster.bootstrap.get(clusters.AuthMode.PLAINTEXT)
    if bootstrap:
        return Admin(cluster.name, bootstrap, timeout_s=timeout_s)
    if cluster.embedded:
        raise NotReady(
            f"embedded cluster {cluster.name} has no address yet; start it with `penstock up`"
        )
    raise ConfigError(
        f"cluster {cluster.name} has no plaintext listener, and the control plane of this version "
        "knows no other way to it; declare bootstrap: {plaintext: host:port}"
    )


def _answer(name: str, future: Future[ObservedCluster], deadline: float) -> ObservedCluster:
    try:
        return future.result(timeout=max(0.0, deadline - time.monotonic()))
    except FutureTimeoutError:
        return ObservedCluster(
            name=name, reachable=False, error=f"cluster {name} did not answer in time"
        )
    except PenstockError as error:
        return ObservedCluster(name=name, reachable=False, error=error.message)


def _look(
    cluster: clusters.Cluster, *, look_into: Iterable[str], deadline: float, timeout_s: float
) -> ObservedCluster:
    admin = admin_of(cluster, timeout_s=timeout_s)
    seen = admin.look()
    partitions = _by_topic(seen.partitions)
    configs = admin.topic_configs(partitions)
    presence = {
        topic: _find_records(admin, topic, deadline=deadline)
        for topic in sorted(look_into)
        if topic in partitions
    }
    return ObservedCluster(
        name=cluster.name,
        reachable=True,
        cluster_id=seen.cluster_id,
        brokers=len(seen.brokers),
        topics={
            name: _topic(name, found, config=configs[name], has_records=presence.get(name))
            for name, found in partitions.items()
        },
    )


def _by_topic(partitions: Iterable[probes.Partition]) -> dict[str, list[probes.Partition]]:
    found: dict[str, list[probes.Partition]] = defaultdict(list)
    for partition in partitions:
        if not partition.topic.startswith("__"):
            found[partition.topic].append(partition)
    return dict(found)


def _topic(
    name: str,
    partitions: Collection[probes.Partition],
    *,
    config: Mapping[str, str],
    has_records: bool | None,
) -> ObservedTopic:
    return ObservedTopic(
        name=name,
        partitions=len(partitions),
        replication=min(len(partition.replicas) for partition in partitions),
        config=config,
        has_records=has_records,
        under_replicated=sum(len(p.in_sync) < len(p.replicas) for p in partitions),
    )


def _find_records(admin: Admin, topic: str, *, deadline: float) -> bool | None:
    try:
        return contents.has_records(admin, topic, timeout_s=deadline - time.monotonic())
    except NotReady:
        return None  # unknown: the planner refuses what was not proven
