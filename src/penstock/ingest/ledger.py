"""The batches of a table: each is written down before it is run.

    positions + records read ─▶ BatchPlan N ─create if absent─▶ <table>/_penstock/batches/N.json
    the table's own log: last batch N ─▶ its plan ─▶ positions;  plan N + 1 is there ─▶ run it again

Guarantee: there is never more than one plan of a number, whoever writes it, and the plan of the
table's last batch is always there. A batch is committed when the table's log has its number, and
only then; a plan without it is run again exactly as it stands, so rows and dead letters come out
the same. Never says what is in the table: its log does.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from penstock.errors import Conflict, NotReady, Refused
from penstock.ingest.locations import Location
from penstock.ingest.plan import Gap, Partition, Positions
from penstock.model import tables

__all__ = ["BatchPlan", "Kind", "Ledger", "app_id"]

_KEPT = 16


class Kind(StrEnum):
    """What a batch does."""

    RUN = "run"
    """Lands records."""
    RESET = "reset"
    """Lands nothing; the next batch begins elsewhere."""
    REPLAY = "replay"
    """Lands records out of the dead letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """What one batch is to do.

    Attributes:
        number: 1 for a table's first.
        begin: where each partition stands before it; absent for one never read.
        end: where each stands after it, of every partition that was ever read.
        gaps: offsets of the batch that the cluster no longer had when it was planned.
        request: a person's request that it carries out; empty for none.
        letters: for a replay, the dead-letter table's version, the first letter in the version's own
            order (`delta.LakeTable.in_order`), and the one after the last.
    """

    number: int
    begin: Positions
    end: Positions
    gaps: tuple[Gap, ...] = ()
    kind: Kind = Kind.RUN
    request: str = ""
    letters: tuple[int, int, int] = (0, 0, 0)

    @property
    def ranges(self) -> Mapping[Partition, tuple[int, int]]:
        """Return the offsets to read, ``first <= o < end``, of each partition that has any."""
        if self.kind is not Kind.RUN:
            return {}
        return {
            partition: (self.begin[partition], end)
            for partition, end in self.end.items()
            if partition in self.begin and end > self.begin[partition]
        }

    def without(self, partitions: Collection[Partition]) -> BatchPlan:
        """Return the part of the batch that lies elsewhere, under its number."""
        rest = {p: end for p, end in self.end.items() if p not in partitions}
        return replace(self, end=rest)

    def render(self) -> bytes:
        """Return the plan as its file holds it."""
        told: dict[str, Any] = {
            "number": self.number,
            "kind": self.kind.value,
            "request": self.request,
            "letters": list(self.letters),
            "begin": _nested(self.begin),
            "end": _nested(self.end),
            "gaps": [
                [
                    gap.partition.cluster,
                    gap.partition.topic,
                    gap.partition.number,
                    gap.first,
                    gap.end,
                ]
                for gap in self.gaps
            ],
        }
        return json.dumps(told, sort_keys=True).encode()


def parse(content: bytes) -> BatchPlan:
    """Return the plan that a file holds.

    Raises:
        ValueError: when it holds none.
    """
    told = json.loads(content)
    version, first, last = told["letters"]
    return BatchPlan(
        number=told["number"],
        kind=Kind(told["kind"]),
        request=told["request"],
        letters=(version, first, last),
        begin=_flat(told["begin"]),
        end=_flat(told["end"]),
        gaps=tuple(
            Gap(
                partition=Partition(cluster=cluster, topic=topic, number=number),
                first=first,
                end=end,
            )
            for cluster, topic, number, first, end in told["gaps"]
        ),
    )


def app_id(table: tables.Table) -> str:
    """Return the application id under which logs keep the number of the last batch."""
    return f"penstock/{table.ident}"


@dataclass(slots=True)
class Ledger:
    """The plans of one table.

    Attributes:
        location: of the table.
    """

    location: Location
    _oldest: int = field(default=1, init=False)

    def read(self, number: int) -> BatchPlan | None:
        """Return the plan of the number, None when nobody has made it.

        Raises:
            NotReady: when the storage fails, or the file is no plan.
        """
        content = self.location.get(_name(number))
        if content is None:
            return None
        try:
            return parse(content)
        except (ValueError, KeyError, TypeError) as error:
            raise NotReady(
                f"{self.location}/{_name(number)} is no plan of a batch: {error!r}. Restore the "
                "file; without it nobody knows where the table stands."
            ) from error

    def standing(self, last: int) -> Positions:
        """Return where the table stands after its last batch.

        Raises:
            Refused: when the plan of that batch is not there.
        """
        if last == 0:
            return {}
        plan = self.read(last)
        if plan is None:
            raise Refused(
                f"the plan of batch {last} of the table at {self.location} is missing, and with it "
                f"where the table stands. Restore {_name(last)}, or give the table another path."
            )
        return plan.end

    def write(self, plan: BatchPlan) -> None:
        """Write the plan of the next batch.

        Raises:
            Conflict: when somebody has planned that batch already: it is theirs that is run.
            NotReady: when the storage fails.
        """
        if not self.location.create(_name(plan.number), plan.render()):
            raise Conflict(
                f"batch {plan.number} of the table at {self.location} is planned already. Look "
                "again; that plan is run as it stands."
            )

    def forget(self, last: int) -> None:
        """Remove plans far behind the last batch, now and then."""
        before = last - _KEPT
        if before - self._oldest < _KEPT:
            return
        numbers = [_number(name) for name in self.location.names(_DIRECTORY)]
        self.location.delete(*(_name(n) for n in numbers if 0 < n < before))
        self._oldest = before


_DIRECTORY = "_penstock/batches"


def _name(number: int) -> str:
    return f"{_DIRECTORY}/{number}.json"


def _number(name: str) -> int:
    stem = name.rpartition("/")[2].removesuffix(".json")
    return int(stem) if stem.isdecimal() else 0


def _nested(positions: Positions) -> dict[str, dict[str, dict[str, int]]]:
    nested: dict[str, dict[str, dict[str, int]]] = {}
    for partition, offset in positions.items():
        topics = nested.setdefault(partition.cluster, {})
        topics.setdefault(partition.topic, {})[str(partition.number)] = offset
    return nested


def _flat(nested: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[Partition, int]:
    return dict(_entries(nested))


def _entries(
    nested: Mapping[str, Mapping[str, Mapping[str, int]]],
) -> Iterable[tuple[Partition, int]]:
    for cluster, topics in nested.items():
        for topic, numbers in topics.items():
            for number, offset in numbers.items():
                yield Partition(cluster=cluster, topic=topic, number=int(number)), offset
