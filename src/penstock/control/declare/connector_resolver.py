"""Connector documents to connectors, and what only all of them together can get wrong.

ConnectorDocument, clusters, logical topics ─▶ connectors.Connector…, with faults

Two connectors must not share a name, a replication slot, a publication, or a table's way into a
topic. Every topic a connector writes must be declared on its cluster: nothing creates it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from penstock.control.declare.catalog import Catalog
from penstock.control.declare.connector_checks import check_document
from penstock.control.declare.connector_documents import ConnectorDocument, PostgresSpec
from penstock.control.declare.connector_settings import Settings, Written, settle_connector
from penstock.control.declare.places import Loc
from penstock.control.declare.validation import Entry
from penstock.errors import Fault
from penstock.model import connectors, topics

__all__ = ["resolve_connectors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """Something that one connector alone may have.

    Attributes:
        what: a sentence's subject, for people.
        key: equal for what is the same thing.
    """

    what: str
    key: tuple[str, ...]
    loc: Loc
    next_step: str


def resolve_connectors(
    catalog: Catalog, declared: Mapping[str, topics.Topic]
) -> tuple[dict[str, connectors.Connector], list[Fault]]:
    """Return the connectors of every document by ident, and what is wrong with them.

    Args:
        catalog: every typed document.
        declared: logical topics by ident.
    """
    made: dict[str, connectors.Connector] = {}
    faults: list[Fault] = []
    taken: dict[tuple[str, ...], str] = {}
    for entry in catalog.connectors:
        settings = settle_connector(entry.model)
        faults += check_document(entry, settings)
        faults += catalog.unknown(entry, ("cluster",), kind="Cluster", name=entry.model.cluster)
        cluster = catalog.clusters.get(entry.model.cluster)
        if cluster is None:
            continue
        connector = _connector(entry.model, settings, environment=cluster.model.environment)
        faults += _check_topics(entry, settings, catalog, declared, connector)
        faults += _check_claims(entry, connector, taken)
        made[connector.ident] = connector
    return made, faults


def _connector(
    model: ConnectorDocument, settings: Settings, *, environment: str
) -> connectors.Connector:
    config = {**settings.defaults, **model.config, **settings.fixed}
    return connectors.Connector(
        name=model.name,
        environment=environment,
        owner=model.owner,
        cluster=model.cluster,
        kind=model.type,
        connector_class=settings.connector_class,
        tasks=model.tasks,
        state=model.state,
        config=dict(sorted(config.items())),
        topics=tuple(dict.fromkeys(one.topic for one in settings.topics)),
        description=model.description,
    )


def _check_topics(
    entry: Entry[ConnectorDocument],
    settings: Settings,
    catalog: Catalog,
    declared: Mapping[str, topics.Topic],
    connector: connectors.Connector,
) -> Iterator[Fault]:
    for one in settings.topics:
        problem = _explain_missing(one, catalog, declared, connector)
        if problem:
            step = (
                f"Declare kind: Topic, name: {one.topic}, with {connector.cluster} among its "
                "clusters:; topics are never made by themselves."
            )
            yield entry.document.fault(one.loc, f"{_dotted(one.loc)}: {problem}", step)


def _explain_missing(
    one: Written,
    catalog: Catalog,
    declared: Mapping[str, topics.Topic],
    connector: connectors.Connector,
) -> str | None:
    """Return why the connector cannot have the topic, or None."""
    topic = declared.get(f"{connector.environment}/{one.topic}")
    if topic is not None:
        clusters = [placement.cluster for placement in topic.current.placements]
        at = f"topic {one.topic} is not on its cluster {connector.cluster}"
        return None if connector.cluster in clusters else f"{at}, but on {', '.join(clusters)}"
    others = sorted(t.environment for t in declared.values() if t.name == one.topic)
    if others:
        return f"topic {one.topic} is not in {connector.environment}, but in {', '.join(others)}"
    if one.topic in catalog.written.get("Topic", ()) or not catalog.complete:
        return None  # it is there with a fault of its own, or in a file that could not be read
    return f"no topic is called {one.topic}"


def _check_claims(
    entry: Entry[ConnectorDocument],
    connector: connectors.Connector,
    taken: dict[tuple[str, ...], str],
) -> Iterator[Fault]:
    owner = f"connector {connector.ident} at {entry.document.place()}"
    for claim in _claims(entry.model, connector):
        if entry.partial and claim.loc != ("name",):
            continue  # what was left out may have said something else
        other = taken.setdefault(claim.key, owner)
        if other != owner:
            what = f"{claim.what} is taken, by {other}"
            yield entry.document.fault(claim.loc, what, claim.next_step)


def _claims(model: ConnectorDocument, connector: connectors.Connector) -> Iterator[_Claim]:
    yield _Claim(
        what=f"name: {connector.ident}",
        key=("name", connector.ident),
        loc=("name",),
        next_step="Remove one of them, or rename it.",
    )
    if model.type is connectors.Kind.POSTGRES and model.postgres:
        spec = model.postgres
        yield from _claims_on_server(spec, connector)
        source = f"{spec.host.lower()}:{spec.port}/{spec.database}"
        loc: Loc = ("postgres", "tables")
        yield from _claims_on_topics(connector, source, spec.tables, topic=spec.topic, loc=loc)
    if model.type is connectors.Kind.MONGODB and model.mongodb:
        of, loc = model.mongodb, ("mongodb", "collections")
        yield from _claims_on_topics(
            connector, of.connection, of.collections, topic=of.topic, loc=loc
        )


def _claims_on_server(spec: PostgresSpec, connector: connectors.Connector) -> Iterator[_Claim]:
    server = f"{spec.host.lower()}:{spec.port}"
    slot, publication = connector.config["slot.name"], connector.config["publication.name"]
    yield _Claim(
        what=f"postgres.slot: slot {slot} on {server}",
        key=("slot", server, slot),
        loc=("postgres", "slot"),
        next_step="Give it a slot: of its own; of two readers of a slot each misses changes.",
    )
    yield _Claim(
        what=f"postgres.publication: publication {publication} of {spec.database} on {server}",
        key=("publication", server, spec.database, publication),
        loc=("postgres", "publication"),
        next_step="Give it a publication: of its own; each keeps only its own tables in it.",
    )


def _claims_on_topics(
    connector: connectors.Connector,
    source: str,
    names: Iterable[str],
    *,
    topic: str | None,
    loc: Loc,
) -> Iterator[_Claim]:
    """Yield each table's way into a topic; a table may go into several, and into one only once."""
    into = topic or f"{connector.config['topic.prefix']}.…"
    for number, name in enumerate(names):
        yield _Claim(
            what=f"{_dotted((*loc, number))}: the way of {name} into {into}",
            key=("table", source, name, connector.cluster, into),
            loc=(*loc, number),
            next_step="Remove it from one of them; every change would be in the topic twice.",
        )


def _dotted(loc: Loc) -> str:
    return ".".join(str(step) for step in loc)
