"""Bench (f): how long a start takes.

    1 and 3 clusters, cold (no AOT cache) and warm ─▶ seconds until every cluster answers
    the same with Kafka's format tool, then its broker, with the JVM options its scripts give
    penstock up: a new home, and again ─▶ seconds until everything is up

Kafka is on the disk before; what a first start fetches depends on the line.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.rows import Row
from penstock.kafka import probes
from penstock.runtime import aot, artifacts, embedded, java, kafka, kraft

__all__ = ["run"]

_REPEATS = 3
_SCRIPT_OPTIONS = (
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
)
"""What kafka-server-start.sh gives a JVM."""


def run(*, repeats: int = _REPEATS) -> list[Row]:
    """Return one row a case; seconds, the median of the repeats."""
    rows = []
    aot.make(kafka.install())
    for count in (1, 3):
        names = [f"cluster-{n}" for n in range(1, count + 1)]
        peer = _median(repeats, partial(_start_by_scripts, names=names))
        with _cache_without_aot():
            cold = _median(repeats, partial(_start, names=names))
        warm = _median(repeats, partial(_start, names=names))
        again = _median(repeats, partial(_start_again, names=names))
        what = f"{count} cluster" + ("s" if count > 1 else "")
        rows += [
            _row(f"{what}, cold", cold, peer=peer),
            _row(f"{what}, warm", warm, peer=peer),
            _row(f"{what}, again after SIGKILL, warm", again, note="waits for the old session"),
        ]
    first, later = zip(*(_up_twice() for _ in range(repeats)), strict=True)
    rows.append(_row("penstock up, new home", statistics.median(first), goal_s=60))
    rows.append(_row("penstock up, again", statistics.median(later), goal_s=10))
    return rows


def _row(
    case: str,
    ours: float,
    *,
    peer: float | None = None,
    goal_s: float | None = None,
    note: str = "",
) -> Row:
    return {
        "bench": "startup",
        "case": case,
        "ours": round(ours, 2),
        "peer": round(peer, 2) if peer else None,
        "peer_name": "format tool + broker, Kafka's JVM options" if peer else None,
        "unit": "s",
        "ratio": round(ours / peer, 2) if peer else None,
        "goal": f"≤ {goal_s:.0f} s" if goal_s else "",
        "met": ours <= goal_s if goal_s else None,
        "note": note,
    }


def _median(repeats: int, measure: Callable[[Path], float]) -> float:
    return statistics.median(_in_scratch(measure) for _ in range(repeats))


def _in_scratch(measure: Callable[[Path], float]) -> float:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as home:
        return measure(Path(home))


def _start(home: Path, *, names: Sequence[str]) -> float:
    began = time.monotonic()
    clusters = _start_all(home, names)
    took = time.monotonic() - began
    for cluster in clusters:
        cluster.kill()
    return took


def _start_again(home: Path, *, names: Sequence[str]) -> float:
    for cluster in _start_all(home, names):
        cluster.kill()
    return _start(home, names=names)


def _start_all(home: Path, names: Sequence[str]) -> list[embedded.Cluster]:
    with ThreadPoolExecutor(len(names)) as threads:
        return list(threads.map(lambda name: embedded.start(home, name), names))


def _start_by_scripts(home: Path, *, names: Sequence[str]) -> float:
    kafka_ = kafka.install()
    layouts = [kraft.prepare(home, n, brokers=1, checkpoint=kafka_.checkpoint) for n in names]
    for layout in layouts:
        shutil.rmtree(layout.nodes[0].directory / "data")
    began = time.monotonic()
    with ThreadPoolExecutor(len(names)) as threads:
        brokers = list(threads.map(lambda layout: _start_by_script(kafka_, layout), layouts))
    took = time.monotonic() - began
    for broker in brokers:
        broker.kill()
        broker.wait()
    return took


def _start_by_script(
    distribution: kafka.Distribution, layout: kraft.Cluster
) -> subprocess.Popen[bytes]:
    (node,) = layout.nodes
    properties = str(node.directory / "server.properties")
    command, *_ = kraft.command(node, distribution.jars)
    jvm = [command, *_SCRIPT_OPTIONS, "-cp", os.pathsep.join(map(str, distribution.jars))]
    tool = [*jvm, "kafka.tools.StorageTool", "format", "-t", layout.cluster_id, "-c", properties]
    subprocess.run(tool, check=True, capture_output=True, env=java.environment())
    with (node.directory / "log").open("wb") as log:
        broker = subprocess.Popen(
            [*jvm, "kafka.Kafka", properties], stdout=log, stderr=log, env=java.environment()
        )
    probes.wait_ready(layout.bootstrap, brokers=1, timeout_s=120)
    return broker


@contextmanager
def _cache_without_aot() -> Iterator[None]:
    """Use a cache with the same Kafka and no AOT cache."""
    checkpoint = kafka.install().checkpoint
    before = os.environ.get("PENSTOCK_CACHE")
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as scratch:
        (Path(scratch) / "artifacts").symlink_to(artifacts.cache_directory() / "artifacts")
        (Path(scratch) / checkpoint.parent.name).mkdir()
        shutil.copy(checkpoint, Path(scratch) / checkpoint.parent.name)
        os.environ["PENSTOCK_CACHE"] = scratch
        try:
            yield
        finally:
            del os.environ["PENSTOCK_CACHE"]
            if before is not None:
                os.environ["PENSTOCK_CACHE"] = before


def _up_twice() -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as home:
        return _up(home), _up(home)


def _up(home: str) -> float:
    penstock = [sys.executable, "-m", "penstock"]
    began = time.monotonic()
    try:
        command = [*penstock, "up", "--detach", "--home", home]
        subprocess.run(command, check=True, capture_output=True)
        return time.monotonic() - began
    finally:
        subprocess.run([*penstock, "down", "--home", home], check=True, capture_output=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=_REPEATS)
    print(json.dumps(run(repeats=parser.parse_args().repeats), indent=2, ensure_ascii=False))
