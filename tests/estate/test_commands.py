"""`penstock validate`, `export` and `schema`, as processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.runtime import embedded

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]


def penstock(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penstock", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_validate_says_what_it_found() -> None:
    result = penstock("validate", str(ROOT / "examples/quickstart"), "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["valid"], found["faults"], found["clusters"]) == (True, [], 2)


def test_validate_tells_faults_and_exits_3(tmp_path: Path) -> None:
    path = tmp_path / "orders.yaml"
    path.write_text("kind: Topic\nname: orders\nowner: shop\nclusters: [a]\npartitons: 1\n")
    said = penstock("validate", str(path))
    assert said.returncode == 3
    assert f"{path}:5: partitons: is unknown. Did you mean partitions?" in said.stderr
    told = penstock("validate", str(path), "--json")
    assert told.returncode == 3
    assert [fault["line"] for fault in json.loads(told.stdout)["faults"]] == [4, 5]


def test_schema_prints_one_kind_or_all() -> None:
    assert json.loads(penstock("schema", "Topic").stdout)["title"] == "Topic"
    assert set(json.loads(penstock("schema").stdout)) == {
        "Cluster",
        "Topic",
        "TopicProfile",
        "Table",
        "Connector",
    }
    unknown = penstock("schema", "Topick")
    assert unknown.returncode == 3
    assert "write one of Cluster" in unknown.stderr


def test_export_refuses_a_bad_name_before_it_looks(tmp_path: Path) -> None:
    result = penstock(
        *("export", "--bootstrap", "127.0.0.1:1", "--name", "Old One", "--environment", "e"),
        *("--owner", "o", "--out", str(tmp_path)),
    )
    assert result.returncode == 3
    assert "--name Old One" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_export_writes_files_that_validate(kafka: embedded.Cluster, tmp_path: Path) -> None:
    arguments = (
        *("export", "--bootstrap", kafka.bootstrap, "--name", "old", "--environment", "e"),
        *("--owner", "o", "--out", str(tmp_path), "--json"),
    )
    first, again = penstock(*arguments), penstock(*arguments)
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert str(tmp_path / "clusters/old.yaml") in json.loads(first.stdout)["files"]
    assert penstock("validate", str(tmp_path)).returncode == 0
