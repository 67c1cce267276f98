"""A function of the user's as decoder: what it may return, and what is told when it is wrong."""

from __future__ import annotations

import sys
from decimal import Decimal
from importlib import metadata
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from penstock.errors import ConfigError, NotReady
from penstock.ingest import decoders
from penstock.model import tables

pytestmark = pytest.mark.unit


def lengths(values: pa.Array) -> pa.Table:
    if b"bad" in values.to_pylist():
        raise ValueError("bad is bad")
    return pa.table({"n": [len(v) for v in values.to_pylist()], "text": values.cast(pa.string())})


def told(values: pa.Array) -> pa.RecordBatch:
    bad = {i: "it says so" for i, v in enumerate(values.to_pylist()) if v == b"bad"}
    if bad:
        raise decoders.Unreadable(reasons=bad)
    return pa.RecordBatch.from_pydict({"n": [1] * len(values)})


told.schema = pa.schema({"n": pa.uint64()})  # type: ignore[attr-defined]


def not_ready(_: pa.Array) -> pa.Table:
    raise NotReady("later")


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the functions importable as a user's would be."""
    made = ModuleType("shop_decoders")
    wrong = {
        "none": lambda _: None,
        "short": lambda _: pa.table({"n": pa.array([], pa.int64())}),
        "text": lambda values: pa.table({"n": ["x"] * len(values)}),
        "lacking": lambda values: pa.table({"m": [1] * len(values)}),
        "number": 7,
    }
    for name, each in {"lengths": lengths, "told": told, "not_ready": not_ready, **wrong}.items():
        setattr(made, name, each)
    monkeypatch.setitem(sys.modules, "shop_decoders", made)


def opened(function: str, **columns: str) -> decoders.Decoder:
    return decoders.open_decoder(
        tables.Table(
            name="t",
            topic="t",
            environment="e",
            owner="o",
            path="p",
            columns=tuple(tables.Column(name=n, type=kind) for n, kind in columns.items()),
            decoder=tables.Decoder(format=tables.Format.FUNCTION, function=function),
        )
    )


def decode(decoder: decoders.Decoder, *values: bytes) -> decoders.Decoded:
    return decoders.decode(pa.array(values, pa.binary()), decoder, refused={})


def test_what_it_returns_is_brought_to_the_columns() -> None:
    decoder = opened("shop_decoders:lengths", n="decimal(10,2)")
    assert decode(decoder, b"abc", b"").columns.to_pylist() == [
        {"n": Decimal("3.00")},
        {"n": Decimal("0.00")},
    ]
    assert decode(decoder).columns.schema == decoder.schema


def test_its_schema_gives_the_columns() -> None:
    decoder = opened("shop_decoders:told")
    assert decoder.schema == pa.schema({"n": pa.decimal128(20, 0)})
    with pytest.raises(ConfigError, match="no columns"):
        opened("shop_decoders:lengths")


@pytest.mark.parametrize(
    ("function", "reason"),
    [("lengths", "shop_decoders:lengths cannot read it: ValueError: bad"), ("told", "it says so")],
)
def test_what_it_raises_is_the_reason_of_the_one_value(function: str, reason: str) -> None:
    values = [b"x"] * 40 + [b"bad"] + [b"x"] * 40
    decoded = decode(opened(f"shop_decoders:{function}", n="long"), *values)
    assert len(decoded.kept) == 80
    assert [(p.index, reason in p.reason) for p in decoded.poison] == [(40, True)]


def test_a_value_that_does_not_fit_is_poison() -> None:
    decoded = decode(opened("shop_decoders:lengths", n="byte", text="string"), b"x", b"y" * 200)
    assert decoded.kept.to_pylist() == [0]
    assert "the field 'n' does not fit int8: 200" in decoded.poison[0].reason


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("none", "returned NoneType"),
        ("short", "returned 0 rows for 2 values"),
        ("text", "returned n: string is not int64"),
        ("lacking", "returned no column n"),
    ],
)
def test_a_function_that_is_wrong_stops_the_table(function: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        decode(opened(f"shop_decoders:{function}", n="long"), b"x", b"y")


def test_our_own_errors_go_through_it() -> None:
    with pytest.raises(NotReady, match="later"):
        decode(opened("shop_decoders:not_ready", n="long"), b"x", b"y")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("", "names none"),
        ("shop_decoders:gone", "cannot be loaded"),
        ("no_such_module:f", "cannot be loaded"),
        ("shop_decoders:number", "is no function"),
        ("nobody", "no decoder is installed as 'nobody'"),
    ],
)
def test_a_function_that_is_not_there_is_told(function: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        opened(function, n="long")


def test_an_entry_point_names_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    point = metadata.EntryPoint(
        name="shop", value="shop_decoders:lengths", group="penstock.decoders"
    )
    known: Any = metadata.EntryPoints([point])
    monkeypatch.setattr(metadata, "entry_points", lambda group: known.select(group=group))
    assert decode(opened("shop", n="long"), b"abc").columns.to_pylist() == [{"n": 3}]
