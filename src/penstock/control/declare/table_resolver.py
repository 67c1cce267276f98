"""Table documents to tables: one in each environment the topic is in, or in the one named.

TableDocument, logical topics ─▶ tables.Table…, with faults
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from penstock.control.declare.catalog import Catalog
from penstock.control.declare.places import nearest
from penstock.control.declare.table_documents import TableDocument
from penstock.control.declare.validation import Entry
from penstock.errors import Fault
from penstock.model import tables, topics

__all__ = ["resolve_table"]


def resolve_table(
    entry: Entry[TableDocument], topics_by_ident: Mapping[str, topics.Topic], catalog: Catalog
) -> tuple[list[tables.Table], list[Fault]]:
    """Return the tables of a document, and what is wrong with them."""
    model = entry.model
    faults = [] if entry.partial else [*_check_columns(entry)]
    environments = sorted(t.environment for t in topics_by_ident.values() if t.name == model.topic)
    if not environments:
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
    chosen = [e for e in environments if model.environment in {None, e}]
    return [_table(model, environment) for environment in chosen], faults


def _check_columns(entry: Entry[TableDocument]) -> Iterator[Fault]:
    model, document = entry.model, entry.document
    for name in model.derived:
        if name in model.columns:
            what = f"derived.{name}: is also a column"
            yield document.fault(("derived", name), what, "Give it another name.")
    known = [*model.columns, *model.derived]
    for number, name in enumerate(model.partition_by):
        if name not in known:
            what = f"partition-by: there is no column {name}"
            yield document.fault(("partition-by", number), what, nearest(name, known))


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
