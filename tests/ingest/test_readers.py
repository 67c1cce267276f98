"""A cluster's records as a table reads them."""

from __future__ import annotations

from contextlib import closing

import pytest
from tests.ingest.sources import Source
from tests.ingest.worker_process import make_snapshot

from penstock.ingest import plan
from penstock.ingest.readers import ClusterReader, Reading
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real


def test_a_full_buffer_is_filled_again_at_once(source: Source, wait_until: WaitUntil) -> None:
    """Librdkafka's own second between two fills would make more than 20 seconds of these."""
    source.send([bytes(20_000)] * 4_000, cluster="primary")
    cluster = make_snapshot(source.bootstraps, source.topic).clusters["primary"]
    own = [plan.Source(cluster="primary", topic=source.topic, partitions=3)]
    reading = Reading(name="test", queue_kib=64)
    count = 0
    with closing(ClusterReader(cluster, own, begin={}, reading=reading)) as reader:

        def all_read() -> bool:
            nonlocal count
            count += sum(chunk.raw.num_rows for chunk in reader.poll(timeout_s=0.1).chunks)
            return count == 4_000

        wait_until(all_read, timeout_s=15, message="every record")
