"""Three brokers restarted one after the other, under load."""

from __future__ import annotations

import threading

import pytest

from penstock.errors import NotReady, Refused
from penstock.kafka import clients, probes
from penstock.kafka.admin import Admin
from penstock.runtime import rolling

pytestmark = pytest.mark.real


def test_one_broker_is_not_restarted_by_rolling(kafka):
    with pytest.raises(Refused, match="one broker"):
        rolling.rolling_restart(kafka)


def test_a_rolling_restart_under_load_loses_and_doubles_nothing(
    fresh_federation, topic_name, wait_until
):
    cluster = fresh_federation(["trio"], brokers=3).clusters["trio"]
    Admin("trio", cluster.bootstrap).create_topic(
        topic_name, partitions=6, replication=3, config={}
    )
    pids = [broker.pid for broker in cluster.brokers]
    with _Load(cluster.bootstrap, topic_name) as load:
        rolling.rolling_restart(cluster)
    assert not load.failed
    acked = load.acked
    assert not set(pids) & {broker.pid for broker in cluster.brokers}
    assert len(acked) > 100
    ends = []
    # A new leader tells no end before its followers have caught up.
    wait_until(lambda: ends or ends.extend(_ends(cluster.bootstrap, topic_name)))
    assert sorted(_read(cluster.bootstrap, topic_name, until=ends[0])) == sorted(acked)
    partitions = probes.look(cluster.bootstrap).partitions
    assert all(p.leader == p.replicas[0] for p in partitions)


class _Load:
    """An idempotent producer that never stops by itself."""

    def __init__(self, bootstrap, topic):
        settings = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5}
        self._producer = clients.Producer(settings, logger=clients._librdkafka_log)
        self._topic = topic
        self._stop = threading.Event()
        self.acked, self.failed = [], []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *failed):
        self._stop.set()
        self._thread.join()
        assert any(failed) or self._producer.flush(120) == 0

    def _run(self):
        number = 0
        while not self._stop.is_set():
            self._producer.produce(
                self._topic, b"%d" % number, on_delivery=lambda e, m: self._report(e, m.value())
            )
            number += 1
            self._producer.poll(0.002)

    def _report(self, error, value):
        (self.failed if error else self.acked).append(error or value)


def _partitions(bootstrap, topic):
    return [p for p in probes.look(bootstrap).partitions if p.topic == topic]


def _ends(bootstrap, topic):
    try:
        return probes.end_offsets(bootstrap, _partitions(bootstrap, topic)).values()
    except NotReady:
        return []


def _read(bootstrap, topic, *, until):
    partitions = _partitions(bootstrap, topic)
    consumer = clients.Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    consumer.assign([clients.TopicPartition(topic, p.number, 0) for p in partitions])
    values = []
    try:
        while len(values) < until:
            read = consumer.consume(until - len(values), timeout=30)
            assert read, f"{len(values)} of {until} came"
            values += [message.value() for message in read if message.error() is None]
    finally:
        consumer.close()
    return values
