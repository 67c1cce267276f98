"""An ingest worker in a process of its own, for tests that kill it.

    python worker_process.py '{"lake": …, "bootstraps": {…}, "topic": …, "die": "<point>"}'

``die`` names the point at which the process kills itself with SIGKILL: planned (the plan written,
nothing else), before-letters, between (letters written, rows not), before (the rows), after (the
rows written, nothing else done). ``stop`` names one at which it stops itself with SIGSTOP.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from typing import Any

from penstock.ingest import delta, ledger
from penstock.ingest.settings import Limits
from penstock.ingest.worker import Worker
from penstock.model import clusters, metadata, tables, topics

COLUMNS = (
    tables.Column(name="id", type="string", nullable=False),
    tables.Column(name="n", type="long"),
    tables.Column(name="at", type="timestamp"),
)
DERIVED = tuple(
    tables.DerivedColumn(name=name, expression=expression)
    for name, expression in {
        "cluster": "cluster",
        "partition": "partition",
        "offset": "offset",
        "key": "key",
        "day": "date(at)",
    }.items()
)


def make_table(topic: str, *, latency_ms: int = 100, **changes: Any) -> tables.Table:
    declared: dict[str, Any] = {
        "name": "landed",
        "topic": topic,
        "environment": "test",
        "owner": "tests",
        "path": "landed",
        "columns": COLUMNS,
        "derived": DERIVED,
        "partition_by": ("day",),
        "latency_ms": latency_ms,
    }
    return tables.Table(**{**declared, **changes})


def make_snapshot(
    bootstraps: dict[str, str], topic: str, *, partitions: int = 3
) -> metadata.Snapshot:
    placements = tuple(
        topics.Placement(cluster=name, topic=topic, partitions=partitions) for name in bootstraps
    )
    epoch = topics.Epoch(
        number=1,
        state=topics.EpochState.OPEN,
        routing=topics.Routing.FAILOVER,
        placements=placements,
    )
    logical = topics.Topic(name=topic, environment="test", owner="tests", epochs=(epoch,))
    return metadata.Snapshot(
        version=1,
        clusters={
            name: clusters.Cluster(
                name=name,
                environment="test",
                bootstrap={clusters.AuthMode.PLAINTEXT: address},
            )
            for name, address in bootstraps.items()
        },
        topics={logical.ident: logical},
    )


def die_at(point: str, *, by: signal.Signals) -> None:
    """Make the process end or stop itself around the plan and the Delta commits, which are real.

    One that was stopped does not stop again.
    """
    left = [point]
    append = delta.LakeTable.append
    write = ledger.Ledger.write

    def here(name: str) -> None:
        if name in left:
            left.clear()
            os.kill(os.getpid(), by)

    def patched(self: delta.LakeTable, *args: Any, **kwargs: Any) -> int:
        letters = self.place.uri.endswith("_dead_letters")
        here("before-letters" if letters else "before")
        files = append(self, *args, **kwargs)
        here("between" if letters else "after")
        return files

    def planned(self: ledger.Ledger, plan: ledger.BatchPlan) -> None:
        write(self, plan)
        here("planned")

    delta.LakeTable.append = patched  # type: ignore[method-assign]
    ledger.Ledger.write = planned  # type: ignore[method-assign]


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    arguments = json.loads(sys.argv[1])
    if arguments.get("die"):
        die_at(arguments["die"], by=signal.SIGKILL)
    if arguments.get("stop"):
        die_at(arguments["stop"], by=signal.SIGSTOP)
    snapshot = make_snapshot(arguments["bootstraps"], arguments["topic"])
    table = make_table(
        arguments["topic"],
        dead_letters=tables.DeadLetters(max_ratio=1.0),
        compaction=tables.Compaction(commits=arguments.get("compact_commits", 7)),
    )
    worker = Worker(
        table,
        lake=arguments["lake"],
        limits=Limits(),
        snapshot=lambda: snapshot,
    )
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.start()
    while not worker.join(1.0):
        pass


if __name__ == "__main__":
    main()
