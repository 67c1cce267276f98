"""Commands that only show: the audit, and the clients that are connected."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from penstock.cli.output import DEFAULT_HOME, HomeOption, JsonOption, print_json, table_console

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(epilog="Example: penstock audit --limit 20")(audit)
    app.command(epilog="Example: penstock clients --json")(clients)


def audit(
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="At most this many.")] = 100,
    subject: Annotated[str, typer.Option(help="Only of this topic, cluster or plan.")] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show who did what, newest first."""
    from penstock.api.client import connect_home
    from penstock.cli.control_rendering import make_table, to_json

    with connect_home(home) as client:
        entries = client.audit(limit=limit, subject=subject)
    if as_json:
        print_json({"entries": [to_json(entry) for entry in entries]})
        return
    table = make_table("at (UTC)", "who", "what", "subject", "reason")
    for entry in entries:
        table.add_row(_time(entry.at_ms), entry.who, entry.what, entry.subject, entry.reason)
    table_console.print(table)


def clients(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show the clients heard from lately, and which version of the metadata they have applied."""
    from penstock.api.client import connect_home
    from penstock.cli.control_rendering import make_table, to_json

    with connect_home(home) as client:
        found = client.clients()
    if as_json:
        print_json(to_json(found))
        return
    table = make_table("service", "instance", "sdk", "version", "topics", "last seen (UTC)")
    for seen in found.clients:
        behind = "" if seen.version >= found.version else f" (of {found.version})"
        table.add_row(
            seen.client.service,
            seen.client.instance,
            seen.client.sdk_version,
            f"{seen.version}{behind}",
            ", ".join(seen.topics) or "all",
            _time(seen.last_seen_ms),
        )
    table_console.print(table)


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
