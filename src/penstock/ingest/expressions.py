"""Derived columns: SQL over the columns and coordinates of records, evaluated by DuckDB.

    tables.DerivedColumn… ─parse, bound─▶ one SELECT ─DuckDB over Arrow─▶ columns
                                                └─ it fails: halve the rows, and again ─▶ bad rows

Guarantee: the same text over the same record gives the same value in every engine and on every
machine: one thread, no clock, no files, and UTC: columns come as timestamps without a zone, so that
SQL's own functions take them, and no machine's zone comes in. This is the only door to duckdb in what lands rows. A row whose
value cannot be had is told; it never becomes null for that.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp

from penstock.errors import ConfigError
from penstock.ingest import arrow_types
from penstock.model import expressions, tables, types

__all__ = ["Derivation", "coordinate_types"]

_UTC = pa.timestamp("us", tz="UTC")
_LOCAL = pa.timestamp("us")


def coordinate_types() -> dict[str, pa.DataType]:
    """Return the Arrow type of each coordinate, by its name."""
    return {n: arrow_types.to_arrow(kind) for n, kind in expressions.COORDINATES.items()}


class Derivation:
    """The derived columns of one table.

    Attributes:
        schema: of the derived columns, in their order.
        coordinates: which coordinates they read.
        columns: which columns each derived one reads, by its name.
    """

    def __init__(self, derived: Sequence[tables.DerivedColumn], columns: pa.Schema) -> None:
        """Compile the expressions.

        Args:
            derived: the declared columns.
            columns: those they may read.

        Raises:
            ConfigError: when an expression is none, or reads a column that is not there.
        """
        self._bound = {each.name: _bind(each, columns) for each in derived}
        self.coordinates = frozenset().union(*(b.coordinates for b in self._bound.values()))
        if self._bound and not any(b.columns or b.coordinates for b in self._bound.values()):
            # A constant still needs something that says how many rows there are.
            self.coordinates = frozenset({"offset"})
        self.columns = {name: bound.columns for name, bound in self._bound.items()}
        coordinates = coordinate_types()
        self._inputs = pa.schema(
            [
                *(columns.field(n) for n in sorted(frozenset().union(*self.columns.values()))),
                *(pa.field(_coordinate(n), coordinates[n]) for n in sorted(self.coordinates)),
            ]
        )
        # What is only a name is not DuckDB's to copy.
        self._direct = {
            each.name: name
            for each in derived
            if not each.type and (name := _only_name(self._bound[each.name])) is not None
        }
        self._select = ", ".join(
            f"{_sql(self._bound[each.name], each.type)} AS {_quoted(each.name)}"
            for each in derived
            if each.name not in self._direct
        )
        self._connection: Any = None
        self._thread = 0
        self.schema = pa.schema([])
        self.schema = self._typed(derived)

    @property
    def copied(self) -> dict[str, str]:
        """Return the derived columns that are a coordinate just as it is, and which one."""
        types_of = coordinate_types()
        named = {n: next(iter(b.coordinates)) for n, b in self._bound.items() if _is_coordinate(b)}
        return {n: c for n, c in named.items() if self.schema.field(n).type == types_of[c]}

    def evaluate(
        self, columns: pa.Table, coordinates: Mapping[str, pa.Array]
    ) -> tuple[pa.Table, dict[int, str]]:
        """Return the derived columns of the rows, and the reasons by index of those that have none.

        The columns have a row for each row that has its values, in order.

        Args:
            columns: decoded ones.
            coordinates: by name, at least those in `coordinates`.
        """
        arrays = [
            coordinates[name.removeprefix(f"{expressions.PREFIX}.")]
            if "." in name
            else columns[name]
            for name in self._inputs.names
        ]
        inputs = pa.Table.from_arrays(arrays, schema=self._inputs)
        if not self._select:
            return self._assemble(inputs, None), {}
        pieces: list[pa.Table] = []
        bad: dict[int, str] = {}
        waiting = [(0, inputs)]
        while waiting:
            first, part = waiting.pop()
            try:
                pieces.append(self._assemble(part, self._run(part)))
            except (duckdb.Error, pa.ArrowInvalid) as error:
                if part.num_rows == 1:
                    bad[first] = f"a derived column cannot be had: {_first_line(error)}"
                    continue
                half = part.num_rows // 2
                waiting += [(first + half, part.slice(half)), (first, part.slice(0, half))]
        return pa.concat_tables([self.schema.empty_table(), *pieces]), bad

    def _assemble(self, inputs: pa.Table, evaluated: pa.Table | None) -> pa.Table:
        arrays = [
            inputs[self._direct[field.name]]
            if evaluated is None or field.name in self._direct
            else _fit(evaluated[field.name], field.type)
            for field in self.schema
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _run(self, inputs: pa.Table) -> pa.Table:
        local = pa.table(
            [_cast(column, _without_zone(column.type)) for column in inputs.columns],
            names=inputs.schema.names,
        )
        found: pa.Table = self._open().from_arrow(local).project(self._select).to_arrow_table()
        if found.num_rows != inputs.num_rows:
            raise pa.ArrowInvalid(f"{found.num_rows} values for {inputs.num_rows} records")
        return found

    def _open(self) -> Any:
        # Any: duckdb's own types are not exported. A connection belongs to the thread it is made in.
        if self._connection is None or self._thread != threading.get_ident():
            self._connection = duckdb.connect(":memory:", config={"threads": 1})
            # In this order: the zone is set by an extension, which nothing may load afterwards.
            for setting in ("TimeZone = 'UTC'", "enable_external_access = false"):
                self._connection.execute(f"SET {setting}")
            self._connection.execute("SET lock_configuration = true")
            self._thread = threading.get_ident()
        return self._connection

    def _typed(self, derived: Sequence[tables.DerivedColumn]) -> pa.Schema:
        """Find each column's type out by running the expressions over no rows."""
        try:
            found = self._run(self._inputs.empty_table()).schema if self._select else None
        except duckdb.Error as error:
            raise ConfigError(
                f"a derived column is wrong: {_first_line(error)}. Correct its expression: "
                + "; ".join(f"{each.name}: {each.expression}" for each in derived)
            ) from error
        return pa.schema(
            [
                pa.field(
                    each.name,
                    self._inputs.field(self._direct[each.name]).type
                    if found is None or each.name in self._direct
                    else _table_type(each, found.field(each.name).type),
                )
                for each in derived
            ]
        )


def _bind(derived: tables.DerivedColumn, columns: pa.Schema) -> expressions.Bound:
    try:
        bound = expressions.parse(derived.expression).bound(columns.names)
    except ValueError as error:
        raise ConfigError(f"column {derived.name!r}: {error}") from error
    if unknown := sorted(bound.columns - set(columns.names)):
        raise ConfigError(
            f"column {derived.name!r} is derived from {', '.join(unknown)}, which the table does "
            f"not have. It has {', '.join(columns.names)}, and of every record "
            f"{', '.join(expressions.COORDINATES)}."
        )
    return bound


def _only_name(bound: expressions.Bound) -> str | None:
    """Return the one input that the expression is; None for any other expression."""
    names = [*bound.columns, *map(_coordinate, bound.coordinates)]
    return next((name for name in names if bound.sql == _quoted(name)), None)


def _is_coordinate(bound: expressions.Bound) -> bool:
    return bool(bound.coordinates) and _only_name(bound) is not None


def _sql(bound: expressions.Bound, kind: str) -> str:
    """Return the expression, cast where a type is declared."""
    if not kind:
        return bound.sql
    tree = exp.cast(
        sqlglot.parse_one(bound.sql, dialect="duckdb"), exp.DataType.build(kind, dialect="spark")
    )
    return tree.sql(dialect="duckdb", identify=True)


def _table_type(derived: tables.DerivedColumn, found: pa.DataType) -> pa.DataType:
    """Return the type the column has in a table."""
    if derived.type:
        return arrow_types.to_arrow(types.parse(derived.type))
    wanted = _WIDER.get(found, found)
    if pa.types.is_timestamp(wanted):
        return _UTC
    try:
        return arrow_types.to_arrow(arrow_types.from_arrow(_with_zone(wanted)))
    except ValueError as error:
        raise ConfigError(
            f"column {derived.name!r}: {error}. Say its type, e.g. "
            f"{{sql: {derived.expression!r}, type: string}}."
        ) from error


_WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
}


def _fit(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        column = column.cast(_LOCAL)
    return column.cast(kind)


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == kind else column.cast(kind)


def _without_zone(kind: pa.DataType) -> pa.DataType:
    return _mapped(kind, _LOCAL)


def _with_zone(kind: pa.DataType) -> pa.DataType:
    return _mapped(kind, _UTC)


def _mapped(kind: pa.DataType, timestamp: pa.DataType) -> pa.DataType:
    """Return the type with every timestamp in it of the one kind."""
    if pa.types.is_timestamp(kind):
        return timestamp
    if pa.types.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return pa.struct([f.with_type(_mapped(f.type, timestamp)) for f in fields])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_mapped(kind.value_type, timestamp)))
    if pa.types.is_map(kind):
        return pa.map_(_mapped(kind.key_type, timestamp), _mapped(kind.item_type, timestamp))
    return kind


def _coordinate(name: str) -> str:
    return f"{expressions.PREFIX}.{name}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
