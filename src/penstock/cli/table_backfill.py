"""`penstock table backfill` and `penstock archive`: a topic's records kept as files, and read back."""

from __future__ import annotations

import threading
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.output import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    print_json,
    table_console,
)
from penstock.ending import told_to_end
from penstock.errors import ConfigError, NotReady

if TYPE_CHECKING:
    from penstock.ingest.backfill.loading import Load
    from penstock.ingest.locations import Location
    from penstock.model import tables

__all__ = ["archive", "backfill", "carry_out", "find", "show"]

_TELL_EVERY_S = 1.0


def backfill(
    name: Annotated[str, typer.Argument(help="The table: name, or environment/name.")],
    home: HomeOption = DEFAULT_HOME,
    origin: Annotated[
        str,
        typer.Option(
            "--from", help="Directory or s3:// URL of Parquet, JSON lines or a Delta table."
        ),
    ] = "",
    since: Annotated[str, typer.Option(help="Only records from then on, RFC 3339.")] = "",
    until: Annotated[str, typer.Option(help="Only records from before, RFC 3339.")] = "",
    rate: Annotated[float, typer.Option(min=0, help="Records a second at most; 0: no limit.")] = 0,
    piece_rows: Annotated[
        int, typer.Option(min=1, help="Rows of a commit; so many are held in memory.")
    ] = 100_000,
    status: Annotated[bool, typer.Option("--status", help="Tell how far each load is.")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Let the backfill stand still.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Take pause or cancel back.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="End it; its rows stay.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Load an archive into a table beside its live stream; no row twice, none over a newer one.

    Runs until all is loaded. A kill at any moment loses and doubles nothing: the same command goes on.
    The same archive and times are one backfill: when it is done, asking again does nothing.

    Exit codes: 0 done, or told or asked, 3 no such table or archive, 4 ended before it was done,
    5 refused, 7 too much of the archive is poison.
    """
    from penstock.ingest.backfill import asking
    from penstock.ingest.backfill.pieces import Loads

    asked = [what for what, wanted in (("pause", pause), ("cancel", cancel)) if wanted]
    if sum((bool(origin), status, bool(asked), resume)) != 1 or len(asked) > 1:
        raise ConfigError("give one of --from, --status, --pause, --resume and --cancel.")
    table, place = find(home, name)
    if origin:
        load = _load(
            home, table, place, origin, rate=rate, piece_rows=piece_rows,
            since_ms=_time_ms(since), until_ms=_time_ms(until),
        )  # fmt: skip
        carry_out(table, load)
    elif not status:
        found = asking.named(table, place)
        for what in asked:
            Loads(place).ask(found.name, what)
        if resume:
            Loads(place).resume(found.name)
    show(table, place, as_json=as_json)


def archive(
    topic: Annotated[str, typer.Argument(help="The topic: name, or environment/name.")],
    to: Annotated[str, typer.Option(help="Directory or s3:// URL; of this topic alone.")],
    home: HomeOption = DEFAULT_HOME,
    kind: Annotated[str, typer.Option("--format", help="parquet or jsonl.")] = "parquet",
    every: Annotated[
        str, typer.Option(help="A record is there after so long: 10s, 1m, 1h.")
    ] = "1m",
    control: Annotated[
        str, typer.Option(envvar="PENSTOCK_CONTROL", help="host:port of the control plane's gRPC.")
    ] = "",
) -> None:
    """Keep a topic's records as files by hour, each exactly once, until Ctrl-C or SIGTERM.

    Exit codes: 0 stopped when asked, 3 no such topic or format, 4 no control plane answers, 5 the
    path has another archive.
    """
    from penstock.ingest.archive.archiver import Archiver, Route
    from penstock.ingest.archive.layout import Format
    from penstock.ingest.locations import locate
    from penstock.sdk.client import connect
    from penstock.sdk.metadata import find_topic
    from penstock.telemetry import logs
    from penstock.units import parse_ms

    logs.set_up()
    if kind not in set(Format):
        raise ConfigError(f"{kind!r} is no format of archives. Write one of {', '.join(Format)}.")
    try:
        every_s = parse_ms(every) / 1000
    except ValueError as error:
        raise ConfigError(f"--every: {error}") from error
    stopping = told_to_end()
    with connect("penstock-archive", control=control or None, home=home) as client:
        environment, _, short = topic.rpartition("/")
        client.metadata.need([short])
        found = find_topic(client.metadata.snapshot(), short, environment=environment or None)
        route = Route(
            topic=found.ident,
            place=locate(to, lake=Path.cwd()),
            kind=Format(kind),
            every_s=every_s,
        )
        console.print(f"archiving {route.topic} to {route.place}, every {every}")
        Archiver(route, snapshot=client.metadata.snapshot, stopping=stopping).run()


def _load(
    home: Path,
    table: tables.Table,
    place: Location,
    origin: str,
    *,
    rate: float,
    piece_rows: int,
    since_ms: int,
    until_ms: int,
) -> Load:
    from penstock.ingest import letters
    from penstock.ingest.backfill import asking
    from penstock.ingest.backfill.files import Files
    from penstock.ingest.backfill.loading import Load
    from penstock.ingest.locations import locate
    from penstock.ingest.settings import Settings

    files = Files(locate(origin, lake=Path.cwd()))
    planned = asking.planned(
        table, place, files, since_ms=since_ms, until_ms=until_ms, piece_rows=piece_rows
    )
    return Load(
        table,
        planned,
        files,
        place=place,
        letters_place=letters.location(table, place, lake=Settings(home=home).lake),
        clock=lambda: datetime.now(UTC),
        rate=rate,
        stopping=told_to_end(),
    )


def carry_out(table: tables.Table, load: Load) -> None:
    """Run the load and tell how far it is, in a line that moves.

    Raises:
        NotReady: when it ends before everything is loaded.
    """
    ended = threading.Event()

    def tell() -> None:
        with console.status("") as status:
            while not ended.wait(_TELL_EVERY_S):
                now = load.loaded
                status.update(
                    f"{table.ident}: {now.state}, {now.pieces} of {now.of} pieces, {now.rows:,} rows "
                    f"{now.error}"
                )

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        done = load.run()
    finally:
        ended.set()
        teller.join()
    if done.state != "done":
        raise NotReady(
            f"the backfill of {table.ident} is {done.state} after {done.pieces} of {done.of} pieces. "
            "The same command goes on with it (after --resume, when it was cancelled)."
        )


def show(table: tables.Table, place: Location, *, as_json: bool) -> None:
    """Print how far every load of the table is."""
    from penstock.ingest.backfill import asking

    found = asking.progress(table, place)
    if as_json:
        print_json([{"table": table.ident, **asdict(told)} for told in found])
        return
    for told in found:
        table_console.print(
            f"{told.name} from {told.source}: {told.state}, {told.pieces} of {told.of} pieces, "
            f"{told.rows_done:,} of {told.rows_total:,} rows, {told.rows_per_s:,}/s; "
            f"{told.rows:,} rows came of them, {told.letters:,} dead letters {told.error}"
        )
    if not found:
        table_console.print(f"Nothing was loaded into {table.ident} beside its topic.")


def find(home: Path, name: str) -> tuple[tables.Table, Location]:
    """Return a declared table, and where it is.

    Raises:
        ConfigError: when no or more than one table has the name.
    """
    from penstock.api import table_wire
    from penstock.api.client import connect_home
    from penstock.ingest.locations import locate
    from penstock.ingest.registries import with_registry
    from penstock.ingest.settings import Settings

    with connect_home(home) as control:
        known = [table_wire.decode_table(one) for one in control.tables()]
    found = [table for table in known if name in (table.name, table.ident)]
    if len(found) != 1:
        idents = ", ".join(sorted(t.ident for t in found or known)) or "none"
        raise ConfigError(f"{name!r} names {len(found)} tables. Write one of: {idents}.")
    table = with_registry(found[0], home=home)
    return table, locate(table.path, lake=Settings(home=home).lake)


def _time_ms(text: str) -> int:
    if not text:
        return 0
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no time. Write e.g. 2026-11-21T08:00:00Z.") from error
    if at.tzinfo is None:
        raise ConfigError(f"{text!r} has no time zone. Write e.g. {text}Z for UTC.")
    return round(at.timestamp() * 1000)
