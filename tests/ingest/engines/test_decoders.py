"""Every decoder, appended and merged: one table, its batches run by both engines in turn."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fastavro
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tests.ingest.engines.harness import Case

from penstock.ingest.engines.spark_session import SparkSettings
from penstock.model import tables
from penstock.testing.plugin import Federation

pytestmark = [pytest.mark.real, pytest.mark.contract]

AVRO = {
    "type": "record",
    "name": "Event",
    "fields": [{"name": "id", "type": "string"}, {"name": "n", "type": ["null", "long"]}],
}
COLUMNS = (
    tables.Column(name="id", type="string", nullable=False),
    tables.Column(name="n", type="long"),
)


@dataclass(frozen=True)
class Written:
    """One way to write events, with a value of it that cannot be read."""

    decoder: tables.Decoder
    encode: Callable[[int], bytes]
    poison: bytes


def as_json(directory: Path) -> Written:
    del directory
    return Written(
        tables.Decoder(), lambda n: json.dumps({"id": f"é{n}", "n": n}).encode(), b'{"id": 1}'
    )


def as_protobuf(directory: Path) -> Written:
    file = descriptor_pb2.FileDescriptorProto(name="event.proto", package="t", syntax="proto3")
    message = file.message_type.add(name="Event")
    message.field.add(name="id", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL")
    message.field.add(name="n", number=2, type="TYPE_INT64", label="LABEL_OPTIONAL")
    path = directory / "event.desc"
    path.write_bytes(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    event = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Event"))
    decoder = tables.Decoder(format=tables.Format.PROTOBUF, descriptor=str(path), message="t.Event")
    return Written(decoder, lambda n: event(id=f"é{n}", n=n).SerializeToString(), b"\x0a\xff")


def as_avro(directory: Path) -> Written:
    path = directory / "event.avsc"
    path.write_text(json.dumps(AVRO))
    parsed = fastavro.parse_schema(AVRO)

    def encode(n: int) -> bytes:
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, parsed, {"id": f"é{n}", "n": n})
        return buffer.getvalue()

    decoder = tables.Decoder(format=tables.Format.AVRO, descriptor=str(path))
    return Written(decoder, encode, b"\x7f")


def as_function(directory: Path) -> Written:
    del directory
    decoder = tables.Decoder(
        format=tables.Format.FUNCTION, function="tests.ingest.engines.functions:read"
    )
    return Written(decoder, lambda n: f"é{n};{n}".encode("latin-1"), b"?")


@pytest.mark.parametrize("written", [as_json, as_protobuf, as_avro, as_function])
@pytest.mark.parametrize("mode", [tables.TableMode.APPEND, tables.TableMode.MERGE])
def test_batches_of_either_engine_give_the_same_rows_and_letters(
    *,
    federation: Federation,
    topic_name: str,
    tmp_path: Path,
    spark_settings: SparkSettings,
    mode: tables.TableMode,
    written: Callable[[Path], Written],
) -> None:
    how = written(tmp_path)
    case = Case(
        clusters={"primary": federation.clusters["primary"]},
        table=tables.Table(
            name="decoded",
            topic=topic_name,
            environment="test",
            owner="tests",
            path="decoded",
            mode=mode,
            decoder=how.decoder,
            columns=COLUMNS,
            merge=tables.Merge(primary_key=("id",)),
        ),
        lake=tmp_path / "lake",
        spark=spark_settings,
    )
    for number, name in enumerate(("embedded", "spark")):
        events = [how.encode(n) for n in range(10 * number, 10 * number + 12)]
        case.send([*events, how.poison])
        assert case.step(name) is not None
    rows = sorted((row["id"], row["n"]) for row in case.rows())
    every = [*range(12), *range(10, 22)]
    if mode is tables.TableMode.MERGE:
        every = list(range(22))
    assert rows == sorted((f"é{n}", n) for n in every)
    told = case.letters()
    assert [each["value"] for each in told] == [how.poison] * 2
    assert told[0]["reason"] == told[1]["reason"]
