"""Whether a topic holds records, and who may write one, on a real cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from penstock.control.deleting import Doomed, delete_topic_when_empty
from penstock.errors import NotReady, Refused
from penstock.kafka import contents, write_locks
from penstock.kafka.admin import Admin

pytestmark = pytest.mark.real


class NotWritten(Exception):
    """The cluster did not take a record."""


@pytest.fixture
def admin(kafka) -> Admin:
    return Admin("primary", kafka.bootstrap)


@pytest.fixture
def topic(admin: Admin, topic_name: str) -> Iterator[str]:
    admin.create_topic(topic_name, partitions=2, replication=1, config={})
    yield topic_name
    write_locks.unlock(admin, topic_name, config={})
    admin.delete_topic(topic_name)


def produce(admin: Admin, topic: str, *, key: str = "k", value: str | None = "v") -> None:
    failures = []
    producer = Producer({"bootstrap.servers": admin.bootstrap, "log_level": 0})
    producer.produce(topic, key=key, value=value, on_delivery=lambda e, _: failures.append(e))
    producer.flush(30)
    if failures[0] is not None:
        raise NotWritten(failures[0].str())


def end_minus_begin(admin: Admin, topic: str) -> int:
    return sum(end - begin for begin, end in contents.spans(admin, topic).values())


def test_a_new_topic_is_empty_and_one_record_is_not(admin: Admin, topic: str) -> None:
    assert not contents.has_records(admin, topic)
    produce(admin, topic)
    assert contents.has_records(admin, topic)


def test_deleting_records_empties_a_topic(admin: Admin, topic: str) -> None:
    for number in range(5):
        produce(admin, topic, key=str(number))
    assert contents.delete_records(admin, topic) == 5
    assert not contents.has_records(admin, topic)


def test_a_transaction_marker_is_no_record(admin: Admin, topic: str, wait_until) -> None:
    producer = Producer(
        {"bootstrap.servers": admin.bootstrap, "transactional.id": topic, "log_level": 0}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, key="k", value="v", partition=0)
    producer.commit_transaction(30)
    assert contents.has_records(admin, topic)
    wait_until(lambda: contents.spans(admin, topic)[0] == (0, 2), message="the marker")
    for future in admin.client.delete_records([TopicPartition(topic, 0, 1)]).values():
        future.result(30)
    assert contents.spans(admin, topic)[0] == (1, 2)
    assert not contents.has_records(admin, topic)


def test_the_record_of_an_open_transaction_counts(admin: Admin, topic: str) -> None:
    producer = Producer(
        {"bootstrap.servers": admin.bootstrap, "transactional.id": topic, "log_level": 0}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, key="k", value="v")
    producer.flush(30)
    assert contents.has_records(admin, topic)
    producer.abort_transaction(30)


def test_a_topic_compacted_to_nothing_is_empty(admin: Admin, topic_name: str, wait_until) -> None:
    # Compaction removes what an aborted transaction wrote, and leaves the offsets behind.
    clean_often(admin)
    config = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0"}
    admin.create_topic(topic_name, partitions=1, replication=1, config=config)
    producer = Producer(
        {"bootstrap.servers": admin.bootstrap, "transactional.id": topic_name, "log_level": 0}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic_name, key="k", value="v")
    producer.flush(30)
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() > begun + 0.3, message="the segment's time to be over")
    producer.abort_transaction(30)
    assert contents.has_records(admin, topic_name)
    wait_until(lambda: not contents.has_records(admin, topic_name), timeout_s=120)
    assert end_minus_begin(admin, topic_name) == 2
    admin.delete_topic(topic_name)


def test_what_cannot_be_found_out_is_never_guessed(admin: Admin, topic: str) -> None:
    produce(admin, topic)
    with pytest.raises(NotReady, match="nobody knows"):
        contents.has_records(admin, topic, timeout_s=-1)
    with pytest.raises(NotReady, match="no topic"):
        contents.has_records(admin, "not-there")


def test_a_locked_topic_refuses_records_and_takes_them_again(
    admin: Admin, topic: str, wait_until
) -> None:
    produce(admin, topic)
    write_locks.lock(admin, topic)
    write_locks.lock(admin, topic)
    with pytest.raises(NotWritten, match="authorization failed"):
        produce(admin, topic)
    # Reading goes on, although the first ACL of a topic shuts everybody else out.
    assert contents.has_records(admin, topic)
    write_locks.unlock(admin, topic, config={})
    write_locks.unlock(admin, topic, config={})
    wait_until(lambda: can_write(admin, topic))


def test_unlocking_leaves_the_acls_of_others(admin: Admin, topic: str, wait_until) -> None:
    theirs = AclBinding(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        "User:ANONYMOUS",
        "*",
        AclOperation.ALL,
        AclPermissionType.ALLOW,
    )
    for future in admin.client.create_acls([theirs]).values():
        future.result(30)
    wait_until(lambda: write_locks._acls_that_match(admin, topic) == [theirs])
    write_locks.lock(admin, topic)
    assert write_locks._allowance(topic) not in write_locks._acls_that_match(admin, topic)
    write_locks.unlock(admin, topic, config={})
    wait_until(lambda: write_locks._acls_that_match(admin, topic) == [theirs])


def test_a_topic_with_a_record_elsewhere_is_not_deleted_and_takes_records_again(
    federation, topic_name: str, wait_until
) -> None:
    admins = [Admin(name, address) for name, address in federation.bootstraps.items()]
    for admin in admins:
        admin.create_topic(topic_name, partitions=1, replication=1, config={})
    produce(admins[1], topic_name)
    siblings = [Doomed(admin=admin, topic=topic_name, config={}) for admin in admins]
    with pytest.raises(Refused, match="standby has records"):
        delete_topic_when_empty(siblings[0], siblings=siblings)
    for admin in admins:
        assert admin.has_topic(topic_name)
        wait_until(lambda admin=admin: can_write(admin, topic_name))
        contents.delete_records(admin, topic_name)
    for doomed in siblings:
        delete_topic_when_empty(doomed, siblings=siblings)
        delete_topic_when_empty(doomed, siblings=siblings)
        admin = doomed.admin
        wait_until(lambda admin=admin: not admin.has_topic(topic_name))
        wait_until(lambda admin=admin: not write_locks._acls_that_match(admin, topic_name))


@pytest.mark.parametrize("config", [{}, {"max.message.bytes": "5000"}], ids=["default", "own"])
def test_a_cluster_without_an_authorizer_refuses_records_by_their_size(
    fresh_federation, topic_name: str, wait_until, config: dict[str, str]
) -> None:
    federation = fresh_federation(["primary"])
    cluster = federation.clusters["primary"]
    cluster.kill()
    (properties,) = federation.home.glob("clusters/primary/broker-*/server.properties")
    lines = properties.read_text().splitlines()
    properties.write_text("\n".join(line for line in lines if "authorizer" not in line))
    cluster.start_again()
    admin = Admin("primary", cluster.bootstrap)
    admin.create_topic(topic_name, partitions=1, replication=1, config=config)
    doomed = Doomed(admin=admin, topic=topic_name, config=config)
    produce(admin, topic_name)
    write_locks.lock(admin, topic_name)
    with pytest.raises(NotWritten, match="too large"):
        produce(admin, topic_name)
    with pytest.raises(Refused, match="has records"):
        delete_topic_when_empty(doomed, siblings=[doomed])
    wait_until(lambda: can_write(admin, topic_name))
    assert admin.topic_configs([topic_name]) == {topic_name: config}
    contents.delete_records(admin, topic_name)
    delete_topic_when_empty(doomed, siblings=[doomed])
    wait_until(lambda: not admin.has_topic(topic_name))


def test_effects_may_be_repeated(admin: Admin, topic: str) -> None:
    admin.create_topic(topic, partitions=2, replication=1, config={})
    for _ in range(2):
        admin.increase_partitions(topic, to=3)
        admin.alter_config(topic, values={"retention.ms": "1000"}, unset=["cleanup.policy"])
    assert admin.partition_count(topic) == 3
    assert admin.topic_configs([topic, "not-there"]) == {
        topic: {"retention.ms": "1000"},
        "not-there": {},
    }


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ({"replication": 3, "config": {}}, "replication factor"),
        ({"replication": 1, "config": {"bogus": "1"}}, "bogus"),
        ({"replication": 1, "config": {"retention.ms": "soon"}}, "retention.ms"),
    ],
)
def test_what_a_cluster_does_not_take_is_refused_with_its_reason(
    admin: Admin, topic_name: str, shape: dict, says: str
) -> None:
    with pytest.raises(Refused, match=rf"cluster primary at .*{says}"):
        admin.create_topic(topic_name, partitions=1, **shape)
    assert not admin.has_topic(topic_name)


def test_a_cluster_that_is_not_there_is_named() -> None:
    gone = Admin("nowhere", "127.0.0.1:1", timeout_s=1)
    with pytest.raises(NotReady, match=r"nowhere.*127\.0\.0\.1:1"):
        gone.look()
    with pytest.raises(NotReady, match=r"nowhere at 127\.0\.0\.1:1"):
        gone.create_topic("t", partitions=1, replication=1, config={})


def can_write(admin: Admin, topic: str) -> bool:
    try:
        produce(admin, topic)
    except (NotWritten, KafkaException):
        return False
    return True


def clean_often(admin: Admin) -> None:
    entry = ConfigEntry(
        "log.cleaner.backoff.ms", "100", incremental_operation=AlterConfigOpType.SET
    )
    (broker,) = admin.look().brokers
    resource = ConfigResource(ResourceType.BROKER, str(broker), incremental_configs=[entry])
    for future in admin.client.incremental_alter_configs([resource]).values():
        future.result(30)
