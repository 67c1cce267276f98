"""The supervisor of a home, over real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from penstock.errors import Conflict
from penstock.runtime import files, holds, processes
from penstock.runtime.supervised import Service, State
from penstock.runtime.supervisor import Supervisor, only_one

pytestmark = pytest.mark.real

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


@pytest.fixture
def service(tmp_path):
    def service(name, *, layer=0, code="import time; time.sleep(600)", stop_within_s=5.0):
        def spec():
            command = [sys.executable, "-c", code]
            return processes.Spec(name=name, command=command, log=tmp_path / f"{name}.log")

        return Service(name=name, spec=spec, layer=layer, stop_within_s=stop_within_s)

    return service


@pytest.fixture
def supervisor(tmp_path):
    running = Supervisor(tmp_path)
    yield running
    running.close()


def records(home):
    return files.read_json(home / "processes.json", default={})


def test_each_process_is_started_recorded_and_restarted(supervisor, service, tmp_path, wait_until):
    supervisor.add([service("a"), service("b")])
    supervisor.start()
    wait_until(lambda: {r["state"] for r in records(tmp_path).values()} == {"ready"})
    first = records(tmp_path)
    os.kill(first["a"]["pid"], signal.SIGKILL)
    wait_until(lambda: records(tmp_path)["a"]["restarts"] == 1)
    wait_until(lambda: records(tmp_path)["a"]["state"] == "ready")
    assert records(tmp_path)["a"]["pid"] != first["a"]["pid"]
    assert records(tmp_path)["b"] == first["b"]


def test_upper_layers_end_first_and_the_stubborn_are_killed(service, tmp_path, wait_until):
    supervisor = Supervisor(tmp_path)
    told = "import pathlib, signal, sys, time\ndef end(*_):\n"
    told += (
        f" pathlib.Path({str(tmp_path)!r}, NAME).write_text(str(time.monotonic())); sys.exit()\n"
    )
    told += "signal.signal(signal.SIGTERM, end)\n"
    told += f"pathlib.Path({str(tmp_path)!r}, NAME + '-is-up').touch()\ntime.sleep(600)"
    supervisor.add(
        [
            service("low", layer=0, code=f"NAME = 'low-ended'\n{told}"),
            service("high", layer=1, code=f"NAME = 'high-ended'\n{told}"),
            service("stubborn", layer=2, code=STUBBORN, stop_within_s=0.2),
        ]
    )
    supervisor.start()
    up = ["low-ended-is-up", "high-ended-is-up"]
    wait_until(lambda: all((tmp_path / name).exists() for name in up))
    pids = [record["pid"] for record in records(tmp_path).values()]
    supervisor.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert float((tmp_path / "high-ended").read_text()) < float(
        (tmp_path / "low-ended").read_text()
    )
    assert {r["state"] for r in records(tmp_path).values()} == {"stopped"}


def test_a_frozen_process_is_ended_too(service, tmp_path, wait_until):
    supervisor = Supervisor(tmp_path)
    supervisor.add([service("a")])
    supervisor.start()
    wait_until(lambda: supervisor.states()["a"] is State.READY)
    pid = records(tmp_path)["a"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    supervisor.close()
    assert not psutil.pid_exists(pid)


def test_a_hold_keeps_a_killed_process_down_while_its_owner_lives(
    supervisor, service, tmp_path, wait_until
):
    supervisor.add([service("a")])
    supervisor.start()
    wait_until(lambda: supervisor.states()["a"] is State.READY)
    with holds.hold(tmp_path, ["a"], for_s=600):
        os.kill(records(tmp_path)["a"]["pid"], signal.SIGKILL)
        wait_until(lambda: supervisor.states()["a"] is State.HELD)
    wait_until(lambda: supervisor.states()["a"] is State.READY)
    assert not (tmp_path / "holds" / "a").exists()


def dead_pid():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return gone.pid


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"pid": "1", "until": 99999999999}',
        lambda: json.dumps({"pid": os.getpid(), "until": time.time() - 1}),
        lambda: json.dumps({"pid": dead_pid(), "until": time.time() + 600}),
    ],
)
def test_a_hold_that_is_broken_over_or_orphaned_holds_nothing(tmp_path, content):
    files.write_atomically(tmp_path / "holds/a", content() if callable(content) else content)
    assert not holds.is_held(tmp_path, "a")


def test_children_of_a_killed_supervisor_are_ended_by_the_next(tmp_path):
    orphan = subprocess.Popen([sys.executable, "-c", STUBBORN + " # orphan"])
    record = {**processes.Identity.of(orphan.pid).as_record(), "state": "ready"}
    files.write_json(tmp_path / "processes.json", {"a": record})
    Supervisor(tmp_path).close()
    assert not psutil.pid_exists(orphan.pid)
    orphan.wait()


def test_a_stranger_with_a_recorded_pid_is_left_alone(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        files.write_json(
            tmp_path / "processes.json",
            {"a": {"pid": stranger.pid, "started_at": time.time() - 3600, "state": "ready"}},
        )
        Supervisor(tmp_path).close()
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("broken", ["", "[]", '{"a": 1}', '{"a": {"pid": null}}'])
def test_a_broken_record_of_processes_is_survived(tmp_path, broken):
    (tmp_path / "processes.json").write_text(broken)
    Supervisor(tmp_path).close()


def test_a_home_has_one_supervisor(tmp_path):
    with only_one(tmp_path), pytest.raises(Conflict, match="penstock down"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass


def test_a_log_past_its_limit_is_moved_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_LOG_LIMIT_BYTES", 10)
    log = tmp_path / "a.log"
    log.write_text("more than ten bytes")
    command = [sys.executable, "-c", "print('new')"]
    processes.spawn(processes.Spec(name="a", command=command, log=log)).wait(30)
    assert log.read_text() == "new\n"
    assert (tmp_path / "a.log.1").read_text() == "more than ten bytes"


def test_a_restart_that_is_asked_for_is_no_crash(supervisor, service, tmp_path, wait_until):
    supervisor.add([service("a"), service("b")])
    supervisor.start()
    wait_until(lambda: {r["state"] for r in records(tmp_path).values()} == {"ready"})
    first = records(tmp_path)
    supervisor.restart(["a"])
    assert not psutil.pid_exists(first["a"]["pid"])
    wait_until(lambda: records(tmp_path)["a"]["state"] == "ready")
    again = records(tmp_path)
    assert again["a"]["pid"] != first["a"]["pid"]
    assert (again["a"]["restarts"], again["a"]["reason"]) == (0, "")
    assert again["b"] == first["b"]
