"""A turn at a busy table never leaves it standing, and never lets a person's pause go."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.ingest.backfill.worlds import load_of, shop

from penstock.errors import DataError
from penstock.ingest.backfill.turns import Turn
from penstock.ingest.locations import locate
from penstock.ingest.orders import Orders

pytestmark = pytest.mark.real


def test_a_turn_that_a_kill_left_is_given_back(tmp_path: Path) -> None:
    place = locate("shop", lake=tmp_path)
    Turn(place, "backfill/a").take()
    assert Orders(place).look()[0]
    Turn(place, "backfill/b")
    assert Orders(place).look()[0], "it is another's"
    Turn(place, "backfill/a")
    assert not Orders(place).look()[0]


def test_a_pause_of_a_person_stays(tmp_path: Path) -> None:
    place = locate("shop", lake=tmp_path)
    Orders(place).pause()
    turn = Turn(place, "backfill/a")
    turn.take()
    turn.give_back()
    assert Orders(place).look()[0]


def test_an_archive_of_poison_stops_the_backfill(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.jsonl").write_text("{poison\n" * 1_200)
    load = load_of(shop("t"), tmp_path, tmp_path / "a", piece_rows=10_000)
    with pytest.raises(DataError, match="1200 of the latest 1200"):
        load.run()
    assert not (tmp_path / "shop_dead_letters").exists()
