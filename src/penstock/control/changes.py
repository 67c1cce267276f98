"""The steps a plan is made of: one frozen value a step, each done alone and safe to do again.

    make_plan ─▶ Change… ─to_record─▶ store (pending) ─from_record─▶ apply, also after a crash

Four changes touch a cluster's topics (`CreateTopic`, `IncreasePartitions`, `AlterConfig`,
`DeleteTopic`), two only the record of who owns them (`AdoptTopic`, `ReleaseTopic`), the rest only
the metadata that clients are served. No change carries an operator's switch: whoever applies
`UpdateCluster` or `UpdateTopic` keeps the cordon and the active cluster as they stand then.

Every change has a ``kind``, the ``cluster`` it is done on (empty: on none), a ``subject`` (a
physical topic, else ``environment/name``), JSON ``before`` and ``after``, and a ``summary``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from penstock.control.metadata_changes import (
    DeclareConnector,
    DeclareTable,
    DeclareTopic,
    ForgetCluster,
    RegisterCluster,
    RemoveConnector,
    RemoveTable,
    RetireTopic,
    UpdateCluster,
    UpdateConnector,
    UpdateTable,
    UpdateTopic,
)
from penstock.errors import DataError
from penstock.model import topics

__all__ = [
    "AdoptTopic",
    "AlterConfig",
    "Change",
    "CreateTopic",
    "DeclareConnector",
    "DeclareTable",
    "DeclareTopic",
    "DeleteTopic",
    "ForgetCluster",
    "IncreasePartitions",
    "RegisterCluster",
    "ReleaseTopic",
    "RemoveConnector",
    "RemoveTable",
    "RetireTopic",
    "UpdateCluster",
    "UpdateConnector",
    "UpdateTable",
    "UpdateTopic",
    "follow",
    "from_record",
    "to_record",
]

Json: TypeAlias = dict[str, Any]


class _OfPlacement:
    """A physical topic as a whole."""

    __slots__ = ()
    placement: topics.Placement

    @property
    def cluster(self) -> str:
        """Return the cluster it is on."""
        return self.placement.cluster

    @property
    def subject(self) -> str:
        """Return the physical topic's name."""
        return self.placement.topic


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTopic(_OfPlacement):
    """Create a physical topic and own it."""

    kind: ClassVar[str] = "create-topic"
    ident: str
    placement: topics.Placement

    @property
    def before(self) -> Json:
        """Return nothing: the topic was not there."""
        return {}

    @property
    def after(self) -> Json:
        """Return partitions, replication and config."""
        return _shape(self.placement)

    def summary(self) -> str:
        """Say it in one line."""
        return (
            f"create topic {self.subject} on {self.cluster} with {self.placement.partitions} "
            f"partitions, replication {self.placement.replication}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptTopic(_OfPlacement):
    """Own a physical topic that was there before; nothing on the cluster is altered by it.

    Attributes:
        placement: the topic as it was found.
    """

    kind: ClassVar[str] = "adopt-topic"
    ident: str
    placement: topics.Placement

    @property
    def before(self) -> Json:
        """Return the topic as it was found, owned by nobody."""
        return {**_shape(self.placement), "owned_by": None}

    @property
    def after(self) -> Json:
        """Return the same topic, owned."""
        return {**_shape(self.placement), "owned_by": self.ident}

    def summary(self) -> str:
        """Say it in one line."""
        return f"adopt topic {self.subject} on {self.cluster} as {self.ident}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncreasePartitions:
    """Raise the partition count of an owned topic without ordering by key."""

    kind: ClassVar[str] = "increase-partitions"
    cluster: str
    topic: str
    ident: str
    old: int
    new: int

    @property
    def subject(self) -> str:
        """Return the physical topic's name."""
        return self.topic

    @property
    def before(self) -> Json:
        """Return the count that was seen."""
        return {"partitions": self.old}

    @property
    def after(self) -> Json:
        """Return the declared count."""
        return {"partitions": self.new}

    def summary(self) -> str:
        """Say it in one line."""
        return (
            f"increase partitions of {self.topic} on {self.cluster} from {self.old} to {self.new}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterConfig:
    """Set and unset configuration of an owned topic; keys it does not name are left alone.

    Attributes:
        old: what was seen of the keys that are set or unset; None where a key was not set.
        set: new values by key.
        unset: keys Penstock set before and no file names any more.
    """

    kind: ClassVar[str] = "alter-config"
    cluster: str
    topic: str
    ident: str
    old: Mapping[str, str | None]
    set: Mapping[str, str]
    unset: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """Return the physical topic's name."""
        return self.topic

    @property
    def before(self) -> Json:
        """Return the keys as they were seen; None is the broker's default."""
        return dict(self.old)

    @property
    def after(self) -> Json:
        """Return the keys as they will be; None is the broker's default."""
        return {**self.set, **dict.fromkeys(self.unset)}

    def summary(self) -> str:
        """Say it in one line."""
        words = [f"{key}={value}" for key, value in self.set.items()]
        words += [f"{key} back to the default" for key in self.unset]
        return f"alter config of {self.topic} on {self.cluster}: {', '.join(words)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteTopic(_OfPlacement):
    """Delete an owned topic that was seen empty; it must be proven empty again before."""

    kind: ClassVar[str] = "delete-topic"
    ident: str
    placement: topics.Placement

    @property
    def before(self) -> Json:
        """Return the topic as it was seen."""
        return _shape(self.placement)

    @property
    def after(self) -> Json:
        """Return nothing: the topic is gone."""
        return {}

    def summary(self) -> str:
        """Say it in one line."""
        return f"delete empty topic {self.subject} on {self.cluster}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseTopic:
    """Stop owning a topic that is gone, or whose cluster is retired; the cluster is not touched."""

    kind: ClassVar[str] = "release-topic"
    cluster: str
    topic: str
    ident: str

    @property
    def subject(self) -> str:
        """Return the physical topic's name."""
        return self.topic

    @property
    def before(self) -> Json:
        """Return who owned it."""
        return {"owned_by": self.ident}

    @property
    def after(self) -> Json:
        """Return that nobody does."""
        return {"owned_by": None}

    def summary(self) -> str:
        """Say it in one line."""
        return f"release topic {self.topic} on {self.cluster}: it is no longer Penstock's"


Change: TypeAlias = (
    RegisterCluster
    | UpdateCluster
    | CreateTopic
    | AdoptTopic
    | IncreasePartitions
    | AlterConfig
    | DeclareTopic
    | UpdateTopic
    | DeclareConnector
    | UpdateConnector
    | RemoveConnector
    | DeclareTable
    | UpdateTable
    | RemoveTable
    | DeleteTopic
    | ReleaseTopic
    | RetireTopic
    | ForgetCluster
)
"""Every change there is, in the order in which a plan holds them."""

_ADAPTERS: dict[str, TypeAdapter[Change]] = {
    kind.kind: TypeAdapter(kind) for kind in get_args(Change)
}


def to_record(change: Change) -> Json:
    """Return the change as JSON, for the store."""
    return {"kind": change.kind, **to_jsonable_python(change)}


def from_record(record: Mapping[str, Any]) -> Change:
    """Return the change that `to_record` wrote.

    Raises:
        DataError: when the record is not a change this version knows.
    """
    fields = dict(record)
    kind = fields.pop("kind", None)
    if kind not in _ADAPTERS:
        raise DataError(f"no change of kind {kind!r}; it was written by a newer Penstock: upgrade")
    try:
        return _ADAPTERS[kind].validate_python(fields)
    except ValidationError as error:
        raise DataError(f"a {kind} change cannot be read ({error}); plan again") from error


def follow(topic: topics.Topic, change: IncreasePartitions | AlterConfig) -> topics.Topic:
    """Return the recorded topic as it stands once the change is done on the cluster.

    These two changes are their own metadata: whoever applies one records what this returns.
    """
    epoch = topic.current
    placements = tuple(
        _follow_placement(placement, change) if placement.cluster == change.cluster else placement
        for placement in epoch.placements
    )
    now = replace(epoch, placements=placements)
    return replace(topic, epochs=tuple(now if e is epoch else e for e in topic.epochs))


def _follow_placement(
    placement: topics.Placement, change: IncreasePartitions | AlterConfig
) -> topics.Placement:
    if isinstance(change, IncreasePartitions):
        return replace(placement, partitions=change.new)
    config = {k: v for k, v in placement.config.items() if k not in change.unset}
    return replace(placement, config=dict(sorted({**config, **change.set}.items())))


def _shape(placement: topics.Placement) -> Json:
    return {
        "partitions": placement.partitions,
        "replication": placement.replication,
        "config": dict(placement.config),
    }
