"""Tuned settings of the Kafka client, each with its reason, and what may be overridden.

    profile + overrides ─producer_settings / consumer_settings─▶ librdkafka settings

A service names what it wants (`latency`, `throughput`, `durable`, `short-lived`), not forty
numbers. Never passes a setting through that is not on the allow-list: addresses, credentials and
acknowledgements come from the metadata and the profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from penstock.errors import ConfigError, Fault

__all__ = [
    "CONSUMER",
    "OVERRIDES",
    "PRODUCER",
    "Profile",
    "Setting",
    "consumer_settings",
    "delivery_timeout_s",
    "parse",
    "producer_settings",
]

Value = str | int | float | bool


class Profile(StrEnum):
    """What a client is for."""

    LATENCY = "latency"
    """Each record leaves at once."""
    THROUGHPUT = "throughput"
    """Big compressed batches; a record may wait 20 ms for company."""
    DURABLE = "durable"
    """The default: leaves within 2 ms, and rides out a rolling restart."""
    SHORT_LIVED = "short-lived"
    """For functions and commands that live for seconds: gives up early, holds little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One of librdkafka's settings, and why it has this value."""

    name: str
    value: Value
    reason: str


_PRODUCER_COMMON = (
    Setting(name="acks", value="all", reason="an ack means every in-sync replica has it"),
    Setting(
        name="enable.idempotence",
        value=True,
        reason="a retry inside a cluster makes no copy and changes no order",
    ),
    Setting(
        name="partitioner",
        value="murmur2_random",
        reason="a key lands in the partition where the Java client puts it",
    ),
    Setting(
        name="socket.nagle.disable", value=True, reason="a small request does not wait for the next"
    ),
    Setting(
        name="socket.keepalive.enable",
        value=True,
        reason="a long-lived idle connection is not dropped by what is on the way",
    ),
    Setting(
        name="reconnect.backoff.max.ms",
        value=1_000,
        reason="a cluster that is back is seen within a second",
    ),
    Setting(
        name="queue.buffering.max.kbytes",
        value=262_144,
        reason="at most 256 MiB of unsent records in memory, then `send` waits",
    ),
)
PRODUCER: Mapping[Profile, tuple[Setting, ...]] = {
    Profile.LATENCY: (
        *_PRODUCER_COMMON,
        Setting(name="linger.ms", value=0, reason="a record never waits for company"),
        Setting(name="message.timeout.ms", value=30_000, reason="later than that it is of no use"),
    ),
    Profile.THROUGHPUT: (
        *_PRODUCER_COMMON,
        Setting(name="linger.ms", value=20, reason="full batches cost the brokers the least"),
        Setting(name="batch.size", value=1_048_576, reason="a batch of up to 1 MiB"),
        Setting(name="compression.type", value="lz4", reason="the cheapest codec for both ends"),
        Setting(
            name="queue.buffering.max.messages",
            value=500_000,
            reason="bursts are taken in; the limit in bytes still holds",
        ),
        Setting(name="message.timeout.ms", value=120_000, reason="rides out a rolling restart"),
    ),
    Profile.DURABLE: (
        *_PRODUCER_COMMON,
        Setting(name="linger.ms", value=2, reason="some company at no latency anybody notices"),
        Setting(
            name="queue.buffering.max.messages",
            value=10_000,
            reason="what waits stays in the processor's cache; ten times as many cost a third more",
        ),
        Setting(name="message.timeout.ms", value=120_000, reason="rides out a rolling restart"),
    ),
    Profile.SHORT_LIVED: (
        *_PRODUCER_COMMON,
        Setting(name="linger.ms", value=0, reason="there is nothing to wait for"),
        Setting(name="message.timeout.ms", value=10_000, reason="the process does not live longer"),
        Setting(
            name="queue.buffering.max.messages", value=10_000, reason="a small process stays small"
        ),
    ),
}

_CONSUMER_COMMON = (
    Setting(
        name="enable.auto.commit",
        value=False,
        reason="only what the service acked is committed: at least once",
    ),
    Setting(
        name="partition.assignment.strategy",
        value="cooperative-sticky",
        reason="a member that joins or leaves does not stop the others",
    ),
    Setting(
        name="fetch.queue.backoff.ms",
        value=20,
        reason="after a full buffer, fetching goes on at once, not a second later",
    ),
    Setting(
        name="socket.keepalive.enable",
        value=True,
        reason="a long-lived idle connection is not dropped by what is on the way",
    ),
    Setting(
        name="socket.nagle.disable", value=True, reason="a small request does not wait for the next"
    ),
    Setting(
        name="reconnect.backoff.max.ms",
        value=1_000,
        reason="a cluster that is back is read within a second",
    ),
)
_SMALL_BUFFER = Setting(
    name="queued.max.messages.kbytes",
    value=16_384,
    reason="at most 16 MiB of fetched records a cluster wait in memory",
)
CONSUMER: Mapping[Profile, tuple[Setting, ...]] = {
    Profile.LATENCY: (*_CONSUMER_COMMON, _SMALL_BUFFER),
    Profile.THROUGHPUT: (
        *_CONSUMER_COMMON,
        Setting(
            name="fetch.min.bytes", value=65_536, reason="fewer, fuller answers from the brokers"
        ),
        Setting(name="fetch.wait.max.ms", value=50, reason="but none waits longer than this"),
        Setting(
            name="queued.max.messages.kbytes",
            value=65_536,
            reason="at most 64 MiB of fetched records a cluster wait in memory",
        ),
    ),
    Profile.DURABLE: (*_CONSUMER_COMMON, _SMALL_BUFFER),
    Profile.SHORT_LIVED: (*_CONSUMER_COMMON, _SMALL_BUFFER),
}

OVERRIDES: frozenset[str] = frozenset(
    {
        "batch.size",
        "client.rack",
        "compression.type",
        "fetch.max.bytes",
        "fetch.min.bytes",
        "fetch.wait.max.ms",
        "group.instance.id",
        "isolation.level",
        "linger.ms",
        "max.partition.fetch.bytes",
        "max.poll.interval.ms",
        "message.max.bytes",
        "message.timeout.ms",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "queued.max.messages.kbytes",
        "queued.min.messages",
        "session.timeout.ms",
        "socket.timeout.ms",
        "statistics.interval.ms",
        "sticky.partitioning.linger.ms",
    }
)


def parse(profile: Profile | str) -> Profile:
    """Return the profile of this name.

    Raises:
        ConfigError: when there is none.
    """
    try:
        return Profile(profile)
    except ValueError as error:
        known = ", ".join(Profile)
        raise ConfigError(f"there is no profile {profile!r}. Choose one of: {known}.") from error


def producer_settings(profile: Profile, *, overrides: Mapping[str, Value]) -> dict[str, Value]:
    """Return librdkafka's settings of a producer, without address and credentials.

    Raises:
        ConfigError: for an override that is not on the allow-list.
    """
    return _merge(PRODUCER[profile], overrides)


def consumer_settings(profile: Profile, *, overrides: Mapping[str, Value]) -> dict[str, Value]:
    """Return librdkafka's settings of a consumer, without address, credentials and group.

    Raises:
        ConfigError: for an override that is not on the allow-list.
    """
    return _merge(CONSUMER[profile], overrides)


def delivery_timeout_s(settings: Mapping[str, Value]) -> float:
    """Return how long a record may wait for its ack before it is given up."""
    return float(settings["message.timeout.ms"]) / 1000


def _merge(settings: tuple[Setting, ...], overrides: Mapping[str, Value]) -> dict[str, Value]:
    refused = sorted(overrides.keys() - OVERRIDES)
    if refused:
        allowed = ", ".join(sorted(OVERRIDES))
        raise ConfigError(
            "these Kafka settings cannot be overridden",
            faults=[
                Fault(
                    file="overrides",
                    line=0,
                    what=f"{name!r} belongs to the profile or comes from the metadata",
                    next_step=f"Choose another profile, or one of: {allowed}.",
                )
                for name in refused
            ],
        )
    return {**{s.name: s.value for s in settings}, **overrides}
