"""One Kafka cluster's files: formatted without a JVM, the same again after a kill.

    (home, name, brokers) ─prepare─▶ ports, ids ─▶ broker-<n>/server.properties
                                        └────────▶ broker-<n>/data/{bootstrap.checkpoint,
                                                                    meta.properties}
    Node ─command─▶ the broker's process

Each node is broker and controller. A data directory counts as formatted once its
meta.properties is there, which is written last; from then on nothing in it is ever touched here.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from penstock.errors import ConfigError, Refused
from penstock.model import names
from penstock.runtime import files, java, ports

__all__ = ["Cluster", "Node", "command", "existing_brokers", "prepare", "server_properties"]

BROKER_COUNTS = (1, 3)
"""A quorum of two stops with either of them; more than three gain nothing on one machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One broker, which is also a controller.

    Attributes:
        number: Kafka's node id: 1, 2, 3.
        name: ``<cluster>-<number>``, the name of its process.
    """

    number: int
    name: str
    directory: Path
    client_port: int
    internal_port: int
    controller_port: int

    @property
    def ports(self) -> tuple[int, ...]:
        """Return every port it listens on."""
        return (self.client_port, self.internal_port, self.controller_port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster whose files are in place.

    Attributes:
        cluster_id: Kafka's own id of it, chosen here once.
    """

    name: str
    cluster_id: str
    nodes: tuple[Node, ...]

    @property
    def bootstrap(self) -> str:
        """Return ``host:port`` of every broker, joined by commas."""
        return ",".join(f"127.0.0.1:{node.client_port}" for node in self.nodes)


def prepare(home: Path, name: str, *, brokers: int, checkpoint: Path) -> Cluster:
    """Write the cluster's files where they are not there yet, and note it in ``clusters.json``.

    Args:
        home: the directory of all state.
        name: the cluster's name in the estate.
        brokers: 1 or 3.
        checkpoint: the first metadata of a new cluster, from `penstock.runtime.kafka`.

    Raises:
        ConfigError: for a name or a count that cannot be.
        Refused: when the cluster is there with another count of brokers.
    """
    _check(home, name, brokers)
    with files.exclusive(home / "clusters.lock"):
        known = files.read_json(home / "clusters.json", default={})
        cluster = Cluster(
            name=name,
            cluster_id=known.get(name, {}).get("cluster_id") or _cluster_id(home, name),
            nodes=_nodes(home, name, brokers),
        )
        known[name] = {
            "cluster_id": cluster.cluster_id,
            "bootstrap": {"plaintext": cluster.bootstrap},
        }
        files.write_json(home / "clusters.json", known)
    password = secrets.token_urlsafe()
    for node in cluster.nodes:
        properties = server_properties(node, cluster, password=password)
        files.write_atomically(node.directory / "server.properties", properties, mode=0o600)
        _format(node, cluster_id=cluster.cluster_id, checkpoint=checkpoint)
    return cluster


def existing_brokers(home: Path, name: str) -> int:
    """Return how many brokers the cluster was made with; 0 when it is not there yet."""
    return len(list(_directory(home, name).glob("broker-*")))


def command(node: Node, jars: Sequence[Path], *, options: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the command that runs the broker."""
    log4j = resources.files("penstock.runtime").joinpath("log4j2.xml")
    return java.command(
        jars,
        "kafka.Kafka",
        arguments=[str(node.directory / "server.properties")],
        heap_mib=java.broker_heap_mib(),
        options=[f"-Dlog4j2.configurationFile={log4j}", *options],
    )


def server_properties(node: Node, cluster: Cluster, *, password: str) -> str:
    """Return the broker's settings; what is not here is as Kafka has it.

    Args:
        node: the broker.
        cluster: all of them.
        password: what the brokers of the cluster know each other by.
    """
    settings = {
        "node.id": node.number,
        "log.dirs": node.directory / "data",
        **_listeners(node, cluster, password=password),
        # Open until an ACL says otherwise, so that a grant or a denial is a change of one ACL.
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
        "super.users": "User:broker",
        # A topic is declared, or it is not there.
        "auto.create.topics.enable": "false",
        "delete.topic.enable": "true",
        # A consumer group starts when its first member comes.
        "group.initial.rebalance.delay.ms": 0,
        # Leaders of a killed broker move in 3 s instead of 8 s, and a killed broker is let in
        # again as soon: until its old session has timed out, Kafka takes it for a double.
        "broker.heartbeat.interval.ms": 500,
        "broker.session.timeout.ms": 2_000,
        # One machine: few threads, little memory.
        "num.network.threads": 2,
        "num.io.threads": 4,
        "log.cleaner.dedupe.buffer.size": 16 * 2**20,
        **_replication(len(cluster.nodes)),
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def _listeners(node: Node, cluster: Cluster, *, password: str) -> dict[str, str]:
    """Return one open listener for clients, and two on which brokers prove who they are.

    A quorum starts only if the controllers are super users: a follower asks for the first records
    before any ACL can have been read. Clients are not, or no ACL would hold for them.
    """
    voters = ",".join(f"{n.number}@127.0.0.1:{n.controller_port}" for n in cluster.nodes)
    jaas = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'username="broker" password="{password}" user_broker="{password}";'
    )
    return {
        "process.roles": "broker,controller",
        "controller.quorum.voters": voters,
        "listeners": f"PLAINTEXT://127.0.0.1:{node.client_port},"
        f"INTERNAL://127.0.0.1:{node.internal_port},"
        f"CONTROLLER://127.0.0.1:{node.controller_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,"
        "INTERNAL:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "inter.broker.listener.name": "INTERNAL",
        "controller.listener.names": "CONTROLLER",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.internal.plain.sasl.jaas.config": jaas,
        "listener.name.controller.plain.sasl.jaas.config": jaas,
    }


def _replication(brokers: int) -> dict[str, int]:
    in_sync = 1 if brokers == 1 else 2
    return {
        "default.replication.factor": brokers,
        "min.insync.replicas": in_sync,
        "offsets.topic.num.partitions": 3,
        "offsets.topic.replication.factor": brokers,
        "transaction.state.log.num.partitions": 3,
        "transaction.state.log.replication.factor": brokers,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": 3,
        "share.coordinator.state.topic.replication.factor": brokers,
        "share.coordinator.state.topic.min.isr": in_sync,
    }


def _check(home: Path, name: str, brokers: int) -> None:
    if fault := names.explain_bad_name(name):
        raise ConfigError(f"The cluster name {name!r} cannot be: {fault}. Choose another one.")
    if brokers not in BROKER_COUNTS:
        raise ConfigError(f"A cluster of {brokers} brokers cannot be made here. Choose 1 or 3.")
    there = existing_brokers(home, name)
    if there not in (0, brokers):
        raise Refused(
            f"Cluster {name} in {home} has {there} broker(s), not {brokers}: its topics live on "
            f"those. Start it with --brokers {there}, or use another --home."
        )


def _directory(home: Path, name: str) -> Path:
    return (home / "clusters" / name).absolute()


def _nodes(home: Path, name: str, brokers: int) -> tuple[Node, ...]:
    numbers = range(1, brokers + 1)
    wanted = [
        f"{name}-{n}/{kind}" for n in numbers for kind in ("client", "internal", "controller")
    ]
    given = ports.allocate(home, wanted)
    return tuple(
        Node(
            number=n,
            name=f"{name}-{n}",
            directory=_directory(home, name) / f"broker-{n}",
            client_port=given[f"{name}-{n}/client"],
            internal_port=given[f"{name}-{n}/internal"],
            controller_port=given[f"{name}-{n}/controller"],
        )
        for n in numbers
    )


def _format(node: Node, *, cluster_id: str, checkpoint: Path) -> None:
    data = node.directory / "data"
    if (data / "meta.properties").exists():
        return
    data.mkdir(parents=True, exist_ok=True)
    (data / "bootstrap.checkpoint").write_bytes(checkpoint.read_bytes())
    meta = {
        "version": 1,
        "cluster.id": cluster_id,
        "node.id": node.number,
        "directory.id": _new_uuid(),
    }
    lines = "".join(f"{key}={value}\n" for key, value in meta.items())
    files.write_atomically(data / "meta.properties", lines)


def _cluster_id(home: Path, name: str) -> str:
    """Return the id in the cluster's own files, should ``clusters.json`` be lost, or a new one."""
    for meta in _directory(home, name).glob("broker-*/data/meta.properties"):
        lines = dict(line.partition("=")[::2] for line in meta.read_text("utf-8").splitlines())
        if "cluster.id" in lines:
            return lines["cluster.id"]
    return _new_uuid()


def _new_uuid() -> str:
    """Return a UUID as Kafka writes it; one that begins with ``-`` looks like an option."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith(
        "-"
    ):
        pass
    return text
