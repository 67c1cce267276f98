"""Fixtures of the backfill's tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.ingest.backfill import beside_process

_ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def run_beside(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Give a function that starts an archiver or a load in a process of its own."""
    running: list[subprocess.Popen[bytes]] = []

    def start(**told: Any) -> subprocess.Popen[bytes]:
        told = {"lake": str(tmp_path / "lake"), "archive": str(tmp_path / "archive"), **told}
        with (tmp_path / "beside.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(beside_process.__file__), json.dumps(told)],
                env={**os.environ, "PYTHONPATH": str(_ROOT)},
                stdout=log,
                stderr=log,
            )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
