"""`penstock ingest`: the process that lands topics in tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from penstock.cli.output import DEFAULT_HOME, HomeOption
from penstock.errors import ConfigError
from penstock.ingest.settings import Settings

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(epilog="Example: penstock ingest --table host-metrics")(ingest)


def ingest(
    home: HomeOption = DEFAULT_HOME,
    table: Annotated[
        list[str] | None,
        typer.Option(help="Only this table, by name; may be given again. Else every table."),
    ] = None,
    control: Annotated[
        str,
        typer.Option(
            envvar="PENSTOCK_CONTROL",
            help="host:port of the control plane's gRPC; else as the home has it.",
        ),
    ] = "",
    listen: Annotated[
        str,
        typer.Option(
            envvar="PENSTOCK_INGEST_LISTEN",
            help="Loopback host:port for /health and /metrics; 0 takes a free port, which is then "
            "in ingest/listen.json of the home.",
        ),
    ] = "127.0.0.1:0",
    spark: Annotated[
        str,
        typer.Option(
            envvar="PENSTOCK_SPARK",
            help="Spark's master, or sc://host:port, for tables with engine: spark.",
        ),
    ] = "local[*]",
    spark_conf: Annotated[
        list[str] | None,
        typer.Option(
            envvar="PENSTOCK_SPARK_CONF",
            help="A setting of Spark's, name=value; may be given again, in the variable with blanks "
            "between. A secret belongs in the variable.",
        ),
    ] = None,
) -> None:
    """Land every declared table's topic in Delta Lake, each record exactly once.

    Runs until Ctrl-C or SIGTERM, which it follows after the commit it is in. A kill at any moment
    loses nothing and doubles nothing. How far each table is: penstock table status.

    Exit codes: 0 stopped when asked, 3 the address to listen on or a setting is wrong, 4 the port is
    taken or a table did not stop in time.
    """
    from penstock.ingest import process
    from penstock.runtime import spark as on_spark
    from penstock.telemetry import logs, prometheus

    options = _settings(spark_conf or ())
    logs.set_up()
    prometheus.set_up("penstock-ingest")
    process.run(
        Settings(
            home=home,
            tables=frozenset(table or ()),
            control=control,
            listen=listen,
            spark=lambda: on_spark.settings(home, master=spark, options=options),
        )
    )


def _settings(told: Sequence[str]) -> dict[str, str]:
    if wrong := [each for each in told if not all(each.partition("="))]:
        raise ConfigError(
            f"--spark-conf {wrong[0]!r} is not name=value. Write it as spark-submit's --conf, e.g. "
            "--spark-conf spark.executor.memory=4g."
        )
    return dict(each.split("=", 1) for each in told)
