"""Poison among many good values is found in few tries, however little the decoder says."""

from __future__ import annotations

import pyarrow as pa
import pytest

from penstock.ingest.decoders import sifting
from penstock.ingest.decoders.protocol import Unreadable

pytestmark = pytest.mark.unit


class Vague:
    """Knows a value that is told, and of one that is hidden only that it is among the others."""

    schema = pa.schema([("value", pa.binary())])

    def __init__(self) -> None:
        self.tries = 0

    def decode(self, values: pa.Array) -> pa.Table:
        self.tries += 1
        found = values.to_pylist()
        told = [index for index, value in enumerate(found) if value == b"told"]
        suspects = [n for n in range(len(found)) if n not in told] if b"hidden" in found else []
        if told or suspects:
            raise Unreadable(reasons=dict.fromkeys(told, "told"), suspects=suspects)
        return pa.table([values], schema=self.schema)


@pytest.mark.parametrize("first", [b"told", b"good"])
def test_many_suspects_are_not_tried_one_by_one(first: bytes) -> None:
    values = [first, *[b"good"] * 20_000, b"hidden", *[b"good"] * 20_000]
    decoder = Vague()
    found = sifting.decode(pa.array(values, pa.binary()), decoder, refused={})
    bad = [index for index, value in enumerate(values) if value != b"good"]
    assert [each.index for each in found.poison] == bad
    assert found.kept.to_pylist() == [n for n in range(len(values)) if n not in bad]
    assert decoder.tries < 100
