"""Dead letters, kept with all that makes a record of them again, and read slice by slice."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from tests.ingest.worker_process import make_table

from penstock.ingest import delta, letters
from penstock.ingest.locations import Location, locate

pytestmark = pytest.mark.real

NOW = datetime(2026, 11, 21, tzinfo=UTC)
EACH = 2**17


def dead(place: Location) -> letters.DeadLetters:
    return letters.DeadLetters(make_table("t"), place, clock=lambda: NOW)


def found(offsets: range, *, size: int = 10) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "reason": "none", "cluster": "primary", "topic": "t", "partition": n % 3,
                "offset": n, "event_time": None if n % 50 == 0 else NOW,
                "value": n.to_bytes(8, "big") * (size // 8), "record_id": f"i{n}",
            }
            for n in offsets
        ],
        schema=letters.FOUND,
    )  # fmt: skip


def test_every_letter_is_in_one_slice_that_can_be_read_again(tmp_path: Path) -> None:
    """Of small files, and of files larger than a slice; others come and go meanwhile."""
    place = locate("l", lake=tmp_path)
    for number, (first, end) in enumerate([(0, 1), (1, 3), (3, 120), (120, 125)], start=1):
        dead(place).write(number, found(range(first, end)))
    seen: list[tuple[tuple[int, int, int], pa.Table]] = []
    for slice_ in letters.slices(place, rows=20, size_bytes=2**20):
        seen.append(slice_)
        dead(place).remove(slice_[1])
    dead(place).write(9, found(range(125, 130)))
    offsets = [offset for _, raw in seen for offset in raw["offset"].to_pylist()]
    assert sorted(offsets) == [n for n in range(125) if n % 50], "a gap is no record"
    ids = [one for _, raw in seen for one in raw["record_id"].to_pylist()]
    assert ids == [f"i{offset}" for offset in offsets]
    assert max(raw.num_rows for _, raw in seen) <= 20
    assert len(seen) <= 10, "small files are read together"
    for which, raw in seen:
        assert letters.replayed(place, which).equals(raw)
    left = delta.read_table(place)
    assert left is not None
    assert sorted(left.newest(1000)["offset"].to_pylist()) == [0, 50, 100, *range(125, 130)]


def test_memory_is_bounded_by_a_slice(tmp_path: Path) -> None:
    place = locate("l", lake=tmp_path)
    for number in range(1, 9):
        dead(place).write(number, found(range(number * 50, number * 50 + 40), size=EACH))
    before = pa.total_allocated_bytes()
    held = 0
    count = 0
    for _, raw in letters.slices(place, rows=50_000, size_bytes=16 * EACH):
        held = max(held, pa.total_allocated_bytes() - before)
        count += raw.num_rows
        assert raw.nbytes < 20 * EACH
    assert count == 8 * 39
    # The slice, its pieces, and a file as it is read; all letters are 320 times EACH.
    assert held < 120 * EACH


def test_a_table_of_letters_from_before_gets_the_id_s_column(tmp_path: Path) -> None:
    place = locate("l", lake=tmp_path)
    names = [name for name in letters.LETTERS.names if name != "record_id"]
    old = delta.open_table(place, pa.schema([letters.LETTERS.field(name) for name in names]))
    rows = found(range(1, 3)).append_column(
        "found_at", pa.array([NOW] * 2, pa.timestamp("us", "UTC"))
    )
    old.append(rows.select(names), app_id="penstock/test/landed", number=1)
    ((_, raw),) = letters.slices(place, rows=10, size_bytes=2**20)
    assert raw["record_id"].to_pylist() == [None, None]
    dead(place).write(2, found(range(3, 5)))
    ((_, raw),) = letters.slices(place, rows=10, size_bytes=2**20)
    found_ids = dict(zip(raw["offset"].to_pylist(), raw["record_id"].to_pylist(), strict=True))
    assert found_ids == {1: None, 2: None, 3: "i3", 4: "i4"}
