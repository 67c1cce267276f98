"""What the tree itself promises: generated files are current, modules stay readable."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.arch

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 500


def tracked(pattern: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / line for line in listing.stdout.splitlines() if (ROOT / line).is_file()]


def test_generated_files_are_current() -> None:
    result = subprocess.run(
        [sys.executable, "tools/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_module_has_outgrown_one_sitting() -> None:
    sources = [p for p in tracked("*.py") if "_gen" not in p.parts]
    assert sources
    too_long = {
        str(p.relative_to(ROOT)): lines
        for p in sources
        if (lines := len(p.read_text().splitlines())) > MAX_LINES
    }
    assert too_long == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in tracked("src/*.py")
        if "_gen" not in path.parts and not path.read_text().lstrip().startswith('"""')
    ]
    assert silent == []


def test_no_test_sleeps() -> None:
    sleeping = [
        str(path.relative_to(ROOT))
        for path in tracked("tests/*.py")
        if re.search(r"^\s*(time\.sleep|await asyncio\.sleep)\(", path.read_text(), re.MULTILINE)
    ]
    assert sleeping == []


def test_pinned_requirements_carry_hashes() -> None:
    for path in tracked("requirements/*.txt"):
        text = path.read_text()
        pins = re.findall(r"^[A-Za-z0-9_.\-\[\]]+==\S+", text, re.MULTILINE)
        assert pins
        assert len(re.findall(r"--hash=sha256:", text)) >= len(pins), path.name
        assert "://" not in text, path.name


def test_every_dependency_says_what_it_replaces() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("dependencies = [") : text.index("[dependency-groups]")]
    silent = [
        line.strip()
        for line in block.splitlines()
        if re.match(r'\s+"[a-z].*[<>=]', line) and "#" not in line
    ]
    assert silent == []
