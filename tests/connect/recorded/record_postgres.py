"""Records what real Debezium gives for a real PostgreSQL: run by hand, when Debezium changes.

``python tests/connect/recorded/record_postgres.py`` makes ``postgres*.json`` anew, of the tables
and the changes in the files beside it. Read the difference before you keep it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import psycopg
from recording import HERE, Recording, recording, started, wait_until

from penstock.runtime import plugins, postgres

_RECOMMENDED = {
    "decimal.handling.mode": "string",
    "interval.handling.mode": "string",
    "skipped.operations": "none",
}
_PRECISE = {
    "decimal.handling.mode": "precise",
    "time.precision.mode": "isostring",
    "binary.handling.mode": "base64",
}
_NANOSECONDS = {"time.precision.mode": "nanoseconds", "decimal.handling.mode": "double"}
_TABLES = """SELECT table_schema || '.' || table_name FROM information_schema.tables
    WHERE table_schema = 'shop' AND table_name <> 'exact' ORDER BY 1"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="penstock-record-") as directory:
        home = Path(directory)
        server = postgres.prepare(home, "record", durable=False)
        try:
            with (
                started([postgres.service(home, server)]),
                recording(home, plugins.directories([plugins.Plugin.POSTGRES])) as running,
                psycopg.connect(server.address(), autocommit=True) as database,
            ):
                database.execute((HERE / "tables.sql").read_text())
                tables = [row[0] for row in database.execute(_TABLES).fetchall()]
                source = _Source(running, server, database)
                changes = (HERE / "changes.sql").read_text()
                source.record("postgres", tables, _RECOMMENDED, changes=changes)
                source.record("postgres-precise", ["shop.exact"], _PRECISE)
                source.record("postgres-nanoseconds", ["shop.exact"], _NANOSECONDS)
        finally:
            postgres.remove(home, "record")


class _Source:
    """The database, and what records it."""

    def __init__(
        self,
        running: Recording,
        server: postgres.Server,
        database: psycopg.Connection[tuple[object, ...]],
    ) -> None:
        self._running = running
        self._server = server
        self._database = database

    def record(
        self, name: str, tables: list[str], settings: Mapping[str, str], *, changes: str = ""
    ) -> None:
        """Run a connector over its snapshot and the changes, and write what it gave."""
        prefix = name.replace("-", "_")
        topics = [f"{prefix}.{table}" for table in tables]
        own = [f"__debezium-heartbeat.{prefix}", f"{prefix}.transaction", f"{prefix}.message"]
        finished = f"{prefix}.shop.finished"
        self._running.create(sorted({*topics, *own, finished, f"{prefix}.shop.signal"}))
        with self._running.connector(name, self._config(prefix, tables) | dict(settings)):
            # Changes before that would be in the snapshot.
            wait_until(lambda: self._is_streaming(prefix), f"{name} streaming")
            for statement in filter(None, map(str.strip, changes.split("-- next\n"))):
                self._database.execute(statement)
            self._database.execute("INSERT INTO shop.finished (run) VALUES (%s)", [prefix])
            last = f"'run': '{prefix}'"
            wait_until(lambda: last in str(self._running.read([finished])), "the last row")
            # Of the connector's own records one of a kind is enough: a beginning, an end.
            noise = [record for topic in own for record in self._running.read([topic])[:2]]
            self._running.write(name, self._running.read(topics) + noise)

    def _is_streaming(self, slot: str) -> bool:
        query = "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND active"
        return bool(self._database.execute(query, [slot]).fetchone()) and bool(
            self._running.read([f"__debezium-heartbeat.{slot}"])
        )

    def _config(self, prefix: str, tables: list[str]) -> dict[str, str]:
        return {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "plugin.name": "pgoutput",
            "database.hostname": "127.0.0.1",
            "database.port": str(self._server.port),
            "database.user": "postgres",
            "database.password": self._server.password_file.read_text(),
            "database.dbname": "postgres",
            "topic.prefix": prefix,
            "slot.name": prefix,
            "publication.name": prefix,
            "publication.autocreate.mode": "filtered",
            "table.include.list": ",".join({*tables, "shop.finished", "shop.signal"}),
            "signal.data.collection": "shop.signal",
            "heartbeat.interval.ms": "1000",
            "provide.transaction.metadata": "true",
        }


if __name__ == "__main__":
    main()
