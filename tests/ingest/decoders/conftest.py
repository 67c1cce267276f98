"""Fixtures of the decoder tests: a real registry, and one that breaks when told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.schemas import stub as stubs

from penstock.runtime import registry as registries


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


@pytest.fixture
def stub() -> Iterator[stubs.Stub]:
    """Give a registry that answers, and breaks, as it is told."""
    with stubs.serve() as running:
        yield running
