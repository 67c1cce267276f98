"""`penstock table check`: a table's file tried before it is declared.

    FILE… ─parse_beside─▶ tables.Table… ─▶ newest records of the topic ─attempt─▶ Trial ─▶ estimates

Reads files, metadata and records; declares and writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from penstock.cli.output import DEFAULT_HOME, HomeOption, JsonOption, console, table_console
from penstock.errors import ConfigError, NotReady

if TYPE_CHECKING:
    from penstock.ingest.onboarding.estimates import Estimate
    from penstock.ingest.onboarding.samples import Samples
    from penstock.ingest.onboarding.trials import Trial
    from penstock.model import metadata, tables

__all__ = ["check", "known_to"]

_DO_NOT_FIT = 7
_SHOWN_REASONS = 5

_Files = Annotated[
    list[Path], typer.Argument(help="Files with tables; their topics may be elsewhere.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """What was found of one table."""

    table: tables.Table
    samples: Samples
    trial: Trial
    estimates: Sequence[Estimate]


def check(
    files: _Files,
    home: HomeOption = DEFAULT_HOME,
    records: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many of the newest records to try.")
    ] = 1_000,
    as_json: JsonOption = False,
) -> None:
    """Try a table's file: faults, real records of its topic, keys, cost and latency.

    Changes nothing. Exit codes: 0 every record fits, 3 faults in a file, 4 the platform or the
    topic cannot be read now, 7 records do not fit.
    """
    from penstock.control.declare.known import parse_beside
    from penstock.control.declare.reader import walk
    from penstock.ingest.registries import with_registry

    found = walk(files)
    snapshot, away = known_to(home)
    try:
        declared = parse_beside(found, snapshot)
    except ConfigError as error:
        if as_json:
            faults = [asdict(fault) for fault in error.faults]
            typer.echo(json.dumps({"faults": faults, "tables": []}))
            raise typer.Exit(error.exit_code) from error
        raise
    if snapshot is None:
        raise NotReady(f"The files have no faults, but nothing was tried: {away}")
    if not declared:
        raise ConfigError("the files declare no table. Name a file with kind: Table in it.")
    findings = [
        _try(with_registry(table, home=home), snapshot, limit=records) for table in declared
    ]
    if as_json:
        told = [_as_json(finding) for finding in findings]
        typer.echo(json.dumps({"faults": [], "tables": told}, default=str))
    else:
        for finding in findings:
            _print(finding)
    if any(finding.trial.poison for finding in findings):
        raise typer.Exit(_DO_NOT_FIT)


def known_to(home: Path) -> tuple[metadata.Snapshot | None, str]:
    """Return what the home's control plane knows; None, and why, when it does not answer."""
    from penstock.api import wire
    from penstock.api.client import connect_home

    try:
        with connect_home(home) as control:
            return wire.decode_snapshot(control.snapshot()), ""
    except (NotReady, ConfigError) as error:
        return None, error.message


def _try(table: tables.Table, snapshot: metadata.Snapshot, *, limit: int) -> _Finding:
    from penstock.ingest.onboarding import estimates, samples, trials

    topic = snapshot.topics.get(f"{table.environment}/{table.topic}")
    if topic is None:
        raise NotReady(
            f"topic {table.environment}/{table.topic} is declared in these files only. Apply it "
            "first (penstock apply), then there are records to try."
        )
    with console.status(f"Reading {topic.name} …"):
        taken = samples.take(topic, snapshot.clusters, among=table.clusters, limit=limit)
    trial = trials.attempt(table, taken.raw)
    load = estimates.Load(
        records_per_s=taken.records_per_s,
        record_bytes=taken.bytes_per_record,
        row_bytes=trial.row_bytes,
        record_us=trial.record_us,
    )
    made = estimates.estimate(table, load) if trial.rows else ()
    return _Finding(table=table, samples=taken, trial=trial, estimates=made)


def _as_json(finding: _Finding) -> Mapping[str, Any]:
    trial = finding.trial
    return {
        "table": finding.table.ident,
        "topic": finding.table.topic,
        "records": trial.records,
        "rows": trial.rows,
        "passed": trial.passed,
        "poison": trial.poison,
        "reasons": [asdict(reason) for reason in trial.reasons],
        "keys": asdict(trial.keys),
        "unreachable": dict(finding.samples.trouble),
        "estimates": [asdict(estimate) for estimate in finding.estimates],
    }


def _print(finding: _Finding) -> None:
    trial, table = finding.trial, finding.table
    table_console.print(f"[bold]{table.ident}[/bold] from topic {table.topic}")
    for cluster, why in finding.samples.trouble.items():
        table_console.print(f"  {cluster} could not be read: {escape(why)}", style="yellow")
    if not trial.records:
        table_console.print("  The topic has no record to try; the file has no faults.")
        return
    style = "red" if trial.poison else "green"
    passed = f", {trial.passed:,} say nothing to this table" if trial.passed else ""
    table_console.print(
        f"  {trial.rows:,} of the newest {trial.records:,} records are rows, "
        f"{trial.poison:,} would be dead letters{passed}",
        style=style,
    )
    for reason in trial.reasons[:_SHOWN_REASONS]:
        table_console.print(
            f"    {reason.records:,} times, first {reason.example}: {escape(reason.reason)}",
            soft_wrap=True,
        )
    table_console.print(f"  {_keys(finding)}")
    _print_estimates(finding.estimates)


def _keys(finding: _Finding) -> str:
    keys = finding.trial.keys
    name = ", ".join(keys.columns) or "the records' key"
    there = keys.rows - keys.missing
    unit = "rows" if keys.columns else "records"
    return f"{name}: in {there:,} of {keys.rows:,} {unit}, {keys.distinct:,} different"


def _print_estimates(found: Sequence[Estimate]) -> None:
    if not found:
        return
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    grid.add_column("estimate", no_wrap=True)
    grid.add_column("", overflow="fold")
    grid.add_column("how", overflow="fold", style="dim")
    for one in found:
        grid.add_row(one.what, one.value, one.how)
    table_console.print(grid)
