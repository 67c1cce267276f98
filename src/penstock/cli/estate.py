"""Commands about estate files: validate, export, schema.

penstock validate PATH… ─▶ faults            penstock export ─▶ files to adopt a cluster by
penstock schema [KIND]  ─▶ JSON Schema

None of them needs a control plane, and none changes anything on a cluster.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.output import JsonOption, console, print_json, table_console

if TYPE_CHECKING:
    from penstock.errors import ConfigError

__all__ = ["register"]

_Paths = Annotated[
    list[Path], typer.Argument(help="Estate files, or directories of them.", metavar="PATH…")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(epilog="Example: penstock validate estate/")(validate)
    app.command(
        epilog="Example: penstock export --bootstrap localhost:9092 --name events-a "
        "--environment production --owner platform --out estate"
    )(export)
    app.command(epilog="Example: penstock schema Topic")(schema)


def validate(paths: _Paths, json: JsonOption = False) -> None:
    """Check estate files: every fault at once, with file, line and what to do.

    Looks at no cluster. Exit codes: 0 no faults, 3 faults.
    """
    from penstock.control import declare
    from penstock.errors import ConfigError

    try:
        with console.status("Reading the estate …"):
            estate = declare.load(paths)
    except ConfigError as error:
        if not json:
            raise
        print_json({"valid": False, "faults": _faults(error)})
        raise typer.Exit(error.exit_code) from error
    counts = {
        "clusters": len(estate.clusters),
        "topics": len(estate.topics),
        "tables": len(estate.tables),
        "connectors": len(estate.connectors),
    }
    if json:
        print_json({"valid": True, "faults": [], **counts})
    else:
        table_console.print("No faults: " + ", ".join(f"{n} {what}" for what, n in counts.items()))


def export(
    bootstrap: Annotated[str, typer.Option(help="Where the cluster is: host:port,host:port.")],
    name: Annotated[str, typer.Option(help="What the estate is to call the cluster.")],
    environment: Annotated[str, typer.Option(help="The environment it belongs to.")],
    owner: Annotated[str, typer.Option(help="Who answers for every topic, until you edit it.")],
    out: Annotated[Path, typer.Option(help="Directory to write clusters/ and topics/ into.")],
    json: JsonOption = False,
) -> None:
    """Write the estate of an existing cluster, ready to adopt.

    Only reads the cluster, and overwrites no file that says something else. The plan of what it
    writes is adoptions only. Exit codes: 0 written, 3 a name or file is in the way, 4 no answer.
    """
    from penstock.control import declare
    from penstock.control.declare import export as exporting
    from penstock.control.observe import observe
    from penstock.errors import ConfigError, NotReady
    from penstock.model import clusters, names

    for option, value in (("name", name), ("environment", environment), ("owner", owner)):
        if problem := names.explain_bad_name(value):
            raise ConfigError(f"--{option} {value}: {problem}; choose another.")
    cluster = clusters.Cluster(
        name=name, environment=environment, bootstrap={clusters.AuthMode.PLAINTEXT: bootstrap}
    )
    with console.status(f"Reading {bootstrap} …"):
        seen = observe({name: cluster}, timeout_s=60.0).clusters[name]
    if not seen.reachable:
        raise NotReady(f"{seen.error}; check --bootstrap and try again")
    files = exporting.export(seen, cluster, owner=owner)
    exporting.write(files, out)
    try:
        declare.parse(files)
    except ConfigError as error:
        console.print(
            f"{error.message}\nCorrect these before you plan.", markup=False, soft_wrap=True
        )
    if json:
        print_json({"files": [str(out / file.path) for file in files]})
    else:
        table_console.print(f"Wrote {len(files)} files to {out}. Next: penstock plan {out}")


def schema(
    kind: Annotated[
        str, typer.Argument(help="Cluster, Topic, TopicProfile or Table; else every kind.")
    ] = "",
) -> None:
    """Print the JSON Schema of estate documents, for an editor.

    Exit codes: 0 printed, 3 unknown kind.
    """
    from penstock.control.declare import schema as schemas
    from penstock.control.declare.documents import KINDS
    from penstock.errors import ConfigError

    if kind and kind not in KINDS:
        raise ConfigError(f"There is no kind {kind!r}; write one of {', '.join(KINDS)}.")
    print_json(schemas.schema(kind) if kind else {k: schemas.schema(k) for k in KINDS})


def _faults(error: ConfigError) -> list[dict[str, str | int]]:
    return [
        {"file": f.file, "line": f.line, "what": f.what, "next_step": f.next_step}
        for f in error.faults
    ]
