"""One load carried out: piece after piece, each one commit beside the live stream's.

    piece N ─Files.read─▶ records ─(append: those that have not landed)─▶ Pipeline ─▶ rows, letters
                       └▶ rows ─Shape─▶ rows          ─1─▶ dead letters, txn N    ─2─▶ table, txn N

Guarantee: each piece is in the table exactly when its number is in the table's log under the load's
own application id, ``penstock/<table>/<name of the load>``; after a kill the next piece is the one
after it. Appended records that the live stream has landed, or will land, are left out; merged rows
replace none that is newer by its marks. Where a live batch comes in between, the piece is tried
again, and in the end the live stream stands still for it. Never moves the live stream's number.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property

import pyarrow as pa

from penstock.errors import Conflict, NotReady
from penstock.ingest import changes, ledger, letters, plan
from penstock.ingest.backfill import shaping
from penstock.ingest.backfill.beside import BesideTarget
from penstock.ingest.backfill.files import LINE, Files, is_raw
from penstock.ingest.backfill.landed import Landed
from penstock.ingest.backfill.pieces import Loads, Part, Plan
from penstock.ingest.engines import spoiled
from penstock.ingest.locations import Location
from penstock.ingest.owners import me
from penstock.ingest.pipeline import Pipeline
from penstock.ingest.targets import Target, open_target
from penstock.ingest.turns import Turn
from penstock.model import tables

__all__ = ["Load", "Loaded", "State", "app_id"]

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_FIRST_BACKOFF_S = 0.1
_LONGEST_BACKOFF_S = 5.0
_POISON_SAMPLE = 1_000
_RATE_PIECES = 10
_PATIENCE = 3
"""Conflicts after which the live stream is asked to stand still for one piece.

One is enough for the piece after it: a stream that has come in between does so again.
"""


class State(StrEnum):
    """How a load is."""

    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    STOPPED = "stopped"
    """Its process was asked to end; started again it goes on."""
    CANCELLED = "cancelled"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """How far a load is.

    Attributes:
        pieces: how many are in the table.
        of: how many there are.
        records: looked at by this process.
        rows: of them, how many came to rows; the others were there already or are letters.
        letters: dead letters.
        rows_per_s: records a second over the last pieces.
        error: why it waits.
    """

    state: State = State.RUNNING
    pieces: int = 0
    of: int = 0
    records: int = 0
    rows_per_s: float = 0.0
    rows: int = 0
    letters: int = 0
    error: str = ""


class Load:
    """Carries one plan out.

    Attributes:
        loaded: replaced as a whole, so any thread may read it.
    """

    def __init__(
        self,
        table: tables.Table,
        planned: Plan,
        files: Files,
        *,
        place: Location,
        letters_place: Location,
        clock: Callable[[], datetime],
        rate: float = 0.0,
        stopping: threading.Event,
    ) -> None:
        """Start nothing yet.

        Args:
            table: the declaration.
            planned: what to do, written down.
            files: what the plan's parts are of.
            place: of the table.
            letters_place: of its dead letters.
            clock: gives the time at which letters are found.
            rate: records a second at most; 0 for as many as come.
            stopping: ends `run` after the piece it is in.
        """
        self.loaded = Loaded(of=len(planned.pieces))
        self._table = table
        self._load = _as_load(table, planned.name)
        self._plan = planned
        self._files = files
        self._place = place
        self._letters = letters.DeadLetters(self._load, letters_place, clock=clock)
        self._loads = Loads(place)
        self._rate = rate
        self._stopping = stopping
        self._landed = Landed(table, place, letters_place)
        ratio = table.dead_letters.max_ratio
        self._tally = plan.Tally(ratio=ratio, sample=_POISON_SAMPLE)
        self._target: Target | None = None
        self._owner = asdict(me())
        self._samples: deque[tuple[float, int]] = deque(maxlen=_RATE_PIECES + 1)

    def run(self) -> Loaded:
        """Load what is not loaded yet; return how far it is when it ends.

        Raises:
            ConfigError: when the declaration cannot work.
            DataError: when too much is poison, or a file is broken.
            Refused: when the table is not what is declared, or rows are not what the table takes.
        """
        turn = Turn(self._place, self._plan.name)
        try:
            return self._run(turn)
        finally:
            turn.give_back()

    def _run(self, turn: Turn) -> Loaded:
        failures, patience = 0, _PATIENCE
        pieces = self._loads.told(self._plan.name).get("pieces", 0)
        self._tell(state=State.RUNNING, pieces=pieces)
        self._samples.append((time.monotonic(), 0))
        while self._goes_on():
            begun_at = time.monotonic()
            try:
                done = self._next()
            except (Conflict, NotReady) as error:
                self._target = None
                failures += 1
                if failures >= patience and isinstance(error, Conflict):
                    turn.take()
                self._tell(state=State.WAITING, error=error.message)
                longest = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0**failures)
                self._stopping.wait(longest * random.uniform(0.5, 1))  # noqa: S311 - jitter
                continue
            patience = 1 if failures >= patience else _PATIENCE
            failures = 0
            turn.give_back()
            if done is None:
                self._tell(state=State.DONE)
                return self.loaded
            if self._rate:
                self._stopping.wait(max(0.0, done / self._rate - (time.monotonic() - begun_at)))
        return self.loaded

    def _goes_on(self) -> bool:
        """Wait while the load is to stand still; tell whether it is to go on."""
        while True:
            asked = self._loads.asked(self._plan.name)
            if asked == "cancel":
                self._tell(state=State.CANCELLED)
                return False
            if self._stopping.is_set():
                self._tell(state=State.STOPPED)
                return False
            if asked != "pause":
                return True
            if self.loaded.state is not State.PAUSED:
                self._tell(state=State.PAUSED)
            self._stopping.wait(_LOOK_EVERY_S)

    def _next(self) -> int | None:
        """Load the next piece; return how many records it had, None when all are loaded.

        Raises:
            Conflict: when another process has moved the table on.
            NotReady: when the storage fails.
        """
        target = self._opened()
        number = target.last + 1
        if number > len(self._plan.pieces):
            self.loaded = replace(self.loaded, pieces=len(self._plan.pieces))
            return None
        found = [self._rows(part) for part in self._plan.pieces[number - 1]]
        records = sum(count for count, _, _ in found)
        rows = pa.concat_tables([rows for _, rows, _ in found])
        dead = pa.concat_tables([dead for _, _, dead in found])
        tally = self._tally.add(records=records, poison=dead.num_rows)
        if tally.spoiled:
            raise spoiled(self._table, tally, dead)
        self._letters.write(number, dead)
        target.commit(number, self._sorted(rows))
        self._tally = tally
        done = self.loaded.records + records
        self._samples.append((time.monotonic(), done))
        (first_at, first), (last_at, last) = self._samples[0], self._samples[-1]
        rate = (last - first) / max(last_at - first_at, 1e-3)
        self.loaded = replace(self.loaded, rows_per_s=round(rate, 1))
        self._tell(
            state=State.RUNNING,
            pieces=number,
            records=done,
            rows=self.loaded.rows + rows.num_rows,
            letters=self.loaded.letters + dead.num_rows,
        )
        return records

    def _opened(self) -> Target:
        """Return the table as it is now, mended when this process has just begun."""
        schema = self._pipeline.schema
        if self._target is not None:
            self._target.refresh()
        elif self._table.mode is tables.TableMode.APPEND:
            self._target = open_target(self._load, self._place, schema)
        else:
            beside = BesideTarget(self._load, self._place, schema)
            if beside.last:
                last = self._plan.pieces[beside.last - 1]
                beside.mend(pa.concat_tables([self._rows(part)[1] for part in last]))
            self._target = beside
        return self._target

    def _rows(self, part: Part) -> tuple[int, pa.Table, pa.Table]:
        """Return how many records a part has, their rows and their letters."""
        found = self._files.read(part)
        names = found.column_names
        if LINE in names:
            raw = shaping.of_lines(found, file=part.file, first=part.first)
        elif is_raw(names):
            since_ms, until_ms = self._plan.since_ms, self._plan.until_ms
            raw = shaping.as_records(found, since_ms=since_ms, until_ms=until_ms)
            if self._table.mode is tables.TableMode.APPEND:
                self._landed.check(until_ms=until_ms)
                raw = self._landed.without(raw)
        else:
            origin = f"{self._files.place}/{part.file}"
            taken_at_ms = self._plan.taken_at_ms
            rows = self._shape.rows(found, taken_at_ms=taken_at_ms, origin=origin)
            return found.num_rows, rows, letters.FOUND.empty_table()
        made = self._pipeline.transform(raw)
        return found.num_rows, made.rows, made.letters

    def _sorted(self, rows: pa.Table) -> pa.Table:
        """Return changes by key, so that the files they make hold keys that are near."""
        if self._table.mode is tables.TableMode.APPEND:
            return rows
        keys = [name for name in self._table.merge.primary_key if name not in changes.CONTROL.names]
        return rows.sort_by([(key, "ascending") for key in keys])

    @cached_property
    def _pipeline(self) -> Pipeline:
        return Pipeline(self._table)

    @cached_property
    def _shape(self) -> shaping.Shape:
        return shaping.Shape(self._table, self._pipeline.schema)

    def _tell(self, *, state: State, error: str = "", **numbers: int) -> None:
        self.loaded = replace(self.loaded, state=state, error=error, **numbers)
        if error:
            _log.warning("%s of %s waits: %s", self._plan.name, self._table.ident, error)
        told = asdict(self.loaded) | {"owner": self._owner}
        try:
            self._loads.tell(self._plan.name, told)
        except NotReady as failure:
            _log.warning("%s", failure.message)


def app_id(table: tables.Table, name: str) -> str:
    """Return the application id under which logs keep the number of a load's last piece."""
    return ledger.app_id(_as_load(table, name))


def _as_load(table: tables.Table, name: str) -> tables.Table:
    """Return the table under the name by which its logs keep the numbers of a load."""
    return replace(table, name=f"{table.name}/{name}")
