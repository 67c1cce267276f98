"""What clients know of the estate: a versioned snapshot, and the deltas that move it on.

    Snapshot(version=7) + Delta(8) = Snapshot(version=8)

A client's snapshot holds the topics it asked for and every cluster they live on. Versions only
grow. `apply` refuses to go back: a late delta of an older version changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from penstock.model.clusters import Cluster
from penstock.model.topics import Topic

__all__ = ["Delta", "Snapshot", "apply", "difference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything a client was told, as of one version.

    Attributes:
        version: grows by every change of the estate's metadata; 0 is "nothing known".
        clusters: by name.
        topics: by ``Topic.ident``.
    """

    version: int = 0
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    topics: Mapping[str, Topic] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What changed up to a version."""

    version: int
    clusters: tuple[Cluster, ...] = ()
    topics: tuple[Topic, ...] = ()
    removed_clusters: tuple[str, ...] = ()
    removed_topics: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Tell whether only the version moved."""
        return not (self.clusters or self.topics or self.removed_clusters or self.removed_topics)


def apply(snapshot: Snapshot, delta: Delta) -> Snapshot:
    """Return the snapshot moved on by the delta, or unchanged when the delta is older."""
    if delta.version <= snapshot.version:
        return snapshot
    clusters = {k: v for k, v in snapshot.clusters.items() if k not in delta.removed_clusters}
    topics = {k: v for k, v in snapshot.topics.items() if k not in delta.removed_topics}
    clusters.update({cluster.name: cluster for cluster in delta.clusters})
    topics.update({topic.ident: topic for topic in delta.topics})
    return replace(snapshot, version=delta.version, clusters=clusters, topics=topics)


def difference(old: Snapshot, new: Snapshot) -> Delta:
    """Return the delta for which ``apply(old, delta) == new``."""
    return Delta(
        version=new.version,
        clusters=tuple(v for k, v in new.clusters.items() if old.clusters.get(k) != v),
        topics=tuple(v for k, v in new.topics.items() if old.topics.get(k) != v),
        removed_clusters=tuple(sorted(old.clusters.keys() - new.clusters.keys())),
        removed_topics=tuple(sorted(old.topics.keys() - new.topics.keys())),
    )
