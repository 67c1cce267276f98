"""Topics on real clusters, and the static metadata that describes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka.admin import NewTopic
from tests.sdk.estates import create, make_snapshot, make_topic

from penstock.sdk.metadata import StaticMetadata

Declare = Callable[..., StaticMetadata]


@pytest.fixture
def declare(federation) -> Declare:
    """Create a topic on both shared clusters and return metadata that describes it."""

    def make(name: str, *, partitions: int = 3, **more: Any) -> StaticMetadata:
        for address in federation.bootstraps.values():
            create(address, NewTopic(name, partitions, 1))
        topic = make_topic(name, list(federation.bootstraps), partitions=partitions, **more)
        return StaticMetadata(make_snapshot(federation.bootstraps, [topic]))

    return make
