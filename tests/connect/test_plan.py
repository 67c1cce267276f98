"""The plan of a Connect group: it converges, and it leaves alone what is not ours."""

from __future__ import annotations

from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.connect.simulated import carried_out, in_state, running

from penstock.connectors.observations import Observed, State, Task
from penstock.connectors.plan import (
    Configure,
    Create,
    Plan,
    RestartFailed,
    Resume,
    Retire,
    fingerprint,
    make_plan,
)
from penstock.connectors.tries import Pauses, Tries
from penstock.connectors.wanted import OWNER, SWITCH, Wanted, make_wanted
from penstock.model.connectors import Connector, ConnectorState, Kind

pytestmark = pytest.mark.unit

ENVIRONMENT = "development"
names = st.sampled_from(["a", "b", "c"])
configs = st.dictionaries(st.sampled_from(["x", "y", "slot.name"]), st.sampled_from("12"))


def declared(
    name: str = "a", state: ConnectorState = ConnectorState.RUNNING, **config: str
) -> Wanted:
    connector = Connector(
        name=name,
        environment=ENVIRONMENT,
        owner="team",
        cluster="cdc",
        kind=Kind.CUSTOM,
        connector_class="Source",
        state=state,
        config=config,
    )
    return make_wanted(connector, secrets=PurePath("/secrets"))


def plan(wanted: list[Wanted], observed: list[Observed], **how: object) -> Plan:
    return make_plan(
        wanted,
        {one.name: one for one in observed},
        environment=ENVIRONMENT,
        tries=how.get("tries", Tries()),
        now_s=how.get("now_s", 0.0),
    )


wanteds = st.lists(
    st.builds(
        lambda name, state, config: declared(name, state, **config),
        names,
        st.sampled_from(ConnectorState),
        configs,
    ),
    unique_by=lambda one: one.name,
)
observeds = st.lists(
    st.builds(
        lambda name, config, owner, switch, state: in_state(
            running(name, {**declared(name, **config).config, **owner, **switch}), state
        ),
        names,
        configs,
        st.sampled_from([{}, {OWNER: "other/a"}, {OWNER: ""}]),
        st.sampled_from([{}, {SWITCH: "paused"}, {SWITCH: "running"}]),
        st.sampled_from([State.RUNNING, State.PAUSED, State.STOPPED, State.FAILED]),
    ),
    unique_by=lambda one: one.name,
)


@given(wanteds, observeds)
def test_a_plan_carried_out_leaves_nothing_to_do(
    wanted: list[Wanted], observed: list[Observed]
) -> None:
    group = {one.name: one for one in observed}
    for _ in range(2):  # a configuration first, what it did not mend after it
        made = make_plan(wanted, group, environment=ENVIRONMENT, tries=Tries(), now_s=0.0)
        group = carried_out(made, group)
    again = make_plan(wanted, group, environment=ENVIRONMENT, tries=Tries(), now_s=0.0)
    assert again.actions == ()


@given(wanteds, observeds)
def test_what_is_not_ours_is_never_touched(wanted: list[Wanted], observed: list[Observed]) -> None:
    made = plan(wanted, observed)
    foreign = {o.name for o in observed if o.config[OWNER] != f"{ENVIRONMENT}/{o.name}"}
    assert not foreign & {action.name for action in made.actions}
    assert foreign & {one.name for one in wanted} <= {one.name for one in made.findings}


@given(wanteds, observeds)
def test_an_operators_switch_outlives_every_plan(
    wanted: list[Wanted], observed: list[Observed]
) -> None:
    group = carried_out(plan(wanted, observed), {one.name: one for one in observed})
    for one in observed:
        assert group[one.name].config.get(SWITCH) == one.config.get(SWITCH)


def test_what_is_missing_is_made_in_its_state() -> None:
    (action,) = plan([declared(state=ConnectorState.PAUSED)], []).actions
    assert isinstance(action, Create)
    assert action.state is State.PAUSED
    assert action.config[OWNER] == "development/a"


def test_drift_is_told_by_its_keys_alone() -> None:
    seen = running("a", {**declared(password="old", same="1").config, "added": "1"})
    (action,) = plan([declared(password="new", same="1")], [seen]).actions
    assert isinstance(action, Configure)
    assert action.keys == ("added", "password")


def test_what_is_declared_no_more_is_stopped_and_never_deleted() -> None:
    seen = running("a", declared().config)
    assert plan([], [seen]).actions == (Retire(name="a"),)
    assert plan([], [in_state(seen, State.STOPPED)]).actions == ()


def test_a_stored_position_is_not_taken_for_another_slots() -> None:
    seen = in_state(running("a", declared(**{"slot.name": "one"}).config), State.STOPPED)
    made = plan([declared(**{"slot.name": "two"})], [seen])
    assert made.actions == ()
    (finding,) = made.findings
    assert "slot.name 'one'" in finding.what


def test_what_was_retired_goes_on_when_it_is_declared_again() -> None:
    seen = in_state(running("a", declared().config), State.STOPPED)
    assert plan([declared()], [seen]).actions == (Resume(name="a"),)


def test_failed_tasks_are_restarted_with_growing_pauses() -> None:
    pauses = Pauses(first_s=1.0, longest_s=8.0, steady_s=60.0)
    tries = Tries(pauses=pauses)
    seen = in_state(running("a", declared().config), State.FAILED)
    at: list[int] = []
    for now in range(60):
        made = plan([declared()], [seen], tries=tries, now_s=float(now))
        if made.actions:
            assert made.actions == (RestartFailed(name="a", tasks=(0,), reason=""),)
            at.append(now)
            tries = tries.with_try("a", fingerprint(declared()), now_s=float(now))
        else:
            assert made.waiting == {"a"}
    assert at == [0, 1, 3, 7, 15, 23, 31, 39, 47, 55]


def test_a_new_declaration_is_tried_at_once() -> None:
    tries = Tries().with_try("a", fingerprint(declared()), now_s=0.0)
    seen = in_state(running("a", declared(x="1").config), State.FAILED)
    assert plan([declared(x="1")], [seen], tries=tries).actions


def test_a_row_of_tries_ends_with_a_steady_time() -> None:
    tries = Tries(pauses=Pauses(steady_s=10.0)).with_try("a", "f", now_s=0.0)
    healthy = frozenset({"a"})
    assert tries.without_steady(healthy, now_s=9.0).latest
    assert not tries.without_steady(healthy, now_s=10.0).latest
    assert tries.without_steady(frozenset(), now_s=10.0).latest


def test_the_reason_is_the_deepest_cause() -> None:
    trace = "Wrapped: x\n\tat y\nCaused by: Middle: b\n\tat z\nCaused by: Root: no slot\n\tat w\n"
    seen = Observed(
        name="a",
        config={},
        state=State.RUNNING,
        tasks=(Task(number=0, state=State.FAILED, trace=trace),),
    )
    assert seen.reason == "Root: no slot"


def test_relative_references_are_placed_below_the_secrets() -> None:
    wanted = declared(a="${file:shop.properties:password}", b="${file:/x/y:k}", c="${env:A}")
    assert wanted.config["a"] == "${file:/secrets/shop.properties:password}"
    assert wanted.config["b"] == "${file:/x/y:k}"
    assert wanted.config["c"] == "${env:A}"
