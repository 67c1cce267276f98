"""Which connectors there shall be: the control plane's answer, or the last one it gave.

    control plane ─▶ connectors, clusters ─▶ <home>/connect/declared.json
                                                 └─▶ the same, while the control plane is away

A process that has never been told anything knows nothing: it then touches no connector at all.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import json_format

from penstock.api import connector_wire, wire
from penstock.api._gen import penstock_pb2 as pb
from penstock.api.client import ControlClient
from penstock.connectors.settings import Settings
from penstock.connectors.statuses import write_atomically
from penstock.errors import NotReady
from penstock.model.clusters import AuthMode, Cluster
from penstock.model.connectors import Connector

__all__ = ["Declared", "Source", "ask", "remembered"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The estate's connectors, and the clusters their groups belong to.

    Attributes:
        connectors: by ident.
        clusters: by name.
    """

    connectors: Mapping[str, Connector] = field(default_factory=dict)
    clusters: Mapping[str, Cluster] = field(default_factory=dict)

    def of(self, cluster: str) -> tuple[Connector, ...]:
        """Return the connectors of one cluster's group."""
        return tuple(one for one in self.connectors.values() if one.cluster == cluster)

    def bootstrap(self, cluster: str) -> str:
        """Return the cluster's open ``host:port,…``; empty where there is none."""
        known = self.clusters.get(cluster)
        return known.bootstrap.get(AuthMode.PLAINTEXT, "") if known else ""


class Source:
    """Gives what is declared, again and again."""

    def __init__(self, settings: Settings, *, find: Callable[[], str | None]) -> None:
        """Begin with what was declared when the process last ran.

        Args:
            settings: of this process.
            find: returns the control plane's address now, or None; a restart may change it.
        """
        self._settings = settings
        self._find = find
        self._known = remembered(settings)

    def __call__(self) -> Declared | None:
        """Return what is declared now, or was when last told; None when never told."""
        try:
            self._known = self._ask()
        except NotReady as error:
            _log.info("managing the connectors of before: %s", error.message)
        else:
            write_atomically(_file(self._settings), _as_text(self._known))
        return self._known

    def _ask(self) -> Declared:
        address = self._find()
        if address is None:
            raise NotReady("no control plane has started here yet; start one: penstock up")
        with ControlClient(address) as control:
            return ask(control)


def ask(control: ControlClient) -> Declared:
    """Return what the control plane has.

    Raises:
        NotReady: when it does not answer.
    """
    return _made(control.connectors(), control.clusters())


def remembered(settings: Settings) -> Declared | None:
    """Return what was declared when the process last asked; None if it never did."""
    try:
        kept = json.loads(_file(settings).read_text("utf-8"))
        connectors = json_format.ParseDict(kept["connectors"], pb.ListConnectorsResponse())
        clusters = json_format.ParseDict(kept["clusters"], pb.ListClustersResponse())
    except (FileNotFoundError, ValueError, KeyError, TypeError, json_format.ParseError):
        return None
    return _made(connectors.connectors, clusters.clusters)


def _made(connectors: Iterable[pb.Connector], clusters: Iterable[pb.Cluster]) -> Declared:
    decoded = [connector_wire.decode_connector(one) for one in connectors]
    return Declared(
        connectors={one.ident: one for one in decoded},
        clusters={one.name: wire.decode_cluster(one) for one in clusters},
    )


def _as_text(declared: Declared) -> str:
    connectors = [connector_wire.encode_connector(one) for one in declared.connectors.values()]
    clusters = [wire.encode_cluster(one) for one in declared.clusters.values()]
    kept = {
        "connectors": json_format.MessageToDict(pb.ListConnectorsResponse(connectors=connectors)),
        "clusters": json_format.MessageToDict(pb.ListClustersResponse(clusters=clusters)),
    }
    return json.dumps(kept, indent=2) + "\n"


def _file(settings: Settings) -> Path:
    return settings.state / "declared.json"
