"""When a cluster counts as broken, and when it is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.sdk.breaker import Breaker, BreakerSettings, BreakerState

pytestmark = pytest.mark.unit

SETTINGS = BreakerSettings()


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(SETTINGS, clock=clock, dice=lambda: 0.0)


def warm(breaker: Breaker) -> None:
    breaker.observe(SETTINGS.warm_up_records, oldest_s=0)


def test_it_opens_at_once_when_all_brokers_are_down(breaker):
    assert breaker.trip("all brokers are down")
    assert not breaker.works
    assert breaker.reason == "all brokers are down"


def test_it_tells_of_the_opening_once(breaker):
    assert breaker.trip("first")
    assert not breaker.trip("second")
    assert breaker.reason == "first"


def test_failures_in_a_row_open_it(breaker):
    opened = [breaker.failed("no") for _ in range(SETTINGS.max_failures)]
    assert opened == [False] * (SETTINGS.max_failures - 1) + [True]


def test_an_ack_ends_the_row(breaker):
    for _ in range(10):
        assert not breaker.failed("no")
        breaker.acked()


def test_an_old_record_opens_it_when_warm(breaker):
    warm(breaker)
    assert not breaker.observe(SETTINGS.warm_up_records, oldest_s=SETTINGS.max_age_s)
    assert breaker.observe(SETTINGS.warm_up_records, oldest_s=SETTINGS.max_age_s + 0.1)


def test_a_cold_connection_may_take_its_time(breaker):
    assert not breaker.observe(0, oldest_s=SETTINGS.warm_up_age_s)
    assert breaker.observe(0, oldest_s=SETTINGS.warm_up_age_s + 0.1)


def test_it_is_cold_again_after_it_was_closed_by_a_probe(breaker, clock):
    warm(breaker)
    breaker.trip("down")
    clock.now += SETTINGS.pause_s
    assert breaker.take_probe()
    breaker.probed(None)
    assert breaker.works
    assert not breaker.observe(SETTINGS.warm_up_records, oldest_s=SETTINGS.max_age_s + 0.1)


def test_a_probe_is_taken_once_and_only_after_the_pause(breaker, clock):
    breaker.trip("down")
    assert not breaker.take_probe()
    clock.now += SETTINGS.pause_s
    assert breaker.take_probe()
    assert not breaker.take_probe()


def test_each_failed_probe_doubles_the_pause_up_to_the_longest(breaker, clock):
    breaker.trip("down")
    pauses = []
    for _ in range(8):
        started = clock.now
        while not breaker.take_probe():
            clock.now += 0.125
        pauses.append(clock.now - started)
        breaker.probed("still down")
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses[-1] == SETTINGS.max_pause_s


@given(st.floats(0, 0.999))
def test_the_pause_is_jittered_by_at_most_a_quarter(roll):
    clock = Clock()
    breaker = Breaker(SETTINGS, clock=clock, dice=lambda: roll)
    breaker.trip("down")
    clock.now += SETTINGS.pause_s * 0.999
    assert not breaker.take_probe()
    clock.now += SETTINGS.pause_s * 0.26
    assert breaker.take_probe()


def test_after_a_stable_time_the_pause_is_short_again(breaker, clock):
    for _ in range(4):
        breaker.trip("down")
        clock.now += SETTINGS.max_pause_s
        assert breaker.take_probe()
        breaker.probed(None)
    clock.now += SETTINGS.stable_s
    breaker.trip("down")
    clock.now += SETTINGS.pause_s
    assert breaker.take_probe()


class AnyLife(RuleBasedStateMachine):
    """Whatever happens in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(SETTINGS, clock=self.clock)
        self.probing = False

    @rule(seconds=st.floats(0, 60))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @rule(settled=st.integers(0, 100), age=st.floats(0, 10))
    def is_observed(self, settled, age):
        before = self.breaker.works
        assert self.breaker.observe(settled, oldest_s=age) == (before and not self.breaker.works)

    @rule()
    def fails(self):
        before = self.breaker.works
        assert self.breaker.failed("no") == (before and not self.breaker.works)

    @rule()
    def is_acked(self):
        before = self.breaker.state
        self.breaker.acked()
        assert self.breaker.state is before

    @rule()
    def takes_probe(self):
        taken = self.breaker.take_probe()
        assert not (taken and self.probing)
        self.probing = self.probing or taken

    @precondition(lambda self: self.probing)
    @rule(failure=st.sampled_from([None, "still down"]))
    def ends_probe(self, failure):
        self.breaker.probed(failure)
        self.probing = False
        assert self.breaker.works == (failure is None)

    @invariant()
    def only_a_probe_is_half_open(self):
        assert self.probing == (self.breaker.state is BreakerState.HALF_OPEN)


TestAnyLife = AnyLife.TestCase
TestAnyLife.pytestmark = [pytest.mark.unit]
