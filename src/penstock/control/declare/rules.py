"""What a topic must keep to on a cluster: its policies, its limits, and plain sense.

Settled topic, ClusterDocument ─▶ faults at the line that breaks the rule, naming the rule's line
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from penstock.control.declare.documents import ClusterDocument
from penstock.control.declare.layers import Settled
from penstock.control.declare.places import Document
from penstock.control.declare.validation import Entry
from penstock.errors import Fault
from penstock.units import format_ms

__all__ = ["Placed", "check_limits", "check_placed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A topic's settings on one cluster.

    Attributes:
        names: the physical topics that have them: the topic, and its variants there.
    """

    document: Document
    names: tuple[str, ...]
    cluster: Entry[ClusterDocument]
    settled: Settled

    def fault(self, key: str, what: str, next_step: str) -> Fault:
        """Return a fault where the setting was written."""
        document, loc = self.settled.sources.get(key, (self.document, ()))
        subject = f"{self.names[0]} on {self.cluster.model.name}"
        return document.fault(loc, f"{subject}: {what}", next_step)

    def rule(self, *loc: str) -> str:
        """Return where the cluster says so."""
        return f"{'.'.join(loc)} at {self.cluster.document.place(loc)}"


def check_placed(placed: Placed) -> Iterator[Fault]:
    """Yield what the topic breaks on the cluster."""
    yield from _check_counts(placed)
    yield from _check_in_sync(placed)
    yield from _check_names(placed)
    yield from _check_config(placed)


def check_limits(placed: Mapping[str, list[Placed]]) -> Iterator[Fault]:
    """Yield the clusters that are declared more than they can carry."""
    for topics in placed.values():
        cluster, limits = topics[0].cluster, topics[0].cluster.model.limits
        replicas = sum(
            len(p.names) * (p.settled.partitions or 0) * (p.settled.replication or 0)
            for p in topics
        )
        count = sum(len(p.names) for p in topics)
        for name, limit, sum_ in (
            ("topics", limits.topics, count),
            ("replicas", limits.replicas, replicas),
        ):
            if limit is not None and sum_ > limit:
                yield cluster.document.fault(
                    ("limits", name),
                    f"limits.{name}: {sum_} {name} are declared on {cluster.model.name}, "
                    f"the limit is {limit}",
                    "Place some topics on another cluster, or raise the limit.",
                )


def _check_counts(placed: Placed) -> Iterator[Fault]:
    settled, policies = placed.settled, placed.cluster.model.policies
    for name, count in (("partitions", settled.partitions), ("replication", settled.replication)):
        if count is None:
            step = f"Add {name}: to the topic, its profile or the cluster's topic-defaults."
            yield placed.fault(name, f"nothing says its {name}", step)
    for name, loc, most in (
        ("partitions", ("policies", "max-partitions"), policies.max_partitions),
        ("replication", ("policies", "max-replication"), policies.max_replication),
        ("replication", ("limits", "brokers"), placed.cluster.model.limits.brokers),
    ):
        count = getattr(settled, name)
        if count is not None and most is not None and count > most:
            what = f"{name} {count} is more than {most}, by {placed.rule(*loc)}"
            yield placed.fault(name, what, f"Write {most} or less.")
    least = policies.min_replication
    if least and settled.replication and settled.replication < least:
        rule = placed.rule("policies", "min-replication")
        what = f"replication {settled.replication} is less than {least}, by {rule}"
        yield placed.fault("replication", what, f"Write {least} or more.")


def _check_in_sync(placed: Placed) -> Iterator[Fault]:
    key, replication = "min.insync.replicas", placed.settled.replication
    in_sync = placed.settled.config.get(key, "")
    if replication and in_sync.isdecimal() and int(in_sync) > replication:
        what = f"{key} {in_sync} is more than replication {replication}: no record could be acked"
        yield placed.fault(key, what, f"Write {replication} or less.")


def _check_names(placed: Placed) -> Iterator[Fault]:
    pattern = placed.cluster.model.policies.naming_pattern
    for name in placed.names:
        if pattern and not re.fullmatch(pattern, name):
            rule = placed.rule("policies", "naming-pattern")
            what = f"{name} on {placed.cluster.model.name}: the name does not match {pattern}"
            yield placed.document.fault(("name",), f"{what}, by {rule}", "Give it another name.")


def _check_config(placed: Placed) -> Iterator[Fault]:
    policies, config = placed.cluster.model.policies, placed.settled.config
    for key in policies.forbidden_config:
        if key in config:
            what = f"{key} must not be set, by {placed.rule('policies', 'forbidden-config')}"
            yield placed.fault(key, what, "Remove it.")
    retention, longest = config.get("retention.ms", ""), policies.max_retention
    if longest and _is_longer(retention, longest):
        rule = placed.rule("policies", "max-retention")
        what = f"retention is longer than {format_ms(longest)}, by {rule}"
        yield placed.fault("retention.ms", what, f"Write {format_ms(longest)} or less.")


def _is_longer(retention_ms: str, longest_ms: int) -> bool:
    return retention_ms == "-1" or (retention_ms.isdecimal() and int(retention_ms) > longest_ms)
