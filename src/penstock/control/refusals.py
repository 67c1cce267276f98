"""What a plan refuses to do, why, and the way on: one function a reason.

planner ─finds a danger─▶ Refusal ─▶ screen, audit, exit code

A refusal is not an error: the rest of the plan is still good. Never does a refusal leave its
topic half changed: the planner drops every change of a topic that has one.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.control.observations import ObservedTopic
from penstock.model import clusters, connectors, topics

__all__ = ["Refusal"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Refusal:
    """Something declared that will not be done.

    Attributes:
        cluster: empty where no single cluster is meant.
        subject: a physical topic or a cluster's name, else ``environment/name``.
        reason: why not.
        next_step: what to do instead.
    """

    cluster: str
    subject: str
    reason: str
    next_step: str


def other_environment(old: clusters.Cluster, new: clusters.Cluster) -> Refusal:
    """Refuse to move a cluster, and all its topics, to another environment."""
    return Refusal(
        cluster=new.name,
        subject=new.name,
        reason=f"cluster {new.name} is recorded in environment {old.environment}, not "
        f"{new.environment}; its topics would change hands",
        next_step=f"Put environment: {old.environment} back, or declare it under a new name.",
    )


def other_id(name: str, *, expected: str, found: str, declared: bool) -> Refusal:
    """Refuse to touch a cluster that is not the one that was meant."""
    source = "declared" if declared else "recorded"
    return Refusal(
        cluster=name,
        subject=name,
        reason=f"cluster {name} is {found}, but {expected} is {source}: it is another cluster",
        next_step="Correct bootstrap or cluster-id; declare a new cluster under a new name.",
    )


def same_cluster(name: str, *, others: list[str], cluster_id: str) -> Refusal:
    """Refuse one Kafka cluster under two names: its topics would have two owners."""
    return Refusal(
        cluster=name,
        subject=name,
        reason=f"cluster {name} is the same Kafka cluster ({cluster_id}) as {', '.join(others)}",
        next_step="Correct the bootstrap of one of them, or remove its document.",
    )


def cluster_in_use(name: str, *, owned: int) -> Refusal:
    """Refuse to forget a cluster on which Penstock owns topics."""
    return Refusal(
        cluster=name,
        subject=name,
        reason=f"cluster {name} is no longer declared, but Penstock owns {owned} topics there",
        next_step="Declare it again with state: retired, which releases them; then remove it.",
    )


def owned_by_other(ident: str, placement: topics.Placement, *, owner: str) -> Refusal:
    """Refuse a physical topic that belongs to another logical topic."""
    return _of(
        placement,
        reason=f"it belongs to {owner}, so {ident} cannot have it",
        next_step="Give one of them another name.",
    )


def no_new_placements(placement: topics.Placement, state: clusters.ClusterState) -> Refusal:
    """Refuse to put a topic on a cluster that is on its way out."""
    return _of(
        placement,
        reason=f"the cluster is {state} and takes no new topics",
        next_step=f"Take {placement.cluster} out of the topic's clusters.",
    )


def too_few_brokers(placement: topics.Placement, *, brokers: int) -> Refusal:
    """Refuse more replicas than there are brokers."""
    return _of(
        placement,
        reason=f"replication {placement.replication} needs more than its {brokers} brokers",
        next_step=f"Declare replication {brokers} or less there, or start the missing brokers.",
    )


def other_replication(placement: topics.Placement, seen: ObservedTopic) -> Refusal:
    """Refuse to change replication: that moves data between brokers."""
    return _of(
        placement,
        reason=f"it has replication {seen.replication}, declared is {placement.replication}; "
        "this release does not move replicas",
        next_step=f"Declare replication {seen.replication} there (overrides: {placement.cluster}: "
        f"replication), or reassign its partitions with Kafka's own tool first.",
    )


def partition_decrease(placement: topics.Placement, seen: ObservedTopic) -> Refusal:
    """Refuse what Kafka cannot do without losing records."""
    return _of(
        placement,
        reason=f"it has {seen.partitions} partitions, declared are {placement.partitions}; "
        "Kafka cannot take partitions away",
        next_step=f"Declare {seen.partitions} partitions, or a new topic with fewer.",
    )


def keyed_increase(placement: topics.Placement, seen: ObservedTopic) -> Refusal:
    """Refuse to break the order of a key's records."""
    return _of(
        placement,
        reason=f"it has {seen.partitions} partitions, declared are {placement.partitions}; with "
        "ordering: key more partitions would put a key's next records beside its older ones",
        next_step=f"Keep {seen.partitions} partitions, or declare a new topic with "
        f"{placement.partitions} and move its services there.",
    )


def ordering_gained(topic: topics.Topic) -> Refusal:
    """Refuse to promise an order that the records already written do not have."""
    return Refusal(
        cluster="",
        subject=topic.ident,
        reason="the records already written were not kept in order by key",
        next_step="Keep ordering: none, or declare a new topic with ordering: key.",
    )


def keyed_move(topic: topics.Topic, *, old: str, new: str) -> Refusal:
    """Refuse to move a keyed topic's writes while its older records are unread."""
    return Refusal(
        cluster=new,
        subject=topic.ident,
        reason=f"with ordering: key the first cluster cannot change in place from {old} to {new}: "
        "a key's new records would be read before its older ones",
        next_step=f"Keep {old} first, or declare a new topic on {new} and move its services there.",
    )


def has_records(ident: str, *, cluster: str, topic: str, proven: bool) -> Refusal:
    """Refuse to delete records, or what may hold some."""
    name = ident.partition("/")[2]
    return Refusal(
        cluster=cluster,
        subject=topic,
        reason="it is no longer declared, but "
        + ("it has records" if proven else "nobody could prove that it is empty"),
        next_step=f"Declare it again, or empty it everywhere with: penstock topic empty {name}",
    )


def connector_moved(connector: connectors.Connector, what: str, old: str, new: str) -> Refusal:
    """Refuse to let a connector lose its place in its source."""
    return Refusal(
        cluster="",
        subject=connector.ident,
        reason=f"its {what} cannot change in place from {old!r} to {new!r}: the place it has "
        "reached in its source belongs to the old one, and what is written in between is lost",
        next_step=f"Put {old!r} back, or declare a connector under a new name, with a snapshot of "
        "its own.",
    )


def _of(placement: topics.Placement, *, reason: str, next_step: str) -> Refusal:
    return Refusal(
        cluster=placement.cluster, subject=placement.topic, reason=reason, next_step=next_step
    )
