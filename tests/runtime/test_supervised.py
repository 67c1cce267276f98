"""The life of one process, with real processes and a clock of the test's own."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from penstock.errors import NotReady
from penstock.runtime import processes
from penstock.runtime.supervised import Service, State, Supervised, pause_s


@pytest.mark.unit
def test_pauses_double_up_to_half_a_minute():
    assert [pause_s(n) for n in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert pause_s(10**6) == 30


@dataclass
class World:
    now_s: float = 100.0
    held: bool = False
    ready: bool | Exception = True

    def clock(self):
        return self.now_s

    def check(self):
        if isinstance(self.ready, Exception):
            raise self.ready
        return self.ready


@pytest.fixture
def world():
    return World()


@pytest.fixture
def supervise(tmp_path, world):
    started = []
    with ThreadPoolExecutor() as checks:

        def supervise(code="import time; time.sleep(600)", *, once=False, spec=None):
            def run():
                return processes.Spec(
                    name="one", command=[sys.executable, "-c", code], log=tmp_path / "one.log"
                )

            service = Service(name="one", spec=spec or run, layer=0, ready=world.check, once=once)
            one = Supervised(service, clock=world.clock, held=lambda: world.held, checks=checks)
            started.append(one)
            return one

        yield supervise
        processes.terminate([o.child for o in started if o.child], within_s=0)


@pytest.fixture
def until(wait_until):
    def until(one, state):
        wait_until(lambda: one.step() or one.state is state, message=f"{one.record()}")

    return until


@pytest.mark.real
def test_it_is_ready_when_its_check_says_so(supervise, world, until):
    world.ready = NotReady("not yet")
    one = supervise()
    until(one, State.STARTING)
    world.ready = True
    until(one, State.READY)
    assert one.record()["pid"] == one.child.pid


@pytest.mark.real
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_crash_is_followed_by_a_start_after_a_pause(supervise, world, until, number):
    one = supervise()
    until(one, State.READY)
    first = one.child.pid
    os.kill(first, number)
    until(one, State.RESTARTING)
    assert one.record() == {
        "state": "restarting",
        "restarts": 1,
        "reason": f"killed by signal {number.value}",
    }
    world.now_s += 0.4
    one.step()
    assert one.state is State.RESTARTING
    world.now_s += 0.2
    until(one, State.READY)
    assert one.child.pid != first


@pytest.mark.real
def test_pauses_grow_with_each_crash_and_shrink_after_a_steady_run(supervise, world, until):
    one = supervise()
    for pause in (0.5, 1.0, 2.0):
        until(one, State.READY)
        one.child.kill()
        until(one, State.RESTARTING)
        world.now_s += pause - 0.01
        one.step()
        assert one.state is State.RESTARTING
        world.now_s += 0.01
    until(one, State.READY)
    world.now_s += 61
    one.child.kill()
    until(one, State.RESTARTING)
    world.now_s += 0.5
    until(one, State.READY)


@pytest.mark.real
def test_what_cannot_be_started_is_tried_again_with_its_reason(supervise, world):
    faults = [NotReady("port 1 is taken"), FileNotFoundError("no such program")]

    def spec():
        raise faults.pop(0) if faults else AssertionError

    one = supervise(spec=spec)
    one.step()
    assert one.record()["reason"] == "port 1 is taken"
    world.now_s += 1
    one.step()
    assert one.record() == {"state": "restarting", "restarts": 2, "reason": "no such program"}


@pytest.mark.real
def test_under_a_hold_it_stays_down_and_did_not_crash(supervise, world, until):
    one = supervise()
    until(one, State.READY)
    world.held = True
    one.step()
    assert one.state is State.READY
    one.child.kill()
    until(one, State.HELD)
    world.now_s += 1000
    one.step()
    assert one.state is State.HELD
    world.held = False
    until(one, State.READY)
    assert one.record()["restarts"] == 0


@pytest.mark.real
@pytest.mark.parametrize(("code", "reason"), [("", ""), ("exit(3)", "exited with code 3")])
def test_what_runs_once_is_done_however_it_ends(supervise, until, code, reason):
    one = supervise(code, once=True)
    until(one, State.DONE)
    one.step()
    assert one.record() == {"state": "done", "restarts": 0, "reason": reason}


@pytest.mark.real
def test_a_ready_check_that_breaks_is_shown_and_asked_again(supervise, world, until, wait_until):
    world.ready = ValueError("bug")
    one = supervise()
    wait_until(lambda: one.step() or "bug" in one.record()["reason"])
    world.ready = True
    until(one, State.READY)
    assert one.record()["reason"] == ""
