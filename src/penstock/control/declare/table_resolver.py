"""Table documents to tables: one in each environment the topic is in, or in the one named.

TableDocument, logical topics ─▶ tables.Table…, with faults
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from penstock.control.declare.catalog import Catalog
from penstock.control.declare.documents import TableDocument
from penstock.control.declare.places import nearest
from penstock.control.declare.validation import Entry
from penstock.errors import Fault
from penstock.model import tables, topics

__all__ = ["resolve_table"]

_COORDINATES = {"cluster", "partition", "offset", "record_id", "event_time", "key"}
_DATE = re.compile(r"date\((\w+)\)")


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
    for name, expression in model.derived.items():
        loc = ("derived", name)
        if name in model.columns:
            what = f"derived.{name}: is also a column"
            yield document.fault(loc, what, "Give it another name.")
        problem = _explain(expression, model)
        if problem:
            yield document.fault(loc, f"derived.{name}: {problem[0]}", problem[1])
    known = [*model.columns, *model.derived]
    for number, name in enumerate(model.partition_by):
        if name not in known:
            what = f"partition-by: there is no column {name}"
            yield document.fault(("partition-by", number), what, nearest(name, known))


def _explain(expression: str, model: TableDocument) -> tuple[str, str] | None:
    """Return what is wrong with a derived column's expression, and the way on."""
    if expression in _COORDINATES:
        return None
    match = _DATE.fullmatch(expression)
    if match is None:
        step = f"Write date(column) or one of {', '.join(sorted(_COORDINATES))}."
        return f"{expression!r} is no expression", step
    column = model.columns.get(match.group(1))
    if column is None:
        return f"there is no column {match.group(1)}", nearest(match.group(1), model.columns)
    if column.type is not tables.ColumnType.TIMESTAMP:
        return f"{match.group(1)} is a {column.type}, not a timestamp", "Take a timestamp column."
    return None


def _table(model: TableDocument, environment: str) -> tables.Table:
    return tables.Table(
        name=model.name,
        topic=model.topic,
        environment=environment,
        owner=model.owner,
        path=model.path or f"{environment}/{model.name}",
        mode=model.mode,
        decoder=model.decoder,
        columns=tuple(
            tables.Column(name=name, type=column.type, nullable=column.nullable)
            for name, column in model.columns.items()
        ),
        derived=tuple(
            tables.DerivedColumn(name=name, expression=expression)
            for name, expression in model.derived.items()
        ),
        partition_by=tuple(model.partition_by),
        latency_ms=model.latency,
        description=model.description,
    )
