"""What an ingest process can be told; every default is right for one machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import ConfigError, Fault

if TYPE_CHECKING:
    # Only who runs tables on Spark has it installed.
    from penstock.ingest.engines.spark_session import SparkSettings

__all__ = ["Limits", "Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one table may hold in memory, and when it must stop.

    Attributes:
        batch_records: a batch closes at this many records, whatever the latency. 100,000 rows a
            commit append at 320,000 to 430,000 rows a CPU second; larger batches add nothing.
        batch_bytes: a batch closes at this many bytes of values.
        spark_records: the same for a batch that Spark reads, which costs seconds of jobs at any size.
        queue_kib: librdkafka's buffer for each cluster, in KiB.
        poison_sample: the share of poison means nothing before this many records were seen.
        merge_factor: a merge's batch may hold so many times as many records.
        backoff_s: longest wait between two tries after a failure.
    """

    batch_records: int = 100_000
    batch_bytes: int = 64 * 2**20
    queue_kib: int = 32 * 2**10
    poison_sample: int = 100
    merge_factor: int = 10
    spark_records: int = 5_000_000
    backoff_s: float = 30.0

    def __post_init__(self) -> None:
        """Report every limit that makes no sense, together.

        Raises:
            ConfigError: with one fault for each.
        """
        positive = (
            "batch_records",
            "batch_bytes",
            "queue_kib",
            "poison_sample",
            "merge_factor",
            "spark_records",
        )
        faults = [
            Fault(
                file="ingest limits",
                line=0,
                what=f"{name} is {getattr(self, name)}",
                next_step="Give a number above 0.",
            )
            for name in positive
            if getattr(self, name) < 1
        ]
        if faults:
            raise ConfigError("ingest cannot start.", faults=faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One ingest process.

    Attributes:
        home: directory with all state of this Penstock.
        tables: names of the tables to run; none means every declared table.
        control: gRPC address of the control plane; empty reads ``<home>/control.json``.
        listen: where ``/health`` and ``/metrics`` answer, ``host:port`` on loopback; the address
            is then in ``<home>/ingest/listen.json``. Empty for nowhere.
        lease_s: a process that said nothing for so long has lost its tables to the others.
        spark: gives where Spark runs, asked when the first table needs it; None where none may.
    """

    home: Path
    tables: frozenset[str] = frozenset()
    control: str = ""
    listen: str = "127.0.0.1:0"
    spark: Callable[[], SparkSettings] | None = None
    lease_s: float = 10.0
    limits: Limits = Limits()

    @property
    def lake(self) -> Path | str:
        """Return the directory or the URL that relative table paths are below.

        It is ``PENSTOCK_LAKE``, else what `penstock up --lake` was told in this home, else
        ``<home>/lake``.
        """
        return os.environ.get("PENSTOCK_LAKE") or _noted_lake(self.home) or self.home / "lake"

    @property
    def state(self) -> Path:
        """Return the directory of what this process writes about itself."""
        return self.home / "ingest"


def _noted_lake(home: Path) -> str:
    try:
        noted = json.loads((home / "lake.json").read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return ""
    return str(noted.get("root", "")) if isinstance(noted, dict) else ""
