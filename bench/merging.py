"""Merging 10,000 changes into tables of growing size, by both strategies, beside Spark's MERGE.

    a table sorted by key ─ 10,000 changes: keys everywhere | keys side by side ─▶ CPU seconds a commit

CPU time is the process's own, all threads; Spark's is its JVM's. The table's rows are about 100
bytes; the changes update rows that are there. `penstock.ingest.explain` decides by these numbers.
"""

from __future__ import annotations

import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from pyarrow import compute

from bench.rows import Row
from penstock.errors import PenstockError
from penstock.ingest import changes, fresh
from penstock.ingest.locations import Location, locate
from penstock.ingest.targets.change_log import ChangeLogTarget, Due
from penstock.ingest.targets.merge import MergeTarget
from penstock.model import tables

SIZES = (1_000_000, 10_000_000, 50_000_000)
CHANGES = 10_000
COMMITS = 5
WARM_UP = 1
FLAT_GOAL = 1.3
CLUSTERED_GOAL_S = 1.0
_PIECE = 500_000

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("name", pa.string()),
        pa.field("city", pa.string()),
        pa.field("total", pa.float64()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
        *changes.CONTROL,
    ]
)
TABLE = tables.Table(
    name="orders",
    topic="orders",
    environment="bench",
    owner="bench",
    path="orders",
    mode=tables.TableMode.MERGE_CDC,
    merge=tables.Merge(primary_key=("id",)),
    compaction=tables.Compaction(target_bytes=16 * 2**20),
)


def run() -> Iterator[Row]:
    """Measure every size."""
    logged_s: list[float] = []
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        for size in SIZES:
            home = Path(directory) / str(size)
            measured = measure(home, size)
            # Spark is one a process: its scratch files stay until the end.
            measured |= _spark(Path(directory), locate("orders", lake=home), size)
            shutil.rmtree(home)
            logged_s.append(measured["log"])
            yield from _rows(size, measured, flat=logged_s[-1] / logged_s[0])


def measure(home: Path, size: int) -> dict[str, float]:
    """Return CPU seconds a commit by case, in a table of so many rows; absent where not measured."""
    place = locate("orders", lake=home)
    base = MergeTarget(TABLE, place, SCHEMA)
    built_s = _cpu_s(lambda: base.lake.add(rows_of(size, base.lake.schema)))
    numbers = iter(range(1, 1_000))
    found = {"build": built_s, "files": float(base.files)}
    # Near keys first: a merge of keys everywhere rewrites every file.
    for case, near in (("clustered", True), ("uniform", False)):
        found[case] = _commits(base.commit, numbers, size, near=near)
    logged = ChangeLogTarget(base, due=Due(rows=10**9, age=timedelta(days=1)), clock=_now)
    found["log"] = _commits(logged.commit, numbers, size, near=False, commits=4 * COMMITS)
    found["read"] = _cpu_s(lambda: _read_all(place))
    found["fold"] = _cpu_s(logged.fold)
    found["read folded"] = _cpu_s(lambda: _read_all(place))
    return found


def _commits(
    commit: Callable[[int, pa.Table], object],
    numbers: Iterator[int],
    size: int,
    *,
    near: bool,
    commits: int = COMMITS,
) -> float:
    """Return the median CPU seconds of a commit of 10,000 changes."""
    taken = []
    for _ in range(WARM_UP + commits):
        number = next(numbers)
        rows = changed(size, number, near=near)
        taken.append(_cpu_s(lambda n=number, r=rows: commit(n, r)))
    return statistics.median(taken[WARM_UP:])


def changed(size: int, number: int, *, near: bool) -> pa.Table:
    """Return the changes of a batch: updates of rows that are there."""
    choice = random.Random(number)
    first = choice.randrange(size - CHANGES)
    keys = range(first, first + CHANGES) if near else choice.sample(range(size), CHANGES)
    rows = _values(pa.array(keys, pa.int64()))
    marks: dict[str, pa.Array] = {
        changes.OPERATION: pa.repeat("U", CHANGES),
        changes.SEQUENCE: pa.repeat(pa.scalar(number, pa.int64()), CHANGES),
        changes.TIME: pa.repeat(pa.scalar(_now(), SCHEMA.field(changes.TIME).type), CHANGES),
        changes.OFFSET: pa.arange(0, CHANGES),
    }
    nothing = {field.name: pa.nulls(CHANGES, field.type) for field in changes.CONTROL}
    return pa.table({**rows, **nothing, **marks}).select(SCHEMA.names).cast(SCHEMA)


def rows_of(size: int, schema: pa.Schema) -> pa.RecordBatchReader:
    """Return the rows of a table of so many, sorted by key, with the columns of the schema."""

    def pieces() -> Iterator[pa.RecordBatch]:
        for first in range(0, size, _PIECE):
            keys = pa.arange(first, min(first + _PIECE, size))
            nothing = {name: pa.nulls(len(keys), schema.field(name).type) for name in changes.KEPT}
            columns = {**_values(keys), **nothing}
            yield pa.RecordBatch.from_arrays(
                [columns[name] for name in schema.names], schema=schema
            )

    return pa.RecordBatchReader.from_batches(schema, pieces())


def _values(keys: pa.Array) -> dict[str, pa.Array]:
    mixed = compute.bit_wise_and(compute.multiply(keys, 2_654_435_761), 0xFFFF_FFFF)
    text = mixed.cast(pa.string())
    return {
        "id": keys,
        "name": compute.binary_join_element_wise("customer", text, text, "-"),
        "city": compute.binary_join_element_wise(
            "city", compute.utf8_slice_codeunits(text, 0, 3), ""
        ),
        "total": compute.divide(mixed.cast(pa.float64()), 100.0),
        "at": compute.add(mixed, 1_700_000_000_000_000).cast(SCHEMA.field("at").type),
    }


def _read_all(place: Location) -> int:
    return sum(piece.num_rows for piece in fresh.read_fresh(TABLE, place))


def _cpu_s(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _now() -> datetime:
    return datetime.now(UTC)


def _spark(home: Path, place: Location, size: int) -> dict[str, float]:
    """Return Spark's CPU seconds for the same merge; nothing where there is no Spark."""
    try:
        from penstock.ingest.engines.spark_session import own_session  # noqa: PLC0415
        from penstock.runtime import spark  # noqa: PLC0415

        session = own_session(spark.settings(home, memory_mib=4096))
    except (ImportError, PenstockError) as error:
        print(f"  no Spark beside it: {error}")
        return {}
    found = {}
    for case, near in (("spark clustered", True), ("spark uniform", False)):
        taken = [
            _spark_merge_s(session, place, changed(size, n, near=near)) for n in (900, 901, 902)
        ]
        found[case] = statistics.median(taken[1:])
    return found


def _spark_merge_s(session: Any, place: Location, rows: pa.Table) -> float:
    kept = rows.select([*SCHEMA.names[:5], *changes.KEPT])
    session.createDataFrame(kept).createOrReplaceTempView("changes_of_bench")
    begun = _children_s()
    session.sql(
        f"MERGE INTO delta.`{place.uri}` t USING changes_of_bench s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    ).collect()
    return _children_s() - begun


def _children_s() -> float:
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(each.user + each.system for each in times)


def _rows(size: int, measured: dict[str, float], *, flat: float) -> list[Row]:
    of = f"10 k changes into {size // 1_000_000} M rows"
    clustered = measured["clustered"]
    return [
        _row(f"{of}, keys everywhere, copy-on-write", measured, "uniform", peer="spark uniform"),
        _row(
            f"{of}, keys side by side, copy-on-write", measured, "clustered", peer="spark clustered"
        )
        | {"goal": f"≤ {CLUSTERED_GOAL_S:g} CPU s", "met": clustered <= CLUSTERED_GOAL_S},
        _row(f"{of}, keys everywhere, change log", measured, "log", peer="spark uniform")
        | {
            "goal": f"≤ {FLAT_GOAL} times the smallest table's",
            "met": flat <= FLAT_GOAL,
            "note": f"{flat:.2f} times; a fold of {4 * COMMITS + WARM_UP} batches {measured['fold']:.2f} CPU s",
        },
        _row(f"all of {size // 1_000_000} M rows read with the log", measured, "read")
        | {"note": f"{measured['read folded']:.2f} CPU s when it is folded"},
    ]


def _row(case: str, measured: dict[str, float], name: str, *, peer: str = "") -> Row:
    theirs = measured.get(peer)
    return {
        "bench": "merging",
        "case": case,
        "ours": round(measured[name], 3),
        "peer": None if theirs is None else round(theirs, 3),
        "peer_name": None if theirs is None else "Spark 4.2 MERGE, local",
        "unit": "CPU s",
        "ratio": None if not theirs else round(measured[name] / theirs, 3),
        "goal": "none",
        "met": None,
    }
