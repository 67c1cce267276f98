"""An archiver, a load or its turn in a process of its own, for tests that kill it.

    python beside_process.py '{"what": "archive" | "load" | "turn", "die": "<call>", "at": <n>, …}'

``die`` names what is called when the process kills itself with SIGKILL, the ``at``-th time: write,
create, put, append, merge, each with ``-before`` or ``-after``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.ingest.backfill.worlds import load_of, shop
from tests.ingest.worker_process import make_snapshot, make_table

from penstock.ingest import delta, ledger, locations, merging, turns
from penstock.ingest.archive.archiver import Archiver, Route
from penstock.ingest.archive.layout import Format

CALLS: dict[str, tuple[Any, str]] = {
    "write": (ledger.Ledger, "write"),
    "create": (locations.Location, "create"),
    "append": (delta.LakeTable, "append"),
    "merge": (merging.KeyedTable, "merge"),
}


def die_at(point: str, *, at: int) -> None:
    """Make the process end around the n-th call that goes well, which is real."""
    call, _, when = point.partition("-")
    owner, name = CALLS[call]
    real: Callable[..., Any] = getattr(owner, name)
    count = 0

    def patched(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        if when == "before" and count + 1 == at:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        count += 1  # of calls that did what they do
        if when == "after" and count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, patched)


def archive(told: dict[str, Any], stopping: threading.Event) -> None:
    snapshot = make_snapshot(told["bootstraps"], told["topic"])
    route = Route(
        topic=f"test/{told['topic']}",
        place=locations.locate(told["archive"], lake=told["lake"]),
        kind=Format(told.get("format", "parquet")),
        every_s=0.5,
    )
    Archiver(route, snapshot=lambda: snapshot, stopping=stopping).run()


def load(told: dict[str, Any], stopping: threading.Event) -> None:
    table = make_table(told["topic"]) if told.get("mode") == "append" else shop(told["topic"])
    load_of(
        table,
        told["lake"],
        told["archive"],
        clock=lambda: datetime.now(UTC),
        stopping=stopping,
        piece_rows=told.get("piece_rows", 10),
        rate=told.get("rate", 0.0),
    ).run()


def turn(told: dict[str, Any], stopping: threading.Event) -> None:
    """Hold a turn until the end."""
    held = turns.Turn(locations.locate(told["path"], lake=told["lake"]), "backfill/held")
    held.take()
    stopping.wait()
    held.give_back()


def main() -> None:
    told = json.loads(sys.argv[1])
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    if told.get("die"):
        die_at(told["die"], at=told.get("at", 1))
    {"archive": archive, "load": load, "turn": turn}[told["what"]](told, stopping)


if __name__ == "__main__":
    main()
