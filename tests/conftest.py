"""Shared by every test: how hard Hypothesis looks, and that no test is another one's neighbour."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, settings

from penstock.sdk import guards

# No deadline: on a busy machine an example's time says nothing about the code.
settings.register_profile(
    "penstock", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("penstock")


@pytest.fixture(autouse=True)
def _creations_of_this_test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count the clients of each test by themselves: together, tests do make them in a loop."""
    fresh = guards.Creations(limit=guards.LIMIT, window_s=guards.WINDOW_S, clock=time.monotonic)
    monkeypatch.setattr(guards, "_creations", fresh)
