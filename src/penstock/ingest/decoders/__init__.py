"""Values to columns: one module a format, one protocol, one way to find the bad values.

tables.Table ─open_decoder─▶ Decoder
values ─decode─▶ Decoded(columns, kept, poison)
"""

from __future__ import annotations

from penstock.ingest.decoders.opening import open_decoder
from penstock.ingest.decoders.protocol import Decoder, Unreadable
from penstock.ingest.decoders.sifting import Decoded, Poison, decode

__all__ = ["Decoded", "Decoder", "Poison", "Unreadable", "decode", "open_decoder"]
