"""Commands that start, show and stop the platform on this machine: up, status, logs, down, reset."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.output import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    YesOption,
    confirm,
    console,
    print_json,
    table_console,
)
from penstock.errors import ConfigError, NotReady

if TYPE_CHECKING:
    # Loaded by the commands that need them: `penstock --help` is fast.
    from penstock.runtime import platform, statuses

__all__ = ["register"]

_LINE_EVERY_S = 5.0
_REDRAWN_EVERY_S = 0.25
_POLL_S = 0.05
_NOT_READY = NotReady.exit_code

_EstateArgument = Annotated[
    Path | None,
    typer.Argument(
        help="Estate to start and apply; the quickstart where none is given.",
        exists=True,
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("up")(up_command)
    app.command("status")(status_command)
    app.command("logs")(logs_command)
    app.command("down")(down_command)
    app.command("reset")(reset_command)


def up_command(
    estate: _EstateArgument = None,
    *,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when all is up; it goes on running.")
    ] = False,
    brokers: Annotated[
        int | None,
        typer.Option(help="Brokers of each cluster: 1 or 3.", show_default="as it has; 1 if new"),
    ] = None,
    clusters: Annotated[
        int | None,
        typer.Option(min=1, max=9, help="Start this many bare clusters instead of an estate."),
    ] = None,
    lake: Annotated[
        str,
        typer.Option(
            help="Directory or URL (s3://bucket/prefix) that tables are below.",
            show_default="as it has; <home>/lake if new",
        ),
    ] = "",
    registry: Annotated[
        bool | None,
        typer.Option(
            "--registry/--no-registry",
            help="Run a schema registry, too.",
            show_default="as it has; none if new",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show nothing while it runs.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    json_: JsonOption = False,
) -> None:
    """Start Kafka clusters, the control plane and the quickstart; Ctrl-C stops everything.

    What was there before goes on where it was: the quickstart is applied to a new home only, and no
    topic is ever deleted here (see `penstock apply`). With --detach it goes on after the command has
    returned; where it already runs, that is success.

    Example: penstock up --detach --json

    Exit codes: 0 done · 3 the estate or an option is wrong · 4 a port is taken, the disk is full,
    the line failed or a process does not start (the others go on) · 5 the home has another count of brokers · 6 it already runs · 8 bad artifact.
    """
    from penstock.runtime import platform

    if estate is not None and clusters is not None:
        raise ConfigError("Give an estate or --clusters, not both.")
    lake = _checked_lake(lake)
    if detach:
        options = {"--brokers": brokers, "--clusters": clusters, "--lake": lake or None}
        given = [str(word) for pair in options.items() if pair[1] is not None for word in pair]
        if registry is not None:
            given.append("--registry" if registry else "--no-registry")
        _detach(home, [*given, *([str(estate)] if estate else [])])
        if _show_status(home, json_=json_).state != "up":
            raise typer.Exit(_NOT_READY)
    else:
        wanted = platform.bare(clusters) if clusters else platform.of_estate(estate)
        wanted = replace(wanted, registry=registry, lake=lake)
        _run(home, wanted, brokers=brokers, show=_choose_show(json_=json_, quiet=quiet))


def status_command(home: HomeOption = DEFAULT_HOME, *, json_: JsonOption = False) -> None:
    """Show what runs: clusters, processes, control plane, topics, tables.

    Example: penstock status --json

    Exit codes: 0 all is up · 4 something is not.
    """
    status = _show_status(home, json_=json_)
    if status.state != "up":
        raise typer.Exit(_NOT_READY)


def logs_command(
    process: Annotated[
        str | None, typer.Argument(help="One process, as in `penstock status`; all if not given.")
    ] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they grow.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines of each log.")] = 20,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Print what the processes say.

    Example: penstock logs control --follow

    Exit codes: 0 done · 3 there is no such log.
    """
    from penstock.runtime import logs

    found = logs.find(home, process)
    for name, line in logs.last_lines(found, lines=lines):
        sys.stdout.write(f"{name:>12} │ {line}\n" if len(found) > 1 else f"{line}\n")
    if follow:
        for name, line in logs.follow(found):
            sys.stdout.write(f"{name:>12} │ {line}\n" if len(found) > 1 else f"{line}\n")
            sys.stdout.flush()


def down_command(home: HomeOption = DEFAULT_HOME, *, json_: JsonOption = False) -> None:
    """Stop everything that runs in the home; what it holds stays.

    Example: penstock down

    Exit codes: 0 nothing runs any more · 4 something did not end.
    """
    from penstock.runtime import ending

    with console.status(f"Stopping what runs in {home} …"):
        ran = ending.stop(home)
    if json_:
        print_json({"home": str(home), "stopped": ran})
    else:
        console.print("Stopped. `penstock up` goes on where it was." if ran else "Nothing ran.")


def reset_command(
    home: HomeOption = DEFAULT_HOME, *, yes: YesOption = False, json_: JsonOption = False
) -> None:
    """Stop everything and delete all of the home's records, tables and settings. Asks first.

    Example: penstock reset --yes

    Exit codes: 0 done · 1 the answer was no · 4 something did not end.
    """
    from penstock.runtime import ending

    confirm(f"Delete every record, table and setting in {home}?", yes=yes)
    left = ending.remove(home)
    if json_:
        print_json({"home": str(home), "left": left})
    elif left:
        console.print(f"Done. Not made by Penstock, and left alone: {', '.join(left)}")
    else:
        console.print("Done.")


def _checked_lake(lake: str) -> str:
    """Return where the lake is, for any working directory.

    Raises:
        ConfigError: when it is in no store that is known.
    """
    if not lake:
        return ""
    from penstock.ingest.locations import locate

    return locate(str(Path(lake).absolute()) if "://" not in lake else lake, lake="").uri


_Show = Callable[[Path], None]
"""Shows a home for as long as it runs; ended by `KeyboardInterrupt`."""


def _run(home: Path, wanted: platform.Platform, *, brokers: int | None, show: _Show) -> None:
    from penstock.runtime import up

    came_up = False
    _interrupt_once_by(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        with (
            _fetch_progress() as progress,
            up.running(home, wanted, brokers=brokers, progress=progress),
        ):
            came_up = True
            show(home)
    except KeyboardInterrupt:
        if not came_up:
            raise
        console.print("Stopped. `penstock up` goes on where it was.")


def _interrupt_once_by(*numbers: signal.Signals) -> None:
    """Turn the first of these signals into a KeyboardInterrupt, and the next into nothing.

    What ends the processes in order must not be ended itself by an impatient second Ctrl-C.
    """

    def interrupt(_number: int, _frame: object) -> None:
        for number in numbers:
            signal.signal(number, lambda *_: None)
        raise KeyboardInterrupt

    for number in numbers:
        # What is ignored stays ignored: `nohup penstock up` outlives its terminal.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)


def _detach(home: Path, options: Sequence[str]) -> None:
    from penstock.runtime import detached, kafka, supervisor

    if supervisor.running_supervisor(home) is None:
        with _fetch_progress() as progress:
            kafka.install(progress)
    with console.status(f"Starting in {home} …"):
        detached.start(home, options)


@contextmanager
def _fetch_progress() -> Iterator[Callable[[int, int], None]]:
    """Give a callback that draws a bar once there is something to fetch."""
    from rich import progress as bars

    bar = bars.Progress(
        bars.TextColumn("Fetching Kafka"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task("kafka", total=None)

    def show(there: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=there, total=total)
        if there == total:
            bar.stop()

    try:
        yield show
    finally:
        bar.stop()


def _choose_show(*, json_: bool, quiet: bool) -> _Show:
    if json_:
        return _show_json_once
    if quiet:
        return _show_nothing
    return _show_live if sys.stdout.isatty() else _show_lines


def _show_nothing(_home: Path) -> None:
    threading.Event().wait()


def _show_json_once(home: Path) -> None:
    from penstock.runtime import statuses

    while (status := statuses.gather(home)).state != "up":
        time.sleep(_POLL_S)
    print_json(asdict(status))
    _show_nothing(home)


def _show_live(home: Path) -> None:
    from rich.live import Live

    from penstock.cli import live

    watch = live.Watch(home)
    with Live(console=table_console, auto_refresh=False) as view:
        while True:
            if latest := watch.latest():
                view.update(live.draw(latest), refresh=True)
            time.sleep(_REDRAWN_EVERY_S)


def _show_lines(home: Path) -> None:
    from penstock.cli import live

    watch = live.Watch(home)
    while True:
        if latest := watch.latest():
            sys.stdout.write(time.strftime("%H:%M:%S ") + live.describe(latest) + "\n")
            sys.stdout.flush()
        time.sleep(_LINE_EVERY_S if latest else _POLL_S)


def _show_status(home: Path, *, json_: bool) -> statuses.Status:
    from penstock.cli import live
    from penstock.runtime import statuses

    status = statuses.gather(home)
    if json_:
        print_json(asdict(status))
    else:
        table_console.print(live.draw(live.Latest(status=status), tries=False))
    return status
