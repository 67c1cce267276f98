"""Connect a service to the streaming platform: one client a process, kept for its life.

connect(service) ─▶ Client ─▶ producer(topic), consumer(topics, group)
                       └─ metadata, shared by all of them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from penstock.errors import PenstockError
from penstock.model.metadata import Snapshot
from penstock.model.topics import Placement, Topic
from penstock.sdk import guards, profiles
from penstock.sdk.breaker import BreakerSettings
from penstock.sdk.consumer import Consumer, ConsumerSettings, Start, parse_start
from penstock.sdk.control import ControlMetadata, find_control
from penstock.sdk.credentials import Credentials, reach
from penstock.sdk.deliveries import Payload
from penstock.sdk.lanes import LaneSettings
from penstock.sdk.metadata import Metadata, find_topic
from penstock.sdk.producer import Producer, ProducerSettings
from penstock.sdk.readers import ReaderSettings, describe_readers

__all__ = ["Client", "connect"]


def connect(
    service: str,
    *,
    control: str | None = None,
    home: Path | str | None = None,
    environment: str | None = None,
    metadata: Metadata | None = None,
    credentials: Credentials | None = None,
) -> Client:
    """Connect as ``service``; returns when metadata is known, fresh or from the last run.

    Args:
        service: who this is, e.g. ``billing``; stands in every record's ``ce_source``.
        control: ``host:port`` of the control plane's gRPC; None looks into ``PENSTOCK_CONTROL``,
            then into ``<home>/control.json``.
        home: Penstock's home on this machine; None looks into ``PENSTOCK_HOME``, then
            ``.penstock``.
        environment: of the topics; may be None where the estate has one.
        metadata: a source of your own instead of a control plane.
        credentials: what the service can prove itself with, beyond plaintext.

    Raises:
        ConfigError: when no control plane is known.
        NotReady: when it does not answer, and nothing is known from an earlier run.
    """
    guards.count_creation("connect")
    source = metadata or ControlMetadata(
        find_control(control, home=home), service=service, environment=environment
    )
    return Client(
        service, environment=environment, metadata=source, credentials=credentials or Credentials()
    )


class Client:
    """One service's way to its topics. Make one and keep it; any thread may use it.

    Attributes:
        metadata: what is known of topics and clusters.
        service: who this is.
    """

    def __init__(
        self,
        service: str,
        *,
        environment: str | None,
        metadata: Metadata,
        credentials: Credentials,
    ) -> None:
        """Use `connect` instead."""
        self.service = service
        self.metadata = metadata
        self._environment = environment
        self._credentials = credentials
        self._closed = False
        self._open: list[Producer | Consumer] = []
        guards.watch(self)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything opened here."""
        self.close()

    def producer(
        self,
        topic: str,
        *,
        profile: profiles.Profile | str = profiles.Profile.DURABLE,
        type: str | None = None,  # noqa: A002 - CloudEvents' word
        default_key: Payload = None,
        overrides: Mapping[str, profiles.Value] | None = None,
        breaker: BreakerSettings | None = None,
    ) -> Producer:
        """Open a producer to a logical topic. Make one and keep it.

        Args:
            topic: logical name.
            profile: what it is for; see `profiles`.
            type: ``ce_type`` of records that name none; None takes the topic's name.
            default_key: key of records without one. A fleet of small senders should give its
                instance's id: keyless records open a connection to every broker.
            overrides: of Kafka's settings, from the allow-list.
            breaker: when to leave a cluster.

        Raises:
            ConfigError: for a topic that is not declared, or a setting that is not allowed.
        """
        guards.count_creation("producer")
        self.metadata.need([topic])
        snapshot = self.metadata.snapshot()
        found = find_topic(snapshot, topic, environment=self._environment)
        kafka = profiles.producer_settings(profiles.parse(profile), overrides=overrides or {})

        def describe(placement: Placement, now: Snapshot) -> LaneSettings:
            to = reach(now.clusters[placement.cluster], self._credentials, service=self.service)
            return LaneSettings(
                cluster=placement.cluster,
                topic=placement.topic,
                min_isr=int(placement.config.get("min.insync.replicas", 1)),
                kafka={**kafka, **to.settings, "client.id": self.service},
                principal=to.principal,
                breaker=breaker or BreakerSettings(),
            )

        settings = ProducerSettings(
            topic=topic,
            environment=found.environment,
            service=self.service,
            type=type or topic,
            default_key=default_key,
            delivery_timeout_s=profiles.delivery_timeout_s(kafka),
            describe=describe,
        )
        producer = Producer(settings, snapshot=snapshot)
        producer.on_close(self.metadata.on_change(producer.refresh))
        self._keep(producer)
        return producer

    def consumer(
        self,
        topics: str | Sequence[str],
        *,
        group: str,
        from_: Start | str = Start.EARLIEST,
        profile: profiles.Profile | str = profiles.Profile.DURABLE,
        dedupe_window: int = 0,
        max_buffered: int = 1_000,
        overrides: Mapping[str, profiles.Value] | None = None,
    ) -> Consumer:
        """Open a consumer of logical topics, on every cluster they live on.

        Args:
            topics: one logical name or several.
            group: the consumer group, the same on each cluster.
            from_: where a new group begins: ``earliest`` or ``latest``.
            profile: what it is for; see `profiles`.
            dedupe_window: drop records whose id is among the last so many; 0 for never.
            max_buffered: records held between the clusters and the service.
            overrides: of Kafka's settings, from the allow-list.

        Raises:
            ConfigError: for a topic that is not declared, or a setting that is not allowed.
        """
        guards.count_creation("consumer")
        names = [topics] if isinstance(topics, str) else list(topics)
        kafka = profiles.consumer_settings(profiles.parse(profile), overrides=overrides or {})
        self.metadata.need(names)
        snapshot = self.metadata.snapshot()
        for name in names:
            find_topic(snapshot, name, environment=self._environment)
        common = {
            **kafka,
            "client.id": self.service,
            "group.id": group,
            "auto.offset.reset": parse_start(from_).value,
        }

        def describe(now: Snapshot) -> dict[str, ReaderSettings]:
            return describe_readers(
                [t for t in now.topics.values() if t.name in names and self._here(t)],
                now.clusters,
                reach=lambda c: reach(c, self._credentials, service=self.service),
                kafka=common,
                service=self.service,
            )

        consumer = Consumer(
            ConsumerSettings(
                describe=describe, dedupe_window=dedupe_window, max_buffered=max_buffered
            ),
            snapshot=snapshot,
        )
        consumer.on_close(self.metadata.on_change(consumer.refresh))
        self._keep(consumer)
        return consumer

    def close(self) -> None:
        """Close every producer and consumer, then the metadata; closing twice is closing once.

        Raises:
            NotReady: when a producer had to give up records; everything is closed all the same.
        """
        guards.forget(self)
        failures: list[PenstockError] = []
        while self._open:
            try:
                self._open.pop().close()
            except PenstockError as error:
                failures.append(error)
        self.metadata.close()
        if failures:
            raise failures[0]

    def abandon(self) -> None:
        """Be unusable: this is a forked child."""
        reason = "this process was forked after the client was made. Connect after the fork"
        for part in self._open:
            part.abandon(reason)

    def _here(self, topic: Topic) -> bool:
        return self._environment is None or topic.environment == self._environment

    def _keep(self, part: Producer | Consumer) -> None:
        self._open.append(part)
        part.on_close(lambda: self._open.remove(part) if part in self._open else None)
