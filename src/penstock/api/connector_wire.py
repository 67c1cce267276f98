"""Connectors on the wire: `model.connectors` to and from their message."""

from __future__ import annotations

from typing import TypeVar

from penstock.api._gen import penstock_pb2 as pb
from penstock.errors import RemoteError
from penstock.model import connectors

__all__ = ["decode_connector", "encode_connector"]

E = TypeVar("E", connectors.Kind, connectors.ConnectorState)


def encode_connector(connector: connectors.Connector) -> pb.Connector:
    """Return the connector as its wire message."""
    return pb.Connector(
        name=connector.name,
        environment=connector.environment,
        owner=connector.owner,
        cluster=connector.cluster,
        kind=connector.kind.value,
        connector_class=connector.connector_class,
        tasks=connector.tasks,
        state=connector.state.value,
        config=dict(connector.config),
        topics=connector.topics,
        description=connector.description,
    )


def decode_connector(message: pb.Connector) -> connectors.Connector:
    """Return the connector the message describes.

    Raises:
        RemoteError: for a kind or state this version does not know.
    """
    return connectors.Connector(
        name=message.name,
        environment=message.environment,
        owner=message.owner,
        cluster=message.cluster,
        kind=_choice(connectors.Kind, message.kind),
        connector_class=message.connector_class,
        tasks=message.tasks,
        state=_choice(connectors.ConnectorState, message.state),
        config=dict(sorted(message.config.items())),
        topics=tuple(message.topics),
        description=message.description,
    )


def _choice(kind: type[E], value: str) -> E:
    try:
        return kind(value)
    except ValueError as error:
        raise RemoteError(
            f"the control plane sent {kind.__name__} {value!r}, which this version of Penstock "
            "does not know; upgrade the penstock package of this client"
        ) from error
