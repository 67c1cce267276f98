"""Commands on topics and clusters: list, show, and the operator's switches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.output import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    YesOption,
    confirm,
    console,
    print_json,
    table_console,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.api._gen import penstock_pb2 as pb

__all__ = ["register"]

NameArgument = Annotated[str, typer.Argument(help="Its name in the estate.", show_default=False)]
EnvironmentOption = Annotated[
    str, typer.Option("--environment", "-e", help="Needed where several have that topic.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the audit.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    topic = typer.Typer(help="See topics; move their traffic; empty them.", no_args_is_help=True)
    topic.command("list", epilog="Example: penstock topic list --json")(list_topics)
    topic.command("show", epilog="Example: penstock topic show host-metrics")(show_topic)
    topic.command("empty", epilog="Example: penstock topic empty host-metrics")(empty_topic)
    topic.command("activate", epilog="Example: penstock topic activate host-metrics standby")(
        activate
    )
    topic.command("failback", epilog="Example: penstock topic failback host-metrics")(fail_back)
    app.add_typer(topic, name="topic")
    cluster = typer.Typer(help="See clusters; take them out of traffic.", no_args_is_help=True)
    cluster.command("list", epilog="Example: penstock cluster list --json")(list_clusters)
    cluster.command("show", epilog="Example: penstock cluster show primary")(show_cluster)
    cluster.command("cordon", epilog="Example: penstock cluster cordon primary --reason disk")(
        cordon
    )
    cluster.command("uncordon", epilog="Example: penstock cluster uncordon primary")(uncordon)
    app.add_typer(cluster, name="cluster")


def list_topics(
    environment: EnvironmentOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """List the topics."""
    from penstock.api.client import connect_home
    from penstock.cli.control_rendering import to_json

    with connect_home(home) as client:
        topics = client.topics(environment=environment)
    if as_json:
        print_json({"topics": [to_json(topic) for topic in topics]})
    else:
        _print_topics(topics)


def show_topic(
    name: NameArgument,
    environment: EnvironmentOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show one topic: its epochs, routing and placements. Exits 3 when there is none."""
    from penstock.api.client import connect_home

    with connect_home(home) as client:
        topic = client.topic(name, environment=environment)
    _print_topic(topic, as_json=as_json)


def empty_topic(
    name: NameArgument,
    environment: EnvironmentOption = "",
    reason: ReasonOption = "",
    home: HomeOption = DEFAULT_HOME,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete every record of a topic, on every cluster. The topic stays; the records do not.

    Asks first. Exits 0 when done, 1 when the answer was no, 4 when a cluster does not answer.
    """
    from penstock.api.client import connect_home
    from penstock.cli.control_rendering import to_json

    with connect_home(home) as client:
        topic = client.topic(name, environment=environment)
        places = ", ".join(place.cluster for place in topic.epochs[-1].placements)
        confirm(
            f"Delete every record of {topic.environment}/{name} on {places}? They cannot be had "
            "back.",
            yes=yes,
        )
        with console.status("Deleting records …"):
            emptied = client.empty_topic(
                name, confirm=name, environment=topic.environment, reason=reason
            )
    if as_json:
        print_json(to_json(emptied))
        return
    for place in emptied.placements:
        table_console.print(f"{place.topic} on {place.cluster}: {place.records} offsets freed")


def activate(
    name: NameArgument,
    cluster: Annotated[str, typer.Argument(help="The cluster to write to first.")],
    environment: EnvironmentOption = "",
    reason: ReasonOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Send producers of a failover topic to one cluster first, until told to fail back.

    Exits 3 when there is no such topic or cluster, 5 when its routing is not failover.
    """
    from penstock.api.client import connect_home

    with connect_home(home) as client:
        topic = client.activate(name, cluster=cluster, environment=environment, reason=reason)
    _print_topic(topic, as_json=as_json)


def fail_back(
    name: NameArgument,
    environment: EnvironmentOption = "",
    reason: ReasonOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Send producers of a failover topic back to the declared order."""
    from penstock.api.client import connect_home

    with connect_home(home) as client:
        topic = client.fail_back(name, environment=environment, reason=reason)
    _print_topic(topic, as_json=as_json)


def list_clusters(
    environment: EnvironmentOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """List the clusters."""
    from penstock.api.client import connect_home
    from penstock.cli.control_rendering import to_json

    with connect_home(home) as client:
        clusters = client.clusters(environment=environment)
    if as_json:
        print_json({"clusters": [to_json(cluster) for cluster in clusters]})
    else:
        _print_clusters(clusters)


def show_cluster(
    name: NameArgument, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """Show one cluster. Exits 3 when there is none."""
    from penstock.api.client import connect_home

    with connect_home(home) as client:
        cluster = client.cluster(name)
    _print_cluster(cluster, as_json=as_json)


def cordon(
    name: NameArgument,
    reason: ReasonOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Make producers leave the cluster wherever a topic names another one; consumers stay."""
    from penstock.api.client import connect_home

    with connect_home(home) as client:
        cluster = client.cordon(name, reason=reason)
    _print_cluster(cluster, as_json=as_json)


def uncordon(
    name: NameArgument,
    reason: ReasonOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Let producers choose the cluster again."""
    from penstock.api.client import connect_home

    with connect_home(home) as client:
        cluster = client.uncordon(name, reason=reason)
    _print_cluster(cluster, as_json=as_json)


def _print_topic(topic: pb.Topic, *, as_json: bool) -> None:
    from penstock.cli.control_rendering import to_json

    if as_json:
        print_json(to_json(topic))
    else:
        _print_topics([topic])


def _print_cluster(cluster: pb.Cluster, *, as_json: bool) -> None:
    from penstock.cli.control_rendering import to_json

    if as_json:
        print_json(to_json(cluster))
    else:
        _print_clusters([cluster])


def _print_topics(topics: Iterable[pb.Topic]) -> None:
    from penstock.api import wire
    from penstock.cli.control_rendering import make_table

    table = make_table("topic", "owner", "routing", "ordering", "clusters", "partitions", "active")
    for message in topics:
        topic = wire.decode_topic(message)
        epoch = topic.current
        table.add_row(
            topic.ident,
            topic.owner,
            epoch.routing,
            topic.ordering,
            ", ".join(placement.cluster for placement in epoch.placements),
            ", ".join(str(placement.partitions) for placement in epoch.placements),
            topic.active_cluster or "as declared",
        )
    table_console.print(table)


def _print_clusters(clusters: Iterable[pb.Cluster]) -> None:
    from penstock.api import wire
    from penstock.cli.control_rendering import make_table

    table = make_table("cluster", "environment", "category", "region", "state", "bootstrap")
    for message in clusters:
        cluster = wire.decode_cluster(message)
        table.add_row(
            cluster.name,
            cluster.environment,
            cluster.category,
            cluster.region,
            cluster.state,
            ", ".join(f"{mode}: {address}" for mode, address in cluster.bootstrap.items()),
        )
    table_console.print(table)
