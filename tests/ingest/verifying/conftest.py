"""Waiting in fixtures that live for a module, and a PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from penstock.runtime import postgres as server_of
from penstock.runtime import processes


@pytest.fixture(scope="session")
def wait_until_ready() -> Callable[[Callable[[], bool]], None]:
    def wait(ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not ready():
            assert time.monotonic() < deadline, "not ready within 60 s"
            threading.Event().wait(0.05)

    return wait


@pytest.fixture(scope="module")
def database(
    tmp_path_factory: pytest.TempPathFactory,
    wait_until_ready: Callable[[Callable[[], bool]], None],
) -> Iterator[str]:
    home = tmp_path_factory.mktemp("postgres")
    server = server_of.prepare(home, durable=False)
    service = server_of.service(home, server)
    process = processes.spawn(service.spec())
    wait_until_ready(service.ready)
    yield server.address()
    processes.terminate([process], within_s=10)
    server_of.remove(home)
