"""The estate of the shop: its topics, its connector, its tables, as files one may read and change."""

from __future__ import annotations

from pathlib import Path

from penstock.runtime import files, postgres
from penstock.runtime.demo import shop

__all__ = ["CLUSTER", "CONNECTOR", "SLOT", "topic_of", "write"]

CLUSTER = "primary"
CONNECTOR = "shop"
SLOT = "penstock_shop"

_SECRETS = "shop.properties"

_COMMON = f"""\
# Written by `penstock demo cdc`.
kind: Cluster
name: {CLUSTER}
environment: development
category: cdc
region: local
embedded: true
"""
_TOPIC = """\
---
kind: Topic
name: {topic}
owner: shop
description: Every change of {table}.
clusters: [{cluster}]
routing: na
ordering: key
partitions: 3
replication: 1
"""
_CONNECTOR = """\
# Changes of the shop's tables, read from PostgreSQL's log.
kind: Connector
name: {name}
owner: shop
description: The shop's database.
cluster: {cluster}
type: postgres
postgres:
  host: 127.0.0.1
  port: {port}
  database: {database}
  user: {user}
  password: ${{file:{secrets}:password}}
  tables: [{tables}]
  slot: {slot}
  heartbeat: 1s
"""
_TABLE = """\
---
kind: Table
name: {table}
topic: {topic}
owner: shop
description: The shop's {table}, as they are now.
mode: merge-cdc
decoder: json
columns:
{columns}
primary-key: [{key}]
latency: continuous
change-feed: true
"""
_COLUMNS = {
    "customers": (
        ("id",),
        {
            "id": "{type: long, nullable: false}",
            "email": "string",
            "name": "string",
            "address": "string  # jsonb, as text",
            "vip": "boolean",
            "created_at": "timestamp",
        },
    ),
    "products": (
        ("supplier", "sku"),
        {
            "supplier": "{type: integer, nullable: false}",
            "sku": "{type: string, nullable: false}",
            "name": "string",
            "price": "decimal(12,2)",
            "tags": "array<string>",
            "weight_kg": "double",
            "available_from": "date",
            "description": "string",
        },
    ),
    "orders": (
        ("id",),
        {
            "id": "{type: long, nullable: false}",
            "customer_id": "long",
            "supplier": "integer",
            "sku": "string",
            "quantity": "integer",
            "total": "decimal(14,2)",
            "status": "string",
            "note": "string",
            "placed_at": "timestamp",
            "changed_at": "timestamp",
        },
    ),
}


def topic_of(table: str) -> str:
    """Return the topic of a table's changes."""
    return f"{CONNECTOR}.public.{table}"


def write(home: Path, server: postgres.Server) -> Path:
    """Write the estate's files and the database's secret into the home; return the estate."""
    estate = home / "estate"
    password = server.password_file.read_text("utf-8").strip()
    files.write_atomically(home / "secrets" / _SECRETS, f"password={password}\n", mode=0o600)
    topics = [
        _TOPIC.format(topic=topic_of(table), table=table, cluster=CLUSTER) for table in shop.TABLES
    ]
    connector = _CONNECTOR.format(
        name=CONNECTOR,
        cluster=CLUSTER,
        port=server.port,
        database=shop.DATABASE,
        user=postgres.SUPERUSER,
        secrets=_SECRETS,
        tables=", ".join(f"public.{table}" for table in shop.TABLES),
        slot=SLOT,
    )
    tables = [_table(name) for name in shop.TABLES]
    for name, text in {
        "cluster.yaml": _COMMON + "".join(topics),
        "connector.yaml": connector,
        "tables.yaml": "# One file, or one a table, as you like.\n" + "".join(tables),
    }.items():
        files.write_atomically(estate / name, text)
    return estate


def _table(name: str) -> str:
    key, columns = _COLUMNS[name]
    lines = [f"  {column}: {kind}" for column, kind in columns.items()]
    return _TABLE.format(
        table=name, topic=topic_of(name), columns="\n".join(lines), key=", ".join(key)
    )
