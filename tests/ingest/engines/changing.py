"""A table of a few rows that change again and again, a delete now and then."""

from __future__ import annotations

import json

KEYS = 40


def change(n: int) -> bytes:
    """Return the n-th change."""
    told = {"oc": "D" if _deletes(n) else "U", "ns": "s.t", "ot": n, "sq": n}
    row = None if _deletes(n) else {"n": n, "at": "2026-11-01T00:00:00Z"}
    return json.dumps({**told, "pk": {"id": f"r{n % KEYS}"}, "va": row}).encode()


def newest(count: int) -> list[tuple[str, int]]:
    """Return the id and the number of each row that is left after so many changes."""
    last = {n % KEYS: n for n in range(count)}
    return sorted((f"r{key}", n) for key, n in last.items() if not _deletes(n))


def _deletes(n: int) -> bool:
    return n % 7 == 3
