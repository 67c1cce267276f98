"""`penstock drill`: rehearse a loss on the running platform."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.table import Table

from penstock.cli.output import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    print_json,
    table_console,
)

if TYPE_CHECKING:
    from penstock.runtime.drills.cluster_loss import Moment, Report

__all__ = ["register"]

_TERMINATED = 128 + signal.SIGTERM


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    family = typer.Typer(help="Rehearse a loss on the running platform.", no_args_is_help=True)
    family.callback()(lambda: None)  # keeps the family's name while it has one command
    family.command("cluster-loss", epilog="Example: penstock drill cluster-loss --hang")(
        cluster_loss
    )
    app.add_typer(family, name="drill")


def cluster_loss(
    home: HomeOption = DEFAULT_HOME,
    hang: Annotated[
        bool, typer.Option("--hang", help="Freeze the cluster (SIGSTOP) instead of killing it.")
    ] = False,
    cluster: Annotated[str, typer.Option(help="The cluster to lose.")] = "primary",
    topic: Annotated[str, typer.Option(help="The logical topic that takes the load.")] = "drill",
    rate: Annotated[int, typer.Option(min=1, max=50_000, help="Records a second.")] = 2_000,
    seconds: Annotated[
        float, typer.Option(min=1, max=120, help="How long the cluster stays lost.")
    ] = 8.0,
    as_json: JsonOption = False,
) -> None:
    """Lose a cluster under load, see the traffic move and come back, count every record.

    Kills only brokers that this platform runs, writes only to the drill's topic, and brings the
    cluster back in the end, also after Ctrl-C. The platform must be up: penstock up.

    Exit codes: 0 nothing lost and at least 99.999 % acked, 1 the promise was broken,
    3 no such cluster or topic, 4 the platform is not up, 5 the topic has no other cluster.
    """
    from penstock.runtime.drills import victims
    from penstock.runtime.drills.cluster_loss import Drill, run
    from penstock.sdk.client import connect

    # A plain SIGTERM would end the process without bringing the cluster back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    kind = victims.FrozenVictim if hang else victims.KilledVictim
    victim = kind(home, cluster)
    drill = Drill(topic=topic, rate=rate, lost_s=seconds)
    with connect("penstock-drill", home=home) as client, _view(cluster) as show:
        report = run(client, drill, victim, on_moment=show)
    if as_json:
        print_json({**report.as_json(), "hang": hang, "topic": topic})
    else:
        _print_report(report)
    if not report.passed:
        raise typer.Exit(1)


@contextmanager
def _view(lost: str) -> Iterator[Callable[[Moment], None]]:
    """Show moments as they come: a live table on a terminal, else a line a phase."""
    if not console.is_terminal:
        phases: list[str] = []

        def tell(moment: Moment) -> None:
            if moment.phase not in phases[-1:]:
                phases.append(moment.phase)
                console.print(f"{moment.phase}: {moment.acked:,} of {moment.attempted:,} acked")

        yield tell
        return
    with Live(console=console, refresh_per_second=10, transient=True) as live:
        before: dict[str, int] = {}

        def draw(moment: Moment) -> None:
            live.update(_table(moment, before, lost=lost))
            before.update(moment.by_cluster)

        yield draw


def _table(moment: Moment, before: dict[str, int], *, lost: str) -> Table:
    table = Table(title=f"{moment.phase}: {moment.acked:,} of {moment.attempted:,} acked")
    for column in ("cluster", "records acked", "traffic"):
        table.add_column(column)
    for name, count in sorted(moment.by_cluster.items()):
        flows = count > before.get(name, 0)
        is_lost = name == lost and moment.phase == "lost"
        table.add_row(
            name, f"{count:,}", "[red]lost" if is_lost else "[green]flows" if flows else "[dim]none"
        )
    return table


def _print_report(report: Report) -> None:
    account = report.account
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows = {
        "attempted": f"{account.attempted:,}",
        "acked": f"{account.acked:,} ({account.availability:.5%})",
        "lost": f"{account.lost:,}",
        "doubled": f"{account.duplicates:,}, of which {account.duplicates_unexpected:,} unexpected",
        "first ack elsewhere": f"{report.first_ack_elsewhere_ms:,.0f} ms after the loss",
        "back": f"{report.fail_back_ms:,.0f} ms after {report.cluster} was let start again",
        "by cluster": ", ".join(f"{n} {c:,}" for n, c in sorted(report.by_cluster.items())),
    }
    rows |= {f"not acked {count:,} times": reason for reason, count in report.failures.items()}
    for name, value in rows.items():
        table.add_row(name, value)
    table_console.print(table)
    verdict = "[green]Nothing was lost." if report.passed else "[red]The promise was broken."
    table_console.print(verdict)
