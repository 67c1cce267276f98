"""The one comparison that every merge rests on, as SQL any of our engines reads.

marks ─newer─▶ "the change of s is not older than the row of t", null being oldest

Used by delta-rs, DuckDB and Spark, so it holds no function and no operator that one of them lacks.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

import pyarrow as pa
from pyarrow import compute

from penstock.ingest.changes import BEHIND, SEQUENCE, TIME

__all__ = ["between", "may_be_newer", "newer", "older", "quoted", "same_key"]


def quoted(name: str) -> str:
    """Return the name as standard SQL, DuckDB and DataFusion quote it."""
    return '"' + name.replace('"', '""') + '"'


def newer(
    marks: Sequence[str],
    *,
    source: str = "s",
    target: str = "t",
    quote: Callable[[str], str] = quoted,
) -> str:
    """Return a condition that is true where the source's marks are not older than the target's.

    Args:
        marks: columns, most telling first.
        source: alias of the change.
        target: alias of the row.
        quote: how the engine quotes a name.
    """
    condition = "TRUE"
    for mark in reversed(marks):
        s, t = f"{source}.{quote(mark)}", f"{target}.{quote(mark)}"
        condition = (
            f"(({s} IS NOT NULL AND {t} IS NULL) OR {s} > {t} "
            f"OR (({s} = {t} OR ({s} IS NULL AND {t} IS NULL)) AND {condition}))"
        )
    return condition


def same_key(
    primary_key: Sequence[str],
    *,
    source: str = "s",
    target: str = "t",
    quote: Callable[[str], str] = quoted,
) -> str:
    """Return the condition under which two rows have one key, which is never null."""
    return " AND ".join(f"{source}.{quote(k)} = {target}.{quote(k)}" for k in primary_key)


def older(truncated: pa.Table, *, target: str = "t") -> str:
    """Return the condition under which a row is older than the one truncation given."""
    sequence, time = truncated[SEQUENCE][0].as_py(), truncated[TIME][0].as_py()
    earlier = f"{target}.{quoted(TIME)} < {_literal(time)}"
    column = f"{target}.{quoted(SEQUENCE)}"
    if sequence is None:
        return f"{column} IS NULL AND {earlier}"
    return f"({column} IS NULL OR {column} < {sequence} OR ({column} = {sequence} AND {earlier}))"


def between(keys: pa.ChunkedArray, name: str) -> str:
    """Return a condition that is true for every key, so that files of other keys are not read.

    Empty for types whose literals the engines write differently.
    """
    bounds = compute.min_max(keys)
    least, most = _literal(bounds["min"].as_py()), _literal(bounds["max"].as_py())
    if least is None or most is None:
        return ""
    return f"{quoted(name)} >= {least} AND {quoted(name)} <= {most}"


def may_be_newer(rows: pa.Table, marks: Sequence[str]) -> str:
    """Return a condition that is true for all marks newer than the oldest of the changes.

    Empty where columns of the user's decide, or where some column is older than its change. It may
    be true for older ones as well.
    """
    if marks[0] != SEQUENCE or not rows.num_rows or rows[BEHIND].null_count < rows.num_rows:
        return ""
    sequences = rows[SEQUENCE]
    if not sequences.null_count:
        return f"{quoted(SEQUENCE)} >= {compute.min(sequences).as_py()}"
    earliest = _literal(compute.min(rows[TIME]).as_py())
    if earliest is None:
        return ""
    return f"({quoted(SEQUENCE)} IS NOT NULL OR {quoted(TIME)} >= {earliest})"


def _literal(value: object) -> str | None:
    match value:
        case bool():
            return None
        case int():
            return str(value)
        case str():
            return "'" + value.replace("'", "''") + "'"
        case dt.datetime():
            return f"'{value.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}'"
        case dt.date():
            return f"'{value:%Y-%m-%d}'"
        case _:
            return None
