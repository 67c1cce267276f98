"""``make bench``: measure everything, write ``docs/benchmarks.json`` and ``docs/benchmarks.md``.

    each module's run() ─▶ row after row ─▶ docs/benchmarks.json ─▶ docs/benchmarks.md

``python -m bench sdk latency`` measures only those and keeps the other rows as they were.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

from bench.rows import Row

ROOT = Path(__file__).resolve().parent.parent
JSON = ROOT / "docs/benchmarks.json"
PAGE = ROOT / "docs/benchmarks.md"

# Name on the command line, module, title on the page.
BENCHES = {
    "sdk": ("bench.sdk_throughput", "(a) SDK beside bare confluent-kafka: CPU and rate"),
    "latency": ("bench.latency", "(b) End-to-end latency, three brokers, acks=all"),
    "failover": ("bench.failover", "(c) Fail-over to the other cluster"),
    "planning": ("bench.planning", "(d) Planning 10,000 topics over 50 clusters"),
    "watch": ("bench.watch", "(e) A switch reaching 1,000 watching clients"),
    "startup": ("bench.startup", "(f) Start of clusters, cold and warm"),
    "append": (
        "bench.ingest_append",
        "(g) Landing a topic in a table, from the broker to the commit",
    ),
    "merging": ("bench.merging", "(h) Merging 10,000 changes by key"),
    "cdc": ("bench.cdc", "(i) From a commit in PostgreSQL to a row in the table"),
    "sustained": ("bench.sustained", "(j) 10,000 changes a second into 10 M rows"),
    "catchup": ("bench.catchup", "(k) Memory while catching up 10 M records"),
}


def main() -> None:
    """Run the benchmarks named on the command line, all of them by default."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    names = parser.parse_args().names or list(BENCHES)
    if unknown := sorted(set(names) - BENCHES.keys()):
        parser.error(f"no benchmark is called {', '.join(unknown)}")
    results = json.loads(JSON.read_text()) if JSON.exists() else {}
    for name in names:
        print(f"== {name}", flush=True)
        results[name] = measured = _beginning()
        for row in import_module(BENCHES[name][0]).run():
            print("  ", _line(row), flush=True)
            measured["rows"].append(row)
            JSON.write_text(json.dumps(results, indent=2) + "\n")
            PAGE.write_text(_page(results))
    print(f"written: {PAGE.relative_to(ROOT)}, {JSON.relative_to(ROOT)}")


def _beginning() -> dict[str, Any]:
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": _machine(),
        "load_before": round(os.getloadavg()[0], 2),
        "rows": [],
    }


def _machine() -> str:
    memory_gib = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}"
    )


def _line(row: Row) -> str:
    beside = f", {row['peer_name']} {_number(row['peer'])}" if row["peer"] is not None else ""
    verdict = {True: "met", False: "MISSED", None: "no goal"}[row["met"]]
    return f"{row['case']}: {_number(row['ours'])} {row['unit']}{beside} (goal {row['goal']}: {verdict})"


def _number(value: float | None) -> str:
    if value is None:
        return "–"  # noqa: RUF001
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def _page(results: dict[str, Any]) -> str:
    parts = [
        "# Benchmarks",
        "",
        (
            "Made by `make bench`; do not edit. Each peer ran beside Penstock in the same run on the "
            "same machine. A ratio is Penstock's number over the peer's."
        ),
    ]
    for name, (_, title) in BENCHES.items():
        if name not in results:
            continue
        result = results[name]
        parts += [
            "",
            f"## {title}",
            "",
            (
                f"`python -m bench {name}` · {result['date']} · {result['machine']} · "
                f"load before: {result['load_before']}"
            ),
            "",
            "| case | Penstock | peer | ratio | unit | goal | met | note |",
            "|---|---:|---:|---:|---|---|---|---|",
            *map(_table_row, result["rows"]),
        ]
    return "\n".join(parts) + "\n"


def _table_row(row: Row) -> str:
    peer = "" if row["peer"] is None else f"{_number(row['peer'])} ({row['peer_name']})"
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    met = {True: "yes", False: "**no**", None: ""}[row["met"]]
    cells = [row["case"], _number(row["ours"]), peer, ratio, row["unit"], row["goal"], met]
    return f"| {' | '.join([*cells, row.get('note', '')])} |"


if __name__ == "__main__":
    main()
