"""Records what real connectors give for a MongoDB-compatible server: run by hand.

``python tests/connect/recorded/record_mongodb.py PYTHON PLUGIN`` makes ``mongodb.json`` (Debezium)
and ``mongo-kafka.json`` anew. PYTHON is that of an environment of its own with ``SecantusDB`` and
``pymongo``: no MongoDB can be had by packages, and this server, which speaks its protocol, is a
development tool under the GPL. PLUGIN is a directory with a folder that holds the jar
``org.mongodb.kafka:mongo-kafka-connect:2.0.1:all``, with the manifests that Kafka's
``ConnectPluginPath sync-manifests`` makes. So the records are real connectors', and the
documents are BSON; the server is not MongoDB.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from recording import HERE, Recording, recording, started, wait_until

from penstock.runtime import plugins, ports, processes
from penstock.runtime.supervised import Service

_TABLES = ["shop.types", "shop.orders"]
_DEBEZIUM = {
    "connector.class": "io.debezium.connector.mongodb.MongoDbConnector",
    "topic.prefix": "mongodb",
    "collection.include.list": ",".join(_TABLES),
    "capture.mode": "change_streams_update_full",
    "heartbeat.interval.ms": "500",
}
_MONGO_KAFKA = {
    "connector.class": "com.mongodb.kafka.connect.MongoSourceConnector",
    "topic.prefix": "mongo-kafka",
    "database": "shop",
    "startup.mode": "copy_existing",
    "output.format.key": "json",
    "output.format.value": "json",
    "publish.full.document.only": "false",
    "change.stream.full.document": "updateLookup",
    "heartbeat.interval.ms": "500",
    "heartbeat.topic.name": "__heartbeat.mongo-kafka",
}


def main() -> None:
    python, plugin = map(Path, sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="penstock-record-") as directory:
        home = Path(directory)
        found = [*plugins.directories([plugins.Plugin.MONGODB]), plugin]
        with recording(home, found) as running:
            for name, config in {"mongodb": _DEBEZIUM, "mongo-kafka": _MONGO_KAFKA}.items():
                port = ports.allocate(home, [name])[name]
                with started([_server(home, name, python, port)]):
                    _write(python, port, "before")
                    _record(running, python, port, name=name, config=config)


def _server(home: Path, name: str, python: Path, port: int) -> Service:
    program = python.with_name("secantusd-py")
    command = [program, "--port", port, "--storage-path", home / name, "--host", "127.0.0.1"]

    def spec() -> processes.Spec:
        return processes.Spec(
            name=name, command=list(map(str, command)), log=home / "logs" / f"{name}.log"
        )

    def answers() -> bool:
        call = [str(python), str(HERE / "documents.py"), str(port), "ping"]
        return subprocess.run(call, check=False, capture_output=True).returncode == 0

    return Service(name=name, spec=spec, layer=0, ready=answers)


def _write(python: Path, port: int, step: str) -> None:
    subprocess.run([str(python), str(HERE / "documents.py"), str(port), step], check=True)


def _record(
    running: Recording, python: Path, port: int, *, name: str, config: Mapping[str, str]
) -> None:
    topics = [f"{name}.{table}" for table in _TABLES]
    heartbeats = config.get("heartbeat.topic.name", f"__debezium-heartbeat.{name}")
    running.create([*topics, heartbeats, f"{name}.transaction"])
    address = f"mongodb://127.0.0.1:{port}/?replicaSet=secantus"
    where = {"mongodb.connection.string": address, "connection.uri": address}
    with running.connector(name, {**config, **where}):
        wait_until(lambda: bool(running.read(topics)), "the rows from before")
        wait_until(lambda: bool(running.read([heartbeats])), "streaming")
        _write(python, port, "after")
        wait_until(lambda: "finished" in str(running.read(topics)), "the last document")
        running.write(name, [*running.read(topics), *running.read([heartbeats])[:1]])


if __name__ == "__main__":
    main()
