"""What runs in a home, and how it is: for people, for scripts, for the live view.

    supervisor.json, processes.json, clusters.json ─┐
    each cluster's own answer ──────────────────────┼─▶ gather ─▶ Status ─▶ asdict ─▶ JSON
    the control plane: topics, states, clients ─────┤
    ingest/status.json ─────────────────────────────┘

Reads only, and never waits long: what does not answer is shown as not answering.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from penstock.api import wire
from penstock.api.client import connect_home
from penstock.errors import NotReady, PenstockError
from penstock.kafka import probes
from penstock.model import topics
from penstock.runtime import files, processes
from penstock.runtime.supervisor import running_supervisor

__all__ = [
    "BrokerStatus",
    "ClusterStatus",
    "ControlStatus",
    "ProcessStatus",
    "Status",
    "TableStatus",
    "TopicStatus",
    "gather",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """One supervised process.

    Attributes:
        state: of `penstock.runtime.supervised.State`, or ``down`` without a supervisor.
        reason: why it ended last, or does not start.
    """

    name: str
    state: str
    pid: int | None
    restarts: int
    reason: str
    log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerStatus:
    """One broker.

    Attributes:
        state: ``ready`` when the cluster counts it in; else its process's state.
    """

    name: str
    number: int
    address: str
    state: str
    pid: int | None
    restarts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """One embedded cluster.

    Attributes:
        state: ``ready``, ``degraded`` (some brokers), or ``down``.
        traffic: what the control plane says: ``active``, ``cordoned``, …; empty when it is silent.
    """

    name: str
    state: str
    traffic: str
    bootstrap: str
    cluster_id: str
    brokers: tuple[BrokerStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlStatus:
    """The control plane.

    Attributes:
        state: ``ready`` or ``down``.
        version: of the metadata.
        clients: how many are connected.
    """

    state: str
    grpc: str = ""
    rest: str = ""
    version: int = 0
    clients: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicStatus:
    """One logical topic.

    Attributes:
        active: the cluster that producers prefer now; empty where they use all.
        records: ever written, by cluster; a cluster that does not answer is left out.
    """

    name: str
    environment: str
    routing: str
    active: str
    clusters: tuple[str, ...]
    records: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatus:
    """One table, as ingest tells it; see its ``status.json``."""

    name: str
    rows: int
    rows_per_s: float
    lag_records: int
    committed_at: str
    state: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything.

    Attributes:
        state: ``up``, ``starting`` or ``down``.
        notes: what went wrong at the start without ending it.
        doing: what is being fetched, or could not be; empty for nothing.
        registry: the schema registry's URL; empty where none runs.
    """

    home: str
    state: str
    pid: int | None
    notes: tuple[str, ...]
    doing: str = ""
    registry: str = ""
    control: ControlStatus
    clusters: tuple[ClusterStatus, ...]
    processes: tuple[ProcessStatus, ...]
    topics: tuple[TopicStatus, ...]
    tables: tuple[TableStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the control plane told."""

    control: ControlStatus
    topics: tuple[topics.Topic, ...] = ()
    traffic: Mapping[str, str] = field(default_factory=dict)


def gather(home: Path) -> Status:
    """Return the status of everything in the home."""
    supervisor = running_supervisor(home)
    session = files.read_json(home / "supervisor.json", default={}) if supervisor else {}
    running = _processes(home, supervised=supervisor is not None)
    told = _ask_control(home)
    embedded: dict[str, Any] = files.read_json(home / "clusters.json", default={})
    bootstraps = {name: one["bootstrap"]["plaintext"] for name, one in embedded.items()}
    with ThreadPoolExecutor() as asking:
        seen = dict(zip(bootstraps, asking.map(_look, bootstraps.values()), strict=True))
        records = dict(
            zip(
                bootstraps,
                asking.map(partial(_count, told.topics, bootstraps, seen), bootstraps),
                strict=True,
            )
        )
    clusters = tuple(
        _cluster(name, one, seen=seen[name], running=running, traffic=told.traffic)
        for name, one in embedded.items()
    )
    return Status(
        home=str(home),
        state=_state(session, clusters, running),
        pid=supervisor.pid if supervisor else None,
        notes=tuple(session.get("notes", ())),
        doing=str(session.get("doing", "")),
        registry=_registry(home, running),
        control=told.control,
        clusters=clusters,
        processes=tuple(running.values()),
        topics=tuple(_topic(topic, records, told.traffic) for topic in told.topics),
        tables=_tables(home),
    )


def _state(
    session: Mapping[str, Any],
    clusters: tuple[ClusterStatus, ...],
    running: Mapping[str, ProcessStatus],
) -> str:
    if not session:
        return "down"
    steady = all(one.state in ("ready", "done") for one in running.values())
    whole = all(one.state == "ready" for one in clusters if f"{one.name}-1" in running)
    return "up" if session.get("settled") and steady and whole else "starting"


def _processes(home: Path, *, supervised: bool) -> dict[str, ProcessStatus]:
    return {
        name: ProcessStatus(
            name=name,
            state=record["state"] if supervised else "down",
            pid=record.get("pid") if supervised else None,
            restarts=record["restarts"],
            reason=record["reason"],
            log=str(home / "logs" / f"{name}.log"),
        )
        for name, record in processes.recorded(home).items()
    }


def _registry(home: Path, running: Mapping[str, ProcessStatus]) -> str:
    there = "registry" in running and running["registry"].state != "down"
    noted = files.read_json(home / "registry.json", default={})
    return str(noted.get("url", "")) if there else ""


def _ask_control(home: Path) -> _Told:
    addresses = files.read_json(home / "control.json", default={})
    known = ControlStatus(
        state="down", grpc=addresses.get("grpc", ""), rest=addresses.get("rest", "")
    )
    if not probes.is_open(known.grpc or ":0"):
        return _Told(control=known)
    try:
        with connect_home(home) as control:
            status = control.status()
            found = tuple(wire.decode_topic(topic) for topic in control.topics())
            clusters = [wire.decode_cluster(cluster) for cluster in control.clusters()]
    except PenstockError:
        return _Told(control=known)
    return _Told(
        control=replace(known, state="ready", version=status.version, clients=status.clients),
        topics=found,
        traffic={cluster.name: cluster.state.value for cluster in clusters},
    )


def _look(bootstrap: str) -> probes.Seen | None:
    try:
        return probes.look(bootstrap)
    except NotReady:
        return None


def _count(
    declared: tuple[topics.Topic, ...],
    bootstraps: Mapping[str, str],
    seen: Mapping[str, probes.Seen | None],
    cluster: str,
) -> dict[str, int]:
    """Return the records ever written on one cluster, by physical topic."""
    answer = seen[cluster]
    wanted = {p.topic for t in declared for p in t.current.placements if p.cluster == cluster}
    if answer is None or not wanted:
        return {}
    try:
        return probes.end_offsets(
            bootstraps[cluster], (p for p in answer.partitions if p.topic in wanted)
        )
    except NotReady:
        return {}


def _cluster(
    name: str,
    known: Mapping[str, Any],
    *,
    seen: probes.Seen | None,
    running: Mapping[str, ProcessStatus],
    traffic: Mapping[str, str],
) -> ClusterStatus:
    bootstrap = known["bootstrap"]["plaintext"]
    there = seen.brokers if seen else ()
    brokers = tuple(
        _broker(f"{name}-{number}", number, address, number in there, running)
        for number, address in enumerate(bootstrap.split(","), start=1)
    )
    answering = sum(broker.state == "ready" for broker in brokers)
    whole = "ready" if answering == len(brokers) else "degraded"
    return ClusterStatus(
        name=name,
        state=whole if answering else "down",
        traffic=traffic.get(name, ""),
        bootstrap=bootstrap,
        cluster_id=known["cluster_id"],
        brokers=brokers,
    )


def _broker(
    name: str, number: int, address: str, answers: bool, running: Mapping[str, ProcessStatus]
) -> BrokerStatus:
    process = running.get(name)
    state = process.state if process else "down"
    if state == "ready" and not answers:
        state = "silent"
    return BrokerStatus(
        name=name,
        number=number,
        address=address,
        state=state,
        pid=process.pid if process else None,
        restarts=process.restarts if process else 0,
    )


def _topic(
    topic: topics.Topic, records: Mapping[str, Mapping[str, int]], traffic: Mapping[str, str]
) -> TopicStatus:
    epoch = topic.current
    takers = [p.cluster for p in epoch.placements if traffic.get(p.cluster, "active") == "active"]
    one_at_a_time = epoch.routing in (topics.Routing.NA, topics.Routing.FAILOVER)
    return TopicStatus(
        name=topic.name,
        environment=topic.environment,
        routing=epoch.routing.value,
        active=(topic.active_cluster or next(iter(takers), "")) if one_at_a_time else "",
        clusters=tuple(p.cluster for p in epoch.placements),
        records={
            p.cluster: records[p.cluster][p.topic]
            for p in epoch.placements
            if p.topic in records.get(p.cluster, {})
        },
    )


def _tables(home: Path) -> tuple[TableStatus, ...]:
    told: dict[str, Any] = files.read_json(home / "ingest" / "status.json", default={})
    return tuple(
        TableStatus(
            name=name,
            rows=int(one.get("rows") or 0),
            rows_per_s=float(one.get("rows_per_s") or 0),
            lag_records=int(one.get("lag_records") or 0),
            committed_at=str(one.get("committed_at") or ""),
            state=str(one.get("state") or ""),
            error=str(one.get("error") or ""),
        )
        for name, one in told.items()
    )
