"""Connectors through the control plane: planned, stored, served; on real parts."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import create_engine
from tests.control.estates import apply_all, estate, kinds, topic_document

from penstock.api import connector_wire
from penstock.api._gen import penstock_pb2 as pb
from penstock.api.client import ControlClient
from penstock.control.store import estates, migrating, versions
from penstock.control.store.database import Database
from penstock.control.store.opening import open_store
from penstock.errors import ConfigError, RemoteError
from penstock.model import connectors, tables

pytestmark = pytest.mark.real

CONNECTOR = connectors.Connector(
    name="shop",
    environment="test",
    owner="shop",
    cluster="primary",
    kind=connectors.Kind.POSTGRES,
    connector_class="io.debezium.connector.postgresql.PostgresConnector",
    state=connectors.ConnectorState.STOPPED,
    config={"database.password": "${env:PASSWORD}", "slot.name": "penstock_shop"},
    topics=("orders",),
    description="the shop",
)
TABLE = tables.Table(name="orders", topic="orders", environment="test", owner="shop", path="orders")


def connector_document(topic: str, *, state: str = "running", **of_source: str) -> str:
    source = {
        "host": "db.shop",
        "database": "shop",
        "user": "penstock",
        "password": "${env:PASSWORD}",
        "tables": "[public.orders]",
        "topic": topic,
        **of_source,
    }
    return "\n".join(
        [
            "kind: Connector\nname: shop\nowner: shop\ncluster: primary\ntype: postgres",
            f"state: {state}",
            "postgres:",
            *(f"  {key}: {value}" for key, value in source.items()),
        ]
    )


def estate_with(topic: str, *connector: str) -> list[pb.EstateFile]:
    return estate(topic_document(topic), *connector)


def test_connectors_are_stored_and_dropped(store: Database) -> None:
    paused = replace(CONNECTOR, state=connectors.ConnectorState.PAUSED)
    with store.write() as tx:
        before = versions.current(tx)
        estates.put_connector(tx, CONNECTOR)
        estates.put_connector(tx, paused)
        assert versions.current(tx) == before + 2
    with store.read() as tx:
        assert estates.recorded(tx).connectors == {"test/shop": paused}
    with store.write() as tx:
        estates.drop_connector(tx, CONNECTOR.ident)
        assert versions.current(tx) == before + 3
    with store.read() as tx:
        assert not estates.recorded(tx).connectors


def test_a_store_from_before_connectors_is_migrated_with_what_it_holds(store_url: str) -> None:
    engine = create_engine(store_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        migrating.migrate(connection, to="0002")
        estates.put_table(connection, TABLE)
    engine.dispose()
    database = open_store(store_url)
    with database.write() as tx:
        assert estates.recorded(tx).tables == {TABLE.ident: TABLE}
        estates.put_connector(tx, CONNECTOR)
        assert estates.recorded(tx).connectors == {CONNECTOR.ident: CONNECTOR}
    database.close()


def test_connectors_come_over_the_wire_as_they_are() -> None:
    message = connector_wire.encode_connector(CONNECTOR)
    assert connector_wire.decode_connector(message) == CONNECTOR
    for unknown in ({"kind": "oracle"}, {"state": "dreaming"}):
        newer = pb.Connector()
        newer.CopyFrom(message)
        newer.MergeFrom(pb.Connector(**unknown))
        with pytest.raises(RemoteError, match="upgrade the penstock package"):
            connector_wire.decode_connector(newer)


def test_a_connector_is_planned_served_updated_and_removed(
    client: ControlClient, control, topic_name: str
) -> None:
    files = estate_with(topic_name, connector_document(topic_name))
    plan = client.plan(files)
    assert kinds(plan)[-2:] == ["declare-topic", "declare-connector"]
    assert not client.connectors()
    apply_all(client, files)
    assert not client.plan(files).changes
    assert not client.drift().changes

    [served] = map(connector_wire.decode_connector, client.connectors(environment="test"))
    assert (served.ident, served.cluster, served.topics) == ("test/shop", "primary", (topic_name,))
    assert served.config["database.password"] == "${env:PASSWORD}"
    assert not client.connectors(environment="production")
    answer = httpx.get(f"{control.rest}/v1/connectors", params={"environment": "test"})
    [shown] = answer.json()["connectors"]
    assert (shown["kind"], shown["state"]) == ("postgres", "running")
    assert shown["config"] == dict(served.config)

    stopped = estate_with(topic_name, connector_document(topic_name, state="stopped"))
    [change] = client.plan(stopped).changes
    assert (change.kind, json.loads(change.after)) == ("update-connector", {"state": "stopped"})
    apply_all(client, stopped)
    assert [one.state for one in client.connectors()] == ["stopped"]

    [change] = client.plan(estate_with(topic_name)).changes
    assert (change.kind, change.subject) == ("remove-connector", "test/shop")
    assert "slot penstock_shop stay until `penstock connector delete shop`" in change.summary
    apply_all(client, estate_with(topic_name))
    assert not client.connectors()
    assert [entry.what for entry in client.audit(subject="test/shop")] == [
        "remove-connector",
        "update-connector",
        "declare-connector",
    ]


def test_another_slot_is_refused_and_the_rest_is_done(
    client: ControlClient, topic_name: str
) -> None:
    apply_all(client, estate_with(topic_name, connector_document(topic_name)))
    moved = estate_with(topic_name, connector_document(topic_name, slot="other"))
    plan = client.plan(moved)
    assert not plan.changes
    [refusal] = plan.refusals
    assert (refusal.subject, "slot.name" in refusal.reason) == ("test/shop", True)


def test_faults_of_connectors_come_back_with_file_and_line(client: ControlClient) -> None:
    files = estate(connector_document("nowhere", slot="Not-A-Slot"))
    with pytest.raises(ConfigError) as caught:
        client.plan(files)
    assert [(fault.file, fault.line) for fault in caught.value.faults] == [
        ("topics.yaml", 13),
        ("topics.yaml", 14),
    ]
