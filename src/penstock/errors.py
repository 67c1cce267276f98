"""The one error tree, split by what the caller can do about it.

    PenstockError
    ├── ConfigError    what was written is wrong: correct the file, the option or the setting;
    │     │            ``faults`` are all that were found, each with file, line and next step
    │     └── NotFound   it names something that is not there
    ├── NotReady       not now: the same call may work later
    ├── Refused        policy or safety says no: the message says what is allowed instead
    ├── Conflict       the world moved since it was looked at: look again, then decide
    ├── DataError      this record cannot be read: it belongs in a dead-letter place
    └── RemoteError    another system failed in a way that is not ours to retry

A foreign library's error is translated once, at that library's door, and raised ``from`` it.
Every message ends with what to do next. No message carries a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "ConfigError",
    "Conflict",
    "DataError",
    "Fault",
    "NotFound",
    "NotReady",
    "PenstockError",
    "Refused",
    "RemoteError",
]


class PenstockError(Exception):
    """Base of all errors Penstock raises on purpose.

    Attributes:
        message: what happened and what to do next, in one or two sentences.
        exit_code: what the command line exits with.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        """Keep the message as an attribute, for callers that render it."""
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Fault:
    """One thing wrong in what somebody wrote.

    Attributes:
        file: path as the user gave it, or the name of a setting's source.
        line: 1-based line, or 0 where the source has no lines.
        what: the wrong value and why it is wrong.
        next_step: what to write instead.
    """

    file: str
    line: int
    what: str
    next_step: str

    def __str__(self) -> str:
        """Render as ``file:line: what. Next step.``, which editors can jump to."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.what.rstrip('.')}. {self.next_step}"


class ConfigError(PenstockError):
    """What was written is wrong; nothing was done."""

    exit_code = 3

    def __init__(self, message: str, *, faults: Sequence[Fault] = ()) -> None:
        """Join all faults into the message, one a line."""
        self.faults = tuple(faults)
        super().__init__("\n".join([message, *map(str, self.faults)]))


class NotFound(ConfigError):
    """What was written names something that is not there."""


class NotReady(PenstockError):
    """Not now; the same call may work later.

    Attributes:
        retry_after_s: seconds after which a retry makes sense, where known.
    """

    exit_code = 4

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        """Keep the hint for retry loops."""
        self.retry_after_s = retry_after_s
        super().__init__(message)


class Refused(PenstockError):
    """Policy or safety says no; the message says what is allowed instead."""

    exit_code = 5


class Conflict(PenstockError):
    """The world moved since it was looked at; look again, then decide."""

    exit_code = 6


class DataError(PenstockError):
    """A record cannot be read as what it claims to be.

    Attributes:
        origin: ``cluster/topic/partition/offset`` of the record, where known.
    """

    exit_code = 7

    def __init__(self, message: str, *, origin: str = "") -> None:
        """Keep the origin for the dead-letter place."""
        self.origin = origin
        super().__init__(f"{origin}: {message}" if origin else message)


class RemoteError(PenstockError):
    """Another system failed in a way that is not ours to retry."""

    exit_code = 8
