"""The door to a cluster's administration: topics, partitions, configuration.

    Admin(cluster, bootstrap) ─▶ one request ─▶ waited for, with a deadline ─▶ value or PenstockError

Every effect may be repeated: what is already so is done. Records are in ``contents``, who may
write them in ``write_locks``. Never decides whether something should be done.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from penstock.errors import NotReady
from penstock.kafka import answers, probes

__all__ = ["Admin"]

T = TypeVar("T")

_CONFIGS_A_REQUEST = 500
_POLL_S = 0.02


class Admin:
    """Administration of one cluster; any thread may call it.

    Attributes:
        cluster: its name in the estate, for messages.
        bootstrap: ``host:port,…``.
        client: the library's client, for the doors beside this one.
        timeout_s: of each request.
    """

    def __init__(self, cluster: str, bootstrap: str, *, timeout_s: float = 10.0) -> None:
        """Keep the address; nothing is sent yet."""
        self.cluster = cluster
        self.bootstrap = bootstrap
        self.timeout_s = timeout_s
        # Failures are told by the answers: librdkafka need not print them as well.
        self.client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    @property
    def where(self) -> str:
        """Return the cluster and its address, for messages."""
        return f"cluster {self.cluster} at {self.bootstrap}"

    def look(self) -> probes.Seen:
        """Return the cluster's id, brokers and partitions.

        Raises:
            NotReady: when it does not answer in time.
        """
        try:
            return probes.look(self.bootstrap, timeout_s=self.timeout_s)
        except NotReady as error:
            raise NotReady(f"cluster {self.cluster} does not answer. {error.message}") from error

    def topic_configs(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return what is set on each topic itself, not what it inherits from its brokers.

        Raises:
            NotReady: when the cluster does not answer in time.
            Refused: when it may not be read.
        """
        wanted = sorted(names)
        return {
            name: config
            for start in range(0, len(wanted), _CONFIGS_A_REQUEST)
            for name, config in self._describe(wanted[start : start + _CONFIGS_A_REQUEST])
        }

    def create_topic(
        self, name: str, *, partitions: int, replication: int, config: Mapping[str, str]
    ) -> None:
        """Create the topic and wait until every partition has a leader.

        A topic that exists already is left as it is: the next plan tells where it differs.

        Raises:
            NotReady: when the cluster does not answer, or has no leaders, in time.
            Refused: when its policy says no.
        """
        new = NewTopic(name, partitions, replication, config=dict(config))
        asked = self.client.create_topics([new], request_timeout=self.timeout_s)
        exists = frozenset({KafkaError.TOPIC_ALREADY_EXISTS})
        self.wait(asked[name], doing=f"create topic {name}", fine=exists)
        self._await_leaders(name)

    def increase_partitions(self, name: str, *, to: int) -> None:
        """Raise the topic's partition count; one that is there or above already is done.

        Raises:
            NotReady: when the cluster does not answer in time, or has no such topic.
            Refused: when its policy says no.
        """
        if self.partition_count(name) >= to:
            return
        asked = self.client.create_partitions(
            [NewPartitions(name, to)], request_timeout=self.timeout_s
        )
        self.wait(asked[name], doing=f"give topic {name} {to} partitions")
        self._await_leaders(name, partitions=to)

    def alter_config(
        self, name: str, *, values: Mapping[str, str], unset: Sequence[str] = ()
    ) -> None:
        """Set and unset these keys of the topic; the others stay.

        Raises:
            NotReady: when the cluster does not answer in time, or has no such topic.
            Refused: when it does not take a value.
        """
        entries = [_entry(key, value, AlterConfigOpType.SET) for key, value in values.items()]
        entries += [_entry(key, None, AlterConfigOpType.DELETE) for key in unset]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        asked = self.client.incremental_alter_configs([resource], request_timeout=self.timeout_s)
        self.wait(asked[resource], doing=f"configure topic {name}")

    def delete_topic(self, name: str) -> None:
        """Delete the topic with all it holds; one that is gone already is done.

        Raises:
            NotReady: when the cluster does not answer in time.
            Refused: when it does not allow the deletion.
        """
        asked = self.client.delete_topics([name], request_timeout=self.timeout_s)
        gone = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART})
        self.wait(asked[name], doing=f"delete topic {name}", fine=gone)

    def wait(
        self, future: Future[T], *, doing: str, fine: frozenset[int] = frozenset()
    ) -> T | None:
        """Return the cluster's answer, as `answers.wait`."""
        return answers.wait(
            future, where=self.where, doing=doing, timeout_s=self.timeout_s, fine=fine
        )

    def _describe(self, names: Sequence[str]) -> Iterable[tuple[str, dict[str, str]]]:
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        asked = self.client.describe_configs(resources, request_timeout=self.timeout_s)
        gone = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART})
        for resource, future in asked.items():
            entries = self.wait(future, doing="describe its topics", fine=gone)
            yield (
                resource.name,
                {
                    key: entry.value or ""
                    for key, entry in sorted((entries or {}).items())
                    if ConfigSource(entry.source) is ConfigSource.DYNAMIC_TOPIC_CONFIG
                },
            )

    def has_topic(self, name: str) -> bool:
        """Tell whether the topic is there, led or not.

        Raises:
            NotReady: when the cluster does not answer in time.
        """
        return bool(self._topic(name).partitions)

    def partition_count(self, name: str) -> int:
        """Return how many partitions the topic has; 0 while one of them has no leader.

        Raises:
            NotReady: when the cluster does not answer in time.
        """
        partitions = self._topic(name).partitions
        return len(partitions) if all(p.leader >= 0 for p in partitions.values()) else 0

    def effective_config(self, name: str, key: str) -> str:
        """Return what is in force for the topic, wherever it was set.

        Raises:
            NotReady: when the cluster does not answer in time, or has no such topic.
        """
        resource = ConfigResource(ResourceType.TOPIC, name)
        asked = self.client.describe_configs([resource], request_timeout=self.timeout_s)
        entries = self.wait(asked[resource], doing=f"describe topic {name}") or {}
        return entries[key].value or "" if key in entries else ""

    def _topic(self, name: str) -> TopicMetadata:
        try:
            return self.client.list_topics(name, timeout=self.timeout_s).topics[name]
        except KafkaException as error:
            raise answers.translated(error, where=self.where, doing=f"look at {name}") from error

    def _await_leaders(self, name: str, *, partitions: int = 1) -> None:
        deadline = time.monotonic() + self.timeout_s
        while self.partition_count(name) < partitions:
            if time.monotonic() > deadline:
                raise NotReady(
                    f"{self.where} found no leader for every partition of {name} within "
                    f"{self.timeout_s:.0f} s; see whether its brokers are up, then try again"
                )
            time.sleep(_POLL_S)


def _entry(key: str, value: str | None, operation: AlterConfigOpType) -> ConfigEntry:
    return ConfigEntry(key, value, incremental_operation=operation)
