"""What is not installed with everything, and the command that installs it.

    module that is missing ─EXTRAS─▶ extra ─command─▶ make extra-demo | pip install 'penstock[demo]'

In a clone an extra is pinned by hashes like everything else, in ``requirements/<extra>.txt``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

__all__ = ["command", "missing", "requirements"]

_CLONE = Path(__file__).resolve().parents[2]


def command(extra: str) -> str:
    """Return what a person types to install the extra."""
    if requirements(extra) is not None:
        return f"make extra-{extra}"
    return f"pip install 'penstock[{extra}]'"


def requirements(extra: str) -> Path | None:
    """Return the file that pins the extra; None where this is no clone, or it has none."""
    path = _CLONE / "requirements" / f"{extra}.txt"
    return path if path.is_file() and (_CLONE / "Makefile").is_file() else None


def missing(*packages: str) -> list[str]:
    """Return which of the packages cannot be imported; imports none of them."""
    return [package for package in packages if find_spec(package) is None]
