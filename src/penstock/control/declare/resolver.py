"""Typed documents to the estate: everything that needs more than one document to be judged.

Catalog ─topics, tables, connectors─▶ Estate, and faults: duplicates, two owners, collisions, limits

The outcome does not depend on the order of files. Of two documents that say the same name, the
later by path is the one at fault, and the fault names both places.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from penstock.control.declare.catalog import Catalog
from penstock.control.declare.connector_resolver import resolve_connectors
from penstock.control.declare.documents import ClusterDocument, TopicDocument
from penstock.control.declare.estate import Estate
from penstock.control.declare.layers import Layer, find_conflicts
from penstock.control.declare.rules import Placed, check_limits
from penstock.control.declare.table_paths import Located, check_paths
from penstock.control.declare.table_resolver import resolve_table
from penstock.control.declare.topic_resolver import Resolved, resolve_topic
from penstock.control.declare.validation import Entry
from penstock.errors import Fault
from penstock.model import clusters, names, tables, topics

__all__ = ["resolve"]


def resolve(catalog: Catalog) -> tuple[Estate, list[Fault]]:
    """Return the estate and what is wrong with it; with faults it is not to be used."""
    outcomes = [resolve_topic(entry, catalog) for entry in catalog.topics]
    resolved = [one for one, _ in outcomes]
    faults = [fault for _, found in outcomes for fault in found]
    faults += _check_clusters(catalog)
    faults += _check_profiles(catalog)
    faults += _check_names(resolved)
    faults += _check_owners(catalog.topics)
    faults += _check_collisions(resolved)
    faults += check_limits(_by_cluster(resolved))
    declared = {topic.ident: topic for one in resolved for topic in one.topics}
    fed, wrong = _resolve_tables(catalog, declared)
    run, broken = resolve_connectors(catalog, declared)
    estate = Estate(
        clusters={name: _cluster(entry.model) for name, entry in sorted(catalog.clusters.items())},
        topics=dict(sorted(declared.items())),
        tables=dict(sorted(fed.items())),
        connectors=dict(sorted(run.items())),
    )
    return estate, [*faults, *wrong, *broken]


def _cluster(model: ClusterDocument) -> clusters.Cluster:
    return clusters.Cluster(
        name=model.name,
        environment=model.environment,
        category=model.category,
        region=model.region,
        bootstrap=dict(sorted(model.bootstrap.items())),
        state=model.state,
        cluster_id=model.cluster_id,
        embedded=model.embedded,
    )


def _resolve_tables(
    catalog: Catalog, declared: Mapping[str, topics.Topic]
) -> tuple[dict[str, tables.Table], list[Fault]]:
    made: dict[str, Located] = {}
    faults: list[Fault] = []
    for entry in catalog.tables:
        found, wrong = resolve_table(entry, declared, catalog)
        faults += wrong
        for table in found:
            first = made.setdefault(table.ident, Located(table=table, entry=entry))
            if first.entry is not entry:
                what = f"table {table.ident} is declared twice, first at "
                what += first.entry.document.place(("name",))
                step = "Remove one of them, or rename it."
                faults.append(entry.document.fault(("name",), what, step))
    faults += check_paths([*made.values()])
    return {ident: one.table for ident, one in made.items()}, faults


def _check_clusters(catalog: Catalog) -> Iterator[Fault]:
    ids: dict[str, str] = {}
    for entry in catalog.clusters.values():
        model, document = entry.model, entry.document
        if model.embedded == bool(model.bootstrap) and not entry.partial:
            what = f"cluster {model.name} is " + (
                "embedded, and has a bootstrap" if model.embedded else "nowhere to be found"
            )
            yield document.fault(("name",), what, "Give it bootstrap: or embedded: true, not both.")
        if model.cluster_id and model.cluster_id in ids:
            what = f"cluster-id: {model.cluster_id} is also that of {ids[model.cluster_id]}"
            yield document.fault(("cluster-id",), what, "Correct one; or remove one document.")
        ids.setdefault(model.cluster_id, f"{model.name} at {document.place()}")
        yield from find_conflicts(
            Layer(document=document, loc=("topic-defaults",), settings=model.topic_defaults)
        )


def _check_profiles(catalog: Catalog) -> Iterator[Fault]:
    for entry in catalog.profiles.values():
        yield from find_conflicts(Layer(document=entry.document, loc=(), settings=entry.model))


def _check_names(resolved: Iterable[Resolved]) -> Iterator[Fault]:
    """Yield logical topics that two documents declare, or one and another's variant."""
    first: dict[str, Resolved] = {}
    for one in resolved:
        for topic in one.topics:
            other = first.setdefault(topic.ident, one)
            if other is one:
                continue
            by = (
                ""
                if topic.name == one.entry.model.name
                else f", a variant of {one.entry.model.name},"
            )
            what = (
                f"topic {topic.ident}{by} is declared twice, first at "
                f"{other.entry.document.place(('name',))}"
            )
            yield one.entry.document.fault(("name",), what, "Remove one of them, or rename it.")


def _check_owners(entries: Iterable[Entry[TopicDocument]]) -> Iterator[Fault]:
    first: dict[str, Entry[TopicDocument]] = {}
    for entry in entries:
        other = first.setdefault(entry.model.name, entry)
        if other.model.owner != entry.model.owner:
            what = (
                f"topic {entry.model.name} has two owners: {entry.model.owner}, and "
                f"{other.model.owner} at {other.document.place(('owner',))}"
            )
            yield entry.document.fault(("owner",), what, "Settle on one owner.")


def _check_collisions(resolved: Iterable[Resolved]) -> Iterator[Fault]:
    """Yield names that Kafka refuses beside another because only '.' and '_' tell them apart."""
    first: dict[tuple[str, str], tuple[str, Placed]] = {}
    for placed in (p for one in resolved for p in one.placed):
        for name in placed.names:
            key = (placed.cluster.model.name, names.collision_key(name))
            other, place = first.setdefault(key, (name, placed))
            if other != name:
                what = (
                    f"topic {name} collides on {key[0]} with {other} at "
                    f"{place.document.place(('name',))}: Kafka takes '.' and '_' for the same"
                )
                yield placed.document.fault(("name",), what, "Rename one of them.")


def _by_cluster(resolved: Iterable[Resolved]) -> dict[str, list[Placed]]:
    groups: dict[str, list[Placed]] = defaultdict(list)
    for one in resolved:
        for placed in one.placed:
            groups[placed.cluster.model.name].append(placed)
    return groups
