"""Fixtures of the ingest tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.ingest import worker_process
from tests.ingest.sources import Source, make_source

from penstock.runtime import registry as registries
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


@pytest.fixture(scope="session")
def registry_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the directory of the session's registry."""
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="session")
def running_registry(registry_home: Path) -> Iterator[list[registries.Running]]:
    """Give the session's registry, to be replaced in the list by who starts it again."""
    running = [registries.start(registry_home)]
    yield running
    running[0].kill()


@pytest.fixture
def registry(running_registry: list[registries.Running]) -> str:
    """Give the URL of a real registry, shared by the session: subjects are to be unique."""
    return running_registry[0].url


@pytest.fixture
def register(registry: str) -> Callable[..., int]:
    """Give a function that registers a schema and returns its id."""

    def register(
        subject: str, text: str, kind: str, references: tuple[tuple[str, str], ...] = ()
    ) -> int:
        told = [{"name": name, "subject": of, "version": 1} for name, of in references]
        body: dict[str, Any] = {"schema": text, "schemaType": kind, "references": told}
        answer = httpx.post(f"{registry}/subjects/{subject}/versions", json=body, timeout=30)
        assert answer.is_success, answer.text
        number: int = answer.json()["id"]
        return number

    return register
