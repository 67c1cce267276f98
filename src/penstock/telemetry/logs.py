"""Standard logging for Penstock's own processes: one line a record, on stderr.

    2026-11-21T11:10:00.123Z INFO  penstock.control.apply: topic host-metrics created on primary

Never used by the SDK inside a service: there the service's own logging decides.
"""

from __future__ import annotations

import logging
import sys
import time

__all__ = ["OneLine", "set_up"]


class OneLine(logging.Formatter):
    """UTC time, level, logger, message; a line break inside is shown, not made."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        """Take no options: every part of Penstock logs alike."""
        self.converter = time.gmtime
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, a traceback included."""
        return super().format(record).replace("\n", " ⏎ ")


def set_up(level: str = "INFO") -> None:
    """Log to stderr at ``level``; calling it again changes the level only.

    Raises:
        ValueError: when there is no such level.
    """
    root = logging.getLogger("penstock")
    root.setLevel(level.upper())
    if not any(isinstance(handler.formatter, OneLine) for handler in root.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(OneLine())
        root.addHandler(handler)
        root.propagate = False
