"""A whole Penstock on this machine, driven by its command line, as its users drive it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
QUICKSTART = ROOT / "examples/quickstart"
COMMAND_TIMEOUT_S = 240


def bare_environment(home: Path) -> dict[str, str]:
    """Return an environment in which no Java and no Maven can be found.

    PATH holds Penstock's own commands and a directory of links to what a shell script needs.
    """
    tools = home.parent / f"{home.name}-tools"
    tools.mkdir(exist_ok=True)
    for name in ("bash", "sh", "cat", "cp", "rm", "mkdir", "sed", "env", "python3", "true", "tail"):
        found = shutil.which(name)
        if found and not (tools / name).exists():
            (tools / name).symlink_to(found)
    environment = {k: v for k, v in os.environ.items() if k not in {"JAVA_HOME", "MAVEN_HOME"}}
    environment |= {"PATH": f"{BIN}{os.pathsep}{tools}", "PENSTOCK_HOME": str(home)}
    assert shutil.which("java", path=environment["PATH"]) is None
    assert shutil.which("mvn", path=environment["PATH"]) is None
    return environment


@dataclass(frozen=True, kw_only=True)
class Platform:
    """A running ``penstock up`` and the commands against it."""

    home: Path
    environment: dict[str, str]
    started: Mapping[str, Any] = field(default_factory=dict)

    def run(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run ``penstock …`` and check its exit code."""
        result = subprocess.run(
            [str(BIN / "penstock"), *arguments],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        assert result.returncode == expect, (
            f"penstock {' '.join(arguments)} exited {result.returncode}, not {expect}\n"
            f"{result.stdout}\n{result.stderr}"
        )
        return result

    def json(self, *arguments: str, expect: int = 0) -> Any:
        """Run ``penstock … --json`` and return what it printed."""
        return json.loads(self.run(*arguments, "--json", expect=expect).stdout)


@contextmanager
def running(home: Path, *arguments: str) -> Iterator[Platform]:
    """Start ``penstock up --detach`` in ``home``; stop it at the end."""
    platform = Platform(home=home, environment=bare_environment(home))
    try:
        started = platform.json("up", *arguments, "--detach")
        yield Platform(home=home, environment=platform.environment, started=started)
    finally:
        platform.run("down")
