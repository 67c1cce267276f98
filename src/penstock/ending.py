"""The end that a process is told to come to, by SIGTERM or Ctrl-C."""

from __future__ import annotations

import _thread
import signal
import threading

__all__ = ["told_to_end"]


def told_to_end() -> threading.Event:
    """Return an event that SIGTERM and Ctrl-C set from now on. For the main thread."""
    told = threading.Event()

    def handle(*_: object) -> None:
        # A handler runs in the midst of what the main thread does: of `told.wait()`, too, which
        # holds the lock that `told.set()` waits for. So another thread sets it.
        _thread.start_new_thread(told.set, ())

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return told
