"""Makes the JVM's AOT cache: classes read and linked ahead of time, for a start in half the time.

    a broker in a scratch home ─ready─▶ SIGTERM ─▶ the JVM writes <cache>/…/java-<version>.aot

``python -m penstock.runtime.aot`` does it, once a machine, beside a platform that already runs. It
takes some ten seconds and gives way to all else. Until it is done, and where it fails, brokers
start without.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from penstock.errors import NotReady
from penstock.kafka import probes
from penstock.runtime import files, java, kafka, kraft, processes

__all__ = ["main", "make"]

_READY_WITHIN_S = 300.0
_WRITTEN_WITHIN_S = 600.0
_STALE_WITHIN_S = 5.0


def make(distribution: kafka.Distribution) -> None:
    """Make the cache, unless it is there or another process is making it.

    Raises:
        NotReady: when the training broker or the JVM's assembly fails.
    """
    target = distribution.aot_cache
    with files.exclusive(target.with_suffix(".lock"), wait=False) as first:
        if not first or target.exists():
            return
        part = target.with_suffix(".part")
        with tempfile.TemporaryDirectory(prefix="penstock-aot-") as scratch:
            _train(distribution, home=Path(scratch), output=part)
        part.replace(target)


def _train(distribution: kafka.Distribution, *, home: Path, output: Path) -> None:
    layout = kraft.prepare(home, "training", brokers=1, checkpoint=distribution.checkpoint)
    options = [f"-XX:AOTCacheOutput={output}"]
    # A training that was killed itself left its broker running.
    record = output.with_suffix(".json")
    processes.end_stale([files.read_json(record, default={})], within_s=_STALE_WITHIN_S)
    broker = subprocess.Popen(
        kraft.command(layout.nodes[0], distribution.jars, options=options),
        env=java.environment(),
        stdin=subprocess.DEVNULL,
    )
    files.write_json(record, processes.Identity.of(broker.pid).as_record())
    try:
        probes.wait_ready(layout.bootstrap, brokers=1, timeout_s=_READY_WITHIN_S)
        processes.terminate([broker], within_s=_WRITTEN_WITHIN_S)
    finally:
        broker.kill()
        broker.wait()
        record.unlink()
    if not output.exists():
        raise NotReady(
            "The JVM wrote no AOT cache. Brokers start without it; it is tried at the next `up`."
        )


def main() -> None:
    """Make the cache with the lowest priority; SIGTERM ends it and its broker."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    os.nice(19)
    make(kafka.install())


if __name__ == "__main__":
    main()
