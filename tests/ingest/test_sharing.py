"""Which process runs which table."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.ingest import owners
from penstock.ingest.leases import Lease
from penstock.ingest.locations import locate
from penstock.ingest.sharing import Announced, Announcements, share

pytestmark = pytest.mark.unit

TABLES = [f"t{n}" for n in range(8)]
names = st.sampled_from(["p1", "p2", "p3", "p4"])


def elsewhere() -> owners.Owner:
    """A process of another machine, of which nobody can tell whether it lives."""
    return replace(owners.me(), machine="another")


@given(
    wanted=st.dictionaries(names, st.frozensets(st.sampled_from(TABLES), min_size=1), min_size=1),
    data=st.data(),
)
def test_tables_are_shared_evenly_from_any_beginning(
    wanted: dict[str, frozenset[str]], data: st.DataObject
) -> None:
    holders: dict[str, str] = {}
    for table in TABLES:
        takers = [name for name, tables in wanted.items() if table in tables]
        if takers and data.draw(st.booleans()):
            holders[table] = data.draw(st.sampled_from(takers))
    for _ in range(40):
        changed = False
        processes = {
            name: Announced(
                wanted=tables, held=frozenset(t for t, holder in holders.items() if holder == name)
            )
            for name, tables in wanted.items()
        }
        before = dict(holders)
        for name, tables in wanted.items():
            mine = share(name, processes, {table: before.get(table) for table in tables})
            for table in mine.take:
                holders.setdefault(table, name)  # as leases do: the first one has it
            for table in mine.give:
                del holders[table]
            changed = changed or mine.take != () or mine.give != ()
        if not changed:
            break
    assert not changed, "it comes to rest"
    assert set(holders) == frozenset().union(*wanted.values())
    counts = {name: list(holders.values()).count(name) for name in wanted}
    for table, holder in holders.items():
        for name, tables in wanted.items():
            assert table not in tables or counts[holder] <= counts[name] + 1


def test_a_lease_has_one_holder_and_is_free_when_let_go(tmp_path: Path) -> None:
    one, two = (Lease(locate("t", lake=tmp_path), owner=elsewhere(), lasts_s=10) for _ in range(2))
    assert one.take()
    assert not two.take()
    for _ in range(10):
        assert one.renew()
    assert len(list((tmp_path / "t/_penstock/lease").iterdir())) <= 4
    one.release()
    assert two.take()
    assert not one.renew()
    one.release()
    assert two.renew(), "only the holder can let go"


def test_a_lease_nobody_renews_is_free_after_its_time_by_the_looker_s_clock(
    tmp_path: Path,
) -> None:
    now = [0.0]
    place = locate("t", lake=tmp_path)
    stopped = Lease(place, owner=elsewhere(), lasts_s=10, clock=lambda: now[0])
    waiting = Lease(place, owner=elsewhere(), lasts_s=10, clock=lambda: now[0])
    assert stopped.take()
    now[0] = 100.0
    assert not waiting.take(), "it has only just been seen"
    now[0] = 109.0
    assert not waiting.take()
    assert stopped.renew()
    now[0] = 118.0
    assert not waiting.take()
    now[0] = 127.9
    assert not waiting.take(), "a renewal was seen at 118 s"
    now[0] = 128.1
    assert waiting.take()
    assert not stopped.renew(), "a process that comes back finds out"


def test_the_lease_of_a_process_that_died_here_is_free_at_once(tmp_path: Path) -> None:
    script = (
        "import dataclasses, json; from penstock.ingest import owners;"
        "print(json.dumps(dataclasses.asdict(owners.me())))"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    dead = owners.Owner(**json.loads(told))
    assert owners.is_gone(dead)
    assert not owners.is_gone(owners.me())
    assert owners.is_gone(replace(owners.me(), started=1)), "another process of the same pid"
    place = locate("t", lake=tmp_path)
    place.create("_penstock/lease/000000000001.json", json.dumps({"owner": asdict(dead)}).encode())
    assert Lease(place, owner=owners.me(), lasts_s=1_000).take()


def test_processes_hear_of_each_other_until_they_are_silent(tmp_path: Path) -> None:
    now = [0.0]
    lake = locate("lake", lake=tmp_path)
    one, two = elsewhere(), elsewhere()
    first, second = (
        Announcements(lake, owner=owner, lasts_s=10, clock=lambda: now[0]) for owner in (one, two)
    )
    said = Announced(wanted=frozenset({"a"}), held=frozenset())
    assert set(first.exchange(said)) == {one.name}
    assert second.exchange(said) == {one.name: said, two.name: said}
    now[0] = 11.0
    assert set(first.exchange(said)) == {one.name, two.name}, "heard of only now"
    now[0] = 22.0
    assert set(first.exchange(said)) == {one.name}
    second.exchange(said)
    assert set(first.exchange(said)) == {one.name, two.name}
    second.leave()
    assert set(first.exchange(said)) == {one.name}
