from __future__ import annotations

import pytest
from hypothesis import given
from tests.strategies import snapshots

from penstock.api import table_wire, wire
from penstock.api._gen import penstock_pb2 as pb
from penstock.errors import RemoteError
from penstock.model import metadata, tables, topics

pytestmark = pytest.mark.unit


@given(snapshots)
def test_a_snapshot_survives_the_wire(snapshot: metadata.Snapshot) -> None:
    sent = wire.encode_snapshot(snapshot).SerializeToString()
    assert wire.decode_snapshot(pb.Snapshot.FromString(sent)) == snapshot


@given(snapshots, snapshots)
def test_a_delta_survives_the_wire(old: metadata.Snapshot, new: metadata.Snapshot) -> None:
    delta = metadata.difference(old, new)
    sent = wire.encode_delta(delta).SerializeToString()
    assert wire.decode_delta(pb.Delta.FromString(sent)) == delta


def test_a_table_survives_the_wire() -> None:
    table = tables.Table(
        name="t",
        topic="t",
        environment="e",
        owner="o",
        path="t",
        columns=(tables.Column(name="at", type="timestamp", nullable=False),),
        derived=(tables.DerivedColumn(name="day", expression="date(at)"),),
        partition_by=("day",),
        latency_ms=2_000,
    )
    assert table_wire.decode_table(table_wire.encode_table(table)) == table


@pytest.mark.parametrize(
    "message",
    [
        pb.Topic(name="t", environment="e", ordering=99),
        pb.Topic(name="t", environment="e"),
        pb.Topic(name="t", ordering=pb.ORDERING_NONE, epochs=[pb.Epoch(number=1, state=99)]),
    ],
    ids=["unknown value", "unspecified value", "unknown value inside"],
)
def test_a_value_of_a_newer_version_is_an_error_not_a_default(message: pb.Topic) -> None:
    with pytest.raises(RemoteError, match="upgrade the penstock package"):
        wire.decode_topic(message)


def test_an_unknown_mode_is_an_error() -> None:
    message = table_wire.encode_table(
        tables.Table(name="t", topic="t", environment="e", owner="o", path="t")
    )
    message.mode = "guess"
    with pytest.raises(RemoteError, match="TableMode 'guess'"):
        table_wire.decode_table(message)


def test_the_current_epoch_is_the_newest_open_one() -> None:
    epochs = tuple(
        topics.Epoch(number=number, state=state, routing=topics.Routing.NA, placements=())
        for number, state in [
            (1, topics.EpochState.SEALED),
            (2, topics.EpochState.OPEN),
            (3, topics.EpochState.PREPARE),
        ]
    )
    topic = topics.Topic(name="t", environment="e", owner="o", epochs=epochs)
    assert topic.current.number == 2
