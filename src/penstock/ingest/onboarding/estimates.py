"""What a table will cost and how late it will be, with the arithmetic beside each number.

    Load (what comes, what a row costs) + tables.Table ─estimate─▶ Estimate…

Pure. The constants are measured ones: see docs/benchmarks.md. What cannot be known before the table
is there, as its size, is said for a size that can be counted up from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from penstock.model import tables
from penstock.units import format_ms

__all__ = ["Estimate", "Load", "estimate"]

READ_AND_COMMIT_US = 2.0
"""CPU time of a record beside decoding: consumed, written to Parquet, in 100,000-row commits."""
REWRITE_S_PER_MILLION = 0.5
"""CPU time to rewrite a million rows that a merge touches the files of."""
LOG_S_PER_COMMIT = 0.012
"""CPU time to append 10,000 changes to a change log, whatever the table's size."""
COMMIT_S = 0.5
"""A commit on a local disk or an object store takes less than this."""

_DAY_S = 86_400
_HOUR_S = 3_600
_MILLION = 1_000_000
_KILO = 1_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What was seen of a topic and of its records as rows.

    Attributes:
        records_per_s: on average, lately.
        record_bytes: of a value.
        row_bytes: of a row in Parquet.
        record_us: CPU time to make a row of a record, microseconds.
    """

    records_per_s: float
    record_bytes: float
    row_bytes: float
    record_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One number, and how it comes about."""

    what: str
    value: str
    how: str


def estimate(table: tables.Table, load: Load) -> tuple[Estimate, ...]:
    """Return the estimates of a table, for people to read."""
    return tuple(_estimates(table, load))


def _estimates(table: tables.Table, load: Load) -> Iterator[Estimate]:
    rate = load.records_per_s
    a_day = rate * _DAY_S
    yield Estimate(
        what="records",
        value=f"{_number(a_day)} a day",
        how=f"{rate:,.1f} a second in the last ten minutes, of {load.record_bytes:,.0f} bytes each",
    )
    if table.mode is tables.TableMode.APPEND:
        yield Estimate(
            what="storage",
            value=f"{_size(a_day * load.row_bytes)} a day",
            how=f"{load.row_bytes:,.0f} bytes a row in Parquet, measured on the sampled rows; "
            "large files come out smaller",
        )
    each_us = load.record_us + READ_AND_COMMIT_US
    busy_s = a_day * each_us / _MILLION
    yield Estimate(
        what="processor",
        value=f"{busy_s:,.1f} CPU-seconds a day",
        how=f"{load.record_us:.1f} µs a record to decode and derive, measured on these records, "
        f"and {READ_AND_COMMIT_US:.1f} µs to read and commit",
    )
    yield from _commits(table, rate)
    if table.mode is not tables.TableMode.APPEND:
        yield _merging(table, _commits_per_hour(table, rate))
    yield _lateness(table)


def _commits(table: tables.Table, rate: float) -> Iterator[Estimate]:
    per_hour = _commits_per_hour(table, rate)
    waits = format_ms(table.latency_ms) if table.latency_ms else "nothing"
    yield Estimate(
        what="commits",
        value=f"{_number(per_hour)} an hour",
        how=f"a batch waits for {waits}; about {_number(rate * _HOUR_S / per_hour)} records each"
        if per_hour
        else "no record came lately",
    )


def _commits_per_hour(table: tables.Table, rate: float) -> float:
    between_s = max(table.latency_ms / _KILO, COMMIT_S)
    return min(_HOUR_S / between_s, rate * _HOUR_S)


def _merging(table: tables.Table, per_hour: float) -> Estimate:
    if table.merge.strategy is tables.Strategy.CHANGE_LOG:
        return Estimate(
            what="merging",
            value=f"{per_hour * LOG_S_PER_COMMIT:,.1f} CPU-seconds an hour, and the folds",
            how=f"{LOG_S_PER_COMMIT * 1000:.0f} ms a commit to append changes to the log, at any "
            "size; each fold rewrites what changed once",
        )
    return Estimate(
        what="merging",
        value=f"up to {per_hour * REWRITE_S_PER_MILLION:,.1f} CPU-seconds an hour "
        "for each million rows of the table",
        how=f"{REWRITE_S_PER_MILLION} CPU-seconds to rewrite a million rows, once a commit, where "
        "changes touch every file; keys that come in order touch few. A longer latency costs less; "
        "penstock table explain tells which strategy is taken",
    )


def _lateness(table: tables.Table) -> Estimate:
    if table.engine is tables.Engine.SPARK:
        how = "latency, and the seconds a Spark job takes to be planned and run"
        return Estimate(what="latency", value=f"{format_ms(table.latency_ms)} and more", how=how)
    return Estimate(
        what="latency",
        value=f"within {table.latency_ms / _KILO + COMMIT_S:g} s",
        how=f"latency {format_ms(table.latency_ms)} and a commit, which takes less than "
        f"{COMMIT_S} s",
    )


def _number(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 10 or amount == 0 else f"{amount:.1f}"  # noqa: PLR2004


def _size(amount: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < _KILO:
            return f"{amount:,.0f} {unit}"
        amount /= _KILO
    return f"{amount:,.1f} TB"
