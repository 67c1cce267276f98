"""Connectors on real parts: Kafka, a Connect group of two workers, PostgreSQL, Debezium, our SMT."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from tests.connect.stack import CLUSTER, Rounds, Shop, Stack

from penstock.connectors.observations import State
from penstock.connectors.statuses import Condition
from penstock.connectors.wanted import OWNER
from penstock.errors import Conflict
from penstock.kafka.admin import Admin
from penstock.runtime import supervised
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real


def test_the_groups_topics_are_compacted_for_ever(stack: Stack) -> None:
    names = [f"penstock-connect-{kind}" for kind in ("config", "offset", "status")]
    configs = Admin(CLUSTER, stack.kafka.bootstrap).topic_configs(names)
    assert {name: one["cleanup.policy"] for name, one in configs.items()} == dict.fromkeys(
        names, "compact"
    )


def test_changes_of_a_declared_table_arrive(
    shop: Shop, rounds: Rounds, wait_until: WaitUntil
) -> None:
    shop.insert(1, 2)
    rounds.connectors = [shop.connector]
    wait_until(lambda: rounds.status(shop.name).condition is Condition.RUNNING)
    wait_until(lambda: shop.changes() == [("I", 1), ("I", 2)], message="the snapshot")

    shop.execute("UPDATE {table} SET what = 'changed' WHERE id = 1")
    shop.execute("DELETE FROM {table} WHERE id = 2")
    wait_until(lambda: shop.changes()[2:] == [("U", 1), ("D", 2)], message="the stream")

    wait_until(lambda: rounds.status(shop.name).lag.newest_ms, message="the newest event")
    status = rounds.status(shop.name)
    assert status.lag.error == ""
    assert status.lag.slot is not None
    assert status.lag.slot.active
    assert shop.topic in status.topics

    rounds.stack.kill(rounds.stack.server.name)
    wait_until(lambda: rounds.stack.state(rounds.stack.server.name) is supervised.State.STARTING)
    wait_until(lambda: rounds.stack.state(rounds.stack.server.name) is supervised.State.READY)
    shop.insert(3, 1)
    wait_until(
        lambda: rounds.taken() and shop.changes()[4:] == [("I", 3)],
        message="what came after the database's end",
    )


def test_a_killed_worker_loses_nothing_and_its_sibling_takes_over(
    stack: Stack, shop: Shop, rounds: Rounds, wait_until: WaitUntil
) -> None:
    rounds.connectors = [shop.connector]
    wait_until(lambda: rounds.status(shop.name).condition is Condition.RUNNING)
    (address,) = rounds.status(shop.name).workers
    first = next(w.name for w in stack.group.workers if w.address.endswith(address))
    writing = threading.Thread(target=shop.insert, args=(0, 300))
    writing.start()
    wait_until(lambda: len(shop.events()) > 20)
    with stack.held(first):
        stack.kill(first)
        writing.join()
        shop.insert(300, 100)
        wait_until(
            lambda: rounds.taken() and _distinct(shop) == set(range(400)), message="every row"
        )
        assert rounds.status(shop.name).workers != (address,)
    wait_until(lambda: stack.state(first) is supervised.State.READY)


def test_a_failed_task_is_told_and_mended_when_its_cause_is(
    shop: Shop, rounds: Rounds, wait_until: WaitUntil
) -> None:
    rounds.connectors = [shop.with_config(publication_autocreate_mode="disabled")]
    wait_until(lambda: rounds.status(shop.name).restarts >= 2)
    status = rounds.status(shop.name)
    assert status.condition in {Condition.FAILED, Condition.STARTING}
    wait_until(lambda: "publication" in rounds.status(shop.name).error.lower())
    assert rounds.status(shop.name).tries >= 2

    shop.execute("CREATE PUBLICATION {table} FOR TABLE {table}")
    wait_until(lambda: rounds.status(shop.name).condition is Condition.RUNNING)
    shop.insert(1, 1)
    wait_until(lambda: rounds.taken() and shop.changes() == [("I", 1)])


def test_a_configuration_that_is_refused_is_told(
    shop: Shop, rounds: Rounds, wait_until: WaitUntil
) -> None:
    rounds.connectors = [shop.with_config(database_hostname="127.0.0.2", database_port="1")]
    status = rounds.status(shop.name)
    assert status.condition is Condition.ABSENT
    assert "refuses it" in status.error
    assert (status.tries, status.next_try_s > 0) == (1, True)

    rounds.connectors = [shop.connector]
    wait_until(lambda: rounds.status(shop.name).condition is Condition.RUNNING)


def test_drift_is_repaired_a_stranger_is_left_alone_and_the_removed_is_stopped(
    stack: Stack, new_shop: Callable[[], Shop], rounds: Rounds, wait_until: WaitUntil
) -> None:
    ours, foreign = new_shop(), new_shop()
    rounds.connectors = [ours.connector]
    wait_until(lambda: rounds.status(ours.name).condition is Condition.RUNNING)
    with stack.connect() as group:
        config = group.connectors()[ours.name].config
        theirs = {
            **{key: value for key, value in config.items() if key != OWNER},
            **foreign.connector.config,
            "database.password": config["database.password"],
            "name": foreign.name,
        }
        group.create(foreign.name, theirs, state=State.STOPPED)
        with pytest.raises(Conflict):
            group.create(foreign.name, theirs, state=State.STOPPED)
        group.adjust(ours.name, {"poll.interval.ms": "77", "tasks.max": "2"})
        rounds.connectors = [ours.connector, foreign.connector]
        wait_until(lambda: rounds.taken() and group.connectors()[ours.name].config == config)
        wait_until(lambda: rounds.status(ours.name).condition is Condition.RUNNING)
        assert rounds.status(foreign.name).condition is Condition.FOREIGN
        assert group.connectors()[foreign.name].config == theirs
        group.delete(foreign.name)

    rounds.connectors = ()
    assert rounds.status(ours.name).condition is Condition.RETIRED
    ours.insert(1, 1)
    rounds.connectors = [ours.connector]
    # Until it has stopped, Connect still says that it runs: so the rounds go on.
    wait_until(
        lambda: rounds.taken() and ours.changes() == [("I", 1)],
        message="what came while it was stopped",
    )


def _distinct(shop: Shop) -> set[int]:
    return {key for _, key in shop.changes()}
