"""Delete every record of a topic, on every cluster; the topic itself stays.

    each placement: policy allows it? ─no─▶ remember policy ─▶ add delete ─▶ delete records
                                                                 └─▶ restore policy ─▶ forget
    audit

A kill in between leaves the remembered policy in the store, and `restore_policies` puts it back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from penstock.control.effects import Effects
from penstock.control.store import audit, emptyings
from penstock.control.store.emptyings import Emptying
from penstock.errors import ConfigError, Refused
from penstock.kafka import contents
from penstock.kafka.admin import Admin
from penstock.model import topics

__all__ = ["Emptied", "empty_topic", "restore_policies"]

_POLICY = "cleanup.policy"
_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Emptied:
    """One placement, and how many offsets its deletion of records freed."""

    cluster: str
    topic: str
    records: int


def empty_topic(
    topic: topics.Topic, *, confirm: str, effects: Effects, who: str, reason: str
) -> list[Emptied]:
    """Delete every record that is in the topic now.

    Args:
        topic: the logical topic.
        confirm: must be its name.
        effects: how to reach the clusters and the store.
        who: the name of the token that asked.
        reason: for the audit.

    Raises:
        ConfigError: when ``confirm`` is not the name; nothing was done.
        NotReady: when a cluster does not answer; the records there are left.
        Refused: when a cluster does not allow it.
    """
    if confirm != topic.name:
        raise ConfigError(
            f"emptying {topic.name} needs its name once more as confirmation, not {confirm!r}"
        )
    emptied = []
    for placement in {(p.cluster, p.topic): p for e in topic.epochs for p in e.placements}.values():
        records = _empty(placement.cluster, placement.topic, effects=effects)
        done = Emptied(cluster=placement.cluster, topic=placement.topic, records=records)
        emptied.append(done)
        with effects.database.write() as tx:
            audit.append(
                tx,
                who=who,
                what="empty-topic",
                subject=topic.ident,
                reason=reason,
                before={"cluster": done.cluster, "topic": done.topic, "records": done.records},
                after={"cluster": done.cluster, "topic": done.topic, "records": 0},
            )
    return emptied


def restore_policies(effects: Effects) -> None:
    """Put back the cleanup policies that a killed emptying left changed.

    Raises:
        NotReady: when a cluster does not answer; try again later.
    """
    with effects.database.read() as tx:
        left = emptyings.unfinished(tx)
    for emptying in left:
        _restore(emptying, effects=effects)


def _empty(cluster: str, topic: str, *, effects: Effects) -> int:
    admin = effects.admin(cluster)
    in_force = admin.effective_config(topic, _POLICY)
    if "delete" in in_force.split(","):
        return contents.delete_records(admin, topic)
    own = admin.topic_configs([topic])[topic].get(_POLICY)
    emptying = Emptying(cluster=cluster, topic=topic, cleanup_policy=own)
    with effects.database.write() as tx:
        emptyings.begin(tx, emptying)
    try:
        admin.alter_config(topic, values={_POLICY: f"{in_force},delete"})
        return _delete_once_allowed(admin, topic)
    finally:
        _restore(emptying, effects=effects)


def _delete_once_allowed(admin: Admin, topic: str) -> int:
    """Delete the records; brokers take a moment to learn of the policy."""
    deadline = time.monotonic() + admin.timeout_s
    while True:
        try:
            return contents.delete_records(admin, topic)
        except Refused:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)


def _restore(emptying: Emptying, *, effects: Effects) -> None:
    admin = effects.admin(emptying.cluster)
    if admin.has_topic(emptying.topic):
        if emptying.cleanup_policy is None:
            admin.alter_config(emptying.topic, values={}, unset=[_POLICY])
        else:
            admin.alter_config(emptying.topic, values={_POLICY: emptying.cleanup_policy})
    with effects.database.write() as tx:
        emptyings.end(tx, emptying)
