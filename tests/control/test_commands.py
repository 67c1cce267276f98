"""The commands, as a shell sees them: exit codes, JSON on stdout, one clear line on stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.control.estates import estate, produce, topic_document

pytestmark = pytest.mark.real

Penstock = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def penstock(control) -> Penstock:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "penstock", *map(str, arguments), "--home", control.home],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "COLUMNS": "200"},
        )

    return run


def write(directory: Path, *topics: str) -> Path:
    directory.mkdir(exist_ok=True)
    for path in directory.iterdir():
        path.unlink()
    for file in estate(*topics):
        (directory / file.path).write_text(file.content)
    return directory


def test_from_a_file_to_a_topic_and_away_again(
    penstock: Penstock, federation, topic_name: str, tmp_path: Path
) -> None:
    files = write(tmp_path / "estate", topic_document(topic_name))
    planned = penstock("plan", files, "--json")
    assert planned.returncode == 2, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan.keys() == {"digest", "changes", "refusals", "unreachable"}
    assert "create topic" in penstock("plan", files).stdout

    asked = penstock("apply", files)
    assert asked.returncode == 1
    assert "--yes" in asked.stderr
    stale = penstock("apply", files, "--yes", "--digest", "0" * 64)
    assert stale.returncode == 6
    applied = penstock("apply", files, "--yes", "--json", "--digest", plan["digest"])
    assert applied.returncode == 0, applied.stderr
    assert json.loads(applied.stdout)["events"][-1]["outcome"] == "OUTCOME_DONE"

    empty = penstock("plan", files, "--json")
    assert empty.returncode == 0
    assert json.loads(empty.stdout)["changes"] == []
    assert penstock("apply", files, "--yes").returncode == 0
    assert penstock("drift", "--json").returncode == 0

    produce(federation.bootstraps["primary"], topic_name)
    write(files)
    refused = penstock("plan", files)
    assert refused.returncode == 5
    assert "penstock topic empty" in refused.stdout
    assert penstock("apply", files, "--yes").returncode == 5
    assert penstock("topic", "empty", topic_name).returncode == 1
    emptied = penstock("topic", "empty", topic_name, "--yes", "--json", "--reason", "over")
    assert sum(int(p["records"]) for p in json.loads(emptied.stdout)["placements"]) == 1
    assert penstock("apply", files, "--yes").returncode == 0
    assert topic_name not in penstock("topic", "list").stdout


def test_the_switches_and_the_views(penstock: Penstock, topic_name: str, tmp_path: Path) -> None:
    penstock("apply", write(tmp_path / "estate", topic_document(topic_name)), "--yes")
    active = penstock("topic", "activate", topic_name, "standby", "--json")
    assert json.loads(active.stdout)["active_cluster"] == "standby"
    assert json.loads(penstock("topic", "show", topic_name, "--json").stdout)["name"] == topic_name
    back = penstock("topic", "failback", topic_name, "--json")
    assert json.loads(back.stdout)["active_cluster"] == ""
    cordoned = penstock("cluster", "cordon", "primary", "--reason", "disk", "--json")
    assert json.loads(cordoned.stdout)["state"] == "CLUSTER_STATE_CORDONED"
    assert "cordoned" in penstock("cluster", "show", "primary").stdout
    assert "cordoned" not in penstock("cluster", "uncordon", "primary").stdout
    assert topic_name in penstock("topic", "list").stdout
    clusters = json.loads(penstock("cluster", "list", "--json").stdout)["clusters"]
    assert [cluster["name"] for cluster in clusters] == ["primary", "standby"]
    entries = json.loads(penstock("audit", "--json", "--subject", "primary").stdout)["entries"]
    assert [entry["what"] for entry in entries][:2] == ["uncordon-cluster", "cordon-cluster"]
    assert "disk" in penstock("audit").stdout
    assert json.loads(penstock("clients", "--json").stdout)["clients"] == []
    assert penstock("clients").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("topic", "show", "nowhere"), 3, "no topic nowhere"),
        (("cluster", "cordon", "nowhere"), 3, "no cluster nowhere"),
        (("plan", "nowhere"), 3, "nowhere"),
        (("plan",), 2, "Missing argument"),
    ],
)
def test_what_is_wrong_is_one_clear_message(
    penstock: Penstock, arguments: tuple[str, ...], code: int, says: str
) -> None:
    wrong = penstock(*arguments)
    assert wrong.returncode == code
    assert says in wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert not wrong.stdout


def test_faults_name_the_files_as_the_user_named_them(penstock: Penstock, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("kind: Topic\nname: Bad Name!\nbogus: 1\n")
    wrong = penstock("plan", path)
    assert wrong.returncode == 3
    assert f"{path}:" in wrong.stderr
    assert "bogus" in wrong.stderr


def test_without_a_control_plane_it_says_how_to_start_one(tmp_path: Path) -> None:
    gone = subprocess.run(
        [sys.executable, "-m", "penstock", "topic", "list", "--home", tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert gone.returncode == 4
    assert "penstock up" in gone.stderr
