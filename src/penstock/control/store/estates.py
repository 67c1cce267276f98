"""What was declared and done: clusters, topics, tables, connectors, ownership, files.

Every function that changes what clients are told advances the version. Ownership and the files
are not told to clients, and do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from sqlalchemy import Connection, delete, insert, select

from penstock.control.declare.estate import EstateFile
from penstock.control.observations import Recorded
from penstock.control.store import bodies, versions
from penstock.control.store import schema as s
from penstock.control.store.database import put
from penstock.model import clusters, connectors, tables, topics

__all__ = [
    "cluster",
    "disown",
    "drop_cluster",
    "drop_connector",
    "drop_table",
    "drop_topic",
    "files",
    "own",
    "put_cluster",
    "put_connector",
    "put_files",
    "put_table",
    "put_topic",
    "recorded",
    "topic",
]


def recorded(tx: Connection) -> Recorded:
    """Return everything the store remembers, without the operators' switches."""
    return Recorded(
        ownership={(row.cluster, row.topic): row.ident for row in tx.execute(select(s.ownership))},
        clusters={
            row.name: bodies.decode(clusters.Cluster, row.body)
            for row in tx.execute(select(s.clusters).order_by(s.clusters.c.name))
        },
        topics=_topics(tx),
        tables={
            row.ident: bodies.decode(tables.Table, row.body)
            for row in tx.execute(select(s.tables).order_by(s.tables.c.ident))
        },
        connectors={
            row.ident: bodies.decode(connectors.Connector, row.body)
            for row in tx.execute(select(s.connectors).order_by(s.connectors.c.ident))
        },
    )


def cluster(tx: Connection, name: str) -> clusters.Cluster | None:
    """Return one recorded cluster, or None."""
    body = tx.execute(select(s.clusters.c.body).where(s.clusters.c.name == name)).scalar()
    return None if body is None else bodies.decode(clusters.Cluster, body)


def topic(tx: Connection, ident: str) -> topics.Topic | None:
    """Return one recorded topic with its epochs, or None."""
    row = tx.execute(select(s.topics).where(s.topics.c.ident == ident)).one_or_none()
    if row is None:
        return None
    found = tx.execute(
        select(s.epochs.c.body).where(s.epochs.c.topic == ident).order_by(s.epochs.c.number)
    )
    return _assemble(row.body, tuple(found.scalars()))


def put_cluster(tx: Connection, cluster: clusters.Cluster) -> None:
    """Record a cluster."""
    put(tx, s.clusters, name=cluster.name, body=bodies.encode(cluster))
    versions.advance(tx)


def drop_cluster(tx: Connection, name: str) -> None:
    """Forget a cluster, its cordon and its health."""
    for table, column in ((s.clusters, s.clusters.c.name), (s.cordons, s.cordons.c.cluster)):
        tx.execute(delete(table).where(column == name))
    tx.execute(delete(s.health).where(s.health.c.cluster == name))
    versions.advance(tx)


def put_topic(tx: Connection, value: topics.Topic) -> None:
    """Record a topic and its epochs; the operator's choice of active cluster stays as it is."""
    body = bodies.encode(replace(value, epochs=(), active_cluster=""))
    put(tx, s.topics, ident=value.ident, body=body)
    tx.execute(delete(s.epochs).where(s.epochs.c.topic == value.ident))
    rows = [
        {"topic": value.ident, "number": epoch.number, "body": bodies.encode(epoch)}
        for epoch in value.epochs
    ]
    if rows:
        tx.execute(insert(s.epochs), rows)
    versions.advance(tx)


def drop_topic(tx: Connection, ident: str) -> None:
    """Forget a topic, its epochs and its active cluster."""
    tx.execute(delete(s.topics).where(s.topics.c.ident == ident))
    tx.execute(delete(s.active_clusters).where(s.active_clusters.c.topic == ident))
    versions.advance(tx)


def put_table(tx: Connection, table: tables.Table) -> None:
    """Record a table of the lake."""
    put(tx, s.tables, ident=table.ident, body=bodies.encode(table))
    versions.advance(tx)


def drop_table(tx: Connection, ident: str) -> None:
    """Forget a table of the lake."""
    tx.execute(delete(s.tables).where(s.tables.c.ident == ident))
    versions.advance(tx)


def put_connector(tx: Connection, connector: connectors.Connector) -> None:
    """Record a connector."""
    put(tx, s.connectors, ident=connector.ident, body=bodies.encode(connector))
    versions.advance(tx)


def drop_connector(tx: Connection, ident: str) -> None:
    """Forget a connector; what it left in Connect and in its source is not touched."""
    tx.execute(delete(s.connectors).where(s.connectors.c.ident == ident))
    versions.advance(tx)


def own(tx: Connection, cluster: str, topic: str, *, ident: str) -> None:
    """Record that Penstock may alter and delete the physical topic."""
    put(tx, s.ownership, cluster=cluster, topic=topic, ident=ident)


def disown(tx: Connection, cluster: str, topic: str) -> None:
    """Record that Penstock must leave the physical topic alone."""
    rows = s.ownership
    tx.execute(delete(rows).where(rows.c.cluster == cluster, rows.c.topic == topic))


def files(tx: Connection) -> list[EstateFile]:
    """Return the estate files of the last apply."""
    found = tx.execute(select(s.estate_files).order_by(s.estate_files.c.path))
    return [EstateFile(path=row.path, content=row.content) for row in found]


def put_files(tx: Connection, given: Iterable[EstateFile]) -> None:
    """Keep the estate files that are being applied, in place of the last ones."""
    tx.execute(delete(s.estate_files))
    rows = [{"path": file.path, "content": file.content} for file in given]
    if rows:
        tx.execute(insert(s.estate_files), rows)


def _topics(tx: Connection) -> Mapping[str, topics.Topic]:
    epochs: dict[str, list[str]] = {}
    for ident, body in tx.execute(
        select(s.epochs.c.topic, s.epochs.c.body).order_by(s.epochs.c.topic, s.epochs.c.number)
    ):
        epochs.setdefault(ident, []).append(body)
    return {
        ident: _assemble(body, tuple(epochs.get(ident, ())))
        for ident, body in tx.execute(
            select(s.topics.c.ident, s.topics.c.body).order_by(s.topics.c.ident)
        )
    }


# Most rows are as they were: a switch among 10,000 topics must not cost 20,000 parsings.
@lru_cache(maxsize=50_000)
def _assemble(body: str, epochs: tuple[str, ...]) -> topics.Topic:
    """Return the topic, the same value for the same text: it is frozen."""
    return replace(
        bodies.decode(topics.Topic, body),
        epochs=tuple(bodies.decode(topics.Epoch, epoch) for epoch in epochs),
    )
