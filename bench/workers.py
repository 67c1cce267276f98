"""A table's worker as the benchmarks of ingest run it, and what its process has used.

declaration + bootstrap address ─running─▶ Worker ─wait─▶ what was asked for is in the table
measured(module, …) ─▶ a process of its own ─▶ the JSON it prints last
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka.admin import AdminClient, NewTopic

from penstock.ingest.progress import Progress
from penstock.ingest.settings import Limits
from penstock.ingest.worker import Worker
from penstock.model import clusters, metadata, tables, topics

ROOT = Path(__file__).resolve().parent.parent


def start(module: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a benchmark's module as a process whose output can be read."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def ended(process: subprocess.Popen[str]) -> Any:
    """Return what the process prints last, once it has ended."""
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args} failed")
    return json.loads(output.splitlines()[-1])


def measured(module: str, *arguments: object) -> Any:
    """Return what the module prints last, run in a process of its own."""
    return ended(start(module, *arguments))


def make_topic(bootstrap: str, name: str, *, partitions: int) -> None:
    """Make a topic on one broker."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for made in admin.create_topics([NewTopic(name, partitions, 1)]).values():
        made.result(30)


def snapshot(bootstrap: str, topic: str, *, partitions: int) -> metadata.Snapshot:
    """Return metadata of one topic on one cluster."""
    placement = topics.Placement(cluster="bench", topic=topic, partitions=partitions)
    epoch = topics.Epoch(
        number=1,
        state=topics.EpochState.OPEN,
        routing=topics.Routing.FAILOVER,
        placements=(placement,),
    )
    declared = topics.Topic(name=topic, environment="bench", owner="bench", epochs=(epoch,))
    at = {clusters.AuthMode.PLAINTEXT: bootstrap}
    cluster = clusters.Cluster(name="bench", environment="bench", bootstrap=at)
    return metadata.Snapshot(
        version=1, clusters={"bench": cluster}, topics={declared.ident: declared}
    )


@contextmanager
def running(
    table: tables.Table, *, bootstrap: str, lake: Path, partitions: int, **told: Any
) -> Iterator[Worker]:
    """Run the table's worker in this process, for the length of the block."""
    known = snapshot(bootstrap, table.topic, partitions=partitions)
    worker = Worker(table, lake=lake, limits=Limits(), snapshot=lambda: known, **told)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
        worker.join(60)


def wait(worker: Worker, reached: Callable[[Progress], bool]) -> None:
    """Wait until the table is so far."""
    while not reached(worker.progress):
        if worker.join(0.02):
            raise SystemExit(worker.progress.error)


def cpu_s() -> float:
    """Return what this process and all below it have used, those that ended included."""
    me = psutil.Process()
    return sum(sum(each.cpu_times()[:4]) for each in (me, *me.children(recursive=True)))


def peak_mb() -> float:
    """Return the most memory that was this process's at any time."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 10**6
    # Not getrusage: there a process begins with the peak of the one that started it.
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 10**6
