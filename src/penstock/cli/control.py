"""Commands of the control family: run the control plane, plan and apply, see and switch.

argv ─▶ estate files read and validated here (faults name the user's paths) ─▶ ControlClient
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli import control_topics, control_views
from penstock.cli.output import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    YesOption,
    confirm,
    console,
    print_json,
)

__all__ = ["register"]

PathsArgument = Annotated[
    list[Path], typer.Argument(help="Estate files, or directories of them.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(epilog="Example: penstock control --home .penstock")(control)
    app.command(epilog="Example: penstock plan estate/ --json")(plan)
    app.command(epilog="Example: penstock apply estate/ --yes")(apply)
    app.command(epilog="Example: penstock drift")(drift)
    control_topics.register(app)
    control_views.register(app)


def control(
    home: HomeOption = DEFAULT_HOME,
    listen: Annotated[
        str | None,
        typer.Option(help="IP address to bind to. Off loopback every call needs a token."),
    ] = None,
    grpc_port: Annotated[int | None, typer.Option(help="0: that of the last run, or free.")] = None,
    rest_port: Annotated[int | None, typer.Option(help="0: that of the last run, or free.")] = None,
    store: Annotated[
        str | None,
        typer.Option(help="Database URL: sqlite:///path, postgresql://user:password@host/name."),
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(help="JSON file of further tokens: name, token, role.")
    ] = None,
) -> None:
    """Run a control plane until SIGTERM or Ctrl-C.

    Exits 0 when stopped, 3 for wrong settings or a store that is too new, 4 where a port is taken
    or the store cannot be opened, 6 where another control plane runs in the same home.
    """
    from penstock.control import process, settings

    options = {
        "listen": listen,
        "grpc_port": grpc_port,
        "rest_port": rest_port,
        "store": store,
        "tokens": tokens,
    }
    process.run(settings.load(home, options=options))


def plan(
    paths: PathsArgument, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """Compare estate files with the clusters; change nothing.

    Exits 0 when there is nothing to do, 2 when there are changes, 5 when there are only refusals,
    3 when the files are wrong, 4 when the control plane does not answer.
    """
    from penstock.cli import control_plans, control_rendering

    found = control_plans.plan(paths, home=home)
    if as_json:
        print_json(control_rendering.to_json(found))
    else:
        control_plans.show(found, nothing="No changes: the clusters are as the files say.")
    raise typer.Exit(control_plans.exit_code(found))


def apply(
    paths: PathsArgument,
    home: HomeOption = DEFAULT_HOME,
    yes: YesOption = False,
    digest: Annotated[
        str, typer.Option(help="Only the plan with this digest, as `plan --json` printed it.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Make the clusters as the files say: show the plan, ask, do exactly that.

    Interrupting stops watching, not the apply: what was agreed to is carried out, and survives a
    crash of the control plane. Exits 0 when all is done, 1 when a change failed or the answer was
    no, 5 when something is refused, 6 when the world moved since the plan.
    """
    from penstock.cli import control_plans

    found = control_plans.plan(paths, home=home)
    if not as_json:
        control_plans.show(found, nothing="No changes: the clusters are as the files say.")
    if not found.changes and not digest:
        if as_json:
            print_json({"digest": found.digest, "events": []})
        raise typer.Exit(control_plans.exit_code(found))
    confirm(f"Apply {len(found.changes)} changes?", yes=yes)
    events = control_plans.apply(paths, home=home, digest=digest or found.digest)
    if as_json:
        print_json(control_plans.events_to_json(found, events))
    failed = control_plans.count_failed(events)
    if failed:
        console.print(f"{failed} changes were not done; correct the cause, then apply again.")
        raise typer.Exit(1)
    if found.refusals:
        raise typer.Exit(5)


def drift(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Compare what was last applied with the clusters; change nothing.

    Exits 0 when there is no drift, 2 when there is, 5 when there are only refusals.
    """
    from penstock.cli import control_plans, control_rendering

    found = control_plans.drift(home)
    if as_json:
        print_json(control_rendering.to_json(found))
    else:
        control_plans.show(found, nothing="No drift: the clusters are as they were applied.")
    raise typer.Exit(control_plans.exit_code(found))
