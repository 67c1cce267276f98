"""What a Table document must keep to, judged by itself: modes, keys, columns, engine.

Entry[TableDocument] ─check_table─▶ faults, each at the line that is wrong

A field that has a fault of its own is not judged again, nor what depends on it: names are looked up
in what was written, types in what could be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from penstock.control.declare.places import nearest
from penstock.control.declare.table_documents import TableDocument
from penstock.control.declare.validation import Entry
from penstock.errors import Fault
from penstock.model import expressions, tables, types
from penstock.units import format_ms

__all__ = ["check_table"]

_MERGES = (tables.TableMode.MERGE, tables.TableMode.MERGE_CDC)
_ONLY_FOR: dict[str, tuple[tables.TableMode, ...]] = {
    "primary-key": _MERGES,
    "order-by": (tables.TableMode.MERGE,),
    "strategy": _MERGES,
    "tombstones": _MERGES,
    "namespace": (tables.TableMode.MERGE_CDC,),
    "truncation": (tables.TableMode.MERGE_CDC,),
    "bootstrap": _MERGES,
}
_WHY_NOT = {
    # A deletion tells no columns that could be compared.
    ("order-by", tables.TableMode.MERGE_CDC): ": the source's own order decides, sq and ot",
}
_NESTED = (types.Array, types.Map, types.Struct)
_INEXACT = (types.Primitive.FLOAT, types.Primitive.DOUBLE)
_RESERVED = {
    "_op",
    "_ot",
    "_sequence",
    "_absent",
    "_cluster",
    "_partition",
    "_offset",
    "_behind",
    "_change_type",
    "_commit_version",
    "_commit_timestamp",
}
"""Columns that merges and the change data feed have of their own."""
_SHORTEST_MS = 100
_LONGEST_MS = 24 * 3_600_000
_SPARK_SHORTEST_MS = 30_000


def check_table(entry: Entry[TableDocument]) -> Iterator[Fault]:
    """Yield everything that is wrong in the document by itself."""
    yield from _check_mode(entry)
    yield from _check_columns(entry)
    yield from _check_derived(entry)
    yield from _check_lists(entry)
    yield from _check_key(entry)
    yield from _check_order(entry)
    yield from _check_partitions(entry)
    yield from _check_latency(entry)
    yield from _check_bootstrap(entry)


def _check_mode(entry: Entry[TableDocument]) -> Iterator[Fault]:
    document, mode = entry.document, entry.model.mode
    if _is_faulty(entry, "mode"):
        return
    for field, modes in _ONLY_FOR.items():
        if field in document.content and mode not in modes:
            why = _WHY_NOT.get((field, mode), "")
            yield document.fault(
                (field,),
                f"{field}: means nothing in mode: {mode}{why}",
                f"Remove it, or write mode: {' or '.join(modes)}.",
            )
    if mode in _MERGES and "primary-key" not in document.content:
        what = f"mode: {mode} has no primary-key"
        yield document.fault(("mode",), what, "Add primary-key: the columns that name a row.")
    decoder = entry.model.decoder.format
    if mode is tables.TableMode.MERGE_CDC and decoder is not tables.Format.JSON:
        what = f"decoder: change events are JSON, not {decoder}"
        yield document.fault(("decoder",), what, "Write decoder: json, or mode: merge.")


def _check_columns(entry: Entry[TableDocument]) -> Iterator[Fault]:
    document = entry.document
    first: dict[str, str] = {}
    for field in ("columns", "derived"):
        for name in _written(entry, field):
            other = first.setdefault(name.lower(), name)
            if field == "derived" and name in _written(entry, "columns"):
                what = f"derived.{name}: is also a column"
                yield document.fault((field, name), what, "Give it another name.")
            elif other != name:
                what = (
                    f"{field}.{name}: differs from {other} in case only; Delta takes them for one"
                )
                yield document.fault((field, name), what, "Give it another name.")
            if name.lower() in _RESERVED:
                what = f"{field}.{name}: is a name Penstock or Delta keeps for itself"
                yield document.fault((field, name), what, "Give it another name.")


def _check_derived(entry: Entry[TableDocument]) -> Iterator[Fault]:
    document = entry.document
    columns, derived = _written(entry, "columns"), _written(entry, "derived")
    for name, one in entry.model.derived.items():
        for missing in sorted(expressions.parse(one.sql).bound(columns).columns - {*columns}):
            if missing in derived:
                what = f"derived.{name}: {missing} is derived itself"
                yield document.fault(("derived", name), what, "Write its expression out here.")
            elif not _is_open(entry):
                what = f"derived.{name}: there is no column {missing}"
                step = nearest(missing, [*columns, *expressions.COORDINATES])
                yield document.fault(("derived", name), what, step)


def _check_lists(entry: Entry[TableDocument]) -> Iterator[Fault]:
    """Yield names said twice in one list, and such as are no column."""
    model = entry.model
    columns, derived = _written(entry, "columns"), _written(entry, "derived")
    for field, names in (
        ("primary-key", model.primary_key),
        ("order-by", model.order_by),
        ("partition-by", model.partition_by),
    ):
        # An event of a deletion holds only the key of the source's table.
        with_derived = field != "primary-key" or model.mode is not tables.TableMode.MERGE_CDC
        known = [*columns, *derived] if with_derived else columns
        for number, name in enumerate(names):
            loc = (field, number)
            if Counter(names[:number])[name]:
                yield entry.document.fault(loc, f"{field}: {name} is named twice", "Remove one.")
            elif name in derived and name not in known:
                what = f"{field}: {name} is derived, and a deletion tells only the source's key"
                yield entry.document.fault(loc, what, "Name columns of the source table.")
            elif name not in known and not _is_open(entry):
                what = f"{field}: there is no column {name}"
                yield entry.document.fault(loc, what, nearest(name, known) or "Declare it.")


def _check_key(entry: Entry[TableDocument]) -> Iterator[Fault]:
    for number, name in enumerate(entry.model.primary_key):
        column, kind = entry.model.columns.get(name), _kind(entry, name)
        loc = ("primary-key", number)
        if isinstance(kind, _NESTED) or kind in _INEXACT:
            what = f"primary-key: {name} is of type {kind}, which names no row for certain"
            yield entry.document.fault(loc, what, "Name columns of other types.")
        elif column and column.nullable:
            what = f"primary-key: {name} may be null, and null names no row"
            step = f"Write columns.{name}: {{type: {column.type}, nullable: false}}."
            yield entry.document.fault(loc, what, step)


def _check_order(entry: Entry[TableDocument]) -> Iterator[Fault]:
    for number, name in enumerate(entry.model.order_by):
        kind = _kind(entry, name)
        if isinstance(kind, _NESTED):
            what = f"order-by: {name} is of type {kind}, which has no order"
            step = "Name columns of numbers, times or text."
            yield entry.document.fault(("order-by", number), what, step)


def _check_partitions(entry: Entry[TableDocument]) -> Iterator[Fault]:
    names = entry.model.partition_by
    for number, name in enumerate(names):
        kind, loc = _kind(entry, name), ("partition-by", number)
        if isinstance(kind, _NESTED) or kind in {*_INEXACT, types.Primitive.BINARY}:
            what = f"partition-by: {name} is of type {kind}, which no directory can be named by"
            yield entry.document.fault(loc, what, "Derive a column of it, e.g. a date.")
    every = [*_written(entry, "columns"), *_written(entry, "derived")]
    if names and not _is_open(entry) and {*every} <= {*names}:
        what = "partition-by: no column is left to be stored in the files"
        yield entry.document.fault(("partition-by",), what, "Name fewer columns.")


def _check_latency(entry: Entry[TableDocument]) -> Iterator[Fault]:
    latency, document = entry.model.latency, entry.document
    if _is_faulty(entry, "latency") or _is_faulty(entry, "engine"):
        return
    if 0 < latency < _SHORTEST_MS:
        what = f"latency: {format_ms(latency)} is less than a commit takes"
        yield document.fault(("latency",), what, "Write continuous.")
    if latency > _LONGEST_MS:
        what = f"latency: {format_ms(latency)} is longer than {format_ms(_LONGEST_MS)}"
        yield document.fault(("latency",), what, f"Write {format_ms(_LONGEST_MS)} or less.")
    if entry.model.engine is tables.Engine.SPARK and latency < _SPARK_SHORTEST_MS:
        written = format_ms(latency) if latency else "continuous"
        loc = ("latency",) if "latency" in document.content else ("engine",)
        what = (
            f"latency: {written} cannot be held by engine: spark, which plans a job for each batch"
        )
        yield document.fault(loc, what, "Write latency: 1m or more, or engine: embedded.")


def _check_bootstrap(entry: Entry[TableDocument]) -> Iterator[Fault]:
    spec, document = entry.model.bootstrap, entry.document
    written = document.value(("bootstrap",))
    if not isinstance(written, dict) or "snapshot" in written:
        return
    for field in ("taken-at", "margin"):
        if field in written:
            what = f"bootstrap.{field}: says nothing without a snapshot"
            yield document.fault(("bootstrap", field), what, "Add snapshot:, or remove it.")
    if spec.taken_at and datetime.fromisoformat(spec.taken_at).year < 2000:  # noqa: PLR2004
        what = f"bootstrap.taken-at: {spec.taken_at} is before there was Kafka"
        yield document.fault(("bootstrap", "taken-at"), what, "Write the time of the snapshot.")


def _kind(entry: Entry[TableDocument], name: str) -> types.Type | None:
    """Return the type a column is declared to have; None where nothing says."""
    column, derived = entry.model.columns.get(name), entry.model.derived.get(name)
    text = column.type if column else derived.type if derived else None
    return types.parse(text) if text else None


def _written(entry: Entry[TableDocument], field: str) -> list[str]:
    """Return the names of a mapping as they were written, also those whose value has a fault."""
    value = entry.document.value((field,))
    names: Iterable[object] = value if isinstance(value, dict) else ()
    return [str(name) for name in names]


def _is_open(entry: Entry[TableDocument]) -> bool:
    """Tell whether there may be columns that the file does not name."""
    has_schema = entry.model.decoder.format is not tables.Format.JSON
    columns = entry.document.content.get("columns", {})
    faulty = _is_faulty(entry, "decoder") or not isinstance(columns, dict)
    return faulty or (has_schema and not columns)


def _is_faulty(entry: Entry[TableDocument], field: str) -> bool:
    """Tell whether the field was written and could not be read."""
    return field in entry.document.content and field.replace("-", "_") not in (
        entry.model.model_fields_set
    )
