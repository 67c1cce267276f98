"""The end that a process is told to come to."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from penstock.ending import told_to_end


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.unit
@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_midst_of_waiting_for_it_is_taken(number: signal.Signals) -> None:
    """`threading.Event.wait` holds the event's lock for a moment, and `Event.set` waits for that."""
    told = told_to_end()
    with told._cond:  # type: ignore[attr-defined]
        signal.raise_signal(number)
    assert told.wait(10)
    signal.raise_signal(number)
    assert told.is_set()
