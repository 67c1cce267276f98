"""The declared estate: what a set of files says the world should be.

    EstateFile… ─parse─▶ Estate ─make_plan─▶ changes

An `Estate` is free of faults, of units for people and of the files' order: two sets of files that
say the same give equal estates. It never holds what an operator switched (a cordon, an active
cluster) and never what was seen on a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.model import clusters, connectors, tables, topics

__all__ = ["Estate", "EstateFile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EstateFile:
    """One file of the estate, as it stands in Git.

    Attributes:
        path: as the user gave it; faults name it.
        content: one or more documents, in YAML, or in HOCON where the path says so.
    """

    path: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """Everything that is declared.

    Attributes:
        clusters: by name.
        topics: by ``Topic.ident``, variants included; each has exactly one epoch, open.
        tables: by ``Table.ident``.
        connectors: by ``Connector.ident``.
    """

    clusters: Mapping[str, clusters.Cluster] = field(default_factory=dict)
    topics: Mapping[str, topics.Topic] = field(default_factory=dict)
    tables: Mapping[str, tables.Table] = field(default_factory=dict)
    connectors: Mapping[str, connectors.Connector] = field(default_factory=dict)
