"""Files judged beside what a platform knows already, so that one file can be tried by itself.

    metadata.Snapshot ─known_files─▶ EstateFile… of clusters and topics ─┐
    the files to be judged ──────────────────────────────────────────────┴─parse_beside─▶ tables

Pure. What a file declares itself is taken from the file, never from the platform.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from penstock.control.declare import parse
from penstock.control.declare.estate import EstateFile
from penstock.control.declare.reader import read
from penstock.errors import ConfigError
from penstock.model import metadata, tables, topics

__all__ = ["parse_beside", "tables_of"]

_SOURCE = "(what the platform knows)"
_NOWHERE = "unknown"


def parse_beside(
    files: Sequence[EstateFile], snapshot: metadata.Snapshot | None
) -> list[tables.Table]:
    """Return the tables that the files declare.

    Args:
        files: to be judged.
        snapshot: the platform's clusters and topics; without it, names are not looked up.

    Raises:
        ConfigError: with every fault in the files.
    """
    documents = [document for file in files for document in read(file).documents]
    own = {(str(d.content.get("kind")), str(d.content.get("name"))) for d in documents}
    if snapshot is None:
        wanted = {str(d.content["topic"]) for d in documents if d.content.get("topic")}
        homes = {str(home) for d in documents for home in _listed(d.content.get("clusters"))}
        clusters = [_cluster(n, _NOWHERE) for n in {_NOWHERE, *homes} if ("Cluster", n) not in own]
        known = [*clusters, *_stand_ins(wanted, own)]
    else:
        known = [*_known(snapshot, own)]
    content = "\n---\n".join(json.dumps(document) for document in known)
    try:
        estate = parse([*files, EstateFile(path=_SOURCE, content=content)])
    except ConfigError as error:
        faults = [fault for fault in error.faults if fault.file != _SOURCE]
        count = "There is 1 fault" if len(faults) == 1 else f"There are {len(faults)} faults"
        raise ConfigError(f"{count}; nothing was tried.", faults=faults) from error
    return tables_of(files, estate.tables.values())


def tables_of(files: Sequence[EstateFile], found: Iterable[tables.Table]) -> list[tables.Table]:
    """Return the tables that the files name."""
    names = {
        document.content.get("name")
        for file in files
        for document in read(file).documents
        if document.content.get("kind") == "Table"
    }
    return [table for table in found if table.name in names]


def _known(snapshot: metadata.Snapshot, own: set[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    for cluster in snapshot.clusters.values():
        if ("Cluster", cluster.name) not in own:
            yield _cluster(cluster.name, cluster.environment)
    by_name: dict[str, list[topics.Topic]] = {}
    for topic in snapshot.topics.values():
        if ("Topic", topic.name) not in own:
            by_name.setdefault(topic.name, []).append(topic)
    for name, placed in by_name.items():
        yield _topic(name, [p for topic in placed for p in topic.current.placements])


def _stand_ins(wanted: set[str], own: set[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    missing = sorted(name for name in wanted if ("Topic", name) not in own)
    for name in missing:
        yield _topic(name, [topics.Placement(cluster=_NOWHERE, topic=name, partitions=1)])


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value] if value else []


def _cluster(name: str, environment: str) -> dict[str, Any]:
    return {"kind": "Cluster", "name": name, "environment": environment, "embedded": True}


def _topic(name: str, placements: Sequence[topics.Placement]) -> dict[str, Any]:
    return {
        "kind": "Topic",
        "name": name,
        "owner": "platform",
        "clusters": [placement.cluster for placement in placements],
        "overrides": {
            p.cluster: {
                "partitions": p.partitions,
                "replication": p.replication,
                "config": dict(p.config),
            }
            for p in placements
        },
    }
