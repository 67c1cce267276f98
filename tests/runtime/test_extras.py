"""What a command installs when it is asked for, in a new environment without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.platforms import ROOT

pytestmark = pytest.mark.real

ENSURE = """
from penstock.errors import PenstockError
from penstock.runtime import extras
try:
    extras.ensure("postgres", "psycopg")
except PenstockError as error:
    print(error.message)
    raise SystemExit(error.exit_code)
import psycopg
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An environment with nothing in it."""
    uv = Path(sys.prefix) / "bin/uv"
    subprocess.run([uv, "venv", "--quiet", tmp_path / "new"], check=True)
    return tmp_path / "new/bin/python"


def ensure(python: Path, source: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    own = f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [python, "-c", ENSURE],
        env={**os.environ, "PYTHONPATH": str(source), "PATH": own, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_clone_installs_what_is_pinned(python: Path) -> None:
    first = ensure(python, ROOT / "src")
    assert first.returncode == 0, first.stdout + first.stderr
    again = ensure(python, ROOT / "src", UV_OFFLINE="1")
    assert again.returncode == 0, again.stdout + again.stderr


def test_what_cannot_be_fetched_is_told(python: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "empty")
    refused = ensure(python, ROOT / "src", UV_OFFLINE="1", UV_CACHE_DIR=cache)
    assert refused.returncode == 4
    assert "psycopg could not be installed" in refused.stdout
    assert "make extra-postgres" in refused.stdout


def test_elsewhere_a_person_installs_it(python: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src/penstock", tmp_path / "lib/python/penstock")
    refused = ensure(python, tmp_path / "lib/python")
    assert refused.returncode == 3
    assert "pip install 'penstock[postgres]'" in refused.stdout
