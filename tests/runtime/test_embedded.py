"""One real cluster: started, killed, frozen, started again."""

from __future__ import annotations

import pytest

from penstock.errors import NotReady, Refused
from penstock.kafka import probes
from penstock.runtime import embedded

pytestmark = pytest.mark.real


def test_a_cluster_answers_with_the_id_it_was_given(kafka):
    assert probes.look(kafka.bootstrap).cluster_id == kafka.cluster_id


def test_clusters_of_a_federation_are_two(federation):
    ids = {probes.look(c.bootstrap).cluster_id for c in federation.clusters.values()}
    assert ids == {c.cluster_id for c in federation.clusters.values()}
    assert len(ids) == 2


def test_a_killed_cluster_comes_back_as_itself_on_the_same_address(fresh_federation):
    cluster = fresh_federation(["primary"]).clusters["primary"]
    cluster.kill()
    with pytest.raises(NotReady, match="No broker listens"):
        probes.look(cluster.bootstrap)
    cluster.start_again()
    assert probes.look(cluster.bootstrap).cluster_id == cluster.cluster_id


def test_a_frozen_cluster_accepts_connections_and_does_not_answer(fresh_federation):
    cluster = fresh_federation(["primary"]).clusters["primary"]
    cluster.pause()
    with pytest.raises(NotReady, match="did not answer"):
        probes.look(cluster.bootstrap, timeout_s=0.5)
    cluster.resume()
    cluster.wait_ready()


def test_three_brokers_are_one_cluster(fresh_federation):
    cluster = fresh_federation(["trio"], brokers=3).clusters["trio"]
    assert probes.look(cluster.bootstrap).brokers == (1, 2, 3)
    cluster.brokers[1].stop()
    assert not cluster.brokers[1].running
    with pytest.raises(NotReady, match="not running"):
        _ = cluster.brokers[1].pid
    cluster.start_again()
    assert probes.look(cluster.bootstrap).brokers == (1, 2, 3)


def test_a_cluster_never_changes_its_count_of_brokers(tmp_path):
    (tmp_path / "clusters" / "primary" / "broker-1").mkdir(parents=True)
    with pytest.raises(Refused, match="--brokers 1"):
        embedded.start(tmp_path, "primary", brokers=3)
