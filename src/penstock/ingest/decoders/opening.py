"""The decoder a table declares, opened."""

from __future__ import annotations

from typing import assert_never

from penstock.errors import ConfigError
from penstock.ingest.decoders.json import JsonDecoder
from penstock.ingest.decoders.protocol import Decoder
from penstock.model import tables

__all__ = ["open_decoder"]


def open_decoder(table: tables.Table) -> Decoder:
    """Return what reads the table's records; it is opened anew from the table wherever it is needed.

    Raises:
        ConfigError: when it cannot work as it is declared.
        NotReady: when what it needs does not answer now.
    """
    match table.decoder.format:
        case tables.Format.JSON:
            if not table.columns:
                raise ConfigError(
                    f"table {table.ident} has no columns, and JSON has no schema to take them from. "
                    "Declare columns, or let `penstock table new` propose them."
                )
            return JsonDecoder(table.columns)
        case tables.Format.PROTOBUF | tables.Format.AVRO | tables.Format.FUNCTION:
            raise ConfigError(f"no decoder for {table.decoder.format} yet; declare decoder: json")
        case _:
            assert_never(table.decoder.format)
