"""Makes ``python -m penstock`` the ``penstock`` command."""

from __future__ import annotations

from penstock.cli.main import run

if __name__ == "__main__":
    run()
