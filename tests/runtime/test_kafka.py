"""What is made of Kafka once a machine: the first metadata, the AOT cache."""

from __future__ import annotations

import pytest

from penstock.kafka import probes
from penstock.runtime import aot, artifacts, embedded, kafka

pytestmark = pytest.mark.real


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """Give a cache of the test's own, with Kafka's jars and nothing made of them."""
    kafka.install()
    jars = artifacts.cache_directory() / "artifacts"
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "artifacts").symlink_to(jars)
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("fetched")
def test_the_aot_cache_is_made_once_and_used_from_then_on(tmp_path):
    distribution = kafka.install()
    assert distribution.options == ()
    aot.make(distribution)
    assert f"-XX:AOTCache={distribution.aot_cache}" in distribution.options
    made = distribution.aot_cache.stat()
    aot.make(distribution)
    assert distribution.aot_cache.stat() == made
    left = {path.name for path in distribution.aot_cache.parent.iterdir()}
    assert not {name for name in left if ".part" in name or name.endswith(".json")}
    cluster = embedded.start(tmp_path / "home", "primary")
    assert probes.look(cluster.bootstrap).cluster_id == cluster.cluster_id
    cluster.stop()


@pytest.mark.usefixtures("fetched")
def test_a_broken_aot_cache_does_not_keep_a_broker_from_starting(tmp_path):
    kafka.install().aot_cache.write_bytes(b"no AOT cache at all" * 1000)
    cluster = embedded.start(tmp_path / "home", "primary")
    assert probes.look(cluster.bootstrap).cluster_id == cluster.cluster_id
    cluster.stop()
