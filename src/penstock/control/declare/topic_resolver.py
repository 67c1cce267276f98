"""Topic documents to logical topics: one for each environment and each variant.

TopicDocument ─clusters─▶ by environment ─layers─▶ placements ─▶ topics.Topic, with faults

The clusters a document lists decide its environments. Variants are made in the environment named
``development`` and in no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from penstock.control.declare.catalog import Catalog
from penstock.control.declare.documents import (
    ClusterDocument,
    EnvironmentOverride,
    TopicDocument,
    TopicSettings,
)
from penstock.control.declare.layers import Layer, find_conflicts, settle
from penstock.control.declare.places import Loc, nearest
from penstock.control.declare.rules import Placed, check_placed
from penstock.control.declare.validation import Entry
from penstock.errors import Fault
from penstock.model import names, topics

__all__ = ["DEVELOPMENT", "Resolved", "resolve_topic"]

DEVELOPMENT = "development"
"""The one environment in which variants are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What one document declares."""

    entry: Entry[TopicDocument]
    topics: tuple[topics.Topic, ...]
    placed: tuple[Placed, ...]


def resolve_topic(entry: Entry[TopicDocument], catalog: Catalog) -> tuple[Resolved, list[Fault]]:
    """Return the logical topics of a document, and what is wrong with them."""
    faults = [*_check_references(entry, catalog), *_check_layers(entry), *_check_suffixes(entry)]
    environments = _group(entry, catalog)
    made: list[topics.Topic] = []
    placed: list[Placed] = []
    for environment, clusters in environments.items():
        settled = [_place(entry, cluster, catalog) for cluster in clusters]
        if not entry.partial and catalog.is_sound(entry.model.profile):
            faults += [
                fault for one in settled if not one.cluster.partial for fault in check_placed(one)
            ]
        placed += settled
        override = entry.model.environments.get(environment)
        routing, loc = _routing(entry, environment, override)
        if entry.model.ordering is topics.Ordering.KEY and routing is not topics.Routing.NA:
            faults.append(
                entry.document.fault(
                    loc,
                    f"routing: {routing} would break ordering: key, because a key's records would "
                    "be on several clusters",
                    "Write routing: na, or ordering: none.",
                )
            )
        made += [
            _topic(entry.model, name, environment, routing, settled)
            for name in _names(entry.model, environment)
        ]
    return Resolved(entry=entry, topics=tuple(made), placed=tuple(placed)), faults


def _check_references(entry: Entry[TopicDocument], catalog: Catalog) -> Iterator[Fault]:
    model, document = entry.model, entry.document
    for number, name in enumerate(model.clusters):
        loc = ("clusters", number)
        yield from catalog.unknown(entry, loc, kind="Cluster", name=name)
        if name in model.clusters[:number]:
            yield document.fault(loc, f"clusters: {name} is named twice", "Remove one.")
    if model.profile is not None:
        yield from catalog.unknown(entry, ("profile",), kind="TopicProfile", name=model.profile)
    for name in model.overrides:
        if name not in model.clusters:
            what = f"overrides: {name} is none of the topic's clusters"
            yield document.fault(("overrides", name), what, nearest(name, model.clusters))
    if all(name in catalog.clusters for name in model.clusters):
        known = {catalog.clusters[name].model.environment for name in model.clusters}
        for name in model.environments.keys() - known:
            what = f"environments: none of the topic's clusters is in {name}"
            yield document.fault(("environments", name), what, nearest(name, known))


def _check_layers(entry: Entry[TopicDocument]) -> Iterator[Fault]:
    model = entry.model
    layers: list[tuple[Loc, TopicSettings]] = [((), model)]
    layers += [(("environments", name), part) for name, part in model.environments.items()]
    layers += [(("overrides", name), part) for name, part in model.overrides.items()]
    for loc, settings in layers:
        yield from find_conflicts(Layer(document=entry.document, loc=loc, settings=settings))


def _check_suffixes(entry: Entry[TopicDocument]) -> Iterator[Fault]:
    suffixes = entry.model.dev_variant_suffix
    for number, suffix in enumerate(suffixes):
        loc = ("dev-variant-suffix", number)
        problem = names.explain_bad_topic(entry.model.name + suffix)
        if problem:
            yield entry.document.fault(loc, f"dev-variant-suffix: {problem}", "Shorten it.")
        if suffix in suffixes[:number]:
            what = f"dev-variant-suffix: {suffix} is given twice"
            yield entry.document.fault(loc, what, "Remove one.")


def _group(
    entry: Entry[TopicDocument], catalog: Catalog
) -> dict[str, list[Entry[ClusterDocument]]]:
    """Return the document's clusters by environment, in their order, each once."""
    groups: dict[str, list[Entry[ClusterDocument]]] = {}
    for name in dict.fromkeys(entry.model.clusters):
        cluster = catalog.clusters.get(name)
        if cluster:
            groups.setdefault(cluster.model.environment, []).append(cluster)
    return groups


def _place(
    entry: Entry[TopicDocument], cluster: Entry[ClusterDocument], catalog: Catalog
) -> Placed:
    model, document = entry.model, entry.document
    layers = [
        Layer(
            document=cluster.document,
            loc=("topic-defaults",),
            settings=cluster.model.topic_defaults,
        ),
        *catalog.profile_layers(model.profile),
        Layer(document=document, loc=(), settings=model),
    ]
    environment = cluster.model.environment
    for where, name, settings in (
        ("environments", environment, model.environments.get(environment)),
        ("overrides", cluster.model.name, model.overrides.get(cluster.model.name)),
    ):
        if settings:
            layers.append(Layer(document=document, loc=(where, name), settings=settings))
    return Placed(
        document=document,
        names=_names(model, environment),
        cluster=cluster,
        settled=settle(layers),
    )


def _routing(
    entry: Entry[TopicDocument], environment: str, override: EnvironmentOverride | None
) -> tuple[topics.Routing, Loc]:
    if override and override.routing:
        return override.routing, ("environments", environment, "routing")
    return entry.model.routing, ("routing",)


def _names(model: TopicDocument, environment: str) -> tuple[str, ...]:
    suffixes = model.dev_variant_suffix if environment == DEVELOPMENT else []
    return (model.name, *(model.name + suffix for suffix in dict.fromkeys(suffixes)))


def _topic(
    model: TopicDocument,
    name: str,
    environment: str,
    routing: topics.Routing,
    placed: list[Placed],
) -> topics.Topic:
    placements = tuple(
        topics.Placement(
            cluster=one.cluster.model.name,
            topic=name,
            partitions=one.settled.partitions or 0,
            replication=one.settled.replication or 0,
            config=one.settled.config,
        )
        for one in placed
    )
    epoch = topics.Epoch(
        number=1, state=topics.EpochState.OPEN, routing=routing, placements=placements
    )
    return topics.Topic(
        name=name,
        environment=environment,
        owner=model.owner,
        description=model.description,
        ordering=model.ordering,
        epochs=(epoch,),
    )
