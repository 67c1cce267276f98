"""Table documents to tables: one in each environment the topic is in, or in the one named.

TableDocument, logical topics ─▶ tables.Table…, with faults
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from penstock.control.declare.catalog import Catalog
from penstock.control.declare.decoder_rules import check_decoder
from penstock.control.declare.places import nearest
from penstock.control.declare.table_documents import TableDocument
from penstock.control.declare.table_paths import check_written
from penstock.control.declare.table_rules import check_table
from penstock.control.declare.validation import Entry
from penstock.errors import Fault
from penstock.model import tables, topics
from penstock.units import format_ms

__all__ = ["resolve_table"]


def resolve_table(
    entry: Entry[TableDocument], topics_by_ident: Mapping[str, topics.Topic], catalog: Catalog
) -> tuple[list[tables.Table], list[Fault]]:
    """Return the tables of a document, and what is wrong with them."""
    model = entry.model
    faults = [*check_table(entry), *check_decoder(entry), *check_written(entry)]
    fed_by = sorted(
        (topic for topic in topics_by_ident.values() if topic.name == model.topic),
        key=lambda topic: topic.environment,
    )
    environments = [topic.environment for topic in fed_by]
    if not environments and model.topic:
        variants = {t.name for t in topics_by_ident.values()}
        if model.topic not in variants:
            faults += catalog.unknown(entry, ("topic",), kind="Topic", name=model.topic)
    if model.environment and environments and model.environment not in environments:
        what = f"environment: topic {model.topic} is not in {model.environment}"
        step = nearest(model.environment, environments)
        faults.append(entry.document.fault(("environment",), what, step))
    if model.path and not model.environment and len(environments) > 1:
        what = f"path: the tables of {', '.join(environments)} would share {model.path}"
        step = "Name one environment: in this document, or leave path: out."
        faults.append(entry.document.fault(("path",), what, step))
    chosen = [topic for topic in fed_by if model.environment in {None, topic.environment}]
    faults += _check_clusters(entry, chosen)
    faults += _check_retention(entry, chosen)
    if model.name != entry.document.content.get("name"):
        return [], faults  # a name with a fault is that of no table
    return [_table(model, topic.environment) for topic in chosen], faults


def _check_clusters(entry: Entry[TableDocument], chosen: Sequence[topics.Topic]) -> Iterator[Fault]:
    """Yield clusters the topic is not on, and environments left without one."""
    names = entry.model.clusters
    homes = {t.environment: [p.cluster for p in t.current.placements] for t in chosen}
    known = sorted(cluster for clusters in homes.values() for cluster in clusters)
    for number, name in enumerate(names):
        if known and name not in known:
            what = f"clusters: topic {entry.model.topic} is not on {name}"
            yield entry.document.fault(("clusters", number), what, nearest(name, known))
        elif name in names[:number]:
            what = f"clusters: {name} is named twice"
            yield entry.document.fault(("clusters", number), what, "Remove one.")
    for environment, clusters in homes.items():
        if names and {*names} <= {*known} and not {*names} & {*clusters}:
            what = f"clusters: none is of {environment}, where the table would be too"
            step = f"Add one of {', '.join(clusters)}, or write environment:."
            yield entry.document.fault(("clusters",), what, step)


def _check_retention(
    entry: Entry[TableDocument], chosen: Sequence[topics.Topic]
) -> Iterator[Fault]:
    """Yield a latency in which the topic's records are deleted before they are read."""
    for topic in chosen:
        for placement in topic.current.placements:
            if entry.model.clusters and placement.cluster not in entry.model.clusters:
                continue
            kept = placement.config.get("retention.ms", "-1")
            if kept.isdecimal() and int(kept) <= entry.model.latency:
                what = (
                    f"latency: {topic.ident} keeps records on {placement.cluster} for "
                    f"{format_ms(int(kept))}: they would be gone before they are read"
                )
                yield entry.document.fault(("latency",), what, "Write a shorter one.")


def _table(model: TableDocument, environment: str) -> tables.Table:
    return tables.Table(
        name=model.name,
        topic=model.topic,
        environment=environment,
        owner=model.owner,
        path=model.path or f"{environment}/{model.name}",
        mode=model.mode,
        clusters=tuple(model.clusters),
        decoder=tables.Decoder(**model.decoder.model_dump()),
        columns=tuple(
            tables.Column(name=name, type=column.type, nullable=column.nullable)
            for name, column in model.columns.items()
        ),
        derived=tuple(
            tables.DerivedColumn(name=name, expression=one.sql, type=one.type or "")
            for name, one in model.derived.items()
        ),
        partition_by=tuple(model.partition_by),
        latency_ms=model.latency,
        engine=model.engine,
        merge=tables.Merge(
            primary_key=tuple(model.primary_key),
            order_by=tuple(model.order_by),
            namespace=model.namespace,
            strategy=model.strategy,
            truncation=model.truncation,
            tombstones_ms=model.tombstones,
        ),
        evolution=model.evolution,
        change_feed=model.change_feed,
        archive=model.archive,
        bootstrap=_bootstrap(model),
        dead_letters=tables.DeadLetters(
            path=model.dead_letters.path, max_ratio=model.dead_letters.max_ratio
        ),
        compaction=tables.Compaction(
            commits=model.compaction.commits,
            target_bytes=model.compaction.target,
            retention_ms=model.compaction.retention,
        ),
        description=model.description,
    )


def _bootstrap(model: TableDocument) -> tables.Bootstrap:
    spec = model.bootstrap
    taken_at_ms = (
        round(datetime.fromisoformat(spec.taken_at).timestamp() * 1000) if spec.taken_at else 0
    )
    return tables.Bootstrap(snapshot=spec.snapshot, taken_at_ms=taken_at_ms, margin_ms=spec.margin)
