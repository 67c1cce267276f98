"""`penstock table new`: a table's file proposed from what is there.

    --registry / --descriptor ─decoder's schema─┐
    --postgres + --source-table ─catalog────────┼─▶ Proposal ─render─▶ stdout, or --out FILE
    else the topic's newest records ────────────┘

Writes at most the one file it is told, and never over another. What it prints has no faults.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.output import DEFAULT_HOME, HomeOption, console, table_console
from penstock.cli.table_check import known_to
from penstock.errors import ConfigError, NotReady

if TYPE_CHECKING:
    from penstock.ingest.onboarding.proposals import Proposal
    from penstock.model import metadata, tables, topics

__all__ = ["new"]

_NOBODY = "nobody"


def new(
    name: Annotated[str, typer.Argument(help="What the table is to be called.")],
    topic: Annotated[str, typer.Option(help="The topic that feeds it.")],
    owner: Annotated[str, typer.Option(help="Who answers for it; else the topic's owner.")] = "",
    environment: Annotated[str, typer.Option(help="Of the topic, where it is in several.")] = "",
    decoder: Annotated[
        str, typer.Option("--format", help="json, protobuf or avro; else the subject's own.")
    ] = "",
    registry: Annotated[str, typer.Option(help="URL of a schema registry, or embedded.")] = "",
    subject: Annotated[str, typer.Option(help="The registry's subject; else TOPIC-value.")] = "",
    descriptor: Annotated[
        str,
        typer.Option(
            help="A protobuf descriptor file, or an Avro schema (.avsc), to propose from."
        ),
    ] = "",
    message: Annotated[str, typer.Option(help="The protobuf message; else the first.")] = "",
    postgres: Annotated[
        str, typer.Option(help="A database to propose from: postgresql://user@host/db.")
    ] = "",
    source_table: Annotated[str, typer.Option(help="Its table, e.g. public.orders.")] = "",
    records: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many records to look at.")
    ] = 1_000,
    hocon: Annotated[bool, typer.Option("--hocon", help="Write HOCON in place of YAML.")] = False,
    out: Annotated[Path | None, typer.Option(help="The file to write; else print it.")] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Propose a table's file from a schema, a database's table or the topic's records.

    Declares nothing: read the file, change it, try it with penstock table check. Exit codes: 0
    proposed, 3 what was asked for is not there, 4 it cannot be read now, 7 the records are no JSON.
    """
    from penstock.ingest.onboarding.proposals import Proposal, render

    snapshot, away = known_to(home)
    known = _topic(snapshot, topic, environment)
    base = Proposal(
        name=name, topic=topic, owner=owner or (known.owner if known else _NOBODY), notes={}
    )
    if postgres or source_table:
        made = _from_source(base, postgres, source_table)
    elif registry or descriptor:
        made = _from_schema(
            base,
            decoder=decoder,
            settings={
                "registry": registry,
                "subject": subject,
                "descriptor": descriptor,
                "message": message,
            },
            home=home,
        )
    elif known is None or snapshot is None:
        raise _no_topic(topic, away)
    else:
        made = _from_records(base, known, snapshot, limit=records)
    if base.owner == _NOBODY:
        made = _noting(made, "owner", "who answers for it: write your team")
    text = render(made, hocon=hocon)
    _judge(text, snapshot if known else None, suffix=".conf" if hocon else ".yaml")
    _write(text, out)


def _noting(proposal: Proposal, key: str, note: str) -> Proposal:
    from dataclasses import replace

    return replace(proposal, notes={**proposal.notes, key: note})


def _topic(snapshot: metadata.Snapshot | None, name: str, environment: str) -> topics.Topic | None:
    if snapshot is None:
        return None
    found = [
        one
        for one in snapshot.topics.values()
        if one.name == name and environment in {"", one.environment}
    ]
    return found[0] if found else None


def _no_topic(topic: str, away: str) -> NotReady | ConfigError:
    if away:
        return NotReady(f"no record of {topic} can be read: {away}")
    return ConfigError(
        f"there is no topic {topic!r} to take records from. Declare and apply it, or propose from "
        "a schema (--registry) or a database (--postgres)."
    )


def _from_records(
    base: Proposal, topic: topics.Topic, snapshot: metadata.Snapshot, *, limit: int
) -> Proposal:
    from dataclasses import replace

    from penstock.ingest.onboarding import proposing, samples

    with console.status(f"Reading {topic.name} …"):
        taken = samples.take(topic, snapshot.clusters, limit=limit)
    if not taken.raw.num_rows:
        raise NotReady(f"topic {topic.name} has no record yet. Produce one, then ask again.")
    head = [f"Proposed from the newest {taken.raw.num_rows:,} records of {topic.ident}."]
    return proposing.from_records(replace(base, head=head), taken.raw)


def _from_source(base: Proposal, postgres: str, source_table: str) -> Proposal:
    from dataclasses import replace

    from penstock.ingest.onboarding import proposing, source_tables

    if not (postgres and source_table):
        raise ConfigError("--postgres and --source-table belong together. Give both.")
    with console.status(f"Looking at {source_table} …"):
        table = source_tables.look(postgres, source_table)
    head = [f"Proposed from the table {table.name} of a PostgreSQL database."]
    return proposing.from_source(replace(base, head=head), table)


def _from_schema(base: Proposal, *, decoder: str, settings: dict[str, str], home: Path) -> Proposal:
    from dataclasses import replace

    from penstock.ingest.decoders import open_decoder
    from penstock.ingest.onboarding import json_schemas, proposing
    from penstock.ingest.registries import address, with_registry
    from penstock.schemas.registry import Kind, Registry

    source = settings["registry"] or settings["descriptor"]
    head = [f"Proposed from the schema {settings['subject'] or ''} of {source}.".replace("  ", " ")]
    base = replace(base, head=head)
    if settings["registry"]:
        subject = settings["subject"] or f"{base.topic}-value"
        schema = Registry(address(settings["registry"], home=home)).latest(subject)
        if schema.kind is Kind.JSON:
            return json_schemas.propose(base, schema.text)
        decoder = decoder or schema.kind.value.lower()
    guessed = "avro" if settings["descriptor"].endswith(".avsc") else "protobuf"
    said = {"format": decoder or guessed, **{k: v for k, v in settings.items() if v}}
    opened = open_decoder(with_registry(_stub(base, said), home=home))
    return proposing.from_schema(replace(base, decoder=said), opened.schema)


def _stub(base: Proposal, decoder: dict[str, Any]) -> tables.Table:
    from penstock.model import tables

    try:
        kind = tables.Format(decoder["format"])
    except ValueError as error:
        raise ConfigError(
            f"--format {decoder['format']} is none. Write one of {', '.join(tables.Format)}."
        ) from error
    return tables.Table(
        name=base.name,
        topic=base.topic,
        environment="",
        owner=base.owner,
        path="",
        decoder=tables.Decoder(**{**decoder, "format": kind}),
    )


def _judge(text: str, snapshot: metadata.Snapshot | None, *, suffix: str) -> None:
    """Refuse to hand out what `penstock table check` would refuse."""
    from penstock.control.declare import EstateFile
    from penstock.control.declare.known import parse_beside

    parse_beside([EstateFile(path=f"the proposal{suffix}", content=text)], snapshot)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{out} is there already. Name another file, or remove it.") from error
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}. Name another.") from error
    table_console.print(f"Wrote {out}. Next: penstock table check {out}", soft_wrap=True)
