"""What the decoder of a Table document must say, by its format.

Entry[TableDocument] ─check_decoder─▶ faults, each at the line that is wrong
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock.control.declare.table_documents import TableDocument
from penstock.control.declare.table_paths import split
from penstock.control.declare.validation import Entry
from penstock.errors import Fault
from penstock.model import tables

__all__ = ["check_decoder"]

_FIELDS: dict[tables.Format, tuple[str, ...]] = {
    tables.Format.JSON: (),
    tables.Format.PROTOBUF: ("registry", "subject", "descriptor", "message"),
    tables.Format.AVRO: ("registry", "subject", "descriptor"),
    tables.Format.FUNCTION: ("function",),
}
"""What may be said beside the format."""


def check_decoder(entry: Entry[TableDocument]) -> Iterator[Fault]:
    """Yield what is missing, needless or wrong in the decoder, and columns it cannot know."""
    decoder, document = entry.model.decoder, entry.document
    written = document.value(("decoder",))
    said = {key for key, value in written.items() if value} if isinstance(written, dict) else set()
    if isinstance(written, dict) and "format" not in written:
        return  # told already
    for field in ("registry", "subject", "descriptor", "message", "function"):
        if field in said and field not in _FIELDS[decoder.format]:
            what = f"decoder.{field}: means nothing to format: {decoder.format}"
            yield document.fault(("decoder", field), what, "Remove it.")
    yield from _check_source(entry, said)
    yield from _check_address(entry)
    if not document.content.get("columns") and decoder.format is tables.Format.JSON:
        what = f"there are no columns, and {decoder.format} has no schema to take them from"
        yield document.fault((), f"this Table: {what}", "Add columns: a name and a type each.")


def _check_source(entry: Entry[TableDocument], said: set[str]) -> Iterator[Fault]:
    """Yield where nothing, or too much, says what the value looks like."""
    document, loc, kind = entry.document, ("decoder",), entry.model.decoder.format
    match kind:
        case tables.Format.PROTOBUF | tables.Format.AVRO:
            found = said & {"registry", "descriptor"}
            if len(found) != 1:
                both = ", and has both" if found else ""
                what = f"decoder: {kind} needs a registry or a descriptor{both}"
                step = f"Write {{format: {kind}, registry: https://…}}, registry: embedded, or a descriptor."
                yield document.fault(loc, what, step)
            elif "subject" in said and "registry" not in said:
                what = "decoder.subject: is of a registry, and there is none"
                yield document.fault((*loc, "subject"), what, "Remove it.")
        case tables.Format.FUNCTION if "function" not in said:
            step = "Write {format: function, function: 'module:function'}."
            yield document.fault(loc, "decoder: function needs the function's name", step)
        case _:
            pass


def _check_address(entry: Entry[TableDocument]) -> Iterator[Fault]:
    registry, loc = entry.model.decoder.registry, ("decoder", "registry")
    if not registry or registry == tables.EMBEDDED:
        return
    address = split(registry)
    if address is None or address.scheme not in {"http", "https"} or not address.hostname:
        what = f"decoder.registry: {registry!r} is no address of a registry"
        yield entry.document.fault(loc, what, "Write e.g. https://registry:8081, or embedded.")
    elif address.username or address.password:
        what = "decoder.registry: holds a user or a password, which a file must not"
        step = "Take it out, and give it to the process: PENSTOCK_REGISTRY_USERNAME and _PASSWORD."
        yield entry.document.fault(loc, what, step)
