"""Waiting in fixtures that live for a module."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def wait_until_ready() -> Callable[[Callable[[], bool]], None]:
    def wait(ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not ready():
            assert time.monotonic() < deadline, "not ready within 60 s"
            threading.Event().wait(0.05)

    return wait
