"""A row is believed to be wrong when it was in every look; under load another one is each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import deltalake
import psycopg
import pyarrow as pa
import pytest

from penstock.ingest import changes, delta, locations
from penstock.ingest.verifying.compare import Verdict
from penstock.ingest.verifying.lake import Lake
from penstock.ingest.verifying.verify import Source, verify
from penstock.model import tables

pytestmark = pytest.mark.real

COUNT = 30
TABLE = tables.Table(
    name="things",
    topic="things",
    environment="test",
    owner="tests",
    path="things",
    mode=tables.TableMode.MERGE_CDC,
    columns=(tables.Column(name="id", type="long"), tables.Column(name="name", type="string")),
    merge=tables.Merge(primary_key=("id",)),
)


@dataclass
class World:
    """A table of PostgreSQL and one of the lake that is the same."""

    url: str
    lake: Path

    def verified(self, at_mark: Callable[[int], None]) -> Verdict:
        looks = iter(range(100))
        source = Source(url=self.url, table="things", reach=lambda _mark: at_mark(next(looks)))
        place = locations.locate(TABLE.path, lake=self.lake)
        return verify(source, Lake(table=TABLE, place=place), range_rows=10)

    def set(self, key: int, name: str) -> None:
        table = deltalake.DeltaTable(self.lake / "things")
        table.update({"name": f"'{name}'"}, predicate=f"id = {key}")


@pytest.fixture
def world(database: str, tmp_path: Path) -> World:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS things")
        connection.execute("CREATE TABLE things (id bigint PRIMARY KEY, name text)")
        connection.execute(
            f"INSERT INTO things SELECT n, 'n' || n FROM generate_series(0, {COUNT - 1}) n"
        )
    schema = changes.lake_schema(pa.schema([("id", pa.int64()), ("name", pa.string())]))
    place = locations.locate(TABLE.path, lake=tmp_path)
    delta.open_table(place, schema)
    rows = [{"id": n, "name": f"n{n}", "_sequence": 1} for n in range(COUNT)]
    deltalake.write_deltalake(
        tmp_path / "things", pa.Table.from_pylist(rows, schema), mode="append"
    )
    return World(database, tmp_path)


def test_another_row_in_flight_at_each_look_is_no_fault(world: World) -> None:
    def load(number: int) -> None:
        world.set(number, "on its way")
        if number:
            world.set(number - 1, f"n{number - 1}")

    verdict = world.verified(load)
    assert (verdict.equal, verdict.rounds, verdict.rows) == (True, 2, COUNT)
    assert verdict.moving == 1


def test_a_row_that_is_wrong_at_every_look_is_told_alone(world: World) -> None:
    def load(number: int) -> None:
        world.set(number, "on its way")
        if number:
            world.set(number - 1, f"n{number - 1}")

    world.set(7, "wrong")
    verdict = world.verified(load)
    assert (verdict.equal, verdict.rounds) == (False, 5)
    assert [(fault.key, fault.columns) for fault in verdict.faults] == [(("7",), ("name",))]
