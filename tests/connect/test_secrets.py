"""Secrets are read from their place, and from nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.connectors import secrets
from penstock.errors import NotReady

pytestmark = pytest.mark.unit


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    place = tmp_path / "secrets"
    place.mkdir()
    (place / "shop.properties").write_text("user = app\npassword=a=b\n")
    (tmp_path / "outside").write_text("password=x\n")
    return place


def test_references_are_replaced_in_place(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_SECRET_HOST", "db")
    value = "${env:PENSTOCK_SECRET_HOST}/${file:shop.properties:user}:${file:%s:password}"
    resolved = secrets.resolve(value % (directory / "shop.properties"), directory=directory)
    assert resolved == "db/app:a=b"


@pytest.mark.parametrize(
    "reference",
    [
        "${env:HOME}",
        "${env:PENSTOCK_SECRET_UNSET}",
        "${file:../outside:password}",
        "${file:/etc/passwd:root}",
        "${file:missing:password}",
        "${file:shop.properties:unknown}",
    ],
)
def test_nothing_else_is_read(reference: str, directory: Path) -> None:
    with pytest.raises(NotReady):
        secrets.resolve(reference, directory=directory)
