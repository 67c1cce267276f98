"""Text to values: the one reading of times, dates, decimals and bytes that every decoder shares.

    "2026-11-21T10:00:00.5+02:00" ─▶ timestamp, UTC      "2026-11-21" ─▶ date
    "12.50", "1.25e1" ─▶ decimal, exact                  "aGk=" ─▶ binary

Never guesses: no time without a zone, no number for a time, no rounding. Only what a time has
beyond the microsecond is cut, as Delta and Spark keep no more.
"""

from __future__ import annotations

import base64
import binascii

import pyarrow as pa
from pyarrow import compute

from penstock.ingest.decoders.arrays import Convert, attempt, reject

__all__ = ["reader"]

_TIMESTAMP = pa.timestamp("us", tz="UTC")
_TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$"
_BEYOND_MICROSECONDS = r"(\.\d{6})\d+"
_SHORTEST_TIME = len("2026-11-21T10:00:00Z")
_NO_TIME = "is no RFC 3339 time with a zone"


def reader(kind: pa.DataType) -> Convert | None:
    """Return what reads text of the type, or None where text is not read as it."""
    if pa.types.is_timestamp(kind):
        return _times
    if pa.types.is_date32(kind):
        return attempt(lambda texts: texts.cast(kind), "is no date")
    if pa.types.is_decimal128(kind):
        return attempt(lambda texts: texts.cast(kind), f"is no exact {kind}")
    if pa.types.is_binary(kind):
        return attempt(_bytes, "is not base64")
    return None


def _times(texts: pa.Array) -> pa.Array:
    if not _surely_whole(texts):
        good = compute.match_substring_regex(texts, _TIME)
        reject(texts, compute.invert(good), _NO_TIME)
        texts = compute.replace_substring_regex(texts, _BEYOND_MICROSECONDS, r"\1")
    return _parse_times(texts)


def _surely_whole(texts: pa.Array) -> bool:
    """Tell whether nothing but whole times can be among the texts that Arrow takes for times.

    Arrow also takes times without seconds or zone; none of those is so long and ends so.
    """
    lengths = compute.min_max(compute.binary_length(texts)).as_py()
    longest = _SHORTEST_TIME + len(".123456")
    whole = compute.all(compute.ends_with(texts, "Z")).as_py() is not False
    shortest_found, longest_found = lengths["min"], lengths["max"]
    return whole and (
        shortest_found is None or (shortest_found >= _SHORTEST_TIME and longest_found <= longest)
    )


_parse_times = attempt(lambda texts: texts.cast(_TIMESTAMP), _NO_TIME)


def _bytes(texts: pa.Array) -> pa.Array:
    try:
        return pa.array(
            [
                None if text is None else base64.b64decode(text, validate=True)
                for text in texts.to_pylist()
            ],
            pa.binary(),
        )
    except binascii.Error as error:
        raise ValueError(str(error)) from error
