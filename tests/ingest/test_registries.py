"""What a table's file leaves to where the table runs: its registry, and the lake's root."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.ingest.worker_process import make_table

from penstock.errors import NotReady
from penstock.ingest.decoders import open_decoder
from penstock.ingest.registries import address, with_registry
from penstock.ingest.settings import Settings
from penstock.model import tables

pytestmark = pytest.mark.unit


def table(registry: str) -> tables.Table:
    decoder = tables.Decoder(format=tables.Format.AVRO, registry=registry)
    return make_table("payments", decoder=decoder)


def test_the_embedded_registry_is_the_processs_own_or_the_homes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PENSTOCK_REGISTRY", raising=False)
    unknown = with_registry(table(tables.EMBEDDED), home=tmp_path)
    with pytest.raises(NotReady, match="penstock up --registry"):
        open_decoder(unknown)
    with pytest.raises(NotReady, match="penstock up --registry"):
        address(tables.EMBEDDED, home=tmp_path)

    (tmp_path / "registry.json").write_text(json.dumps({"url": "http://home"}))
    assert with_registry(table(tables.EMBEDDED), home=tmp_path) == table("http://home")
    assert with_registry(table("http://named"), home=tmp_path) == table("http://named")
    monkeypatch.setenv("PENSTOCK_REGISTRY", "http://process")
    assert address(tables.EMBEDDED, home=tmp_path) == "http://process"
    assert address("http://named", home=tmp_path) == "http://named"


def test_the_lake_is_the_processs_own_or_the_homes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PENSTOCK_LAKE", raising=False)
    assert Settings(home=tmp_path).lake == tmp_path / "lake"
    (tmp_path / "lake.json").write_text(json.dumps({"root": "s3://bucket/home"}))
    assert Settings(home=tmp_path).lake == "s3://bucket/home"
    monkeypatch.setenv("PENSTOCK_LAKE", "s3://bucket/process")
    assert Settings(home=tmp_path).lake == "s3://bucket/process"
