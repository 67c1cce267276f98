"""What must survive a power cut is on the disk before anything builds on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.errors import Conflict
from penstock.ingest.backfill.pieces import Loads, Plan
from penstock.ingest.ledger import BatchPlan, Ledger
from penstock.ingest.locations import Location, locate
from penstock.ingest.orders import Kind, Orders

pytestmark = pytest.mark.real

Write = Callable[[Location], object]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, bytes]]:
    """Give what was synced, in order: each path, and a file's content as it was then."""
    found: list[tuple[Path, bytes]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        found.append((path, b"" if path.is_dir() else path.read_bytes()))

    monkeypatch.setattr(os, "fsync", fsync)
    return found


@pytest.mark.parametrize(
    ("directory", "write"),
    [
        ("batches", lambda place: Ledger(place).write(BatchPlan(number=1, begin={}, end={}))),
        ("orders", lambda place: Orders(place).ask(Kind.RESET, timestamp_ms=5)),
        ("orders", lambda place: Orders(place).pause()),
        ("bootstrap", lambda place: Loads(place).write(_plan())),
        ("bootstrap", lambda place: Loads(place).ask("bootstrap", "cancel")),
    ],
    ids=["plan", "order", "pause", "load", "cancel"],
)
def test_a_file_is_on_the_disk_with_its_directories(
    tmp_path: Path, synced: list[tuple[Path, bytes]], directory: str, write: Write
) -> None:
    write(locate("t", lake=tmp_path))
    (file,) = (path for path in (tmp_path / "t").rglob("*") if path.is_file())
    paths = [path for path, _ in synced]
    above = [tmp_path, tmp_path / "t", tmp_path / "t/_penstock"]
    assert file.parent == above[-1] / directory
    assert set(paths[:-2]) == set(above), "every directory that was made is in the one above"
    assert synced[-2][0].name.startswith(f"{file.name}#"), "under its name it is never half there"
    assert synced[-2][1] == file.read_bytes()
    assert paths[-1] == file.parent


def _plan() -> Plan:
    return Plan(name="bootstrap", source="a", pieces=())


def test_an_order_that_is_done_does_not_come_back(
    tmp_path: Path, synced: list[tuple[Path, bytes]]
) -> None:
    orders = Orders(locate("t", lake=tmp_path))
    order = orders.ask(Kind.RESET)
    synced.clear()
    orders.done(order)
    orders.done(order)
    assert synced[0][0] == tmp_path / "t/_penstock/orders"
    assert not orders.is_open(order)


def test_one_of_two_plans_is_kept_and_parts_of_killed_writers_are_none(tmp_path: Path) -> None:
    place = locate("t", lake=tmp_path)
    ledger = Ledger(place)
    ledger.write(BatchPlan(number=1, begin={}, end={}, request="a"))
    with pytest.raises(Conflict):
        ledger.write(BatchPlan(number=1, begin={}, end={}, request="b"))
    kept = ledger.read(1)
    assert kept is not None
    assert kept.request == "a"
    directory = tmp_path / "t/_penstock/batches"
    assert [path.name for path in directory.iterdir()] == ["1.json"]
    (directory / "2.json#77").write_bytes(b"{")
    assert place.names("_penstock/batches") == ["_penstock/batches/1.json"]
