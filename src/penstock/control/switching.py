"""The operator's switches: cordon a cluster, choose a topic's active cluster, fail back.

    call ─checked against the record─▶ switch + audit + next version, one transaction

No cluster is touched: a switch is what clients are told, and they move by themselves. Switching
what is so already changes nothing and is not audited.
"""

from __future__ import annotations

from sqlalchemy import Connection

from penstock.control.store import audit, switches
from penstock.control.store.database import Database
from penstock.errors import ConfigError, NotFound, Refused
from penstock.model import metadata, topics
from penstock.model.clusters import ClusterState

__all__ = ["activate", "cordon", "fail_back", "find_topic", "uncordon"]


def cordon(database: Database, name: str, *, who: str, reason: str) -> None:
    """Make producers leave the cluster wherever a topic names another one.

    Raises:
        NotFound: when there is no such cluster.
        Refused: when it is declared as draining or retired, which a cordon cannot change.
    """
    with database.write() as tx:
        state = _cluster_state(tx, name)
        if state is ClusterState.CORDONED:
            return
        if state is not ClusterState.ACTIVE:
            raise Refused(
                f"cluster {name} is declared {state}, which keeps producers away already; change "
                "its state in the estate"
            )
        switches.cordon(tx, name, reason=reason)
        audit.append(
            tx,
            who=who,
            what="cordon-cluster",
            subject=name,
            reason=reason,
            before={"state": ClusterState.ACTIVE},
            after={"state": ClusterState.CORDONED},
        )


def uncordon(database: Database, name: str, *, who: str, reason: str) -> None:
    """Let producers choose the cluster again.

    Raises:
        NotFound: when there is no such cluster.
        Refused: when the estate declares it cordoned, draining or retired.
    """
    with database.write() as tx:
        before = _cluster_state(tx, name)
        if before is ClusterState.ACTIVE:
            return
        switches.uncordon(tx, name)
        after = _cluster_state(tx, name)
        if after is not ClusterState.ACTIVE:
            raise Refused(
                f"cluster {name} is declared {after}; change its state in the estate, and apply it"
            )
        audit.append(
            tx,
            who=who,
            what="uncordon-cluster",
            subject=name,
            reason=reason,
            before={"state": before},
            after={"state": after},
        )


def activate(database: Database, ident: str, *, cluster: str, who: str, reason: str) -> None:
    """Send producers of a failover topic to this cluster first, until told to fail back.

    Raises:
        NotFound: when there is no such topic, or it is not on that cluster.
        Refused: when its routing is not ``failover``.
    """
    with database.write() as tx:
        topic = _demand_failover(tx, ident)
        homes = [placement.cluster for placement in topic.current.placements]
        if cluster not in homes:
            raise ConfigError(
                f"topic {ident} is not on cluster {cluster!r}; choose one of {', '.join(homes)}"
            )
        if topic.active_cluster == cluster:
            return
        switches.activate(tx, ident, cluster=cluster, reason=reason)
        _audit_active(tx, topic, now=cluster, what="activate-cluster", who=who, reason=reason)


def fail_back(database: Database, ident: str, *, who: str, reason: str) -> None:
    """Send producers of a failover topic back to the declared order.

    Raises:
        NotFound: when there is no such topic.
        Refused: when its routing is not ``failover``.
    """
    with database.write() as tx:
        topic = _demand_failover(tx, ident)
        if not topic.active_cluster:
            return
        switches.fail_back(tx, ident)
        _audit_active(tx, topic, now="", what="fail-back", who=who, reason=reason)


def find_topic(snapshot: metadata.Snapshot, name: str, *, environment: str) -> topics.Topic:
    """Return a topic by its logical name, of whatever environment where only one has it.

    Raises:
        ConfigError: when there is none, or several and no environment was given.
    """
    found = [
        topic
        for topic in snapshot.topics.values()
        if topic.name == name and environment in {"", topic.environment}
    ]
    if len(found) > 1:
        environments = ", ".join(sorted(topic.environment for topic in found))
        raise ConfigError(f"topic {name} is in {environments}; say which environment is meant")
    if not found:
        where = f" in environment {environment}" if environment else ""
        raise NotFound(f"there is no topic {name}{where}; see `penstock topic list`")
    return found[0]


def _cluster_state(tx: Connection, name: str) -> ClusterState:
    state = switches.cluster_state(tx, name)
    if state is None:
        raise NotFound(f"there is no cluster {name}; see `penstock cluster list`")
    return state


def _demand_failover(tx: Connection, ident: str) -> topics.Topic:
    topic = switches.topic(tx, ident)
    if topic is None:
        raise NotFound(f"there is no topic {ident}; see `penstock topic list`")
    routing = topic.current.routing
    if routing is not topics.Routing.FAILOVER:
        raise Refused(
            f"topic {ident} has routing {routing}, and only failover has an active cluster; "
            "declare routing: failover, or cordon the cluster instead"
        )
    return topic


def _audit_active(
    tx: Connection, topic: topics.Topic, *, now: str, what: str, who: str, reason: str
) -> None:
    audit.append(
        tx,
        who=who,
        what=what,
        subject=topic.ident,
        reason=reason,
        before={"active_cluster": topic.active_cluster},
        after={"active_cluster": now},
    )
