"""A Kafka Connect worker group beside a cluster: distributed mode, real workers, supervised.

    (home, cluster, workers) ─prepare─▶ connect/<worker>/worker.properties, connect.json
                                 └─▶ Group ─services─▶ supervised.Service …, ready by GET /health

A group keeps its connectors' configuration, positions and states in three compacted topics of its
cluster, which the workers make themselves: a worker has no state of its own, and one that is killed
loses nothing. Workers listen on loopback only, for Connect's REST API knows no passwords. Secrets
are read by the workers, from ``<home>/secrets`` and from variables that begin with
``PENSTOCK_SECRET_``, and from nowhere else; they are in no topic and in no answer.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import httpx

from penstock.errors import ConfigError
from penstock.runtime import files, java, ports, processes
from penstock.runtime.supervised import Service

__all__ = ["Group", "Worker", "addresses", "prepare", "services", "worker_properties"]

GROUP_ID = "penstock-connect"
_LAYER = 2
"""With the other workers: it ends before the brokers do."""

_DEFAULT_HEAP_MIB = 512
_SMALLEST_HEAP_MIB = 256
_STOP_WITHIN_S = 15.0
_ANSWER_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One worker of a group.

    Attributes:
        name: of its process: ``connect-<cluster>-<number>``.
        directory: its settings.
        port: of its REST API, on loopback.
    """

    name: str
    directory: Path
    port: int

    @property
    def address(self) -> str:
        """Return the REST API's ``http://host:port``."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A worker group whose files are in place."""

    cluster: str
    workers: tuple[Worker, ...]


def prepare(
    home: Path,
    cluster: str,
    *,
    bootstrap: str,
    brokers: int,
    plugins: Sequence[Path],
    workers: int = 1,
) -> Group:
    """Write the workers' files, and note their addresses in ``connect.json``.

    Args:
        home: the directory of all state.
        cluster: name of the Kafka cluster the group belongs to.
        bootstrap: the cluster's ``host:port,…``.
        brokers: how many it has; the group's topics are kept on up to three of them.
        plugins: directories for ``plugin.path``; the home's own ``plugins`` comes after them.
        workers: how many processes.

    Raises:
        ConfigError: for a count of workers that cannot be.
        NotReady: when no port is left.
    """
    if workers < 1:
        raise ConfigError(f"A Connect group of {workers} workers cannot be. Give 1 or more.")
    names = [f"connect-{cluster}-{number}" for number in range(1, workers + 1)]
    given = ports.allocate(home, [f"{name}/rest" for name in names])
    made = tuple(
        Worker(
            name=name,
            directory=(home / "connect" / name).absolute(),
            port=given[f"{name}/rest"],
        )
        for name in names
    )
    secrets = home.absolute() / "secrets"
    secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = [home.absolute() / "plugins"] if (home / "plugins").is_dir() else []
    for worker in made:
        settings = worker_properties(
            worker,
            bootstrap=bootstrap,
            replication=min(brokers, 3),
            plugins=[*plugins, *own],
            manifests=not own,
            secrets=secrets,
        )
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        files.write_atomically(worker.directory / "worker.properties", text, mode=0o600)
    with files.exclusive(home / "connect.lock"):
        known = files.read_json(home / "connect.json", default={})
        known[cluster] = [worker.address for worker in made]
        files.write_json(home / "connect.json", known)
    return Group(cluster=cluster, workers=made)


def addresses(home: Path) -> dict[str, list[str]]:
    """Return the REST addresses of each cluster's group, as `prepare` noted them."""
    known: dict[str, list[str]] = files.read_json(home / "connect.json", default={})
    return known


def worker_properties(
    worker: Worker,
    *,
    bootstrap: str,
    replication: int,
    plugins: Sequence[Path],
    manifests: bool,
    secrets: Path,
) -> Mapping[str, object]:
    """Return a worker's settings; what is not here is as Kafka has it.

    Args:
        worker: the worker.
        bootstrap: the cluster's ``host:port,…``.
        replication: of the group's topics.
        plugins: directories for ``plugin.path``.
        manifests: whether every plug-in names its classes itself; else the worker looks at each
            class of each jar, which takes seconds more.
        secrets: the only directory from which references are resolved.
    """
    return {
        "bootstrap.servers": bootstrap,
        "group.id": GROUP_ID,
        "client.id": worker.name,
        **_rest(worker),
        **_topics(replication),
        # A connector names its own; the SMT gives text, and text must not be quoted again.
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        "header.converter": "org.apache.kafka.connect.storage.SimpleHeaderConverter",
        # Topics are declared, or they are not there: brokers make none by themselves. A connector
        # may have the one for its heartbeats made, by settings of its own.
        "topic.creation.enable": "true",
        # What was sent in the last second may be sent again after a kill; the default is a minute.
        "offset.flush.interval.ms": 1_000,
        # A killed worker is noticed after 6 s instead of 10, and its tasks wait 3 s for it to come
        # back instead of 5 minutes: on one machine it comes back at once, or a sibling takes over.
        "session.timeout.ms": 6_000,
        # A worker hears of a rebalance by its next heartbeat, and every change is a rebalance or two.
        "heartbeat.interval.ms": 500,
        "rebalance.timeout.ms": 30_000,
        "scheduled.rebalance.max.delay.ms": 3_000,
        "task.shutdown.graceful.timeout.ms": 5_000,
        "plugin.path": ",".join(map(str, plugins)),
        "plugin.discovery": "service_load" if manifests else "hybrid_warn",
        **_secrets(secrets),
    }


def _rest(worker: Worker) -> dict[str, object]:
    return {
        "listeners": worker.address,
        "rest.advertised.listener": "http",
        "rest.advertised.host.name": "127.0.0.1",
        "rest.advertised.port": worker.port,
    }


def _topics(replication: int) -> dict[str, object]:
    kinds = {"config": None, "offset": 3, "status": 3}
    settings: dict[str, object] = {}
    for kind, partitions in kinds.items():
        settings[f"{kind}.storage.topic"] = f"{GROUP_ID}-{kind}"
        settings[f"{kind}.storage.replication.factor"] = replication
        settings[f"{kind}.storage.min.insync.replicas"] = 1 if replication == 1 else 2
        if partitions:  # the configuration has one partition, always
            settings[f"{kind}.storage.partitions"] = partitions
    return settings


def _secrets(directory: Path) -> dict[str, object]:
    provider = "org.apache.kafka.common.config.provider"
    return {
        "config.providers": "file,env",
        "config.providers.file.class": f"{provider}.FileConfigProvider",
        "config.providers.file.param.allowed.paths": directory,
        "config.providers.env.class": f"{provider}.EnvVarConfigProvider",
        "config.providers.env.param.allowlist.pattern": "^PENSTOCK_SECRET_.*$",
    }


def services(home: Path, group: Group, *, jars: Sequence[Path]) -> list[Service]:
    """Return the group's workers for a supervisor.

    Args:
        home: the directory of all state.
        group: from `prepare`.
        jars: from `plugins.worker_jars`.
    """
    return [_service(home, worker, jars=jars) for worker in group.workers]


def _service(home: Path, worker: Worker, *, jars: Sequence[Path]) -> Service:
    log4j = resources.files("penstock.runtime").joinpath("log4j2-connect.xml")

    def spec() -> processes.Spec:
        ports.demand_free([worker.port], purpose=f"Connect worker {worker.name}", home=home)
        return processes.Spec(
            name=worker.name,
            command=java.command(
                jars,
                "org.apache.kafka.connect.cli.ConnectDistributed",
                arguments=[str(worker.directory / "worker.properties")],
                options=[f"-Dlog4j2.configurationFile={log4j}"],
                heap_mib=heap_mib(),
            ),
            log=home / "logs" / f"{worker.name}.log",
            environment=java.environment(),
        )

    return Service(
        name=worker.name,
        spec=spec,
        layer=_LAYER,
        ready=lambda: _is_healthy(worker.address),
        stop_within_s=_STOP_WITHIN_S,
    )


def _is_healthy(address: str) -> bool:
    """Tell whether the worker has joined its group and read what the group knows."""
    try:
        return httpx.get(f"{address}/health", timeout=_ANSWER_WITHIN_S).is_success
    except httpx.HTTPError:
        return False


def heap_mib() -> int:
    """Return the heap of a worker: ``PENSTOCK_CONNECT_HEAP_MIB``, or the default.

    Raises:
        ConfigError: when the variable is no size a worker starts with.
    """
    chosen = os.environ.get("PENSTOCK_CONNECT_HEAP_MIB") or str(_DEFAULT_HEAP_MIB)
    if not chosen.isdecimal() or int(chosen) < _SMALLEST_HEAP_MIB:
        raise ConfigError(
            f"PENSTOCK_CONNECT_HEAP_MIB is {chosen!r}; set it to a whole number of MiB from "
            f"{_SMALLEST_HEAP_MIB} on, or unset it for {_DEFAULT_HEAP_MIB}."
        )
    return int(chosen)
