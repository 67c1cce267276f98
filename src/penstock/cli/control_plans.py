"""Plans on the screen: read files, ask the control plane, render changes and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from penstock.api._gen import penstock_pb2 as pb
from penstock.api.client import connect_home
from penstock.cli.control_rendering import to_json
from penstock.cli.output import console, table_console
from penstock.control import declare
from penstock.control.declare.reader import walk

__all__ = [
    "apply",
    "count_failed",
    "drift",
    "events_to_json",
    "exit_code",
    "plan",
    "show",
]

_CHANGES = 2
_REFUSALS = 5
_SIGNS = {
    "create-topic": ("+", "green"),
    "register-cluster": ("+", "green"),
    "declare-topic": ("+", "green"),
    "declare-table": ("+", "green"),
    "declare-connector": ("+", "green"),
    "adopt-topic": ("+", "green"),
    "delete-topic": ("-", "red"),
    "release-topic": ("-", "red"),
    "retire-topic": ("-", "red"),
    "remove-table": ("-", "red"),
    "remove-connector": ("-", "red"),
    "forget-cluster": ("-", "red"),
}
_OUTCOMES = {
    pb.OUTCOME_DONE: ("done", "green"),
    pb.OUTCOME_FAILED: ("failed", "red"),
    pb.OUTCOME_SKIPPED: ("skipped", "yellow"),
}
_NOT_DONE = {pb.OUTCOME_FAILED, pb.OUTCOME_SKIPPED}


def plan(paths: Sequence[Path], *, home: Path) -> pb.PlanResponse:
    """Validate the files here, then have them planned."""
    files = _read(paths)
    with connect_home(home) as client, console.status("Looking at the clusters …"):
        return client.plan(files)


def drift(home: Path) -> pb.PlanResponse:
    """Have the last applied files planned."""
    with connect_home(home) as client, console.status("Looking at the clusters …"):
        return client.drift()


def apply(paths: Sequence[Path], *, home: Path, digest: str) -> list[pb.ApplyEvent]:
    """Apply the plan, with its progress on the terminal; return what happened."""
    files = _read(paths)
    events = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with connect_home(home) as client, Progress(*columns, console=console) as progress:
        task = progress.add_task("Applying", total=None)
        for event in client.apply(files, digest=digest):
            events.append(event)
            progress.update(
                task, completed=event.done, total=event.total, description=event.change.kind
            )
            if event.outcome in _OUTCOMES:
                word, style = _OUTCOMES[event.outcome]
                line = Text.assemble((f"{word:8}", style), event.change.summary)
                progress.console.print(line)
            if event.error:
                progress.console.print(Text(f"        {event.error}", style="red"))
    return events


def exit_code(found: pb.PlanResponse) -> int:
    """Return what `plan` and `drift` exit with."""
    if found.changes:
        return _CHANGES
    return _REFUSALS if found.refusals else 0


def count_failed(events: Sequence[pb.ApplyEvent]) -> int:
    """Return how many changes were not done."""
    return sum(event.outcome in _NOT_DONE for event in events)


def events_to_json(found: pb.PlanResponse, events: Sequence[pb.ApplyEvent]) -> dict[str, Any]:
    """Return an apply as JSON."""
    return {
        "digest": found.digest,
        "refusals": to_json(found)["refusals"],
        "events": [to_json(event) for event in events],
    }


def show(found: pb.PlanResponse, *, nothing: str) -> None:
    """Print the plan for people."""
    for change in found.changes:
        sign, style = _SIGNS.get(change.kind, ("~", "yellow"))
        table_console.print(Text.assemble((f"{sign} ", style), change.summary))
    for refusal in found.refusals:
        where = "/".join(part for part in (refusal.cluster, refusal.subject) if part)
        table_console.print(Text.assemble(("refused ", "red"), f"{where}: {refusal.reason}"))
        table_console.print(Text(f"        {refusal.next_step}"))
    for name in found.unreachable:
        table_console.print(
            Text.assemble(("no answer ", "red"), name, ": nothing is planned there")
        )
    if not found.changes and not found.refusals:
        table_console.print(nothing)


def _read(paths: Sequence[Path]) -> list[pb.EstateFile]:
    files = walk(paths)
    declare.parse(files)
    return [pb.EstateFile(path=file.path, content=file.content) for file in files]
