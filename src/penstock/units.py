"""Human units in files and on screens: durations, sizes, counts.

    "7d" → 604_800_000 ms        "64 MiB" → 67_108_864 bytes

Kafka counts time in milliseconds and space in bytes; people do not. Never guesses: a number
without a unit is refused where a unit is expected.
"""

from __future__ import annotations

import re
from decimal import Decimal

__all__ = ["format_bytes", "format_ms", "parse_bytes", "parse_ms"]

_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_BYTES = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def parse_ms(text: str) -> int:
    """Return the milliseconds in ``text``; ``forever`` is -1, as Kafka has it.

    Raises:
        ValueError: when the text is not a number with a unit of ms, s, m, h, d or w.
    """
    return -1 if text.strip() == "forever" else _parse(text, units=_MS, example="7d or 12h")


def parse_bytes(text: str) -> int:
    """Return the bytes in ``text``; ``unlimited`` is -1, as Kafka has it.

    Raises:
        ValueError: when the text is not a number with a unit of B, KB, KiB … TiB.
    """
    if text.strip() == "unlimited":
        return -1
    return _parse(text, units=_BYTES, example="64MiB or 10GB")


def format_ms(ms: int) -> str:
    """Render milliseconds in the largest unit that divides them, as ``parse_ms`` reads it."""
    return "forever" if ms < 0 else _format(ms, units=_MS)


def format_bytes(count: int) -> str:
    """Render bytes in the largest binary unit that divides them, as ``parse_bytes`` reads it."""
    if count < 0:
        return "unlimited"
    return _format(count, units={u: n for u, n in _BYTES.items() if u == "B" or "i" in u})


def _parse(text: str, *, units: dict[str, int], example: str) -> int:
    match = _QUANTITY.fullmatch(text)
    factor = units.get(match.group(2)) if match else None
    if match is None or factor is None:
        known = ", ".join(units)
        raise ValueError(f"{text!r} is not a number with a unit ({known}); write e.g. {example}")
    amount = Decimal(match.group(1)) * factor
    if amount != int(amount):
        raise ValueError(
            f"{text!r} is not a whole number of the smallest unit; write e.g. {example}"
        )
    return int(amount)


def _format(amount: int, *, units: dict[str, int]) -> str:
    for unit, size in sorted(units.items(), key=lambda item: -item[1]):
        if amount >= size and amount % size == 0:
            return f"{amount // size}{unit}"
    return f"{amount}{next(iter(units))}"
