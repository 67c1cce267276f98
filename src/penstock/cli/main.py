"""The entry point: puts the families of commands together and turns errors into one clear line.

    argv ─typer─▶ command ─▶ part of Penstock
                     └─ PenstockError ─▶ one message on stderr, the error's exit code

Exit codes: 0 done · 1 failed or said no · 2 there are changes or drift, or wrong usage ·
3 what was written is wrong · 4 not ready, try again · 5 refused · 6 the world moved ·
7 bad data · 8 another system failed · 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module, metadata

import typer

from penstock import extras
from penstock.cli.output import console
from penstock.errors import PenstockError

__all__ = ["app", "run"]

_FAMILIES = (
    "runtime",
    "estate",
    "control",
    "table",
    "drill",
    "ingest",
    "agent",
    "connector",
    "demo",
)

_EXTRAS = {
    "deltalake": "ingest",
    "pyarrow": "ingest",
    "psycopg": "postgres",
    "pytest": "testing",
}


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"penstock {metadata.version('penstock')}\n")
        raise typer.Exit


def _build() -> typer.Typer:
    application = typer.Typer(
        name="penstock",
        help="Run many Kafka clusters as one streaming platform.",
        epilog="Start here: penstock up",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @application.callback()
    def root(
        version: bool = typer.Option(
            False, "--version", callback=_version, is_eager=True, help="Print the version."
        ),
    ) -> None:
        """Run many Kafka clusters as one streaming platform."""

    for family in _FAMILIES:
        import_module(f"penstock.cli.{family}").register(application)
    return application


app = _build()


def run() -> None:
    """Run the command line; the ``penstock`` script calls this."""
    try:
        app()
    except PenstockError as error:
        console.print(error.message, style="red", markup=False, soft_wrap=True)
        raise SystemExit(error.exit_code) from error
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0], "platform")
        if (error.name or "").startswith("penstock"):
            raise
        console.print(
            f"This command needs {error.name}, which is not installed. "
            f"Install it with: {extras.command(extra)}",
            style="red",
            markup=False,
            soft_wrap=True,
        )
        raise SystemExit(1) from error
    except BrokenPipeError:
        # The reader of our output went away (… | head): not an error, but what is flushed at
        # exit must go somewhere else.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
