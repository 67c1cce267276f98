"""The hub: what each watcher is told, and what happens to one that is slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api import wire
from penstock.api._gen import penstock_pb2 as pb
from penstock.control.server.hub import Filter, Hub, select
from penstock.errors import ConfigError, NotReady
from penstock.model import clusters, metadata, topics

pytestmark = pytest.mark.unit


def cluster(name: str, environment: str = "test") -> clusters.Cluster:
    return clusters.Cluster(name=name, environment=environment)


def topic(name: str, *places: str, environment: str = "test", owner: str = "o") -> topics.Topic:
    return topics.Topic(
        name=name,
        environment=environment,
        owner=owner,
        epochs=(
            topics.Epoch(
                number=1,
                state=topics.EpochState.OPEN,
                routing=topics.Routing.FAILOVER,
                placements=tuple(
                    topics.Placement(cluster=place, topic=name, partitions=1) for place in places
                ),
            ),
        ),
    )


def snapshot(version: int, *values: clusters.Cluster | topics.Topic) -> metadata.Snapshot:
    return metadata.Snapshot(
        version=version,
        clusters={v.name: v for v in values if isinstance(v, clusters.Cluster)},
        topics={v.ident: v for v in values if isinstance(v, topics.Topic)},
    )


BASE = snapshot(5, cluster("a"), cluster("b"), topic("orders", "a"), topic("clicks", "a", "b"))


class World:
    """A store in memory, and a hub over it."""

    def __init__(self, now: metadata.Snapshot) -> None:
        self.now = now
        self.hub = Hub(
            read_version=lambda: self.now.version,
            read_snapshot=lambda: self.now,
            poll_s=60,
            heartbeat_s=60,
        )

    async def become(self, now: metadata.Snapshot) -> None:
        self.now = now
        await self.hub.refresh()


async def receive(stream: AsyncIterator[bytes]) -> pb.WatchEvent:
    async with asyncio.timeout(10):
        return pb.WatchEvent.FromString(await anext(stream))


def run(scenario: Callable[[World], Coroutine[None, None, None]]) -> None:
    async def main() -> None:
        world = World(BASE)
        await world.hub.refresh()
        await scenario(world)

    asyncio.run(main())


def test_a_watcher_gets_the_snapshot_then_what_changes() -> None:
    async def scenario(world: World) -> None:
        async with aclosing(world.hub.watch(Filter(), known_version=0)) as stream:
            first = wire.decode_snapshot((await receive(stream)).snapshot)
            assert first == BASE
            await world.become(snapshot(6, cluster("a"), topic("orders", "a", owner="new")))
            delta = wire.decode_delta((await receive(stream)).delta)
            assert metadata.apply(first, delta) == world.now

    run(scenario)


def test_a_watcher_that_knows_the_version_gets_no_snapshot() -> None:
    async def scenario(world: World) -> None:
        async with aclosing(world.hub.watch(Filter(), known_version=5)) as stream:
            assert (await receive(stream)).heartbeat.version == 5

    run(scenario)


def test_a_change_elsewhere_moves_only_the_version() -> None:
    async def scenario(world: World) -> None:
        wanted = Filter(topics=frozenset({"orders"}))
        async with aclosing(world.hub.watch(wanted, known_version=0)) as stream:
            first = (await receive(stream)).snapshot
            assert [t.name for t in first.topics] == ["orders"]
            assert [c.name for c in first.clusters] == ["a"]
            changed = {**BASE.topics, "test/clicks": topic("clicks", "b")}
            await world.become(replace(BASE, version=6, topics=changed))
            assert wire.decode_delta((await receive(stream)).delta) == metadata.Delta(version=6)

    run(scenario)


def test_watchers_with_the_same_wish_are_sent_the_same_bytes() -> None:
    async def scenario(world: World) -> None:
        streams = [world.hub.watch(Filter(), known_version=5) for _ in range(3)]
        for stream in streams:
            await anext(stream)
        await world.become(replace(BASE, version=6, topics={}))
        sent = [await anext(stream) for stream in streams]
        assert sent[0] is sent[1] is sent[2]
        for stream in streams:
            await stream.aclose()

    run(scenario)


def test_a_slow_watcher_gets_a_fresh_snapshot_instead_of_an_endless_queue() -> None:
    async def scenario(world: World) -> None:
        async with aclosing(world.hub.watch(Filter(), known_version=0)) as stream:
            await receive(stream)
            for version in range(6, 200):
                newest = topic(f"t{version}", "a")
                await world.become(replace(BASE, version=version, topics={newest.ident: newest}))
            event = await receive(stream)
            assert wire.decode_snapshot(event.snapshot) == select(world.now, Filter())
            await world.become(replace(BASE, version=200))
            assert (await receive(stream)).delta.version == 200

    run(scenario)


def test_silence_is_filled_with_heartbeats() -> None:
    async def main() -> None:
        hub = Hub(read_version=lambda: 5, read_snapshot=lambda: BASE, poll_s=60, heartbeat_s=0.01)
        await hub.refresh()
        async with aclosing(hub.watch(Filter(), known_version=5)) as stream:
            for _ in range(3):
                assert (await receive(stream)).heartbeat.version == 5

    asyncio.run(main())


def test_a_watcher_that_leaves_is_forgotten() -> None:
    async def scenario(world: World) -> None:
        async with aclosing(world.hub.watch(Filter(), known_version=0)) as stream:
            await receive(stream)
            assert world.hub.watchers == 1
        assert world.hub.watchers == 0

    run(scenario)


def test_closing_ends_every_watch_and_those_that_come_late() -> None:
    async def scenario(world: World) -> None:
        stream = world.hub.watch(Filter(), known_version=0)
        await receive(stream)
        world.hub.close()
        with pytest.raises(NotReady, match="connect again"):
            await receive(stream)
        late = world.hub.watch(Filter(), known_version=0)
        await receive(late)
        with pytest.raises(NotReady, match="connect again"):
            await receive(late)

    run(scenario)


def test_without_an_environment_a_second_one_ends_the_watch() -> None:
    async def scenario(world: World) -> None:
        stream = world.hub.watch(Filter(), known_version=0)
        named = world.hub.watch(Filter(environment="test"), known_version=0)
        await receive(stream)
        await receive(named)
        both = {**BASE.clusters, "c": cluster("c", "live")}
        await world.become(replace(BASE, version=6, clusters=both))
        with pytest.raises(ConfigError, match="live, test"):
            await receive(stream)
        assert (await receive(named)).delta.version == 6
        await named.aclose()

    run(scenario)


names = st.sampled_from(["orders", "clicks", "logs"])
places = st.lists(st.sampled_from(["a", "b"]), min_size=1, unique=True)
estates = st.dictionaries(names, st.tuples(places, st.sampled_from(["x", "y"])))


@given(states=st.lists(estates, min_size=2, max_size=6), asked=st.frozensets(names))
def test_deltas_lead_to_what_a_fresh_snapshot_says(states: list[dict], asked: frozenset) -> None:
    wanted = Filter(topics=asked)
    snapshots = [
        snapshot(
            number,
            cluster("a"),
            cluster("b"),
            *(topic(name, *where, owner=owner) for name, (where, owner) in state.items()),
        )
        for number, state in enumerate(states, start=1)
    ]

    async def main() -> None:
        world = World(snapshots[0])
        await world.hub.refresh()
        async with aclosing(world.hub.watch(wanted, known_version=0)) as stream:
            held = wire.decode_snapshot((await receive(stream)).snapshot)
            for now in snapshots[1:]:
                await world.become(now)
                held = metadata.apply(held, wire.decode_delta((await receive(stream)).delta))
                assert held == select(now, wanted)

    asyncio.run(main())
