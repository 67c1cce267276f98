"""What the control plane measures of itself and of the clusters it watches."""

from __future__ import annotations

from opentelemetry.metrics import Observation

from penstock.control.reconcile import Reconciler
from penstock.control.server.hub import Hub
from penstock.control.server.metrics import Metrics
from penstock.control.store import health, plans
from penstock.control.store.database import Database

__all__ = ["measure"]


def measure(database: Database, hub: Hub, reconciler: Reconciler) -> Metrics:
    """Return metrics that are read from these at each scrape."""

    def of_store() -> tuple[int, int]:
        with database.read() as tx:
            return health.drifted(tx), plans.count_pending(tx)

    def of_clusters() -> list[Observation]:
        with database.read() as tx:
            return [
                Observation(int(seen.reachable), {"cluster": seen.name})
                for seen, _ in health.clusters(tx)
            ]

    def under_replicated() -> list[Observation]:
        with database.read() as tx:
            return [
                Observation(seen.under_replicated_partitions, {"cluster": seen.name})
                for seen, _ in health.clusters(tx)
            ]

    metrics = Metrics()
    add = metrics.add
    add(
        "penstock.control.metadata_version",
        lambda: [Observation(hub.snapshot.version)],
        unit="{version}",
        description="Version of the metadata that is served",
    )
    add(
        "penstock.control.watchers",
        lambda: [Observation(hub.watchers)],
        unit="{client}",
        description="Open watches",
    )
    add(
        "penstock.control.leading",
        lambda: [Observation(int(reconciler.leading))],
        unit="1",
        description="1 where this process leads",
    )
    add(
        "penstock.control.drifted_changes",
        lambda: [Observation(of_store()[0])],
        unit="{change}",
        description="Changes that a plan of the last applied files would hold",
    )
    add(
        "penstock.control.pending_changes",
        lambda: [Observation(of_store()[1])],
        unit="{change}",
        description="Changes of accepted plans still to be done",
    )
    add(
        "penstock.control.cluster_reachable",
        of_clusters,
        unit="1",
        description="1 where the cluster answered when last looked at",
    )
    add(
        "penstock.control.under_replicated_partitions",
        under_replicated,
        unit="{partition}",
        description="Partitions with fewer in-sync replicas than replicas",
    )
    return metrics
