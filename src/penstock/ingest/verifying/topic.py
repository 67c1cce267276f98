"""The topic's side of a comparison: its records on every cluster, between fixed offsets.

    begins, ends ─▶ Span a partition ─read─▶ RAW, piece by piece, and the gaps that came meanwhile

Reads only; commits nothing to Kafka and joins no group.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from penstock.errors import ConfigError
from penstock.ingest import plan
from penstock.ingest.batches import Gathered, follow
from penstock.ingest.ledger import BatchPlan
from penstock.ingest.plan import Gap, Partition, Positions
from penstock.ingest.readers import ClusterReader, Reading
from penstock.kafka import ends
from penstock.kafka.admin import Admin
from penstock.model import tables
from penstock.model.clusters import AuthMode, Cluster
from penstock.model.metadata import Snapshot

__all__ = ["Topic", "opened"]

_PIECE_RECORDS = 100_000
_PIECE_BYTES = 64 * 2**20
_QUEUE_KIB = 16 * 2**10


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A table's topic, wherever it is.

    Attributes:
        table: the declaration.
        sources: the physical topics.
        clusters: they are on, by name.
        gaps: what the clusters deleted while it was read; grows.
    """

    table: tables.Table
    sources: Sequence[plan.Source]
    clusters: Mapping[str, Cluster]
    gaps: list[Gap] = field(default_factory=list)
    _admins: dict[str, Admin] = field(default_factory=dict, init=False)

    def begins(self) -> dict[Partition, int]:
        """Return the first offset that is still there, of each partition.

        Raises:
            NotReady: when a cluster does not answer.
        """
        return {
            source.partition(number): offset
            for source in self.sources
            for number, offset in ends.begin_offsets(self._admin(source), source.topic).items()
        }

    def ends(self) -> dict[Partition, int]:
        """Return the offset after the last, of each partition.

        Raises:
            NotReady: when a cluster does not answer.
        """
        return {
            source.partition(number): offset
            for source in self.sources
            for number, offset in ends.end_offsets(self._admin(source), source.topic).items()
        }

    def compacted(self) -> list[plan.Source]:
        """Return the physical topics that keep only the newest record of a key.

        Raises:
            NotReady: when a cluster does not answer.
        """
        return [
            source
            for source in self.sources
            if "compact" in self._admin(source).effective_config(source.topic, "cleanup.policy")
        ]

    def at_time(self, timestamp_ms: int) -> dict[Partition, int]:
        """Return the first offset at or after the time, of each partition.

        Raises:
            NotReady: when a cluster does not answer.
        """
        with self._readers({}, partitions=None, record_ids=False) as readers:
            return {p: o for reader in readers for p, o in reader.offsets_at(timestamp_ms).items()}

    def read(self, begin: Positions, end: Positions, *, record_ids: bool) -> Iterator[pa.Table]:
        """Yield the records ``begin <= offset < end`` as `RAW`, in pieces of bounded size.

        Args:
            begin: by partition; those not in it are not read.
            end: by partition.
            record_ids: whether to read the records' ids.

        Raises:
            NotReady: when a cluster does not give its records.
        """
        wanted = BatchPlan(number=0, begin=begin, end={p: end[p] for p in begin if p in end})
        gathered = Gathered(positions=begin)
        with self._readers(begin, partitions=list(wanted.ranges), record_ids=record_ids) as readers:
            for _ in follow(
                wanted,
                readers,
                gathered,
                stopping=threading.Event(),
                what=f"the records of topic {self.table.topic}",
            ):
                if gathered.count >= _PIECE_RECORDS or gathered.size_bytes >= _PIECE_BYTES:
                    yield gathered.taken()
            if gathered.count:
                yield gathered.taken()
        self.gaps.extend(gap for gap in gathered.gaps if gap.records)

    def has_records(self, begin: Positions, end: Positions) -> bool:
        """Tell whether there is any record between: a transaction's marker is none."""
        return any(piece.num_rows for piece in self.read(begin, end, record_ids=False))

    def _admin(self, source: plan.Source) -> Admin:
        if source.cluster not in self._admins:
            address = self.clusters[source.cluster].bootstrap.get(AuthMode.PLAINTEXT)
            if address is None:
                raise ConfigError(
                    f"cluster {source.cluster!r} of topic {source.topic} has no plaintext address, "
                    "and its offsets are asked for by no other. Declare one in its bootstrap:."
                )
            self._admins[source.cluster] = Admin(source.cluster, address)
        return self._admins[source.cluster]

    @contextmanager
    def _readers(
        self, begin: Positions, *, partitions: Sequence[Partition] | None, record_ids: bool
    ) -> Iterator[list[ClusterReader]]:
        reading = Reading(
            name=f"penstock-verify-{self.table.name}",
            queue_kib=_QUEUE_KIB,
            record_ids=record_ids,
            ends=True,
        )
        with ExitStack() as stack:
            readers = []
            for name in sorted({source.cluster for source in self.sources}):
                mine = None if partitions is None else [p for p in partitions if p.cluster == name]
                if mine is not None and not mine:
                    continue
                reader = ClusterReader(
                    self.clusters[name],
                    [source for source in self.sources if source.cluster == name],
                    begin=begin,
                    reading=reading,
                    partitions=mine,
                )
                stack.callback(reader.close)
                readers.append(reader)
            yield readers


def opened(table: tables.Table, snapshot: Snapshot) -> Topic:
    """Return the topic of a table.

    Raises:
        NotReady: when the topic is not known, or on no cluster that is in use.
    """
    sources = plan.sources_for(table, snapshot)
    clusters = {source.cluster: snapshot.clusters[source.cluster] for source in sources}
    return Topic(table=table, sources=sources, clusters=clusters)
