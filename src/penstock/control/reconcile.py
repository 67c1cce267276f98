"""The loop of the leader: finish what was left, look at every cluster, tell what has drifted.

    lease ─held─▶ resume plans ─▶ addresses of embedded clusters ─▶ survey ─▶ health, drift
      └─ held by another: wait, and try again

Drift is told and never repaired: somebody changed a cluster on purpose, or the estate is behind;
`penstock plan` and `penstock apply` decide. One look that fails is logged and tried again.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

from penstock.control.leadership import Lease
from penstock.control.observations import ObservedCluster
from penstock.control.plane import ControlPlane
from penstock.control.store import audit, estates, health, leases
from penstock.control.survey import embedded_addresses
from penstock.errors import PenstockError

__all__ = ["Reconciler"]

_log = logging.getLogger(__name__)


class Reconciler:
    """Runs in a thread of its own until told to stop.

    Attributes:
        leading: whether this process is the leader.
    """

    def __init__(self, plane: ControlPlane) -> None:
        """Start nothing yet."""
        self._plane = plane
        settings = plane.settings
        self._lease = Lease(plane.database, leases.LEADER, me=plane.me, seconds=settings.lease_s)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconcile", daemon=True)

    @property
    def leading(self) -> bool:
        """Tell whether this process leads now."""
        return self._lease.held

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, *, timeout_s: float) -> None:
        """Stop, and let another lead at once."""
        self._stopping.set()
        self._thread.join(timeout_s)
        self._lease.release()

    def _run(self) -> None:
        settings = self._plane.settings
        while not self._stopping.is_set():
            pause_s = settings.lease_s / 3
            try:
                if self._lease.held or self._lease.try_take():
                    self._look()
                    pause_s = settings.reconcile_s
            except PenstockError as error:
                _log.warning("reconciling failed, and is tried again: %s", error.message)
            except Exception:  # noqa: BLE001 - see below
                # A loop that dies in silence would look like a quiet estate.
                _log.exception("reconciling failed, and is tried again")
            self._stopping.wait(pause_s)

    def _look(self) -> None:
        self._move_embedded()
        self._plane.resume()
        seen = self._plane.survey_applied()
        drifted = len(seen.plan.changes)
        with self._plane.database.write() as tx:
            health.record(tx, map(_health, seen.observed.clusters.values()), drifted=drifted)

    def _move_embedded(self) -> None:
        """Record where the runtime started its clusters this time."""
        addresses = embedded_addresses(self._plane.settings.home)
        with self._plane.database.read() as tx:
            recorded = estates.recorded(tx).clusters
        for name, cluster in recorded.items():
            bootstrap = addresses.get(name, cluster.bootstrap)
            if not cluster.embedded or bootstrap == cluster.bootstrap:
                continue
            with self._plane.database.write() as tx:
                estates.put_cluster(tx, replace(cluster, bootstrap=bootstrap))
                audit.append(
                    tx,
                    who="penstock",
                    what="move-embedded-cluster",
                    subject=name,
                    before={str(k): v for k, v in cluster.bootstrap.items()},
                    after={str(k): v for k, v in bootstrap.items()},
                )


def _health(seen: ObservedCluster) -> health.ClusterHealth:
    return health.ClusterHealth(
        name=seen.name,
        reachable=seen.reachable,
        error=seen.error,
        brokers=seen.brokers,
        topics=len(seen.topics),
        under_replicated_partitions=sum(t.under_replicated for t in seen.topics.values()),
    )
