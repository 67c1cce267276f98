"""Which archived records an append table has already, by their Kafka coordinates.

    RAW ─before the live stream stands─▶ ─not among the table's coordinates─▶ RAW that is to land

Guarantee: beside a live stream every record lands once. Records at or after the offset where the
live stream stands are its own to land; those before are in the table already, or never will be by
it. So the order matters: where it stands is read first, the table after.
"""

from __future__ import annotations

import pyarrow as pa
from pyarrow import compute

from penstock.errors import NotReady, Refused
from penstock.ingest import delta, ledger, merging_sql
from penstock.ingest.letters import ORIGIN
from penstock.ingest.locations import Location
from penstock.ingest.plan import Partition, Positions
from penstock.model import tables

__all__ = ["Landed"]

_NEEDED = ("partition", "offset")


class Landed:
    """What has landed in one append table, and in its dead letters."""

    def __init__(self, table: tables.Table, place: Location, letters_place: Location) -> None:
        """Find the columns that hold coordinates.

        Args:
            table: the declaration.
            place: of the table.
            letters_place: of its dead letters.
        """
        self._table = table
        self._place = place
        self._letters_place = letters_place
        told = {each.expression.strip().strip('"').lower(): each.name for each in table.derived}
        known = {name: told.get(name) or told.get(f"kafka.{name}") for name in ORIGIN}
        self._columns = {name: column for name, column in known.items() if column}

    def check(self, *, until_ms: int) -> None:
        """Refuse what cannot be told from rows that are there.

        Args:
            until_ms: records from then on are left out; 0 for none.

        Raises:
            Refused: when the table keeps no coordinates and no time ends the archive.
        """
        if not self._has_coordinates and not until_ms:
            raise Refused(
                f"table {self._table.ident} keeps no Kafka coordinates, so its rows cannot be told "
                "from the archive's. Say with --until from which time on the live stream has landed "
                "the records, or declare derived columns of the expressions partition and offset."
            )

    def without(self, raw: pa.Table) -> pa.Table:
        """Return the records that are to land, each once.

        Raises:
            NotReady: when no batch of the live stream is there yet, or the storage fails.
        """
        raw = _once(raw)
        if not self._has_coordinates:
            return raw
        raw = _before(raw, self._standing())
        if not raw.num_rows:
            return raw
        raw = _not_among(raw, self._place, self._columns)
        return _not_among(raw, self._letters_place, {name: name for name in ORIGIN})

    @property
    def _has_coordinates(self) -> bool:
        return all(name in self._columns for name in _NEEDED)

    def _standing(self) -> Positions:
        lake = delta.read_table(self._place)
        last = lake.last(ledger.app_id(self._table)) if lake is not None else 0
        if not last:
            raise NotReady(
                f"table {self._table.ident} has no batch of its topic yet, so nobody can tell which "
                "archived records it will land itself. Start ingest first."
            )
        return ledger.Ledger(self._place).standing(last)


def _once(raw: pa.Table) -> pa.Table:
    firsts = (
        raw.select(ORIGIN)
        .append_column("index", pa.arange(0, raw.num_rows))
        .group_by(ORIGIN, use_threads=False)
        .aggregate([("index", "min")])
    )
    return raw if firsts.num_rows == raw.num_rows else raw.take(firsts["index_min"].sort())


def _before(raw: pa.Table, standing: Positions) -> pa.Table:
    """Return the records before where the live stream stands; of partitions it never read, all."""
    homes = raw.select(ORIGIN[:-1]).group_by(ORIGIN[:-1], use_threads=False).aggregate([])
    ends = [
        standing.get(Partition(cluster=h["cluster"], topic=h["topic"], number=h["partition"]))
        for h in homes.to_pylist()
    ]
    limits = homes.append_column("end", pa.array(ends, pa.int64()))
    indexed = raw.select(ORIGIN).append_column("index", pa.arange(0, raw.num_rows))
    joined = indexed.join(limits, keys=ORIGIN[:-1], use_threads=False)
    before = compute.fill_null(compute.less(joined["offset"], joined["end"]), fill_value=True)
    return raw.take(joined.filter(before)["index"].sort())


def _not_among(raw: pa.Table, place: Location, columns: dict[str, str]) -> pa.Table:
    """Return the records whose coordinates no row of the table has."""
    lake = delta.read_table(place) if raw.num_rows else None
    if lake is None:
        return raw
    where = merging_sql.between(raw["offset"], columns["offset"])
    with delta.translated(place):
        scan = lake.table.scan(columns=list(columns.values()), predicate=where)
        there = pa.RecordBatchReader.from_stream(scan).read_all().select(list(columns.values()))
    keys = list(columns)
    there = there.rename_columns(keys)
    there = pa.table({name: there[name].cast(raw.schema.field(name).type) for name in keys})
    indexed = raw.select(keys).append_column("index", pa.arange(0, raw.num_rows))
    left = indexed.join(there, keys=keys, join_type="left anti", use_threads=False)
    return raw.take(left["index"].sort())
