"""Which processes make the platform on one machine.

    estate ─▶ its embedded clusters ─▶ brokers ───────────────┐
              topic host-metrics ────▶ agent      (layer 2)    ├─▶ supervised.Service …
              tables ────────────────▶ ingest                  │
              connectors ────────────▶ Connect, its manager    │
    always ──────────────────────────▶ control ───────────────┘

Decides and describes; starts nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import penstock.runtime
from penstock.control import declare
from penstock.kafka import probes
from penstock.model.connectors import Kind
from penstock.runtime import (
    connect,
    files,
    java,
    kafka,
    kraft,
    plugins,
    ports,
    processes,
)
from penstock.runtime.supervised import Service

__all__ = [
    "Platform",
    "bare",
    "first_services",
    "further_services",
    "of_estate",
    "prepare",
    "quickstart_directory",
]

_METRICS_TOPIC = "host-metrics"
_BROKERS, _CONTROL, _WORKERS = range(3)
"""Layers: each may need those before it, also while it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What `up` is to run.

    Attributes:
        clusters: names of the embedded clusters, in order.
        estate: the files to apply; none for bare clusters.
        first_only: whether the estate is only for a home that has none yet.
        agent: whether this machine's metrics are produced.
        ingest: whether tables are fed.
        connect: the embedded clusters that connectors run beside, each with what these connect.
    """

    clusters: tuple[str, ...]
    estate: Path | None = None
    first_only: bool = False
    agent: bool = False
    ingest: bool = False
    connect: Mapping[str, frozenset[Kind]] = field(default_factory=dict)


def quickstart_directory() -> Path:
    """Return the quickstart's estate: packaged in a wheel, else the repository's."""
    package = Path(penstock.runtime.__file__).parent
    packaged = package / "quickstart"
    return packaged if packaged.is_dir() else package.parents[2] / "examples" / "quickstart"


def of_estate(estate: Path | None) -> Platform:
    """Return the platform of an estate; of the quickstart where none is given.

    Raises:
        ConfigError: with every fault of the estate.
    """
    directory = estate or quickstart_directory()
    declared = declare.load([directory])
    embedded = tuple(name for name, one in declared.clusters.items() if one.embedded)
    return Platform(
        clusters=embedded,
        estate=directory,
        first_only=estate is None,
        agent=any(topic.name == _METRICS_TOPIC for topic in declared.topics.values()),
        ingest=bool(declared.tables),
        connect={
            name: frozenset(c.kind for c in declared.connectors.values() if c.cluster == name)
            for name in embedded
            if any(c.cluster == name for c in declared.connectors.values())
        },
    )


def bare(count: int) -> Platform:
    """Return a platform of clusters and a control plane, without estate."""
    names = ["primary", "standby", *(f"cluster-{n}" for n in range(3, count + 1))]
    return Platform(clusters=tuple(names[:count]))


def prepare(
    platform: Platform, home: Path, *, distribution: kafka.Distribution, brokers: int | None
) -> list[kraft.Cluster]:
    """Write the clusters' files, and see that their ports are free.

    Args:
        platform: what to run.
        home: where.
        distribution: Kafka.
        brokers: of each cluster; None for as many as it has, 1 for a new one.

    Raises:
        PenstockError: as `kraft.prepare` and `ports.demand_free`.
    """
    clusters = [
        kraft.prepare(
            home,
            name,
            brokers=brokers or kraft.existing_brokers(home, name) or 1,
            checkpoint=distribution.checkpoint,
        )
        for name in platform.clusters
    ]
    for cluster in clusters:
        for node in cluster.nodes:
            ports.demand_free(node.ports, purpose=f"broker {node.name}", home=home)
    return clusters


def first_services(
    home: Path, clusters: Sequence[kraft.Cluster], *, distribution: kafka.Distribution
) -> list[Service]:
    """Return the brokers and the control plane; they start side by side."""
    nodes = [node for cluster in clusters for node in cluster.nodes]
    brokers = [_broker(node, home=home, distribution=distribution) for node in nodes]
    return [*brokers, _control(home)]


def further_services(
    platform: Platform, home: Path, *, distribution: kafka.Distribution
) -> list[Service]:
    """Return what starts once the estate has been applied."""
    services = []
    if platform.agent:
        services.append(_worker("agent", "agent", "host-metrics", home=home))
    if platform.ingest:
        services.append(_worker("ingest", "ingest", home=home))
    if platform.connect:
        services += _connect(platform.connect, home)
    if not distribution.aot_cache.exists():
        services.append(_aot_cache(home))
    return services


def _broker(node: kraft.Node, *, home: Path, distribution: kafka.Distribution) -> Service:
    def spec() -> processes.Spec:
        ports.demand_free(node.ports, purpose=f"broker {node.name}", home=home)
        return processes.Spec(
            name=node.name,
            # Looked up at each start: the AOT cache may have come meanwhile.
            command=kraft.command(node, distribution.jars, options=distribution.options),
            log=home / "logs" / f"{node.name}.log",
            environment=java.environment(),
        )

    def ready() -> bool:
        return node.number in probes.look(f"127.0.0.1:{node.client_port}").brokers

    return Service(name=node.name, spec=spec, layer=_BROKERS, ready=ready)


def _control(home: Path) -> Service:
    def ready() -> bool:
        address = files.read_json(home / "control.json", default={}).get("grpc", "")
        return bool(address) and probes.is_open(address)

    spec = _python("control", "penstock", "control", "--home", str(home), home=home)
    return Service(name="control", spec=spec, layer=_CONTROL, ready=ready)


def _worker(name: str, *command: str, home: Path) -> Service:
    spec = _python(name, "penstock", *command, "--home", str(home), home=home)
    return Service(name=name, spec=spec, layer=_WORKERS)


def _connect(wanted: Mapping[str, frozenset[Kind]], home: Path) -> list[Service]:
    """Return a Connect group beside each of the clusters, and the process that manages them."""
    jars = plugins.worker_jars()
    known: dict[str, Any] = files.read_json(home / "clusters.json", default={})
    services = [_worker("connect", "connect", home=home)]
    for name, kinds in wanted.items():
        group = connect.prepare(
            home,
            name,
            bootstrap=known[name]["bootstrap"]["plaintext"],
            brokers=kraft.existing_brokers(home, name) or 1,
            plugins=plugins.directories(plugins.needed(kinds)),
        )
        services += connect.services(home, group, jars=jars)
    return services


def _aot_cache(home: Path) -> Service:
    spec = _python("aot-cache", "penstock.runtime.aot", home=home)
    return Service(name="aot-cache", spec=spec, layer=_WORKERS, once=True)


def _python(name: str, module: str, *arguments: str, home: Path) -> Callable[[], processes.Spec]:
    command = [sys.executable, "-m", module, *arguments]
    return lambda: processes.Spec(name=name, command=command, log=home / "logs" / f"{name}.log")
