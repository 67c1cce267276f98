"""Installs what a command needs, when it is asked for.

    packages missing ─▶ uv pip install --require-hashes -r requirements/<extra>.txt ─▶ this environment

Only in a clone, whose environment is Penstock's own and whose requirements are pinned by hashes;
elsewhere a person decides what is installed.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

from penstock import extras
from penstock.errors import ConfigError, NotReady

__all__ = ["ensure"]


def ensure(extra: str, *packages: str) -> None:
    """Return once the packages of the extra can be imported.

    Raises:
        ConfigError: when they are missing and a person has to install them.
        NotReady: when they could not be fetched.
    """
    lacking = extras.missing(*packages)
    if not lacking:
        return
    pinned, uv = extras.requirements(extra), _uv()
    if pinned is None or uv is None or sys.prefix == sys.base_prefix:
        raise ConfigError(
            f"this command needs {', '.join(lacking)}, which is not installed. Install it with: "
            f"{extras.command(extra)}"
        )
    options = ["--quiet", "--compile-bytecode", "--python", sys.executable]
    done = subprocess.run(
        [uv, "pip", "install", *options, "--require-hashes", "-r", str(pinned)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason was given"]
        raise NotReady(
            f"{', '.join(lacking)} could not be installed: {said[-1].strip()[:300]}. Try again, or: "
            f"{extras.command(extra)}"
        )
    importlib.invalidate_caches()


def _uv() -> str | None:
    """Return the environment's own uv, or whichever there is."""
    own = Path(sys.prefix) / "bin" / "uv"
    return str(own) if own.exists() else shutil.which("uv")
