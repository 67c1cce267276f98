"""The other way: a cluster as it was seen, written as estate files that adopt it.

ObservedCluster ─export─▶ EstateFile… ─write─▶ clusters/<name>.yaml, topics/<topic>.yaml

Only what is set on a topic itself is written, so that what it inherits from its brokers stays
theirs. The plan of an export nobody edited adopts every topic and alters none.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from penstock.control.declare.documents import TopicSettings
from penstock.control.declare.estate import EstateFile
from penstock.control.declare.layers import KAFKA_NAMES
from penstock.control.observations import ObservedCluster, ObservedTopic
from penstock.errors import ConfigError, Fault
from penstock.model import clusters
from penstock.units import format_bytes, format_ms, parse_bytes, parse_ms

__all__ = ["export", "write"]

_UNITS: Mapping[str, tuple[Callable[[int], str], Callable[[str], int]]] = {
    "retention": (format_ms, parse_ms),
    "retention-bytes": (format_bytes, parse_bytes),
    "max-message": (format_bytes, parse_bytes),
    "segment": (format_ms, parse_ms),
    "segment-bytes": (format_bytes, parse_bytes),
}
_FIELDS = {key: field.replace("_", "-") for field, key in KAFKA_NAMES.items()}


def export(seen: ObservedCluster, cluster: clusters.Cluster, *, owner: str) -> list[EstateFile]:
    """Return the estate files of a cluster and everything on it.

    Args:
        seen: the cluster as it answered.
        cluster: what it is to be called, and how to reach it.
        owner: who answers for every topic until somebody edits the files.
    """
    head: dict[str, Any] = {
        "kind": "Cluster",
        "name": cluster.name,
        "environment": cluster.environment,
        "category": cluster.category.value,
        "region": cluster.region,
        "bootstrap": {mode.value: address for mode, address in cluster.bootstrap.items()},
        "cluster-id": seen.cluster_id,
    }
    files = [_file(f"clusters/{cluster.name}.yaml", head)]
    for name, topic in sorted(seen.topics.items()):
        files.append(_file(f"topics/{name}.yaml", _topic(topic, cluster.name, owner)))
    return files


def write(files: Sequence[EstateFile], directory: Path) -> None:
    """Write the files below the directory; files that say the same already stay.

    Raises:
        ConfigError: when a file is there that says something else; then nothing is written.
    """
    taken = [
        Fault(
            file=str(directory / file.path),
            line=0,
            what="it is there already and says something else",
            next_step="Give another --out, or remove it.",
        )
        for file in files
        if (directory / file.path).exists() and (directory / file.path).read_text() != file.content
    ]
    if taken:
        raise ConfigError("Nothing was written.", faults=taken)
    for file in files:
        path = directory / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content)


def _topic(topic: ObservedTopic, cluster: str, owner: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "kind": "Topic",
        "name": topic.name,
        "owner": owner,
        "clusters": [cluster],
        "partitions": topic.partitions,
        "replication": topic.replication,
    }
    config: dict[str, str] = {}
    for key, value in sorted(topic.config.items()):
        field = _FIELDS.get(key)
        readable = _readable(field, value) if field else None
        if field and readable is not None:
            document[field] = readable
        else:
            config[key] = value
    return {**document, "config": config} if config else document


def _readable(field: str, value: str) -> str | int | None:
    """Return the value as a person writes it, or None where that would not be the same."""
    if field == "cleanup":
        return value if value in {"delete", "compact", "compact,delete"} else None
    if not value.lstrip("-").isdecimal() or int(value) == 0:
        return None
    if field == "min-in-sync":
        return int(value)
    form, parse = _UNITS[field]
    text = form(int(value))
    try:
        TopicSettings.model_validate({field: text})
    except ValueError:
        return None
    return text if str(parse(text)) == value else None


def _file(path: str, document: dict[str, Any]) -> EstateFile:
    yaml: Any = YAML(typ="safe", pure=True)  # Any: its options are typed as what they begin with
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False
    out = io.StringIO()
    yaml.dump(document, out)
    return EstateFile(path=path, content=out.getvalue())
