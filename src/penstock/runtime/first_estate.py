"""Brings a new home to its first estate.

    files ─▶ plan ─▶ no deletions? ─▶ apply ─▶ Applied(done, notes)

`up` never deletes a topic: a plan that would is left to `penstock apply`. And the quickstart is for
a home that has no topics: whatever was applied there since is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.api._gen import penstock_pb2 as pb
from penstock.api.client import ControlClient, connect_home
from penstock.control.declare import reader
from penstock.runtime.platform import Platform

__all__ = ["Applied", "apply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What came of it.

    Attributes:
        done: changes made.
        notes: what was refused or failed, and the way on; for people.
    """

    done: int = 0
    notes: tuple[str, ...] = ()


def apply(platform: Platform, home: Path) -> Applied:
    """Plan the platform's estate and apply the plan.

    Raises:
        PenstockError: what the control plane says to the files.
    """
    if platform.estate is None:
        return Applied()
    with connect_home(home) as control:
        if platform.first_only and control.topics():
            return Applied()
        found = [
            pb.EstateFile(path=f.path, content=f.content) for f in reader.walk([platform.estate])
        ]
        plan = control.plan(found)
        notes = [f"{r.subject}: {r.reason}. {r.next_step}" for r in plan.refusals]
        notes += [f"{name} did not answer; nothing was planned for it" for name in plan.unreachable]
        if any(change.kind == "delete-topic" for change in plan.changes):
            notes.append(f"the plan deletes topics: read it with penstock plan {platform.estate}")
            return Applied(notes=tuple(notes))
        done, failed = _carry_out(control, found, digest=plan.digest) if plan.changes else (0, [])
        return Applied(done=done, notes=(*notes, *failed))


def _carry_out(
    control: ControlClient, found: Sequence[pb.EstateFile], *, digest: str
) -> tuple[int, list[str]]:
    events = list(control.apply(found, digest=digest))
    failed = [e for e in events if e.outcome in (pb.OUTCOME_FAILED, pb.OUTCOME_SKIPPED)]
    done = sum(e.outcome == pb.OUTCOME_DONE for e in events)
    return done, [f"{e.change.summary}: {e.error}" for e in failed]
