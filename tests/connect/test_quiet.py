"""A connector whose own tables are quiet while others are written, by a document's own settings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.connect.stack import CLUSTER, Rounds, Shop

from penstock.connectors.statuses import Condition
from penstock.control import declare
from penstock.control.declare import EstateFile
from penstock.kafka.admin import Admin
from penstock.model.connectors import Connector, ConnectorState
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real

DOCUMENTS = """\
kind: Cluster
name: {cluster}
environment: development
embedded: true
---
kind: Topic
name: {topic}
owner: shop
clusters: [{cluster}]
partitions: 1
replication: 1
---
kind: Connector
name: {name}
owner: shop
cluster: {cluster}
type: postgres
postgres:
  host: 127.0.0.1
  port: {port}
  database: shop
  user: postgres
  password: ${{file:shop.properties:password}}
  tables: public.{table}
  slot: {table}
  heartbeat: 200ms
"""


def declared(shop: Shop) -> Connector:
    text = DOCUMENTS.format(
        cluster=CLUSTER,
        topic=shop.topic,
        name=shop.name,
        port=shop.stack.server.port,
        table=shop.table,
    )
    [connector] = declare.parse([EstateFile(path="e.yaml", content=text)]).connectors.values()
    return connector


# What was not true once: with heartbeats dropped the slot never moved, and the server kept its log;
# with the driver moving the slot, it ran ahead of the stored offset, and the next start failed.
def test_its_slot_moves_on_and_it_goes_on_after_a_restart(
    shop: Shop, rounds: Rounds, wait_until: WaitUntil
) -> None:
    connector = declared(shop)
    rounds.connectors = [connector]
    wait_until(lambda: rounds.status(shop.name).condition is Condition.RUNNING)
    shop.insert(1, 1)
    wait_until(lambda: shop.changes() == [("I", 1)])

    shop.execute("CREATE TABLE beside_{table} AS SELECT generate_series(1, 10000)")
    written = mark(shop)
    wait_until(lambda: freed_what_was_written(shop, written), message="the slot to move on")

    rounds.connectors = [replace(connector, state=ConnectorState.STOPPED)]
    wait_until(lambda: rounds.status(shop.name).condition is Condition.STOPPED)
    shop.insert(2, 1)
    rounds.connectors = [connector]
    wait_until(
        lambda: (rounds.status(shop.name), shop.changes())[1] == [("I", 1), ("I", 2)],
        message="the connector to go on",
    )
    heartbeats = f"__debezium-heartbeat.{shop.name}"
    configs = Admin(CLUSTER, shop.stack.kafka.bootstrap).topic_configs([heartbeats])
    assert configs[heartbeats]["cleanup.policy"] == "compact"


def mark(shop: Shop) -> str:
    with shop.stack.database() as database:
        found = database.execute("SELECT pg_current_wal_lsn()").fetchone()
    assert found is not None
    return str(found[0])


def freed_what_was_written(shop: Shop, until: str) -> bool:
    """Tell whether the server may drop its log up to there; a checkpoint lets slots move on."""
    with shop.stack.database() as database:
        database.execute("CHECKPOINT")
        found = database.execute(
            "SELECT restart_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s",
            (until, shop.table),
        ).fetchone()
    assert found is not None
    return bool(found[0])
