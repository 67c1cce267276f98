"""What both clients promise: one suite, run over the sync and the asyncio client.

The asyncio client is driven by `Blocking`, so that each test is written once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from tests.sdk.estates import create, make_snapshot, make_topic, with_state

import penstock
from penstock.model.clusters import ClusterState
from penstock.model.topics import Routing

pytestmark = [
    pytest.mark.real,
    pytest.mark.contract,
    # Every test has clients of its own, which in a service would be a mistake.
    pytest.mark.filterwarnings("ignore::penstock.sdk.guards.ClientsInALoop"),
]

Connect = Callable[..., Any]


class Blocking:
    """Drives an asyncio object from a test that is written for the sync one."""

    def __init__(self, target: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.target = target
        self.loop = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.target, name)
        return self._wrap(found) if callable(found) else found

    def __iter__(self) -> Iterator[Any]:
        return self._each(aiter(self.target))

    def batches(self, *args: Any, **more: Any) -> Iterator[Any]:
        return self._each(self.target.batches(*args, **more))

    def _each(self, source: Any) -> Iterator[Any]:
        while True:
            try:
                yield self.loop.run_until_complete(anext(source))
            except StopAsyncIteration:
                return

    def _wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **more: Any) -> Any:
            result = call(*args, **more)
            if asyncio.iscoroutine(result):
                result = self.loop.run_until_complete(result)
            asynchronous = (penstock.AsyncClient, penstock.AsyncProducer, penstock.AsyncConsumer)
            return Blocking(result, self.loop) if isinstance(result, asynchronous) else result

        return run


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Give a `connect` of either kind; everything it opened is closed after the test."""
    opened: list[Any] = []
    loop = asyncio.new_event_loop()

    def make(metadata: penstock.StaticMetadata) -> Any:
        if request.param == "sync":
            client: Any = penstock.connect("contract", metadata=metadata)
        else:
            coroutine = penstock.connect_async("contract", metadata=metadata)
            client = Blocking(loop.run_until_complete(coroutine), loop)
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()
    loop.close()


def read(consumer: Any, count: int) -> list[penstock.Record]:
    """Read and ack so many records."""
    records = []
    for record in consumer:
        records.append(record)
        consumer.ack(record)
        if len(records) == count:
            return records
    raise AssertionError(f"ended after {len(records)} records")


def read_until_quiet(consumer: Any) -> list[penstock.Record]:
    """Read all there is."""
    records: list[penstock.Record] = []
    for batch in consumer.batches(timeout_s=5.0):
        if not batch and records:
            return records
        records.extend(batch)
    return records


def test_a_record_arrives_as_it_was_sent(connect: Connect, declare, topic_name: str) -> None:
    client = connect(declare(topic_name))
    ack = client.producer(topic_name, type="invoice").send(
        b"value", "key", headers=[("x", b"1")], timestamp_ms=1_700_000_000_123
    )
    (record,) = read(client.consumer(topic_name, group=topic_name), 1)
    assert (record.value, record.key, record.headers["x"]) == (b"value", b"key", b"1")
    assert (record.id, record.type, record.source) == (ack.id, "invoice", "contract")
    assert (record.topic, record.cluster) == (topic_name, "primary")
    assert (record.partition, record.offset) == (ack.partition, ack.offset)
    assert record.timestamp_ms == 1_700_000_000_123
    assert record.time.endswith("Z")


def test_a_tombstone_has_no_value(connect: Connect, declare, topic_name: str) -> None:
    client = connect(declare(topic_name))
    client.producer(topic_name).send(None, "key")
    (record,) = read(client.consumer(topic_name, group=topic_name), 1)
    assert record.value is None


def test_every_record_has_one_delivery(connect: Connect, declare, topic_name: str) -> None:
    client = connect(declare(topic_name))
    producer = client.producer(topic_name)
    deliveries: list[penstock.Delivery] = []
    for _ in range(300):
        producer.send_nowait(b"x", on_delivery=deliveries.append)
    producer.flush()
    producer.send(b"last")  # gives an event loop the time to hand out what came before
    ids = {d.ack.id for d in deliveries if d.ack is not None}
    assert len(deliveries) == len(ids) == 300


def test_what_was_acked_is_not_read_again(connect: Connect, declare, topic_name: str) -> None:
    client = connect(declare(topic_name, partitions=1))
    producer = client.producer(topic_name)
    for number in range(10):
        producer.send(str(number))
    first = client.consumer(topic_name, group=topic_name)
    read(first, 4)
    first.close()
    rest = read(client.consumer(topic_name, group=topic_name), 6)
    assert [int(record.value or b"") for record in rest] == [4, 5, 6, 7, 8, 9]


def test_what_was_not_acked_is_read_again(connect: Connect, declare, topic_name: str) -> None:
    client = connect(declare(topic_name))
    sent = client.producer(topic_name).send(b"x")
    for _ in range(2):
        consumer = client.consumer(topic_name, group=topic_name)
        assert next(iter(consumer)).id == sent.id
        consumer.close()


def test_a_partition_that_is_given_away_is_committed_first(
    connect: Connect, declare, topic_name: str, wait_until: Callable[..., None]
) -> None:
    client = connect(declare(topic_name, partitions=2))
    producer = client.producer(topic_name)
    for number in range(40):
        producer.send_nowait(b"x", str(number))
    producer.flush()
    first = client.consumer(topic_name, group=topic_name)
    seen = Counter(record.id for record in read(first, 40))
    second = client.consumer(topic_name, group=topic_name)
    for number in range(40):
        producer.send_nowait(b"y", str(number))
    producer.flush()

    def read_some() -> bool:
        for consumer in (first, second):
            batch = next(iter(consumer.batches(timeout_s=0.2)))
            seen.update(record.id for record in batch)
            consumer.ack(batch)
        return len(seen) == 80

    wait_until(read_some, message="records are missing")
    assert set(seen.values()) == {1}


def test_a_full_buffer_holds_the_reader_back_and_loses_nothing(
    connect: Connect, declare, topic_name: str
) -> None:
    client = connect(declare(topic_name))
    producer = client.producer(topic_name)
    for _ in range(3_000):
        producer.send_nowait(b"x")
    producer.flush()
    consumer = client.consumer(topic_name, group=topic_name, max_buffered=10)
    assert len({record.id for record in read(consumer, 3_000)}) == 3_000


def test_roundrobin_uses_every_cluster(connect: Connect, declare, topic_name: str) -> None:
    client = connect(declare(topic_name, routing=Routing.ROUNDROBIN))
    producer = client.producer(topic_name)
    acks = Counter(producer.send(b"x").cluster for _ in range(10))
    assert acks == {"primary": 5, "standby": 5}


def test_replicate_sends_the_same_id_everywhere(connect: Connect, declare, topic_name: str) -> None:
    client = connect(declare(topic_name, routing=Routing.REPLICATE))
    ack = client.producer(topic_name).send(b"x")
    assert ack.missing == ()
    records = read(client.consumer(topic_name, group=topic_name), 2)
    assert {record.cluster for record in records} == {"primary", "standby"}
    assert {record.id for record in records} == {ack.id}


def test_a_dedupe_window_drops_the_copies(connect: Connect, declare, topic_name: str) -> None:
    client = connect(declare(topic_name, routing=Routing.REPLICATE))
    producer = client.producer(topic_name)
    ids = {producer.send(b"x").id for _ in range(50)}
    consumer = client.consumer(topic_name, group=topic_name, dedupe_window=1_000)
    assert sorted(record.id for record in read_until_quiet(consumer)) == sorted(ids)


def test_a_cordon_moves_a_running_producer(connect: Connect, declare, topic_name: str) -> None:
    metadata = declare(topic_name)
    client = connect(metadata)
    producer = client.producer(topic_name)
    assert producer.send(b"before").cluster == "primary"
    metadata.put(with_state(metadata.snapshot(), "primary", ClusterState.CORDONED))
    assert producer.send(b"after").cluster == "standby"
    metadata.put(with_state(metadata.snapshot(), "primary", ClusterState.ACTIVE))
    assert producer.send(b"back").cluster == "primary"
    assert len(read(client.consumer(topic_name, group=topic_name), 3)) == 3


def test_the_operators_choice_moves_a_running_producer(
    connect: Connect, declare, topic_name: str
) -> None:
    metadata = declare(topic_name)
    producer = connect(metadata).producer(topic_name)
    snapshot = metadata.snapshot()
    (topic,) = snapshot.topics.values()
    chosen = replace(topic, active_cluster="standby")
    metadata.put(replace(snapshot, version=2, topics={chosen.ident: chosen}))
    assert producer.send(b"x").cluster == "standby"


def test_a_cluster_that_is_added_is_read_at_once(
    connect: Connect, federation, topic_name: str
) -> None:
    for address in federation.bootstraps.values():
        create(address, NewTopic(topic_name, 1, 1))
    one = make_snapshot(federation.bootstraps, [make_topic(topic_name, ["primary"])])
    both = make_snapshot(
        federation.bootstraps,
        [make_topic(topic_name, ["standby", "primary"])],
        version=2,
    )
    metadata = penstock.StaticMetadata(one)
    client = connect(metadata)
    consumer = client.consumer(topic_name, group=topic_name)
    assert consumer.clusters == ("primary",)
    metadata.put(both)
    assert client.producer(topic_name).send(b"x").cluster == "standby"
    assert read(consumer, 1)[0].cluster == "standby"


def test_a_record_that_is_too_large_says_so(connect: Connect, declare, topic_name: str) -> None:
    producer = connect(declare(topic_name)).producer(topic_name)
    with pytest.raises(penstock.DataError, match=r"max\.message\.bytes"):
        producer.send(bytes(2_000_000))
    assert producer.send(b"small").cluster == "primary"


def test_a_topic_that_no_cluster_has_says_so(connect: Connect, federation, topic_name: str) -> None:
    topic = make_topic(topic_name, ["primary"])
    metadata = penstock.StaticMetadata(make_snapshot(federation.bootstraps, [topic]))
    producer = connect(metadata).producer(topic_name, overrides={"message.timeout.ms": 5_000})
    with pytest.raises(penstock.NotReady, match=topic_name):
        producer.send(b"x")


def test_a_topic_that_the_first_cluster_lacks_goes_to_the_next(
    connect: Connect, federation, topic_name: str
) -> None:
    create(federation.bootstraps["standby"], NewTopic(topic_name, 1, 1))
    topic = make_topic(topic_name, ["primary", "standby"], partitions=1)
    metadata = penstock.StaticMetadata(make_snapshot(federation.bootstraps, [topic]))
    producer = connect(metadata).producer(topic_name)
    assert producer.send(b"x").cluster == "standby"


def test_records_on_the_way_arrive_when_their_cluster_leaves_the_topic(
    connect: Connect, declare, topic_name: str
) -> None:
    metadata = declare(topic_name)
    producer = connect(metadata).producer(topic_name, overrides={"linger.ms": 500})
    deliveries: list[penstock.Delivery] = []
    for _ in range(100):
        producer.send_nowait(b"x", on_delivery=deliveries.append)
    clusters = metadata.snapshot().clusters.values()
    addresses = {c.name: next(iter(c.bootstrap.values())) for c in clusters}
    moved = make_topic(topic_name, ["standby"])
    metadata.put(make_snapshot(addresses, [moved], version=2))
    producer.flush()
    assert producer.send(b"last").cluster == "standby"
    assert {d.ack.cluster for d in deliveries if d.ack is not None} == {"primary"}
    assert len(deliveries) == 100


def test_a_topic_that_is_not_declared_says_so(connect: Connect, declare, topic_name: str) -> None:
    client = connect(declare(topic_name))
    with pytest.raises(penstock.ConfigError, match="'other' is not declared"):
        client.producer("other")
    with pytest.raises(penstock.ConfigError, match="'other' is not declared"):
        client.consumer("other", group="g")


def test_a_bad_setting_says_so(connect: Connect, declare, topic_name: str) -> None:
    client = connect(declare(topic_name))
    with pytest.raises(penstock.ConfigError, match=r"acks"):
        client.producer(topic_name, overrides={"acks": 0})
    with pytest.raises(penstock.ConfigError, match="-5 is outside allowed range"):
        client.producer(topic_name, overrides={"linger.ms": -5})
    with pytest.raises(penstock.ConfigError, match="earliest or latest"):
        client.consumer(topic_name, group="g", from_="yesterday")
    with pytest.raises(penstock.ConfigError, match="no profile 'fast'"):
        client.consumer(topic_name, group="g", profile="fast")


def test_a_closed_producer_says_so(connect: Connect, declare, topic_name: str) -> None:
    producer = connect(declare(topic_name)).producer(topic_name)
    producer.send(b"x")
    producer.close()
    producer.close()
    with pytest.raises(penstock.NotReady, match="the producer is closed"):
        producer.send(b"y")


@pytest.fixture
def deny(federation) -> Iterator[Callable[[ResourceType, str, AclOperation], None]]:
    """Give a function that denies everybody an operation on the primary, until the test ends."""
    admin = AdminClient({"bootstrap.servers": federation.bootstraps["primary"]})
    made: list[tuple[Any, ...]] = []

    def make(kind: ResourceType, name: str, operation: AclOperation) -> None:
        literal, refuse = ResourcePatternType.LITERAL, AclPermissionType.DENY
        rule = (kind, name, literal, "User:*", "*", operation, refuse)
        for future in admin.create_acls([AclBinding(*rule)]).values():
            future.result(30)
        made.append(rule)

    yield make
    for rule in made:
        for future in admin.delete_acls([AclBindingFilter(*rule)]).values():
            future.result(30)


def test_a_denied_producer_is_told_who_may_not_do_what_where(
    connect: Connect, declare, topic_name: str, deny, wait_until: Callable[..., None]
) -> None:
    producer = connect(declare(topic_name)).producer(topic_name)
    producer.send(b"allowed")
    deny(ResourceType.TOPIC, topic_name, AclOperation.WRITE)
    refusals: list[str] = []

    def refused() -> bool:  # brokers learn of an ACL some 50 ms after it was made
        try:
            producer.send(b"denied")
        except penstock.Refused as error:
            refusals.append(str(error))
        return bool(refusals)

    wait_until(refused, message="writes are still allowed")
    assert f"User:ANONYMOUS may not produce to '{topic_name}' on cluster 'primary'" in refusals[0]
    assert "Grant it" in refusals[0]


def test_a_denied_group_is_told(connect: Connect, declare, topic_name: str, deny) -> None:
    metadata = declare(topic_name)
    client = connect(metadata)
    deny(ResourceType.GROUP, topic_name, AclOperation.READ)
    consumer = client.consumer(topic_name, group=topic_name)
    with pytest.raises(penstock.Refused, match=f"may not join group '{topic_name}'"):
        read(consumer, 1)


def test_a_cancelled_send_is_cancelled(declare, topic_name: str) -> None:
    metadata = declare(topic_name)

    async def cancel() -> bool:
        async with await penstock.connect_async("contract", metadata=metadata) as client:
            producer = await client.producer(topic_name, overrides={"linger.ms": 500})
            sending = asyncio.create_task(producer.send(b"x"))
            done, _ = await asyncio.wait([sending], timeout=0.1)
            assert not done
            sending.cancel()
            await asyncio.wait([sending])
            await producer.flush()
            return sending.cancelled()

    assert asyncio.run(cancel())
