"""The standard change event, `oc ns ot pk va`, as changes: what a ``merge-cdc`` table reads.

    values ─strict JSON─▶ envelope ─namespace─▶ ours ─▶ columns (from pk, else va) + control columns
                                       └─▶ others: a row without an operation
    an update with a null ─▶ was it said, or is the column absent? only those are looked at again

    oc  I, U, D or T (the whole table was emptied)      ot  ms since 1970 of the operation
    ns  where the row is, e.g. public.orders            sq  optional: the source's own order
    pk  the key's columns; null only for T              va  the others; null for D and T
    un  optional: columns of va that the source did not tell and did not change
    ok  optional, of an insert: the key that the row had before
    nk  optional, of a delete: the key that the row has from then on

An update leaves a column that is not in ``va`` as it is; an insert makes it null, unless ``un``
names it. Guarantee: as for `decoders`, a row a value in order, or `DataError`; null is never taken
for absent or absent for null.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

import orjson
import pyarrow as pa
from pyarrow import compute

from penstock.errors import DataError
from penstock.ingest import arrow_types, changes
from penstock.ingest.changes import ABSENT, FORMER, OPERATION, SEQUENCE, TIME, Operation
from penstock.ingest.decoders import json
from penstock.ingest.decoders.protocol import Unreadable
from penstock.model import tables

__all__ = ["EnvelopeDecoder", "open_decoder"]

_PLAIN_BRACES = 3
"""Of the event itself, its ``pk`` and its ``va``: no other object, so a name is a column's."""
_ENVELOPE = frozenset({"oc", "ns", "ot", "sq", "pk", "va", "un", "ok", "nk"})
_HEAD = (
    tables.Column(name="oc", type="string", nullable=False),
    tables.Column(name="ns", type="string"),
    tables.Column(name="ot", type="long", nullable=False),
    tables.Column(name="sq", type="long"),
    tables.Column(name="un", type="array<string>"),
)
_OPERATIONS = pa.array(list(Operation))


def open_decoder(table: tables.Table) -> EnvelopeDecoder:
    """Return the decoder of the table's change events."""
    return EnvelopeDecoder(table)


class EnvelopeDecoder:
    """Decodes change events of one table.

    Attributes:
        schema: the declared columns, then the control columns that an event tells.
    """

    def __init__(self, table: tables.Table) -> None:
        """Take the declared columns, the key and the namespace from the table."""
        self._columns = {column.name: column for column in table.columns}
        self._keys = table.merge.primary_key
        self._namespace = table.merge.namespace
        key = _struct([self._columns[k] for k in self._keys])
        self._heads = json.JsonDecoder(_HEAD)
        self._events = json.JsonDecoder(
            (
                *_HEAD,
                tables.Column(name="pk", type=key),
                tables.Column(name="ok", type=key),
                tables.Column(name="nk", type=key),
                tables.Column(name="va", type=_struct(table.columns)),
            )
        )
        # Another table's columns may have our names and other types; a topic that has had one
        # event of another table is read in two passes from then on.
        self._mixed = False
        own = [pa.field(c.name, arrow_types.to_arrow(c.kind)) for c in table.columns]
        self.schema = pa.schema(
            [*own, *(changes.CONTROL.field(n) for n in (OPERATION, SEQUENCE, TIME, ABSENT, FORMER))]
        )

        self._nothing = self.schema.empty_table()

    def decode(self, values: pa.Array) -> pa.Table:
        """Return a row a value; one without an operation for an event of another namespace.

        Raises:
            DataError: when any of the values is not a change event of the table's columns.
        """
        if not len(values):
            return self.schema.empty_table()
        if not self._namespace:
            return self._rows(values, self._events.decode(values))
        return self._of_namespace(values)

    def _of_namespace(self, values: pa.Array) -> pa.Table:
        events = None
        if not self._mixed:
            with suppress(DataError):  # it may be of another table: only the heads tell
                events = self._events.decode(values)
        heads = self._heads.decode(values) if events is None else events
        ours = compute.fill_null(compute.equal(heads["ns"], self._namespace), fill_value=False)
        if compute.all(ours).as_py():
            return self._rows(values, events or self._events.decode(values))
        self._mixed = True
        indexes = _indexes(ours)
        own = values.take(pa.array(indexes, pa.int64()))
        try:
            rows = self._rows(own, self._events.decode(own)) if indexes else self._nothing
        except Unreadable as error:
            raise _at(error, indexes) from error
        counted = compute.subtract(compute.cumulative_sum(ours.cast(pa.int64())), 1)
        return rows.take(compute.if_else(ours, counted, None))

    def _rows(self, values: pa.Array, events: pa.Table) -> pa.Table:
        operations = events["oc"]
        _check_operations(operations)
        deleted = compute.is_in(operations, value_set=_values(Operation.DELETE, Operation.TRUNCATE))
        arrays = {name: self._column(name, events, empty=deleted) for name in self._columns}
        self._check_keys(arrays, operations)
        absent = self._absent(values, events, arrays)
        self._check_present(arrays, absent, deleted)
        arrays[OPERATION] = operations
        arrays[SEQUENCE] = events["sq"]
        arrays[TIME] = (
            events["ot"].cast(pa.timestamp("ms", tz="UTC")).cast(self.schema.field(TIME).type)
        )
        arrays[ABSENT] = absent
        arrays[FORMER] = self._former(
            compute.coalesce(events["nk"], events["ok"]),
            needed=compute.or_(absent.is_valid(), compute.is_valid(events["nk"])),
        )
        return pa.table(arrays, schema=self.schema)

    def _column(self, name: str, events: pa.Table, *, empty: pa.ChunkedArray) -> pa.ChunkedArray:
        told = compute.struct_field(events["va"], name)
        if name not in self._keys:
            return compute.if_else(empty, None, told)
        key = compute.struct_field(events["pk"], name)
        _refuse(
            compute.and_(compute.is_valid(told), compute.not_equal(key, told)),
            f"pk and va differ in {name!r}; a change of the key is told as a delete of the old one "
            "and an insert of the new",
        )
        return compute.coalesce(key, told)

    def _check_keys(self, arrays: dict[str, pa.ChunkedArray], operations: pa.ChunkedArray) -> None:
        of_rows = compute.not_equal(operations, Operation.TRUNCATE.value)
        for name in self._keys:
            missing = compute.and_(of_rows, compute.is_null(arrays[name]))
            _refuse(missing, f"the key column {name!r} is missing or null in pk")

    def _absent(
        self, values: pa.Array, events: pa.Table, arrays: dict[str, pa.ChunkedArray]
    ) -> pa.Array:
        """Return by row the columns it says nothing of, null for none."""
        named: dict[int, set[str]] = {}
        if events["un"].null_count < len(values):
            for index, names in enumerate(events["un"].to_pylist()):
                if names:
                    named[index] = set(names) & self._columns.keys() - set(self._keys)
        updates = compute.equal(events["oc"], Operation.UPDATE.value)
        plain = _plain(values)
        read: dict[int, frozenset[str]] = {}
        for name in self._columns.keys() - set(self._keys):
            null = compute.and_(updates, compute.is_null(arrays[name]))
            sure = compute.and_(null, plain) if name not in _ENVELOPE else pa.scalar(value=False)
            for index in _unsaid(values, _indexes(compute.and_(null, sure)), name):
                named.setdefault(index, set()).add(name)
            for index in _indexes(compute.and_not(null, sure)):
                if index not in read:
                    read[index] = frozenset(orjson.loads(values[index].as_py()).get("va") or ())
                if name not in read[index]:
                    named.setdefault(index, set()).add(name)
        kind = self.schema.field(ABSENT).type
        if not named:
            return pa.nulls(len(values), kind)
        return pa.array([sorted(named.get(n, ())) or None for n in range(len(values))], kind)

    def _former(self, keys: pa.ChunkedArray, *, needed: pa.ChunkedArray) -> pa.Array:
        """Return by row its other key as text, where somebody will ask for it."""
        moved = compute.and_(compute.is_valid(keys), needed)
        indexes = pa.array(_indexes(moved), pa.int64())
        texts: list[str | None] = [None] * len(keys)
        found = keys.take(indexes)
        parts = [changes.to_text(compute.struct_field(found, name)) for name in self._keys]
        for index, key in zip(indexes.to_pylist(), zip(*parts, strict=True), strict=True):
            texts[index] = orjson.dumps(key).decode()
        return pa.array(texts, pa.string())

    def _check_present(
        self, arrays: dict[str, pa.ChunkedArray], absent: pa.Array, deleted: pa.ChunkedArray
    ) -> None:
        for name, column in self._columns.items():
            if column.nullable or name in self._keys or not arrays[name].null_count:
                continue
            missing = _indexes(compute.and_not(compute.is_null(arrays[name]), deleted))
            wrong = [n for n in missing if name not in (absent[n].as_py() or ())]
            if wrong:
                reason = f"the field {name!r} is missing or null in va"
                raise Unreadable(reasons=dict.fromkeys(wrong, reason))


def _struct(columns: Sequence[tables.Column]) -> str:
    return f"struct<{', '.join(f'`{column.name}`: {column.type}' for column in columns)}>"


def _at(error: Unreadable, indexes: Sequence[int]) -> Unreadable:
    """Return the error of some values as one of all, given where these stand."""
    reasons = {indexes[index]: reason for index, reason in error.reasons.items()}
    return Unreadable(error.message, reasons=reasons)


def _refuse(wrong: pa.ChunkedArray, reason: str) -> None:
    indexes = _indexes(wrong)
    if indexes:
        raise Unreadable(reasons=dict.fromkeys(indexes, reason))


def _check_operations(operations: pa.ChunkedArray) -> None:
    wrong = _indexes(compute.invert(compute.is_in(operations, value_set=_OPERATIONS)))
    if wrong:
        must = f"it must be one of {', '.join(Operation)}"
        raise Unreadable(reasons={n: f"oc is {operations[n].as_py()!r}; {must}" for n in wrong})


def _plain(values: pa.Array) -> pa.Array:
    """Return a mask of the values in which whatever stands like a column's name is one.

    These have no escape, and no object but the event, its ``pk`` and its ``va``.
    """
    flat = compute.equal(compute.count_substring(values, "{"), _PLAIN_BRACES)
    return compute.and_not(flat, compute.match_substring(values, "\\"))


def _unsaid(values: pa.Array, indexes: Sequence[int], name: str) -> list[int]:
    """Return those of the indexes whose plain value does not say the name."""
    asked = pa.array(indexes, pa.int64())
    if not len(asked):
        return []
    # A text, or an entry of `un`, may be what the name is; but a colon follows only a name.
    said = compute.match_substring_regex(values.take(asked), rf"{re.escape(_quoted(name))}\s*:")
    found: list[int] = asked.filter(compute.invert(said)).to_pylist()
    return found


def _quoted(name: str) -> str:
    return orjson.dumps(name).decode()


def _values(*operations: Operation) -> pa.Array:
    return pa.array([operation.value for operation in operations])


def _indexes(mask: pa.ChunkedArray) -> list[int]:
    filled = compute.fill_null(mask, fill_value=False)
    found: list[int] = compute.indices_nonzero(filled).to_pylist()
    return found
