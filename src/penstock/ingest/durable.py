"""Small files on this machine's disk that a power cut does not take back.

    content ─▶ <name>#<n>, synced ─rename or link─▶ <name> ─▶ its directory synced

What an object store has acknowledged is kept; a local file system keeps nothing before it is told
to sync. Guarantee: when a call returns, what it did is on the disk; a file is there whole or not at
all, also after a power cut in the middle. A part that a kill leaves is no file to `Location.names`:
object stores name theirs in the same way.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["delete", "write"]


def write(file: Path, content: bytes, *, replace: bool) -> bool:
    """Write the file; tell whether it was written.

    Args:
        file: its directories are made.
        content: the whole of it.
        replace: whether one that is there gives way; else it stays.

    Raises:
        OSError: when the disk fails; whether it was written is not known.
    """
    _make(file.parent)
    part = file.with_name(f"{file.name}#{secrets.randbits(63)}")
    try:
        with part.open("xb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        if replace:
            part.replace(file)
        else:
            # A rename would replace; a link is made by one of several.
            file.hardlink_to(part)
    except FileExistsError:
        return False
    finally:
        part.unlink(missing_ok=True)
    _sync(file.parent)
    return True


def delete(file: Path) -> None:
    """Remove the file; one that is not there is fine.

    Raises:
        OSError: when the disk fails.
    """
    file.unlink(missing_ok=True)
    if file.parent.exists():
        _sync(file.parent)


def _make(directory: Path) -> None:
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for made in missing:
        _sync(made.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
