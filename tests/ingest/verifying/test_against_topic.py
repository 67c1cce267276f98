"""A table is compared with its topic: every record is a row or a dead letter, and nothing else is."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest
from confluent_kafka import Producer, TopicPartition
from pyarrow import parquet
from tests.ingest.sources import Source, good
from tests.ingest.test_process import COLUMNS, ESTATE, TABLE, apply, penstock, rows, run
from tests.ingest.worker_process import make_snapshot, make_table
from tests.ingest.workers import working

from penstock.errors import ConfigError, NotReady
from penstock.ingest import letters, locations
from penstock.ingest.verifying import against_topic, reaching, topic
from penstock.ingest.verifying.compare import Difference, Verdict
from penstock.kafka.admin import Admin
from penstock.model import tables
from penstock.testing.control import running_control_plane
from penstock.testing.plugin import Federation, WaitUntil

pytestmark = pytest.mark.real

MERGED = tables.Merge(primary_key=("shop", "id"))
MERGE_COLUMNS = (
    tables.Column(name="shop", type="string", nullable=False),
    tables.Column(name="id", type="long", nullable=False),
    tables.Column(name="price", type="decimal(10,2)"),
    tables.Column(name="note", type="string"),
    tables.Column(name="tags", type="map<string, array<long>>"),
)


def verified(source: Source, lake: Path, table: tables.Table, **options: Any) -> Verdict:
    place = locations.locate(table.path, lake=lake)
    return against_topic.verify(
        topic.opened(table, make_snapshot(source.bootstraps, source.topic)),
        place,
        letters.location(table, place, lake=lake),
        **{"within_s": 30.0, **options},
    )


@pytest.fixture
def landed(source: Source) -> tables.Table:
    patient = tables.DeadLetters(max_ratio=1.0)
    return make_table(source.topic, dead_letters=patient)


@pytest.fixture
def plain(landed: tables.Table) -> tables.Table:
    """A table whose rows do not tell which record they are of."""
    return replace(landed, derived=(), partition_by=())


@pytest.fixture
def merged(landed: tables.Table) -> tables.Table:
    return replace(
        landed,
        mode=tables.TableMode.MERGE_CDC,
        columns=MERGE_COLUMNS,
        derived=(),
        partition_by=(),
        merge=MERGED,
    )


@pytest.fixture
def land(source: Source, tmp_path: Path, wait_until: WaitUntil) -> Callable[..., None]:
    """Give a function that lets a table take everything that was sent."""

    def run_worker(table: tables.Table) -> None:
        with working(source, tmp_path, table=table) as worker:
            place = locations.locate(table.path, lake=tmp_path)
            ends: dict[tuple[str, int], int] = {}
            for cluster, partition, offset in source.acked:
                ends[cluster, partition] = max(offset + 1, ends.get((cluster, partition), 0))

            def done() -> bool:
                there = reaching.standing(table, place)
                found = {(p.cluster, p.number): offset for p, offset in there.items()}
                return found.items() >= ends.items() and not worker.progress.error

            wait_until(done, message="everything landed")

    return run_worker


def delta(lake: Path) -> deltalake.DeltaTable:
    return deltalake.DeltaTable(lake / "landed")


def row(lake: Path, condition: Callable[[dict[str, Any]], bool]) -> pa.Table:
    whole = delta(lake).to_pyarrow_table()
    mask = [condition(one) for one in whole.to_pylist()]
    return whole.filter(pa.array(mask))


def told(verdict: Verdict) -> list[tuple[Difference, tuple[str, ...]]]:
    return [(fault.difference, fault.columns) for fault in verdict.faults]


def test_a_table_is_equal_range_by_range_while_both_sides_grow(
    source: Source, landed: tables.Table, wait_until: WaitUntil, tmp_path: Path
) -> None:
    source.send_rows(700, cluster="primary")
    source.send_rows(50, cluster="standby", first=700)
    enough = threading.Event()

    def load() -> None:
        for n in itertools.count(1_000, 20):
            source.send_rows(20, cluster="primary" if n % 40 else "standby", first=n)
            if enough.wait(0.01):
                return

    with working(source, tmp_path, table=landed) as worker:
        wait_until(lambda: worker.progress.rows > 0, message="rows")
        loader = threading.Thread(target=load)
        loader.start()
        try:
            found = [verified(source, tmp_path, landed, range_rows=100) for _ in range(3)]
        finally:
            enough.set()
            loader.join()
    assert all(verdict.equal for verdict in found), found
    first, _, last = found
    assert 750 <= first.rows < last.rows
    assert first.notes == last.notes == ()
    assert sum(each.source_rows for each in last.ranges) == last.rows
    assert all(each.source_checksum == each.table_checksum for each in last.ranges)
    assert f"primary/{source.topic}/0 offsets 0 to 99" in {each.name for each in last.ranges}


@pytest.mark.parametrize("kept", [True, False], ids=["placed", "counted"])
def test_what_is_wrong_in_an_append_table_is_told(
    source: Source, landed: tables.Table, plain: tables.Table, land: Any, tmp_path: Path, *,
    kept: bool,
) -> None:  # fmt: skip
    table = landed if kept else plain
    source.send_rows(300, cluster="primary")
    source.send_rows(30, cluster="standby")  # the same rows: only their places differ
    land(table)
    assert verified(source, tmp_path, table).equal

    one = row(tmp_path, lambda r: r["id"] == "r200")
    delta(tmp_path).delete("id = 'r200'")
    missing = verified(source, tmp_path, table)
    assert told(missing) == [(Difference.MISSING, ())]
    assert missing.rows == 330
    deltalake.write_deltalake(delta(tmp_path), one, mode="append")
    assert verified(source, tmp_path, table).equal

    deltalake.write_deltalake(delta(tmp_path), one, mode="append")
    assert told(verified(source, tmp_path, table)) == [(Difference.EXTRA, ())]
    delta(tmp_path).delete("id = 'r200'")
    deltalake.write_deltalake(delta(tmp_path), one, mode="append")

    delta(tmp_path).update({"n": "-1"}, predicate="id = 'r201'")
    wrong = verified(source, tmp_path, table)
    assert not wrong.equal
    assert [each.equal for each in wrong.ranges].count(False) >= 1
    if kept:
        assert told(wrong) == [(Difference.OTHER, ("n",))]
        (fault,) = wrong.faults
        assert fault.key == ("primary", "0", "67")
    else:
        assert sorted(told(wrong)) == [(Difference.EXTRA, ()), (Difference.MISSING, ())]


def test_a_dead_letter_accounts_for_its_record_and_a_lost_one_is_told(
    source: Source, landed: tables.Table, plain: tables.Table, land: Any, tmp_path: Path
) -> None:
    bad: list[bytes | None] = [b"null", None, b'{"id": "x", "n": "no number"}', b"\xff"]
    source.send([*(good(n) for n in range(40)), *bad], cluster="primary")
    land(landed)
    verdict = verified(source, tmp_path, landed)
    assert (verdict.equal, verdict.rows, verdict.letters) == (True, 40, 4)
    lost = deltalake.DeltaTable(tmp_path / "landed_dead_letters")
    (place,) = [p for p, value in source.acked.items() if value == b"\xff"]
    _, partition, offset = place
    lost.delete(f"partition = {partition} AND offset = {offset}")
    verdict = verified(source, tmp_path, landed)
    assert (verdict.equal, verdict.letters) == (False, 3)
    assert told(verdict) == [(Difference.LOST, ())]
    assert verdict.faults[0].key == ("primary", source.topic, str(partition), str(offset))
    assert told(verified(source, tmp_path, plain)) == [(Difference.LOST, ())]


@pytest.mark.parametrize("kept", [True, False], ids=["placed", "counted"])
def test_a_topic_whose_beginning_is_deleted_is_compared_as_far_as_it_goes(
    source: Source, landed: tables.Table, plain: tables.Table, land: Any, tmp_path: Path, *,
    kept: bool,
) -> None:  # fmt: skip
    table = landed if kept else plain
    source.send_rows(300, cluster="primary")
    land(table)
    delete_before(source, 0, 40)
    verdict = verified(source, tmp_path, table)
    assert (verdict.equal, verdict.rows, verdict.unjudged) == (True, 260, 40)
    assert verdict.notes == (
        f"primary/{source.topic}/0: offsets 0 to 39 are not in the topic any more",
    )
    delta(tmp_path).delete("id = 'r0'")  # offset 0 of partition 0: nobody can know
    assert verified(source, tmp_path, table).equal
    delta(tmp_path).delete("id = 'r299'")
    assert told(verified(source, tmp_path, table)) == [(Difference.MISSING, ())]


def delete_before(source: Source, partition: int, offset: int) -> None:
    admin = Admin("primary", source.clusters["primary"].bootstrap)
    place = TopicPartition(source.topic, partition, offset)
    for future in admin.client.delete_records([place]).values():
        future.result(30)


def test_a_compacted_topic_says_nothing_of_records_it_dropped(
    source: Source, landed: tables.Table, land: Any, tmp_path: Path
) -> None:
    admin = Admin("primary", source.clusters["primary"].bootstrap)
    admin.alter_config(source.topic, values={"cleanup.policy": "compact"})
    source.send_rows(30, cluster="primary")
    land(landed)
    more = row(tmp_path, lambda r: r["id"] == "r3")
    deltalake.write_deltalake(delta(tmp_path), more, mode="append")
    verdict = verified(source, tmp_path, landed)
    assert (verdict.equal, verdict.unjudged) == (True, 1)
    assert "is compacted" in verdict.notes[0]


def test_a_table_that_does_not_get_there_is_told(
    source: Source, landed: tables.Table, land: Any, tmp_path: Path
) -> None:
    source.send_rows(30, cluster="primary")
    with pytest.raises(NotReady, match="30 records are still to come"):
        verified(source, tmp_path, landed, within_s=0.2)
    land(landed)
    source.send_rows(7, cluster="primary", first=30)
    with pytest.raises(NotReady, match="7 records are still to come"):
        verified(source, tmp_path, landed, within_s=0.2)


def test_the_marker_of_a_transaction_is_no_record_to_wait_for(
    source: Source, landed: tables.Table, land: Any, tmp_path: Path
) -> None:
    producer = Producer(
        {
            "bootstrap.servers": source.clusters["primary"].bootstrap,
            "transactional.id": source.topic,
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for n in range(9):
        producer.produce(source.topic, good(n), partition=0)
        source.acked["primary", 0, n] = good(n)
    producer.commit_transaction(30)
    land(landed)
    verdict = verified(source, tmp_path, landed)
    assert (verdict.equal, verdict.rows) == (True, 9)


def change(operation: str, key: int, at: int, **values: Any) -> bytes:
    event = {
        "oc": operation,
        "ns": "public.items",
        "ot": 1_700_000_000_000 + at,
        "sq": at,
        "pk": {"shop": "s", "id": key},
        "va": None if operation == "D" else values,
    }
    return json.dumps(event).encode()


def send_changes(source: Source, changes: Sequence[tuple[int, bytes]]) -> None:
    """Send changes to the partition of their key."""
    for partition in range(3):
        mine: list[bytes | None] = [value for key, value in changes if key % 3 == partition]
        source.send(mine, cluster="primary", partition=partition)


HISTORY = [
    *((n, change("I", n, n, price=f"{n}.50", note=f"n{n}", tags={"a": [n]})) for n in range(60)),
    *((n, change("U", n, 100 + n, price=f"{n}.75")) for n in range(0, 60, 2)),
    *((n, change("D", n, 200 + n)) for n in range(0, 60, 5)),
    *((n, change("I", n, 300 + n, price="0.10")) for n in range(0, 60, 10)),
    (61, change("U", 61, 400, price="1.00")),
    (7, change("U", 7, 3, price="9999.00")),  # late: older than the insert
]
LIVE = 60 - 12 + 6 + 1


@pytest.mark.parametrize("strategy", ["copy-on-write", "change-log"])
def test_a_merged_table_is_what_its_changes_come_to(
    source: Source, merged: tables.Table, land: Any, tmp_path: Path, strategy: str
) -> None:
    chosen = tables.Strategy(strategy)
    table = replace(merged, merge=replace(MERGED, strategy=chosen))
    send_changes(source, HISTORY)
    source.send([b"null"], cluster="primary")
    land(table)
    verdict = verified(source, tmp_path, table, range_rows=20)
    assert (verdict.equal, verdict.rows, verdict.letters) == (True, LIVE, 1), verdict
    assert len(verdict.ranges) > 3
    assert verdict.unjudged == 0


def test_what_is_wrong_in_a_merged_table_is_told(
    source: Source, merged: tables.Table, land: Any, tmp_path: Path
) -> None:
    table = replace(merged, merge=replace(MERGED, strategy=tables.Strategy.COPY_ON_WRITE))
    send_changes(source, HISTORY)
    land(table)
    assert verified(source, tmp_path, table).equal

    one = row(tmp_path, lambda r: r["id"] == 3)
    delta(tmp_path).delete("id = 3")
    assert told(verified(source, tmp_path, table)) == [(Difference.MISSING, ())]
    deltalake.write_deltalake(delta(tmp_path), one, mode="append")
    assert verified(source, tmp_path, table).equal
    deltalake.write_deltalake(delta(tmp_path), one, mode="append")
    assert told(verified(source, tmp_path, table)) == [(Difference.EXTRA, ())]
    delta(tmp_path).delete("id = 3")
    deltalake.write_deltalake(delta(tmp_path), one, mode="append")

    delta(tmp_path).update({"note": "'wrong'"}, predicate="id = 4")
    verdict = verified(source, tmp_path, table)
    assert told(verdict) == [(Difference.OTHER, ("note",))]
    assert verdict.faults[0].key == ("s", "4")
    delta(tmp_path).update({"note": "'n4'"}, predicate="id = 4")

    back = one.set_column(one.schema.get_field_index("id"), "id", pa.array([5], pa.int64()))
    deltalake.write_deltalake(delta(tmp_path), back, mode="append")  # 5 was deleted
    verdict = verified(source, tmp_path, table)
    assert (told(verdict), verdict.faults[0].key) == ([(Difference.EXTRA, ())], ("s", "5"))


def test_a_merged_table_whose_topic_lost_its_beginning_is_compared_by_what_is_left(
    source: Source, merged: tables.Table, land: Any, tmp_path: Path
) -> None:
    send_changes(source, HISTORY)
    land(merged)
    delete_before(source, 0, 20)  # the inserts of the keys 0, 3, … 57
    verdict = verified(source, tmp_path, merged)
    assert verdict.equal, verdict.faults
    assert verdict.unjudged == 8  # 3, 9, 21, 27, 33, 39, 51, 57: nothing is told of them any more
    assert verdict.rows == LIVE - 8
    assert "offsets 0 to 19" in verdict.notes[0]
    delta(tmp_path).update({"price": "0"}, predicate="id = 3")  # nobody can know
    assert verified(source, tmp_path, merged).equal
    delta(tmp_path).update({"note": "'x'"}, predicate="id = 6")  # its update told the price only
    assert verified(source, tmp_path, merged).equal
    delta(tmp_path).update({"price": "0"}, predicate="id = 6")
    assert told(verified(source, tmp_path, merged)) == [(Difference.OTHER, ("price",))]


@pytest.mark.parametrize("mode", [tables.TableMode.APPEND, tables.TableMode.MERGE])
def test_a_table_that_began_with_a_snapshot_is_compared_by_what_its_topic_tells(
    source: Source, landed: tables.Table, land: Any, tmp_path: Path, mode: tables.TableMode
) -> None:
    taken_at = datetime.now(UTC)
    (tmp_path / "snapshot").mkdir()
    older = [{"id": f"r{n}", "n": -n, "at": taken_at} for n in range(20)]
    parquet.write_table(pa.Table.from_pylist(older), tmp_path / "snapshot/rows.parquet")
    begun = tables.Bootstrap(snapshot="snapshot", taken_at_ms=2_000_000_000_000, margin_ms=0)
    table = replace(landed, mode=mode, bootstrap=begun)
    if mode is tables.TableMode.MERGE:
        table = replace(
            table,
            bootstrap=replace(
                begun, taken_at_ms=int(taken_at.timestamp() * 1000), margin_ms=60_000
            ),
            merge=tables.Merge(primary_key=("id",)),
            derived=(),
            partition_by=(),
        )
    source.send_rows(15, cluster="primary", first=10)
    land(table)
    verdict = verified(source, tmp_path, table)
    assert verdict.equal, verdict.faults
    assert verdict.notes[-1] == "rows were loaded beside the topic: bootstrap"
    # The snapshot of the one was taken long after the records; of the other one, before them.
    appended = mode is tables.TableMode.APPEND
    assert (verdict.rows, verdict.unjudged) == ((0, 20) if appended else (15, 10))
    if not appended:
        delta(tmp_path).delete("id = 'r12'")
        assert told(verified(source, tmp_path, table)) == [(Difference.MISSING, ())]


def test_a_cluster_without_an_address_to_ask_for_offsets_is_refused(
    source: Source, landed: tables.Table
) -> None:
    snapshot = make_snapshot(source.bootstraps, source.topic)
    locked = {name: replace(each, bootstrap={}) for name, each in snapshot.clusters.items()}
    found = topic.opened(landed, replace(snapshot, clusters=locked))
    with pytest.raises(ConfigError, match="has no plaintext address"):
        found.ends()


def test_the_command_takes_the_topic_where_no_database_is_declared(
    federation: Federation, topic_name: str, wait_until: WaitUntil, tmp_path: Path
) -> None:
    source = Source(topic=topic_name, clusters=dict(federation.clusters))
    table = TABLE.format(name="landed", topic=topic_name, columns=COLUMNS)
    with running_control_plane(tmp_path, clusters=federation.bootstraps) as control:
        apply(control, [ESTATE.format(topic=topic_name), table])
        source.send([*(good(n) for n in range(99)), b"poison"], cluster="primary")
        source.send_rows(20, cluster="standby", first=99)
        with penstock("ingest", home=tmp_path):
            wait_until(lambda: rows(tmp_path, "landed") == 119, message="119 rows")
            verdict = json.loads(run("table", "verify", "landed", "--json", home=tmp_path))
        found = {name: verdict[name] for name in ("equal", "source", "rows", "letters", "faults")}
        assert found == {
            "equal": True, "source": "topic", "rows": 119, "letters": 1, "faults": [],
        }  # fmt: skip
        lake = tmp_path / "lake/test/landed"
        deltalake.DeltaTable(lake).delete("id = 'r5'")
        shown = run("table", "verify", "landed", "--source", "topic", home=tmp_path, expect=7)
        assert "NOT equal to its topic, 119 rows" in shown
        assert "dead letters: 1" in shown
        assert "primary, 2, 1: missing" in shown
        source.send_rows(1, cluster="primary", first=200)
        behind = run("table", "verify", "landed", "--wait", "0", home=tmp_path, expect=4)
        assert "1 records are still to come" in behind
        refused = run("table", "verify", "landed", "--source", "kafka", home=tmp_path, expect=3)
        assert "Write topic, database, or" in refused
        refused = run("table", "verify", "landed", "--source", "database", home=tmp_path, expect=3)
        assert "has no primary key" in refused
