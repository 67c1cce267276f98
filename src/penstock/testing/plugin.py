"""The pytest plug-in: real Kafka clusters as fixtures.

    kafka              one cluster for the whole test session
    federation         two clusters for the whole test session; `kafka` is the first of them
    fresh_federation   makes clusters of this test's own, to kill and to freeze
    topic_name         a topic name nobody else uses
    wait_until         waits for a condition instead of sleeping

Shared clusters are never empty and never killed: use `topic_name`, and leave them as you found
them. The first start on a machine fetches Kafka (45 MB); later ones need no network.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    # Imported by the fixtures themselves: a test run without Kafka pays nothing for the plug-in.
    from penstock.runtime import embedded

__all__ = [
    "Federation",
    "FreshFederation",
    "WaitUntil",
    "federation",
    "fresh_federation",
    "kafka",
    "topic_name",
    "wait_until",
]

_POLL_S = 0.02
_LONGEST_POLL_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """Several clusters in one home.

    Attributes:
        home: where their state is; its ``clusters.json`` names them for a control plane.
        clusters: by name.
    """

    home: Path
    clusters: Mapping[str, embedded.Cluster]

    @property
    def bootstraps(self) -> dict[str, str]:
        """Return ``host:port,…`` by cluster name."""
        return {name: cluster.bootstrap for name, cluster in self.clusters.items()}


class FreshFederation(Protocol):
    """What `fresh_federation` gives."""

    def __call__(
        self, names: Sequence[str] = ("primary", "standby"), *, brokers: int = 1
    ) -> Federation:
        """Start clusters for this test alone; they end with it."""


class WaitUntil(Protocol):
    """What `wait_until` gives."""

    def __call__(
        self, condition: Callable[[], object], *, timeout_s: float = 60.0, message: str = ""
    ) -> None:
        """Return as soon as the condition is true; fail with the message at the deadline."""


@pytest.fixture(scope="session")
def _kafka_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the directory in which the session's clusters are."""
    return tmp_path_factory.mktemp("kafka")


@pytest.fixture(scope="session")
def kafka(_kafka_home: Path) -> Iterator[embedded.Cluster]:
    """Give one running cluster, ``primary``, shared by the whole session."""
    running = _start(_kafka_home, ["primary"], brokers=1)
    yield running.clusters["primary"]
    _stop(running)


@pytest.fixture(scope="session")
def federation(_kafka_home: Path, kafka: embedded.Cluster) -> Iterator[Federation]:
    """Give two running clusters, ``primary`` and ``standby``, shared by the whole session."""
    further = _start(_kafka_home, ["standby"], brokers=1)
    yield Federation(home=_kafka_home, clusters={"primary": kafka, **further.clusters})
    _stop(further)


@pytest.fixture
def fresh_federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreshFederation]:
    """Give a function that starts clusters for this test alone."""
    started: list[Federation] = []

    def start(names: Sequence[str] = ("primary", "standby"), *, brokers: int = 1) -> Federation:
        started.append(_start(tmp_path_factory.mktemp("fresh"), names, brokers=brokers))
        return started[-1]

    yield start
    for running in started:
        _stop(running)


@pytest.fixture
def topic_name(request: pytest.FixtureRequest) -> str:
    """Give a topic name that no other test and no other run uses."""
    test = "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:60].strip("-")
    return f"{test}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def wait_until() -> WaitUntil:
    """Give a function that waits for a condition with a deadline."""

    def wait(
        condition: Callable[[], object], *, timeout_s: float = 60.0, message: str = ""
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            asked_at = time.monotonic()
            if condition():
                return
            now = time.monotonic()
            if now > deadline:
                pytest.fail(f"not within {timeout_s} s: {message or condition}")
            # A dear look, asked again at once, takes the CPU from what it waits for.
            time.sleep(min(_LONGEST_POLL_S, max(_POLL_S, 2 * (now - asked_at))))

    return wait


def _start(home: Path, names: Sequence[str], *, brokers: int) -> Federation:
    from penstock.runtime import embedded  # noqa: PLC0415 - see TYPE_CHECKING above

    clusters: dict[str, embedded.Cluster] = {}
    try:
        for name in names:
            clusters[name] = embedded.start(home, name, brokers=brokers)
    except BaseException:
        for cluster in clusters.values():
            cluster.kill()
        raise
    return Federation(home=home, clusters=clusters)


def _stop(running: Federation) -> None:
    for cluster in running.clusters.values():
        cluster.kill()
