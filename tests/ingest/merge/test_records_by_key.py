"""Mode ``merge``: the newest record of a key is its row, by a column that the records have."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.ingest import changes, fresh, locations
from penstock.ingest.pipeline import Pipeline
from penstock.ingest.records import RAW
from penstock.ingest.targets import open_target
from penstock.model import tables

pytestmark = pytest.mark.real

PRICES = tables.Table(
    name="prices",
    topic="prices",
    environment="test",
    owner="shop",
    path="prices",
    mode=tables.TableMode.MERGE,
    columns=(
        tables.Column(name="sku", type="string", nullable=False),
        tables.Column(name="version", type="long"),
        tables.Column(name="price", type="decimal(10,2)"),
    ),
    merge=tables.Merge(primary_key=("sku",), order_by=("version",)),
)

Record = tuple[int, dict[str, Any]]
records = st.fixed_dictionaries(
    {
        "sku": st.sampled_from("ab"),
        "version": st.none() | st.integers(0, 3),
        "price": st.integers(0, 9).map(lambda n: f"{n}.50"),
    }
)


def raw_of(some: list[Record]) -> pa.Table:
    rows = [
        {
            "cluster": "primary",
            "topic": "prices",
            "partition": 0,
            "offset": offset,
            "timestamp_ms": 1_000,
            "value": json.dumps(value).encode(),
        }
        for offset, value in some
    ]
    return pa.Table.from_pylist(rows, schema=RAW)


def newest(some: list[Record]) -> dict[str, tuple[int | None, str]]:
    found = {}
    for _, value in sorted(
        some, key=lambda r: (-1 if r[1]["version"] is None else r[1]["version"], r[0])
    ):
        found[value["sku"]] = (value["version"], value["price"])
    return found


@given(st.lists(records, min_size=1, max_size=8), st.data())
@settings(max_examples=12)
def test_the_newest_record_of_a_key_is_its_row(
    tmp_path_factory: pytest.TempPathFactory, values: list[dict[str, Any]], data: st.DataObject
) -> None:
    some = data.draw(st.permutations(list(enumerate(values))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(some)), max_size=2)))
    place = locations.locate("prices", lake=tmp_path_factory.mktemp("lake"))
    pipeline = Pipeline(PRICES)
    target = open_target(PRICES, place, pipeline.schema)
    for number, (first, end) in enumerate(itertools.pairwise([0, *cuts, len(some)]), start=1):
        made = pipeline.transform(raw_of(some[first:end]))
        assert made.letters.num_rows == 0
        target.commit(number, made.rows)
    rows = [row for piece in fresh.read_fresh(PRICES, place) for row in piece.to_pylist()]
    assert {row["sku"]: (row["version"], str(row["price"])) for row in rows} == newest(some)
    assert len(rows) == len(newest(some))


def test_a_record_of_a_key_that_is_missing_is_a_dead_letter() -> None:
    pipeline = Pipeline(PRICES)
    made = pipeline.transform(raw_of([(0, {"version": 1, "price": "1.00"})]))
    assert (made.rows.num_rows, made.letters.num_rows) == (0, 1)


@pytest.mark.unit
def test_a_database_s_deletes_are_not_ordered_by_columns_they_do_not_tell() -> None:
    assert changes.marks(PRICES)[0] == "version"
    cdc = tables.Table(
        name="t",
        topic="t",
        environment="e",
        owner="o",
        path="t",
        mode=tables.TableMode.MERGE_CDC,
        merge=PRICES.merge,
    )
    assert "version" not in changes.marks(cdc)
