"""The command, on a home of its own: one bare cluster and a control plane, in real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from penstock.runtime import files, kafka, kraft, processes
from penstock.runtime.supervisor import running_supervisor

pytestmark = pytest.mark.real

SHOP = """\
kind: Cluster
name: primary
environment: development
embedded: true
---
kind: Topic
name: orders
owner: checkout
description: Every order placed.
clusters: [primary]
routing: na
partitions: 2
replication: 1
"""


@pytest.fixture
def home(tmp_path):
    yield tmp_path / "home"
    run("down", home=tmp_path / "home")


def run(*arguments, home, expect=0):
    """Run the command as on a machine without Java, and return what it printed."""
    environment = {k: v for k, v in os.environ.items() if k not in ("JAVA_HOME", "PENSTOCK_HOME")}
    environment["PATH"] = "/nowhere"
    done = subprocess.run(
        [sys.executable, "-m", "penstock", *arguments, "--home", str(home)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=240,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def up(home, *options):
    return json.loads(run("up", "--detach", "--json", *options, home=home).stdout)


def pids(home):
    return {name: record.get("pid") for name, record in processes.recorded(home).items()}


def test_up_status_down_and_again(home):
    first = up(home, "--clusters", "1")
    assert first["state"] == "up"
    assert [(c["name"], c["state"]) for c in first["clusters"]] == [("primary", "ready")]
    assert {p["name"] for p in first["processes"]} >= {"primary-1", "control"}
    assert first["control"]["state"] == "ready"

    assert json.loads(run("status", "--json", home=home).stdout)["pid"] == first["pid"]
    assert up(home)["pid"] == first["pid"], "a second --detach finds it running"
    refused = run("up", "--clusters", "1", home=home, expect=6)
    assert "penstock down" in refused.stderr
    assert "primary-1" in run("logs", home=home).stdout
    assert run("logs", "primary-1", "--lines", "1", home=home).stdout.count("\n") == 1
    assert "there are:" in run("logs", "nobody", home=home, expect=3).stderr

    assert json.loads(run("down", "--json", home=home).stdout)["stopped"] is True
    assert json.loads(run("down", "--json", home=home).stdout)["stopped"] is False
    assert json.loads(run("status", "--json", home=home, expect=4).stdout)["state"] == "down"

    again = up(home, "--clusters", "1")
    assert again["clusters"][0]["cluster_id"] == first["clusters"][0]["cluster_id"]
    assert again["clusters"][0]["bootstrap"] == first["clusters"][0]["bootstrap"]
    assert again["control"]["grpc"] == first["control"]["grpc"]


def test_a_kill_of_everything_at_once_is_survived(home):
    up(home, "--clusters", "1")
    before = running_supervisor(home)
    os.kill(before.pid, signal.SIGKILL)
    for pid in pids(home).values():
        if pid:
            os.kill(pid, signal.SIGKILL)
    assert up(home, "--clusters", "1")["state"] == "up"


def test_a_killed_supervisors_children_are_ended_by_the_next(home, wait_until):
    up(home, "--clusters", "1")
    left = pids(home)
    before = running_supervisor(home)
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: running_supervisor(home) is None)
    assert psutil.pid_exists(left["primary-1"])
    assert up(home, "--clusters", "1")["state"] == "up"
    assert not set(left.values()) & set(pids(home).values())


def test_a_killed_broker_comes_back(home, wait_until):
    up(home, "--clusters", "1")
    before = pids(home)["primary-1"]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: pids(home).get("primary-1") not in (None, before))
    wait_until(lambda: processes.recorded(home)["primary-1"]["state"] == "ready")


def test_an_estate_is_started_applied_and_not_deleted_from(home, tmp_path):
    estate = tmp_path / "estate"
    estate.mkdir()
    (estate / "shop.yaml").write_text(SHOP)
    first = up(home, str(estate))
    assert [(t["name"], t["clusters"]) for t in first["topics"]] == [("orders", ["primary"])]
    assert first["notes"] == []
    run("down", home=home)

    (estate / "shop.yaml").write_text(SHOP.partition("---")[0])
    again = up(home, str(estate))
    assert [t["name"] for t in again["topics"]] == ["orders"]
    assert "deletes topics" in " ".join(again["notes"])


def test_ctrl_c_ends_everything_and_exits_0(home, wait_until):
    # As in a terminal: a shell's background job, which these tests may be, ignores SIGINT.
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from penstock.cli.main import run; run()"
    )
    command = [sys.executable, "-c", script, "up", "--clusters", "1", "--home", str(home)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as one:
        wait_until(lambda: files.read_json(home / "supervisor.json", default={}).get("settled"))
        children = [pid for pid in pids(home).values() if pid]
        one.send_signal(signal.SIGINT)
        out, err = one.communicate(timeout=60)
    assert one.returncode == 0, out + err
    assert "goes on where it was" in err
    assert "primary" in out
    assert not any(psutil.pid_exists(pid) for pid in children)


@pytest.fixture
def made_before(home):
    """Give the files of a cluster that an earlier run made in the home."""
    checkpoint = kafka.install().checkpoint
    return kraft.prepare(home, "primary", brokers=1, checkpoint=checkpoint)


@pytest.mark.parametrize("options", [[], ["--detach"]])
def test_a_taken_port_is_one_clear_error_and_starts_nothing(home, made_before, options):
    port = made_before.nodes[0].client_port
    with socket.create_server(("127.0.0.1", port)):
        failed = run("up", "--clusters", "1", *options, home=home, expect=4)
    assert str(port) in failed.stderr
    assert f"pid {os.getpid()}" in " ".join(failed.stderr.split())
    assert not any(pids(home).values())


def test_a_broker_that_cannot_start_is_told_soon_and_the_rest_goes_on(home):
    up(home, "--clusters", "2")
    run("down", home=home)
    metadata = next((home / "clusters/standby").rglob("__cluster_metadata-0"))
    metadata.rename(metadata.with_name("away"))
    metadata.write_text("no directory")

    failed = run("up", "--detach", "--json", "--clusters", "2", home=home, expect=4)
    status = json.loads(failed.stdout)
    assert [c["state"] == "ready" for c in status["clusters"]] == [True, False]
    told = " ".join(status["notes"])
    assert "standby-1 does not start and is tried again: exited with code" in told
    assert str(home / "logs/standby-1.log") in told


@pytest.mark.usefixtures("made_before")
def test_another_count_of_brokers_is_refused(home):
    refused = run("up", "--clusters", "1", "--brokers", "3", home=home, expect=5)
    assert "--brokers 1" in refused.stderr


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--brokers", "2"], 3),
        (["--clusters", "0"], 2),
        (["--clusters", "1", "."], 3),
        (["no-such-estate"], 2),
    ],
)
def test_wrong_options_start_nothing(tmp_path, options, code):
    run("up", *options, home=tmp_path / "home", expect=code)
    assert not pids(tmp_path / "home")


def test_a_broken_estate_is_told_with_file_and_line(tmp_path):
    (tmp_path / "estate.yaml").write_text("kind: Cluster\nname: [\n")
    failed = run("up", str(tmp_path / "estate.yaml"), home=tmp_path / "home", expect=3)
    assert "estate.yaml:" in failed.stderr


def test_reset_asks_and_removes_only_what_penstock_made(home):
    up(home, "--clusters", "1")
    (home / "mine.txt").touch()
    run("reset", home=home, expect=1)
    assert running_supervisor(home)
    done = json.loads(run("reset", "--yes", "--json", home=home).stdout)
    assert done["left"] == ["mine.txt"]
    assert [path.name for path in home.iterdir()] == ["mine.txt"]
    shutil.rmtree(home)
    assert json.loads(run("reset", "--yes", "--json", home=home).stdout)["left"] == []
