"""Records what real Debezium gives for a MongoDB-compatible server: run by hand.

``python tests/connect/recorded/record_mongodb.py PYTHON`` makes ``mongodb.json`` anew. PYTHON is
that of an environment of its own with ``SecantusDB`` and ``pymongo``: no MongoDB can be had by
packages, and this server, which speaks its protocol, is a development tool under the GPL. So the
records are real Debezium's, and the documents are BSON; the server is not MongoDB.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from recording import HERE, Recording, recording, started, wait_until

from penstock.runtime import plugins, ports, processes
from penstock.runtime.supervised import Service

_PREFIX = "mongodb"
_TOPICS = [f"{_PREFIX}.shop.types", f"{_PREFIX}.shop.orders"]


def main() -> None:
    python = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="penstock-record-") as directory:
        home = Path(directory)
        port = ports.allocate(home, ["mongodb"])["mongodb"]
        with (
            started([_server(home, python, port)]),
            recording(home, plugins.Plugin.MONGODB) as running,
        ):
            _write(python, port, "before")
            _record(running, python, port)


def _server(home: Path, python: Path, port: int) -> Service:
    program = python.with_name("secantusd-py")
    command = [program, "--port", port, "--storage-path", home / "mongodb", "--host", "127.0.0.1"]

    def spec() -> processes.Spec:
        return processes.Spec(
            name="mongodb", command=list(map(str, command)), log=home / "logs" / "mongodb.log"
        )

    def answers() -> bool:
        call = [str(python), str(HERE / "documents.py"), str(port), "ping"]
        return subprocess.run(call, check=False, capture_output=True).returncode == 0

    return Service(name="mongodb", spec=spec, layer=0, ready=answers)


def _write(python: Path, port: int, step: str) -> None:
    subprocess.run([str(python), str(HERE / "documents.py"), str(port), step], check=True)


def _record(running: Recording, python: Path, port: int) -> None:
    heartbeats = f"__debezium-heartbeat.{_PREFIX}"
    running.create([*_TOPICS, heartbeats, f"{_PREFIX}.transaction"])
    config = {
        "connector.class": "io.debezium.connector.mongodb.MongoDbConnector",
        "mongodb.connection.string": f"mongodb://127.0.0.1:{port}/?replicaSet=secantus",
        "topic.prefix": _PREFIX,
        "collection.include.list": "shop.types,shop.orders",
        "capture.mode": "change_streams_update_full",
        "heartbeat.interval.ms": "500",
    }
    with running.connector(_PREFIX, config):
        wait_until(lambda: bool(running.read([heartbeats])), "streaming")
        _write(python, port, "after")
        wait_until(lambda: "finished" in str(running.read(_TOPICS)), "the last document")
        running.write(_PREFIX, [*running.read(_TOPICS), *running.read([heartbeats])[:1]])


if __name__ == "__main__":
    main()
