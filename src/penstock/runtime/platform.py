"""Which processes make the platform on one machine.

    estate ─▶ its embedded clusters ─▶ brokers ───────────────┐
              topic host-metrics ────▶ agent                   ├─▶ supervised.Service …
              tables ────────────────▶ ingest                  │
              connectors ────────────▶ Connect, its manager    │
    --registry ──────────────────────▶ registry                │
    always ──────────────────────────▶ control ───────────────┘

Decides and describes, and fetches what is described; starts nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import penstock.runtime
from penstock.control import declare
from penstock.kafka import probes
from penstock.model.connectors import Connector, Kind
from penstock.runtime import (
    artifacts,
    connect,
    files,
    java,
    kafka,
    kraft,
    plugins,
    ports,
    processes,
    registry,
)
from penstock.runtime.supervised import Service

__all__ = [
    "Asked",
    "Platform",
    "bare",
    "first_services",
    "further_services",
    "ingest",
    "kinds",
    "manager",
    "of_estate",
    "prepare",
    "quickstart_directory",
    "registry_service",
    "workers",
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
        ingest: whether tables are fed from the start.
        registry: whether a schema registry runs; None for as before.
        lake: directory or URL that relative table paths are below; empty for as before.
    """

    clusters: tuple[str, ...]
    estate: Path | None = None
    first_only: bool = False
    agent: bool = False
    ingest: bool = False
    registry: bool | None = None
    lake: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the estate that is applied asks for, beside clusters.

    Attributes:
        tables: whether there is any.
        connectors: the clusters that connectors run beside, each with what these connect.
    """

    tables: bool = False
    connectors: Mapping[str, frozenset[Kind]] = field(default_factory=dict)


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
    )


def kinds(connectors: Iterable[Connector], *, among: Collection[str]) -> dict[str, frozenset[Kind]]:
    """Return what is connected beside each of the clusters that have a connector."""
    found: dict[str, frozenset[Kind]] = {}
    for one in connectors:
        if one.cluster in among:
            found[one.cluster] = found.get(one.cluster, frozenset()) | {one.kind}
    return found


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
        services.append(ingest(home))
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


def ingest(home: Path) -> Service:
    """Return the process that feeds tables."""
    return _worker("ingest", "ingest", home=home)


def manager(home: Path) -> Service:
    """Return the process that manages connectors."""
    return _worker("connect", "connect", home=home)


def workers(
    home: Path,
    cluster: str,
    kinds: Iterable[Kind],
    *,
    progress: artifacts.Progress | None = None,
) -> list[Service]:
    """Return the Connect group beside a cluster, with the plug-ins of these kinds fetched.

    Raises:
        PenstockError: as `plugins.directories`, `plugins.worker_jars` and `connect.prepare`.
    """
    known: dict[str, Any] = files.read_json(home / "clusters.json", default={})
    group = connect.prepare(
        home,
        cluster,
        bootstrap=known[cluster]["bootstrap"]["plaintext"],
        brokers=kraft.existing_brokers(home, cluster) or 1,
        plugins=plugins.directories(plugins.needed(kinds), progress=progress),
    )
    return connect.services(home, group, jars=plugins.worker_jars(progress))


def registry_service(home: Path, *, progress: artifacts.Progress | None = None) -> Service:
    """Return the schema registry, fetched.

    Raises:
        PenstockError: as `registry.install` and `registry.prepare`.
    """
    installed = registry.install(progress)
    return registry.service(home, registry.prepare(home), installed=installed)


def _aot_cache(home: Path) -> Service:
    spec = _python("aot-cache", "penstock.runtime.aot", home=home)
    return Service(name="aot-cache", spec=spec, layer=_WORKERS, once=True)


def _python(name: str, module: str, *arguments: str, home: Path) -> Callable[[], processes.Spec]:
    command = [sys.executable, "-m", module, *arguments]
    return lambda: processes.Spec(name=name, command=command, log=home / "logs" / f"{name}.log")
