"""What a topic is on one cluster: layers of settings, each over the one before.

cluster's topic-defaults ◁ profiles, base first ◁ topic ◁ environment ◁ override for the cluster

Each layer is turned into Kafka's own names first, so that ``retention: 7d`` in one layer and
``retention.ms`` in another are the same key. Within one layer that is a fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penstock.control.declare.documents import TopicSettings
from penstock.control.declare.places import Document, Loc
from penstock.errors import Fault

__all__ = ["Layer", "Settled", "find_conflicts", "settle"]

KAFKA_NAMES = {
    "retention": "retention.ms",
    "retention_bytes": "retention.bytes",
    "max_message": "max.message.bytes",
    "segment": "segment.ms",
    "segment_bytes": "segment.bytes",
    "cleanup": "cleanup.policy",
    "min_in_sync": "min.insync.replicas",
}
"""Kafka's topic configuration by the field that stands for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Settings and where they were written."""

    document: Document
    loc: Loc
    settings: TopicSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The outcome of all layers; None where no layer says anything.

    Attributes:
        sources: ``file:line`` of each Kafka key, and of ``partitions`` and ``replication``.
    """

    partitions: int | None
    replication: int | None
    config: Mapping[str, str]
    sources: Mapping[str, tuple[Document, Loc]] = field(default_factory=dict)


def settle(layers: Iterable[Layer]) -> Settled:
    """Return what holds when later layers cover earlier ones."""
    counts: dict[str, int] = {}
    config: dict[str, str] = {}
    sources: dict[str, tuple[Document, Loc]] = {}
    for layer in layers:
        for name in ("partitions", "replication"):
            count = getattr(layer.settings, name)
            if count is not None:
                counts[name] = count
                sources[name] = (layer.document, (*layer.loc, name))
        for key, (value, loc) in _kafka_config(layer).items():
            config[key] = value
            sources[key] = (layer.document, loc)
    return Settled(
        partitions=counts.get("partitions"),
        replication=counts.get("replication"),
        config=dict(sorted(config.items())),
        sources=sources,
    )


def find_conflicts(layer: Layer) -> list[Fault]:
    """Return a fault for each configuration given twice in one layer."""
    return [
        layer.document.fault(
            (*layer.loc, "config", key),
            f"config.{key}: is given twice, as {_yaml_name(field)}: on line "
            f"{layer.document.line((*layer.loc, _yaml_name(field)))}",
            f"Keep {_yaml_name(field)}: and remove this one.",
        )
        for field, key in KAFKA_NAMES.items()
        if getattr(layer.settings, field) is not None and key in layer.settings.config
    ]


def _kafka_config(layer: Layer) -> dict[str, tuple[str, Loc]]:
    config = {
        key: (str(getattr(layer.settings, field)), (*layer.loc, _yaml_name(field)))
        for field, key in KAFKA_NAMES.items()
        if getattr(layer.settings, field) is not None
    }
    written = {
        key: (value, (*layer.loc, "config", key)) for key, value in layer.settings.config.items()
    }
    return {**config, **written}


def _yaml_name(field: str) -> str:
    return field.replace("_", "-")
