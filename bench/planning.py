"""(d) Planning 10,000 topics over 50 clusters from observed state, and reading their files.

a fresh process a case ─▶ build the world, untimed ─▶ plan ─▶ seconds and peak memory

Goals: at most 5 s and 500 MB. No peer is measured: tools that plan topics from files know one
cluster at a time. Peak memory is the whole process's, the world it plans from included.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.rows import Row
from penstock.control import declare
from penstock.control.declare import Estate
from penstock.control.observations import Observed, ObservedCluster, ObservedTopic, Recorded
from penstock.control.plan import make_plan
from penstock.model import clusters, topics

TOPICS = 10_000
CLUSTERS = 50
GOAL_S = 5.0
GOAL_MB = 500.0
_NAMES = [f"cluster-{n}" for n in range(CLUSTERS)]


def run() -> list[Row]:
    """Measure every case, each in a process of its own."""
    return [row for case in CASES for row in _measure(case)]


def _measure(case: str) -> list[Row]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.planning", case],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parent.parent,
    )
    seen = json.loads(done.stdout)
    judged = case != "read and validate the files"
    return [
        _row(case, seen["seconds"], "s", GOAL_S if judged else None, seen["note"]),
        _row(case, seen["peak_mb"], "MB", GOAL_MB if judged else None, "peak of the process"),
    ]


def _row(case: str, ours: float, unit: str, goal: float | None, note: str) -> Row:
    return Row(
        bench="planning",
        case=f"{case}, {'time' if unit == 's' else 'memory'}",
        ours=ours,
        peer=None,
        peer_name=None,
        unit=unit,
        ratio=None,
        goal=f"≤ {goal:g} {unit}" if goal else "none",
        met=ours <= goal if goal else None,
        note=note,
    )


def _plan(*, there: bool, changed: bool, homes: int) -> tuple[float, str]:
    """Plan all topics, each on some clusters; return seconds and what came out."""
    known = {
        name: clusters.Cluster(name=name, environment="production", cluster_id=name)
        for name in _NAMES
    }
    wanted = _topics(partitions=12 if changed else 6, homes=homes)
    served = _topics(partitions=6, homes=homes) if there else {}
    observed, ownership = _see(served)
    recorded = Recorded(clusters=known if there else {}, topics=served, ownership=ownership)
    start = time.perf_counter()
    plan = make_plan(Estate(clusters=known, topics=wanted), observed, recorded)
    took = time.perf_counter() - start
    return took, f"{len(plan.changes)} changes, each topic on {homes} clusters"


def _topics(*, partitions: int, homes: int) -> dict[str, topics.Topic]:
    made = {}
    for number in range(TOPICS):
        placements = tuple(
            topics.Placement(
                cluster=_NAMES[(number + home) % CLUSTERS],
                topic=f"topic-{number}",
                partitions=partitions,
                replication=3,
                config={"min.insync.replicas": "2", "retention.ms": f"{partitions}000"},
            )
            for home in range(homes)
        )
        epoch = topics.Epoch(
            number=1,
            state=topics.EpochState.OPEN,
            routing=topics.Routing.FAILOVER,
            placements=placements,
        )
        topic = topics.Topic(
            name=f"topic-{number}", environment="production", owner="shop", epochs=(epoch,)
        )
        made[topic.ident] = topic
    return made


def _see(served: dict[str, topics.Topic]) -> tuple[Observed, dict[tuple[str, str], str]]:
    """Return clusters on which these topics are, and who owns them."""
    found: dict[str, dict[str, ObservedTopic]] = {name: {} for name in _NAMES}
    ownership = {}
    for topic in served.values():
        for placement in topic.current.placements:
            ownership[placement.cluster, placement.topic] = topic.ident
            found[placement.cluster][placement.topic] = ObservedTopic(
                name=placement.topic,
                partitions=placement.partitions,
                replication=placement.replication,
                config=dict(placement.config),
            )
    observed = {
        name: ObservedCluster(
            name=name, reachable=True, cluster_id=name, brokers=9, topics=found[name]
        )
        for name in _NAMES
    }
    return Observed(clusters=observed), ownership


def _read() -> tuple[float, str]:
    """Read, validate and resolve one file a topic."""
    heads = "---\n".join(
        f"kind: Cluster\nname: {name}\nenvironment: production\nbootstrap: {{mtls: '{name}:9094'}}\n"
        for name in _NAMES
    )
    topic = (
        "kind: Topic\nname: topic-{n}\nowner: shop\ndescription: What happened.\n"
        "clusters: [{a}, {b}]\nrouting: failover\nordering: none\npartitions: 6\n"
        "replication: 3\nretention: 7d\nmax-message: 1MiB\ndev-variant-suffix: -v2\n"
        "config:\n  compression.type: zstd\n"
    )
    files = [declare.EstateFile(path="clusters.yaml", content=heads)]
    for n in range(TOPICS):
        a, b = _NAMES[n % CLUSTERS], _NAMES[(n + 1) % CLUSTERS]
        content = topic.replace("{n}", str(n)).replace("{a}", a).replace("{b}", b)
        files.append(declare.EstateFile(path=f"topics/{n}.yaml", content=content))
    start = time.perf_counter()
    estate = declare.parse(files)
    took = time.perf_counter() - start
    return took, f"{len(estate.topics)} files of 14 lines, by a YAML parser in Python"


CASES: dict[str, Callable[[], tuple[float, str]]] = {
    "nothing to change": lambda: _plan(there=True, changed=False, homes=2),
    "everything to create": lambda: _plan(there=False, changed=False, homes=2),
    "everything to alter": lambda: _plan(there=True, changed=True, homes=2),
    "nothing to change, ten clusters a topic": lambda: _plan(there=True, changed=False, homes=10),
    "read and validate the files": _read,
}


def _main() -> None:
    seconds, note = CASES[sys.argv[1]]()
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    per_mb = 10**6 / (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"seconds": round(seconds, 3), "peak_mb": round(kib / per_mb), "note": note}))


if __name__ == "__main__":
    _main()
