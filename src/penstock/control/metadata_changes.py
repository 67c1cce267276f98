"""The changes of what is recorded and served: of clusters, topics, tables and connectors.

Recorded value ─old, new─▶ one of three shapes: added, updated, removed

None of them touches a cluster, and none carries an operator's switch. See `changes` for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from pydantic_core import to_jsonable_python

from penstock.model import clusters, connectors, tables, topics

__all__ = [
    "DeclareConnector",
    "DeclareTable",
    "DeclareTopic",
    "ForgetCluster",
    "RegisterCluster",
    "RemoveConnector",
    "RemoveTable",
    "RetireTopic",
    "UpdateCluster",
    "UpdateConnector",
    "UpdateTable",
    "UpdateTopic",
]

Json: TypeAlias = dict[str, Any]
V = TypeVar("V", clusters.Cluster, topics.Topic, tables.Table, connectors.Connector)


class _Added(Generic[V]):
    """A record that was not there."""

    __slots__ = ()
    cluster: ClassVar[str] = ""
    new: V

    @property
    def subject(self) -> str:
        """Name what is added."""
        return _name(self.new)

    @property
    def before(self) -> Json:
        """Return nothing."""
        return {}

    @property
    def after(self) -> Json:
        """Return the whole record."""
        return _plain(self.new)


class _Updated(Generic[V]):
    """A record that now says something else; before and after hold the fields that differ."""

    __slots__ = ()
    cluster: ClassVar[str] = ""
    old: V
    new: V

    @property
    def subject(self) -> str:
        """Name what is updated."""
        return _name(self.new)

    @property
    def before(self) -> Json:
        """Return the fields that differ, as recorded."""
        return _differing(_plain(self.old), _plain(self.new))

    @property
    def after(self) -> Json:
        """Return the fields that differ, as declared."""
        return _differing(_plain(self.new), _plain(self.old))


class _Removed(Generic[V]):
    """A record that goes."""

    __slots__ = ()
    cluster: ClassVar[str] = ""
    old: V

    @property
    def subject(self) -> str:
        """Name what is removed."""
        return _name(self.old)

    @property
    def before(self) -> Json:
        """Return the whole record."""
        return _plain(self.old)

    @property
    def after(self) -> Json:
        """Return nothing."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterCluster(_Added[clusters.Cluster]):
    """Record a cluster, with the id it answered with."""

    kind: ClassVar[str] = "register-cluster"
    new: clusters.Cluster

    def summary(self) -> str:
        """Say it in one line."""
        return f"register cluster {self.subject} in {self.new.environment}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateCluster(_Updated[clusters.Cluster]):
    """Record what the files now say of a known cluster; its cordon stays as it is."""

    kind: ClassVar[str] = "update-cluster"
    old: clusters.Cluster
    new: clusters.Cluster

    def summary(self) -> str:
        """Say it in one line."""
        return f"update cluster {self.subject}: {', '.join(self.after)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetCluster(_Removed[clusters.Cluster]):
    """Drop the record of a cluster on which Penstock owns nothing; the cluster is not touched."""

    kind: ClassVar[str] = "forget-cluster"
    old: clusters.Cluster

    def summary(self) -> str:
        """Say it in one line."""
        return f"forget cluster {self.subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclareTopic(_Added[topics.Topic]):
    """Serve a new logical topic, with its first epoch open."""

    kind: ClassVar[str] = "declare-topic"
    new: topics.Topic

    def summary(self) -> str:
        """Say it in one line."""
        places = ", ".join(placement.cluster for placement in self.new.current.placements)
        return f"declare topic {self.subject} on {places}, routing {self.new.current.routing}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateTopic(_Updated[topics.Topic]):
    """Serve a logical topic as it is now declared; its active cluster stays as it is."""

    kind: ClassVar[str] = "update-topic"
    old: topics.Topic
    new: topics.Topic

    def summary(self) -> str:
        """Say it in one line."""
        return f"update topic {self.subject}: {', '.join(self.after)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclareTable(_Added[tables.Table]):
    """Start feeding a table."""

    kind: ClassVar[str] = "declare-table"
    new: tables.Table

    def summary(self) -> str:
        """Say it in one line."""
        return f"declare table {self.subject} from topic {self.new.topic}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateTable(_Updated[tables.Table]):
    """Feed a table as it is now declared."""

    kind: ClassVar[str] = "update-table"
    old: tables.Table
    new: tables.Table

    def summary(self) -> str:
        """Say it in one line."""
        return f"update table {self.subject}: {', '.join(self.after)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveTable(_Removed[tables.Table]):
    """Stop feeding a table; its data stays."""

    kind: ClassVar[str] = "remove-table"
    old: tables.Table

    def summary(self) -> str:
        """Say it in one line."""
        return f"stop feeding table {self.subject}; its data stays at {self.old.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclareConnector(_Added[connectors.Connector]):
    """Have Kafka Connect run a connector."""

    kind: ClassVar[str] = "declare-connector"
    new: connectors.Connector

    def summary(self) -> str:
        """Say it in one line."""
        return (
            f"declare {self.new.kind} connector {self.subject} on {self.new.cluster}, "
            f"{self.new.state}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateConnector(_Updated[connectors.Connector]):
    """Run a connector as it is now declared."""

    kind: ClassVar[str] = "update-connector"
    old: connectors.Connector
    new: connectors.Connector

    def summary(self) -> str:
        """Say it in one line."""
        return f"update connector {self.subject}: {', '.join(self.after)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveConnector(_Removed[connectors.Connector]):
    """Stop a connector; its offsets and its slot stay until `penstock connector delete`."""

    kind: ClassVar[str] = "remove-connector"
    old: connectors.Connector

    def summary(self) -> str:
        """Say it in one line."""
        slot = self.old.config.get("slot.name")
        kept = f"its offsets and slot {slot} stay" if slot else "its offsets stay"
        return (
            f"stop connector {self.subject}; {kept} until "
            f"`penstock connector delete {self.old.name}`"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetireTopic(_Removed[topics.Topic]):
    """Stop serving a logical topic whose physical topics are gone."""

    kind: ClassVar[str] = "retire-topic"
    old: topics.Topic

    def summary(self) -> str:
        """Say it in one line."""
        return f"retire topic {self.subject}"


def _name(
    value: clusters.Cluster | topics.Topic | tables.Table | connectors.Connector,
) -> str:
    return value.name if isinstance(value, clusters.Cluster) else value.ident


def _differing(value: Json, other: Json) -> Json:
    return {key: field for key, field in value.items() if other.get(key) != field}


def _plain(value: object) -> Json:
    plain: Json = to_jsonable_python(value)
    return plain
