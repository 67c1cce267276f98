"""Handlers of the ``Metadata`` service: what clients need to reach a topic.

    request ─▶ the hub's snapshot (memory) ─▶ response

Served from memory, so that a storm of clients never reaches the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from penstock.api import connector_wire, table_wire, wire
from penstock.api._gen import penstock_pb2 as pb
from penstock.control import switching
from penstock.control.observations import Recorded
from penstock.control.server.access import Caller
from penstock.control.server.endpoints import Handlers
from penstock.control.server.hub import Filter, Hub, select
from penstock.control.server.registry import Registry
from penstock.control.store import estates
from penstock.control.store.clients import Report
from penstock.control.store.database import Database
from penstock.errors import NotFound

__all__ = ["Reading"]


class Reading:
    """What can be read."""

    def __init__(self, database: Database, hub: Hub, registry: Registry) -> None:
        """Serve from these."""
        self._database = database
        self._hub = hub
        self._registry = registry

    @property
    def handlers(self) -> Handlers:
        """Return the handlers by method."""
        return {
            "GetSnapshot": self.get_snapshot,
            "GetTopic": self.get_topic,
            "ListTopics": self.list_topics,
            "GetCluster": self.get_cluster,
            "ListClusters": self.list_clusters,
            "Watch": self.watch,
            "ReportApplied": self.report_applied,
            "ListClients": self.list_clients,
            "ListTables": self.list_tables,
            "ListConnectors": self.list_connectors,
        }

    async def get_snapshot(self, request: pb.GetSnapshotRequest, _caller: Caller) -> pb.Snapshot:
        """Return what was asked for, as of one version."""
        wanted = Filter(environment=request.environment, topics=frozenset(request.topics))
        return wire.encode_snapshot(select(self._hub.snapshot, wanted))

    async def get_topic(self, request: pb.GetTopicRequest, _caller: Caller) -> pb.Topic:
        """Return one topic."""
        return wire.encode_topic(
            switching.find_topic(self._hub.snapshot, request.name, environment=request.environment)
        )

    async def list_topics(
        self, request: pb.ListTopicsRequest, _caller: Caller
    ) -> pb.ListTopicsResponse:
        """Return every topic."""
        return pb.ListTopicsResponse(
            topics=[
                wire.encode_topic(topic)
                for topic in self._hub.snapshot.topics.values()
                if request.environment in {"", topic.environment}
            ]
        )

    async def get_cluster(self, request: pb.GetClusterRequest, _caller: Caller) -> pb.Cluster:
        """Return one cluster."""
        found = self._hub.snapshot.clusters.get(request.name)
        if found is None:
            raise NotFound(f"there is no cluster {request.name}; see `penstock cluster list`")
        return wire.encode_cluster(found)

    async def list_clusters(
        self, request: pb.ListClustersRequest, _caller: Caller
    ) -> pb.ListClustersResponse:
        """Return every cluster."""
        return pb.ListClustersResponse(
            clusters=[
                wire.encode_cluster(cluster)
                for cluster in self._hub.snapshot.clusters.values()
                if request.environment in {"", cluster.environment}
            ]
        )

    async def watch(self, request: pb.WatchRequest, _caller: Caller) -> AsyncIterator[bytes]:
        """Yield a snapshot, then what changes."""
        wanted = Filter(environment=request.environment, topics=frozenset(request.topics))
        self._note(request.client, version=request.known_version, wanted=wanted)
        async for event in self._hub.watch(wanted, known_version=request.known_version):
            yield event

    async def report_applied(
        self, request: pb.ReportAppliedRequest, _caller: Caller
    ) -> pb.ReportAppliedResponse:
        """Keep what a client says it has applied."""
        wanted = Filter(environment=request.environment, topics=frozenset(request.topics))
        self._note(request.client, version=request.version, wanted=wanted)
        return pb.ReportAppliedResponse(version=self._hub.snapshot.version)

    async def list_clients(
        self, _request: pb.ListClientsRequest, _caller: Caller
    ) -> pb.ListClientsResponse:
        """Return the clients heard from lately."""
        return pb.ListClientsResponse(
            version=self._hub.snapshot.version,
            clients=[
                pb.ConnectedClient(
                    client=pb.Client(
                        service=seen.report.service,
                        instance=seen.report.instance,
                        sdk_version=seen.report.sdk_version,
                    ),
                    version=seen.report.version,
                    last_seen_ms=seen.last_seen_ms,
                    environment=seen.report.environment,
                    topics=seen.report.topics,
                )
                for seen in await self._registry.seen()
            ],
        )

    async def list_tables(
        self, request: pb.ListTablesRequest, _caller: Caller
    ) -> pb.ListTablesResponse:
        """Return the declared tables of the lake."""
        recorded = await asyncio.to_thread(self._recorded)
        return pb.ListTablesResponse(
            tables=[
                table_wire.encode_table(table)
                for table in recorded.tables.values()
                if request.environment in {"", table.environment}
            ]
        )

    async def list_connectors(
        self, request: pb.ListConnectorsRequest, _caller: Caller
    ) -> pb.ListConnectorsResponse:
        """Return the declared connectors."""
        recorded = await asyncio.to_thread(self._recorded)
        return pb.ListConnectorsResponse(
            connectors=[
                connector_wire.encode_connector(connector)
                for connector in recorded.connectors.values()
                if request.environment in {"", connector.environment}
            ]
        )

    def _recorded(self) -> Recorded:
        with self._database.read() as tx:
            return estates.recorded(tx)

    def _note(self, client: pb.Client, *, version: int, wanted: Filter) -> None:
        self._registry.note(
            Report(
                service=client.service,
                instance=client.instance,
                sdk_version=client.sdk_version,
                version=version,
                environment=wanted.environment,
                topics=tuple(sorted(wanted.topics)),
            )
        )
