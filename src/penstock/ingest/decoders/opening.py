"""The decoder a table declares, opened.

Each format's module is loaded when a table of it is: who has JSON only needs neither ptars nor Avro.
"""

from __future__ import annotations

from functools import lru_cache
from typing import assert_never

import pyarrow as pa

from penstock.errors import ConfigError, NotReady
from penstock.ingest import arrow_types
from penstock.ingest.decoders.json import JsonDecoder
from penstock.ingest.decoders.protocol import Decoder
from penstock.model import tables
from penstock.schemas.registry import Registry

__all__ = ["open_decoder"]


def open_decoder(table: tables.Table) -> Decoder:
    """Return what reads the table's records; it is opened anew from the table wherever it is needed.

    Raises:
        ConfigError: when it cannot work as it is declared.
        NotReady: when what it needs does not answer now.
    """
    wanted = arrow_types.schema(table.columns) if table.columns else None
    match table.decoder.format:
        case tables.Format.JSON:
            return _json(table)
        case tables.Format.PROTOBUF:
            return _protobuf(table, wanted)
        case tables.Format.AVRO:
            return _avro(table, wanted)
        case tables.Format.FUNCTION:
            return _function(table, wanted)
        case _:
            assert_never(table.decoder.format)


def _json(table: tables.Table) -> Decoder:
    if not table.columns:
        raise ConfigError(
            f"table {table.ident} has no columns, and JSON has no schema to take them from. "
            "Declare columns, or let `penstock table new` propose them."
        )
    return JsonDecoder(table.columns)


def _protobuf(table: tables.Table, wanted: pa.Schema | None) -> Decoder:
    from penstock.ingest.decoders import protobuf, schema_files  # noqa: PLC0415 - see the top

    declared = table.decoder
    if declared.descriptor:
        files = protobuf.parse_files(schema_files.read(declared.descriptor), declared.descriptor)
        return protobuf.DescribedProtobuf(files, declared.message, wanted)
    return protobuf.RegisteredProtobuf(
        _registry(_registry_url(table)),
        subject=_subject(table),
        message=declared.message,
        wanted=wanted,
    )


def _avro(table: tables.Table, wanted: pa.Schema | None) -> Decoder:
    from penstock.ingest.decoders import avro, schema_files  # noqa: PLC0415 - see the top

    if table.decoder.descriptor:
        content = schema_files.read(table.decoder.descriptor)
        return avro.FiledAvro(content.decode(errors="replace"), wanted)
    registry = _registry(_registry_url(table))
    return avro.RegisteredAvro(registry, subject=_subject(table), wanted=wanted)


def _function(table: tables.Table, wanted: pa.Schema | None) -> Decoder:
    from penstock.ingest.decoders.function import FunctionDecoder  # noqa: PLC0415 - see the top

    if not table.decoder.function:
        raise ConfigError(
            f"table {table.ident} is decoded by a function, and names none. Declare "
            "decoder.function: module:function."
        )
    return FunctionDecoder(table.decoder.function, wanted)


def _subject(table: tables.Table) -> str:
    return table.decoder.subject or f"{table.topic}-value"


def _registry_url(table: tables.Table) -> str:
    if not table.decoder.registry:
        raise ConfigError(
            f"table {table.ident} is of {table.decoder.format}, and says nothing of its schema. "
            "Declare decoder.registry, or decoder.descriptor."
        )
    if table.decoder.registry == tables.EMBEDDED:
        raise NotReady(
            f"table {table.ident} has its schemas in the embedded registry, and none has run here. "
            "Start it: penstock up --registry. Or name another: PENSTOCK_REGISTRY=https://…"
        )
    return table.decoder.registry


@lru_cache(maxsize=64)
def _registry(url: str) -> Registry:
    """Return the one registry of the URL: tables of it share what is known."""
    return Registry(url)
