"""Typed calls to a control plane, for commands and other processes; synchronous.

    ControlClient(address, token) ─gRPC, a deadline each─▶ wire messages, or the server's own error

The SDK's watch is not here: it has a loop and a life of its own. Nothing is retried: whoever
calls knows whether it may be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from penstock.api import failures
from penstock.api._gen import penstock_pb2 as pb
from penstock.api._gen import penstock_pb2_grpc as pb_grpc
from penstock.errors import ConfigError, NotReady

__all__ = ["ControlClient", "connect_home"]

_SECONDS = 15.0
# These look at every cluster, and wait for the ones that do not answer.
_LOOKING_S = 120.0
# A plan of many thousands of changes; the server goes on when the client has gone.
_APPLYING_S = 3_600.0

_OPTIONS = (
    ("grpc.max_receive_message_length", 256 * 2**20),
    ("grpc.max_send_message_length", 256 * 2**20),
)


class ControlClient:
    """A connection to one control plane; any thread may use it.

    Every method raises what the server raised (`ConfigError` with its faults, `Conflict`,
    `Refused`), and `NotReady` when the server cannot be reached or does not answer in time.
    """

    def __init__(self, address: str, token: str | None = None) -> None:
        """Connect in the background.

        Args:
            address: ``host:port`` of the control plane's gRPC.
            token: an operator's; reading on this machine needs none.
        """
        self.address = address
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._reads = pb_grpc.MetadataStub(self._channel)
        self._operates = pb_grpc.ControlStub(self._channel)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection; calls under way fail."""
        self._channel.close()

    def plan(self, files: Sequence[pb.EstateFile]) -> pb.PlanResponse:
        """Compare estate files with the clusters."""
        with self._translated():
            return self._operates.Plan(
                pb.PlanRequest(files=files), timeout=_LOOKING_S, metadata=self._metadata
            )

    def apply(self, files: Sequence[pb.EstateFile], *, digest: str) -> Iterator[pb.ApplyEvent]:
        """Do exactly the plan with this digest; yield what happens as it happens.

        Leaving the iterator does not stop the server: what was agreed to is carried out.
        """
        with self._translated():
            yield from self._operates.Apply(
                pb.ApplyRequest(files=files, digest=digest),
                timeout=_APPLYING_S,
                metadata=self._metadata,
            )

    def drift(self) -> pb.PlanResponse:
        """Compare what was last applied with the clusters."""
        with self._translated():
            return self._operates.GetDrift(
                pb.GetDriftRequest(), timeout=_LOOKING_S, metadata=self._metadata
            )

    def cordon(self, cluster: str, *, reason: str = "") -> pb.Cluster:
        """Make producers leave the cluster wherever a topic names another one."""
        with self._translated():
            return self._operates.CordonCluster(
                pb.CordonClusterRequest(name=cluster, reason=reason),
                timeout=_SECONDS,
                metadata=self._metadata,
            )

    def uncordon(self, cluster: str, *, reason: str = "") -> pb.Cluster:
        """Let producers choose the cluster again."""
        with self._translated():
            return self._operates.UncordonCluster(
                pb.UncordonClusterRequest(name=cluster, reason=reason),
                timeout=_SECONDS,
                metadata=self._metadata,
            )

    def activate(
        self, topic: str, *, cluster: str, environment: str = "", reason: str = ""
    ) -> pb.Topic:
        """Send producers of a failover topic to this cluster first."""
        with self._translated():
            return self._operates.SetActiveCluster(
                pb.SetActiveClusterRequest(
                    name=topic, environment=environment, cluster=cluster, reason=reason
                ),
                timeout=_SECONDS,
                metadata=self._metadata,
            )

    def fail_back(self, topic: str, *, environment: str = "", reason: str = "") -> pb.Topic:
        """Send producers of a failover topic back to the declared order."""
        with self._translated():
            return self._operates.FailBack(
                pb.FailBackRequest(name=topic, environment=environment, reason=reason),
                timeout=_SECONDS,
                metadata=self._metadata,
            )

    def empty_topic(
        self, topic: str, *, confirm: str, environment: str = "", reason: str = ""
    ) -> pb.EmptyTopicResponse:
        """Delete every record of the topic, on every cluster."""
        with self._translated():
            return self._operates.EmptyTopic(
                pb.EmptyTopicRequest(
                    name=topic, environment=environment, confirm=confirm, reason=reason
                ),
                timeout=_LOOKING_S,
                metadata=self._metadata,
            )

    def audit(
        self, *, limit: int = 0, before_id: int = 0, subject: str = ""
    ) -> Sequence[pb.AuditEntry]:
        """Return who did what, newest first."""
        with self._translated():
            request = pb.ListAuditRequest(limit=limit, before_id=before_id, subject=subject)
            return self._operates.ListAudit(
                request, timeout=_SECONDS, metadata=self._metadata
            ).entries

    def status(self) -> pb.Status:
        """Return the health of the control plane and of what it watches."""
        with self._translated():
            return self._operates.GetStatus(
                pb.GetStatusRequest(), timeout=_SECONDS, metadata=self._metadata
            )

    def snapshot(self, *, environment: str = "", topics: Sequence[str] = ()) -> pb.Snapshot:
        """Return topics and clusters as of one version."""
        with self._translated():
            return self._reads.GetSnapshot(
                pb.GetSnapshotRequest(environment=environment, topics=topics),
                timeout=_SECONDS,
                metadata=self._metadata,
            )

    def topics(self, *, environment: str = "") -> Sequence[pb.Topic]:
        """Return every topic; of all environments where none is given."""
        with self._translated():
            return self._reads.ListTopics(
                pb.ListTopicsRequest(environment=environment),
                timeout=_SECONDS,
                metadata=self._metadata,
            ).topics

    def topic(self, name: str, *, environment: str = "") -> pb.Topic:
        """Return one topic."""
        with self._translated():
            return self._reads.GetTopic(
                pb.GetTopicRequest(name=name, environment=environment),
                timeout=_SECONDS,
                metadata=self._metadata,
            )

    def clusters(self, *, environment: str = "") -> Sequence[pb.Cluster]:
        """Return every cluster; of all environments where none is given."""
        with self._translated():
            return self._reads.ListClusters(
                pb.ListClustersRequest(environment=environment),
                timeout=_SECONDS,
                metadata=self._metadata,
            ).clusters

    def cluster(self, name: str) -> pb.Cluster:
        """Return one cluster."""
        with self._translated():
            return self._reads.GetCluster(
                pb.GetClusterRequest(name=name), timeout=_SECONDS, metadata=self._metadata
            )

    def tables(self, *, environment: str = "") -> Sequence[pb.Table]:
        """Return the declared tables of the lake."""
        with self._translated():
            return self._reads.ListTables(
                pb.ListTablesRequest(environment=environment),
                timeout=_SECONDS,
                metadata=self._metadata,
            ).tables

    def connectors(self, *, environment: str = "") -> Sequence[pb.Connector]:
        """Return the declared connectors; of all environments where none is given."""
        with self._translated():
            return self._reads.ListConnectors(
                pb.ListConnectorsRequest(environment=environment),
                timeout=_SECONDS,
                metadata=self._metadata,
            ).connectors

    def clients(self) -> pb.ListClientsResponse:
        """Return the clients heard from lately, and the versions they have applied."""
        with self._translated():
            return self._reads.ListClients(
                pb.ListClientsRequest(), timeout=_SECONDS, metadata=self._metadata
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            # Any: grpc types its errors as bare exceptions, though every failed call is a Call too.
            call: Any = error
            raise failures.from_status(
                call.code(),
                call.details() or "",
                call.trailing_metadata() or (),
                address=self.address,
            ) from error


def connect_home(home: Path) -> ControlClient:
    """Connect to the control plane of a home directory, as its operator where that is allowed.

    Raises:
        NotReady: when no control plane has been started there.
        ConfigError: when its address file cannot be read.
    """
    path = home / "control.json"
    try:
        address = json.loads(path.read_text())["grpc"]
    except FileNotFoundError as error:
        raise NotReady(
            f"no control plane runs in {home}; start one with `penstock up` or "
            f"`penstock control --home {home}`"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} cannot be read ({error}); stop the control plane of this home and start it "
            "again, it writes the file anew"
        ) from error
    return ControlClient(address, token=_read_token(home))


def _read_token(home: Path) -> str | None:
    try:
        return (home / "control/token").read_text().strip() or None
    except OSError:
        return None  # reading needs none; what needs one says so
