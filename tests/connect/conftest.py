"""One Connect group and one PostgreSQL for all tests of connectors; a table and a topic a test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from tests.connect.stack import Rounds, Shop, Stack, running

from penstock.runtime import embedded


@pytest.fixture(scope="session")
def stack(kafka: embedded.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("connect"), kafka) as parts:
        yield parts


@pytest.fixture
def new_shop(stack: Stack) -> Iterator[Callable[[], Shop]]:
    made: list[Shop] = []

    def make() -> Shop:
        made.append(Shop(stack, f"shop-{uuid.uuid4().hex[:8]}"))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def shop(new_shop: Callable[[], Shop]) -> Shop:
    return new_shop()


@pytest.fixture
def rounds(stack: Stack) -> Iterator[Rounds]:
    """Give the rounds of a managing process; they retire what an earlier test has left."""
    made = Rounds(stack)
    yield made
    made.managing.close()
