"""`penstock agent`: small producers that run beside something and tell how it is."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from penstock.cli.output import DEFAULT_HOME, HomeOption
from penstock.ending import told_to_end
from penstock.errors import ConfigError, NotReady

__all__ = ["register"]

_RETRY_S = 2.0
_FLUSH_S = 4.0


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    family = typer.Typer(help="Produce what a machine does.", no_args_is_help=True)
    family.callback()(lambda: None)  # keeps the family's name while it has one command
    family.command("host-metrics", epilog="Example: penstock agent host-metrics")(host_metrics)
    app.add_typer(family, name="agent")


def host_metrics(
    home: HomeOption = DEFAULT_HOME,
    topic: Annotated[str, typer.Option(help="The logical topic to produce to.")] = "host-metrics",
) -> None:
    """Produce this machine's CPU, memory, disk and network, once a second.

    Runs until Ctrl-C or SIGTERM, then sends what still waits. Waits for its topic to be declared;
    then goes on without a control plane and without a cluster: the newest ten minutes wait in
    memory.

    Exit codes: 0 stopped when asked.
    """
    from penstock.runtime.host_metrics import Agent
    from penstock.sdk.client import connect
    from penstock.telemetry import logs

    logs.set_up()
    stopping = told_to_end()
    while not stopping.is_set():
        try:
            with connect("host-metrics-agent", home=home) as client:
                producer = client.producer(topic)
                Agent(producer, home=home).run(stopping)
                producer.close(_FLUSH_S)
        except (NotReady, ConfigError) as error:
            # No control plane yet, or no such topic yet: both may come.
            logging.getLogger(__name__).warning("%s", error.message)
            stopping.wait(_RETRY_S)
