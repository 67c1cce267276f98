"""`penstock connector` and `penstock connect`: look at connectors, steer them, keep them as declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

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
from penstock.errors import ConfigError, NotFound, NotReady

if TYPE_CHECKING:
    from penstock.connectors.declared import Declared
    from penstock.connectors.deleting import Doomed
    from penstock.connectors.observations import Observed
    from penstock.connectors.rest import Connect
    from penstock.connectors.settings import Settings
    from penstock.model.connectors import Connector

__all__ = ["register"]

_STYLES = {
    "running": "green",
    "starting": "yellow",
    "paused": "yellow",
    "stopped": "yellow",
    "retired": "yellow",
    "failed": "red",
    "absent": "red",
    "foreign": "red",
    "unknown": "red",
}

NameArgument = Annotated[str, typer.Argument(help="The connector: name, or environment/name.")]
GroupOption = Annotated[
    list[str] | None,
    typer.Option(
        "--group",
        envvar="PENSTOCK_CONNECT",
        help="CLUSTER=http://HOST:PORT of a Connect worker; once for each. Those that `penstock up` "
        "runs are known.",
    ),
]
SecretsOption = Annotated[
    Path | None,
    typer.Option(
        help="Directory of relative ${file:…} references, as the workers see it; else <home>/secrets."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    family = typer.Typer(help="Look at connectors and steer them.", no_args_is_help=True)
    family.command("list", epilog="Example: penstock connector list --json")(list_connectors)
    family.command("status", epilog="Example: penstock connector status")(status)
    family.command("validate", epilog="Example: penstock connector validate shop")(validate)
    family.command("restart", epilog="Example: penstock connector restart shop")(restart)
    family.command("pause", epilog="Example: penstock connector pause shop")(pause)
    family.command("resume", epilog="Example: penstock connector resume shop")(resume)
    family.command("delete", epilog="Example: penstock connector delete shop --drop-slot")(delete)
    app.add_typer(family, name="connector")
    app.command(epilog="Example: penstock connect --group cdc=http://connect-1:8083")(connect)


def list_connectors(
    home: HomeOption = DEFAULT_HOME, group: GroupOption = None, as_json: JsonOption = False
) -> None:
    """List what is declared and what the Connect groups have, side by side.

    The state of what a group that does not answer has is unknown.

    Exit codes: 0 listed, 4 no control plane answers, and none ever told this home its connectors.
    """
    from penstock.connectors import statuses

    declared = _declared(home)
    rows: dict[tuple[str, str], dict[str, Any]] = {
        (one.cluster, one.name): {
            "name": one.name,
            "environment": one.environment,
            "cluster": one.cluster,
            "declared": one.state.value,
            "owner": one.owner,
            "class": one.connector_class,
            "topics": list(one.topics),
            "state": "unknown",
        }
        for one in declared.connectors.values()
    }
    for cluster in _groups(home, group):
        answered = _seen(home, cluster, group)
        if answered is None:
            continue
        for (where, _), row in rows.items():
            row["state"] = "absent" if where == cluster else row["state"]
        for name, seen in answered.items():
            row = rows.setdefault((cluster, name), _undeclared_row(cluster, seen))
            row["state"] = statuses.condition(seen).value
    found = [rows[key] for key in sorted(rows)]
    if as_json:
        print_json(found)
        return
    _print_table(
        ("connector", "environment", "cluster", "declared", "state", "class"),
        [
            (
                row["name"],
                row["environment"],
                row["cluster"],
                row["declared"] or "no",
                _styled(row["state"]),
                row["class"].rpartition(".")[2],
            )
            for row in found
        ],
        empty="No connector is declared. Write a file of kind Connector, then: penstock apply.",
    )


def status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Tell how each connector is: state, tasks, lag of its slot, age of its newest event.

    As the managing process last wrote it; `penstock connector list` asks the groups themselves.

    Exit codes: 0 every connector is as declared, also when there is none; 1 some is not.
    """
    from penstock.connectors import statuses
    from penstock.connectors.settings import Settings

    known = {**_untold(home), **statuses.read(Settings(home=home).state)}
    if as_json:
        print_json(known)
    else:
        _print_statuses(known)
    ill = {"failed", "absent", "foreign", "unknown"}
    if any(one["condition"] in ill for one in known.values()):
        raise typer.Exit(1)


def validate(
    name: NameArgument,
    home: HomeOption = DEFAULT_HOME,
    group: GroupOption = None,
    secrets: SecretsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the connector's own validation judge what is declared; it may ask the source database.

    Exit codes: 0 taken, 3 not taken, or no such connector, 4 its group does not answer.
    """
    from penstock.connectors.wanted import OWNER, make_wanted

    one = _find(home, name)
    settings = _settings(home, group, secrets)
    wanted = make_wanted(one, secrets=settings.secrets_directory)
    config = {key: value for key, value in wanted.config.items() if key != OWNER}
    with _open(home, one.cluster, group) as opened:
        wrong = opened.validate(one.connector_class, config)
    if as_json:
        print_json({one.key: list(one.reasons) for one in wrong})
    else:
        for fault in wrong:
            table_console.print(f"{fault.key}: {'; '.join(fault.reasons)}", markup=False)
        if not wrong:
            table_console.print(f"{one.connector_class} takes the configuration of {one.ident}.")
    if wrong:
        raise typer.Exit(ConfigError.exit_code)


def restart(name: NameArgument, home: HomeOption = DEFAULT_HOME, group: GroupOption = None) -> None:
    """Start the connector and all of its tasks anew, now; it goes on where it was.

    Exit codes: 0 told to, 3 no such connector, 4 its group does not answer.
    """
    cluster, plain = _place(home, name, group)
    with _open(home, cluster, group) as opened:
        opened.restart(plain)
    console.print(f"{plain} is being restarted: penstock connector status")


def pause(name: NameArgument, home: HomeOption = DEFAULT_HOME, group: GroupOption = None) -> None:
    """Pause the connector whatever the estate says, until it is resumed.

    Its source keeps what it has not read yet: a PostgreSQL slot holds the database's log, so watch
    its lag (penstock connector status).

    Exit codes: 0 paused, 3 no such connector, 4 its group does not answer.
    """
    from penstock.connectors.wanted import SWITCH

    cluster, plain = _place(home, name, group)
    with _open(home, cluster, group) as opened:
        # First the word that it is meant, or the managing process would resume it at once.
        opened.adjust(plain, {SWITCH: "paused"})
        opened.pause(plain)
    console.print(f"{plain} is paused until: penstock connector resume {plain}")


def resume(name: NameArgument, home: HomeOption = DEFAULT_HOME, group: GroupOption = None) -> None:
    """Take back `pause`: the connector is as declared again, and goes on where it was.

    Exit codes: 0 done, 3 no such connector, 4 its group does not answer, 5 it is declared paused
    or stopped.
    """
    from penstock.connectors.wanted import SWITCH
    from penstock.errors import Refused

    cluster, plain = _place(home, name, group)
    stands = next(
        (c.state.value for c in _declared(home).of(cluster) if c.name == plain), "running"
    )
    with _open(home, cluster, group) as opened:
        opened.adjust(plain, {SWITCH: None})
        if stands != "running":
            raise Refused(f"{plain} is declared {stands}: declare it running, then apply.")
        opened.resume(plain)
    console.print(f"{plain} goes on: penstock connector status")


def delete(
    name: NameArgument,
    home: HomeOption = DEFAULT_HOME,
    group: GroupOption = None,
    secrets: SecretsOption = None,
    drop_slot: Annotated[
        bool, typer.Option("--drop-slot", help="Drop its PostgreSQL replication slot as well.")
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove a connector that is declared no more, with its stored position; its topics stay.

    It is stopped first. Without --drop-slot its replication slot stays, and keeps the database's
    log until somebody drops it; the statement is printed.

    Exit codes: 0 removed, 1 said no, 3 no such connector, 4 the group or the database does not
    answer, 5 it is declared, or not Penstock's.
    """
    from penstock.connectors import deleting

    cluster, plain = _place(home, name, group)
    settings = _settings(home, group, secrets)
    declared = any(one.name == plain for one in _declared(home).of(cluster))
    with _open(home, cluster, group) as opened:
        doomed = deleting.look(opened, plain, declared=declared)
        _tell_doomed(doomed, drop_slot=drop_slot)
        confirm(f"Remove connector {plain} of cluster {cluster}?", yes=yes)
        dropped = deleting.carry_out(
            opened, doomed, drop_slot=drop_slot, secrets=settings.secrets_directory
        )
    if doomed.slot and not dropped:
        console.print(f"Its slot is still there. Drop it: {doomed.drop_statement}", markup=False)
    if as_json:
        print_json(
            {
                "name": plain,
                "cluster": cluster,
                "slot": doomed.slot,
                "slot_dropped": dropped,
                "offsets": [
                    {"partition": dict(one.partition), "position": one.position}
                    for one in doomed.offsets
                ],
            }
        )


def connect(
    home: HomeOption = DEFAULT_HOME,
    control: Annotated[
        str,
        typer.Option(
            envvar="PENSTOCK_CONTROL",
            help="host:port of the control plane's gRPC; else as the home has it.",
        ),
    ] = "",
    group: GroupOption = None,
    secrets: SecretsOption = None,
    listen: Annotated[
        str,
        typer.Option(
            envvar="PENSTOCK_CONNECT_LISTEN",
            help="Loopback host:port for /health and /metrics; 0 takes a free port, which is then "
            "in connect/listen.json of the home.",
        ),
    ] = "127.0.0.1:0",
) -> None:
    """Keep every declared connector as declared, in the Connect group of its cluster.

    Creates, configures, pauses and stops; restarts what has failed, with growing pauses; stops
    what is declared no more, and never deletes. Runs until Ctrl-C or SIGTERM; the connectors go
    on without it. How they are: penstock connector status.

    Exit codes: 0 stopped when asked, 3 an address is wrong, 4 its port is taken.
    """
    from penstock.connectors import process
    from penstock.connectors.settings import Settings, parse_groups
    from penstock.telemetry import logs, prometheus

    logs.set_up()
    prometheus.set_up("penstock-connect")
    process.run(
        Settings(
            home=home,
            control=control,
            groups=parse_groups(group or ()),
            secrets=secrets,
            listen=listen,
        )
    )


def _seen(home: Path, cluster: str, group: Sequence[str] | None) -> Mapping[str, Observed] | None:
    """Return what the group has; None, and why, where it does not answer."""
    try:
        with _open(home, cluster, group) as opened:
            return opened.connectors()
    except NotReady as error:
        console.print(error.message, style="yellow", markup=False)
        return None


def _undeclared_row(cluster: str, seen: Observed) -> dict[str, Any]:
    from penstock.connectors.wanted import OWNER

    return {
        "name": seen.name,
        "environment": seen.config.get(OWNER, "").partition("/")[0],
        "cluster": cluster,
        "declared": "",
        "owner": "",
        "class": seen.config.get("connector.class", ""),
        "topics": [],
    }


def _untold(home: Path) -> dict[str, Any]:
    """Return what is declared as the managing process tells it before its first look."""
    from penstock.connectors import statuses

    try:
        declared = _declared(home).connectors.values()
    except (ConfigError, NotReady):
        return {}
    untold = (
        statuses.Status(
            ident=one.ident,
            name=one.name,
            cluster=one.cluster,
            wanted=one.state.value,
            condition=statuses.Condition.UNKNOWN,
            error="nobody has looked at it yet. `penstock up` does so within seconds; without it, "
            "start: penstock connect.",
        )
        for one in declared
    )
    return statuses.render(untold, now_ms=0)


def _settings(home: Path, group: Sequence[str] | None, secrets: Path | None = None) -> Settings:
    from penstock.connectors.settings import Settings, parse_groups

    return Settings(home=home, groups=parse_groups(group or ()), secrets=secrets)


def _groups(home: Path, group: Sequence[str] | None) -> Mapping[str, Sequence[str]]:
    from penstock.connectors import groups

    return groups.find(_settings(home, group))


@contextmanager
def _open(home: Path, cluster: str, group: Sequence[str] | None) -> Iterator[Connect]:
    from penstock.connectors import groups
    from penstock.connectors.rest import Connect

    with Connect(cluster, groups.demand(_settings(home, group), cluster)) as opened:
        yield opened


def _declared(home: Path) -> Declared:
    """Return what is declared; what was when last told, while the control plane is away."""
    from penstock.api.client import connect_home
    from penstock.connectors import declared

    try:
        with connect_home(home) as control:
            return declared.ask(control)
    except (ConfigError, NotReady):
        if (remembered := declared.remembered(_settings(home, None))) is not None:
            return remembered
        raise


def _find(home: Path, name: str) -> Connector:
    known = list(_declared(home).connectors.values())
    found = [one for one in known if name in (one.name, one.ident)]
    if len(found) == 1:
        return found[0]
    if found:
        idents = ", ".join(one.ident for one in found)
        raise ConfigError(f"{name!r} is in several environments. Write one of {idents}.")
    names = ", ".join(sorted(one.name for one in known)) or "none"
    raise NotFound(f"no connector {name!r} is declared. Declared are: {names}.")


def _place(home: Path, name: str, group: Sequence[str] | None) -> tuple[str, str]:
    """Return the cluster and the plain name of a connector that is declared, or was."""
    try:
        one = _find(home, name)
    except (NotFound, NotReady):
        return _place_in_groups(home, name, group)
    return one.cluster, one.name


def _place_in_groups(home: Path, name: str, group: Sequence[str] | None) -> tuple[str, str]:
    from penstock.connectors.wanted import OWNER

    plain = name.rpartition("/")[2]
    found = []
    for cluster in _groups(home, group):
        with _open(home, cluster, group) as opened:
            seen = opened.connectors().get(plain)
        if seen and name in (plain, seen.config.get(OWNER)):
            found.append(cluster)
    if len(found) == 1:
        return found[0], plain
    if found:
        raise ConfigError(f"{name!r} is on {', '.join(found)}. Write environment/name.")
    raise NotFound(f"there is no connector {name!r}, declared or not: penstock connector list")


def _print_statuses(known: Mapping[str, Any]) -> None:
    _print_table(
        ("connector", "state", "wanted", "tasks", "slot lag", "newest event", "restarts", "error"),
        [
            (
                ident,
                _styled(one["condition"]),
                one["wanted"],
                ", ".join(one["tasks"]),
                f"{one['slot']['lag_bytes']:,} B" if one["slot"] else "",
                _age(one["seconds_since_event"]),
                str(one["restarts"]),
                escape(one["error"] or one["lag_error"]),
            )
            for ident, one in known.items()
        ],
        empty="No connector is managed in this home. Start: penstock connect.",
    )


def _tell_doomed(doomed: Doomed, *, drop_slot: bool) -> None:
    console.print(f"Connector {doomed.connector.name} is removed, and with it its position:")
    for one in doomed.offsets:
        console.print(f"  {dict(one.partition)}: {one.position}", markup=False)
    if doomed.slot:
        what = "is dropped as well" if drop_slot else "stays (--drop-slot drops it)"
        console.print(f"Its replication slot {doomed.slot} {what}.", markup=False)


def _age(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:,.0f} s ago"


def _styled(state: str) -> str:
    return f"[{_STYLES[state]}]{state}"


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    if not rows:
        table_console.print(empty)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    table_console.print(table)
