"""A merged table as it is now, where its newest changes still lie in a log beside it.

    log (opened first) ─fold─▶ one change a key ─┐
    base (opened after) ─▶ rows without a change ─┴─▶ current rows     (Arrow)
    base_name, log_name ─fresh_sql─▶ the same as one query             (DuckDB, Spark)
    pinned ─▶ State of batch N: the rows that the first N batches came to, whatever comes after

The log is opened before the base: changes that are folded in between are then in both, which their
marks make harmless; the other way round they would be in neither. Memory is bounded by the log.
Never writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import compute

from penstock.errors import NotReady
from penstock.ingest import changes, delta, folding, ledger, merging, merging_sql
from penstock.ingest.changes import ABSENT, OPERATION, Operation
from penstock.ingest.locations import Location
from penstock.model import tables

__all__ = ["LOG", "State", "fresh_sql", "pinned", "read_fresh"]

LOG = "_penstock/changes"
"""Where the log is, below the table."""
BATCH = "_batch"
_LOOKS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A table, with its log where it has one, as both were when they were opened.

    Attributes:
        base: the table.
        log: changes that are not in it yet.
        batch: number of the last batch that is read of the log; None for whatever is there.
    """

    base: merging.KeyedTable
    log: merging.KeyedTable | None
    batch: int | None = None

    def read(self, where: str = "") -> Iterator[pa.Table]:
        """Yield the rows in pieces, with the columns of the Delta table.

        Args:
            where: a condition on columns of the key, as SQL; files that cannot meet it are not
                read.

        Raises:
            NotReady: when the storage fails.
        """
        newest = self._newest(where)
        if newest is None or not newest.num_rows:
            yield from self.base.read(where)
            return
        schema = changes.changes_schema(self.base.schema)
        changed = [newest.select(schema.names).cast(schema)]
        for piece in self.base.read(where):
            mine = merging.indexes_among(piece, newest.select(self.base.primary_key))
            changed.append(changes.of_rows(piece.take(mine)).select(schema.names))
            yield piece.filter(_others(piece.num_rows, mine))
        folded = self._folder.fold(pa.concat_tables(changed))
        kept = folded.filter(compute.not_equal(folded[OPERATION], Operation.DELETE.value))
        yield changes.to_rows(kept, self.base.schema).drop_columns(OPERATION)

    @property
    def _folder(self) -> folding.Folder:
        return folding.Folder(primary_key=self.base.primary_key, marks=self.base.marks)

    def _newest(self, where: str) -> pa.Table | None:
        if self.log is None:
            return None
        if self.batch is not None:
            upto = f"{merging_sql.quoted(BATCH)} <= {self.batch}"
            where = f"({where}) AND {upto}" if where else upto
        rows = pa.concat_tables([self.log.schema.empty_table(), *self.log.read(where)])
        return self._folder.fold(changes.of_rows(rows.drop_columns(BATCH)))


def read_fresh(table: tables.Table, place: Location, *, where: str = "") -> Iterator[pa.Table]:
    """Yield the current rows in pieces, with the columns of the Delta table.

    Args:
        table: the declaration.
        place: where the table is.
        where: a condition on columns of the key, as SQL; files that cannot meet it are not read.

    Raises:
        NotReady: when the storage fails.
    """
    state = _opened(table, place)
    if state is not None:
        yield from state.read(where)


def pinned(table: tables.Table, place: Location) -> State | None:
    """Return what the batches so far came to, None where there is no table.

    Args:
        table: the declaration, of any mode.
        place: where the table is.

    Raises:
        NotReady: when the storage fails, or others change the table too fast to be looked at.
    """
    for _ in range(_LOOKS):
        before = delta.read_table(place)
        if before is None:
            return None
        state = _opened(table, place)
        # Between the two the log was opened: it holds what the table has not, or more.
        if state is not None and state.base.version == before.version:
            batch = state.base.last(ledger.app_id(table))
            return State(base=state.base, log=state.log, batch=batch)
    raise NotReady(f"the table at {place} was changed at each of {_LOOKS} looks. Try again.")


def fresh_sql(
    table: tables.Table,
    columns: Sequence[str],
    *,
    base: str,
    log: str,
    quote: Callable[[str], str] = merging_sql.quoted,
) -> str:
    """Return a query for the current rows.

    Args:
        table: the declaration.
        columns: of the Delta table, without those that begin the names of `changes.CONTROL`.
        base: the table, as the engine names it, e.g. ``delta_scan('…')`` or a view.
        log: the log likewise; read before the base where the engine does not take both at once.
        quote: how the engine quotes a name: DuckDB's, or backticks for Spark.
    """
    key, marks = table.merge.primary_key, changes.marks(table)
    same, newer = merging_sql.same_key(key, quote=quote), merging_sql.newer(marks, quote=quote)
    # A null is the oldest mark; engines differ in where they put one when nobody says.
    order = ", ".join(f"{quote(name)} DESC NULLS LAST" for name in (*marks, BATCH))
    first = quote(key[0])
    rows = ", ".join(f"t.{quote(name)}" for name in columns)
    told = ", ".join(_told(name, key=key, quote=quote) for name in columns)
    keys = ", ".join(map(quote, key))
    deleted = f"s.{quote(OPERATION)} = '{Operation.DELETE.value}'"
    parts = [  # every name is quoted, and whoever runs the query names the relations
        f"WITH ranked AS (SELECT *, row_number() OVER (PARTITION BY {keys} ORDER BY {order})",
        f"AS _rank FROM {log}), newest AS (SELECT * FROM ranked WHERE _rank = 1)",  # noqa: S608
        f"SELECT {rows} FROM {base} t LEFT JOIN newest s ON {same}",  # noqa: S608
        f"WHERE s.{first} IS NULL OR NOT coalesce({newer}, FALSE)",
        f"UNION ALL SELECT {told} FROM newest s LEFT JOIN {base} t ON {same}",  # noqa: S608
        f"WHERE NOT ({deleted}) AND (t.{first} IS NULL OR coalesce({newer}, FALSE))",
    ]
    return " ".join(parts)


def _told(name: str, *, key: Sequence[str], quote: Callable[[str], str]) -> str:
    if name in key:
        return f"s.{quote(name)} AS {quote(name)}"
    literal = name.replace("'", "''")
    return (
        f"CASE WHEN array_contains(s.{quote(ABSENT)}, '{literal}') "
        f"THEN t.{quote(name)} ELSE s.{quote(name)} END AS {quote(name)}"
    )


def _opened(table: tables.Table, place: Location) -> State | None:
    log, base = _open(table, place.child(LOG)), _open(table, place)
    return State(base=base, log=log) if base is not None else None


def _open(table: tables.Table, place: Location) -> merging.KeyedTable | None:
    lake = delta.read_table(place)
    if lake is None:
        return None
    return merging.KeyedTable.of(
        lake, primary_key=table.merge.primary_key, marks=changes.marks(table)
    )


def _others(count: int, indexes: pa.Array) -> pa.Array:
    return compute.invert(compute.is_in(pa.arange(0, count), value_set=indexes))
