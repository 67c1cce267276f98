"""Fixtures of the decoder tests: a real registry, and one that breaks when told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.schemas import stub as stubs

from penstock.runtime import registry as registries


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a real registry, shared by the session: subjects are to be unique."""
    running = registries.start(tmp_path_factory.mktemp("registry"))
    yield running.url
    running.kill()


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
