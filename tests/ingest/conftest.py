"""Fixtures of the ingest tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.ingest import worker_process
from tests.ingest.sources import Source, make_source

from penstock.testing.plugin import Federation


@pytest.fixture
def source(federation: Federation, topic_name: str) -> Source:
    """Give a new topic on both shared clusters."""
    return make_source(dict(federation.clusters), topic_name)


@pytest.fixture
def run_worker(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Give a function that starts a worker in a process of its own."""
    running: list[subprocess.Popen[bytes]] = []

    def start(source: Source, **arguments: Any) -> subprocess.Popen[bytes]:
        told = {
            "lake": str(tmp_path / "lake"),
            "bootstraps": source.bootstraps,
            "topic": source.topic,
            **arguments,
        }
        with (tmp_path / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(worker_process.__file__), json.dumps(told)],
                stderr=log,
                stdout=log,
            )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
