"""Documents to typed documents: what is wrong with each by itself, in words and lines.

Document ─kind, pydantic─▶ Entry(document, model), or faults

pydantic says what is wrong and where in the document; here that becomes a line of the file and the
next thing to write.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ValidationError

from penstock.control.declare.documents import KINDS, AnyDocument
from penstock.control.declare.places import Document, Loc, nearest
from penstock.errors import Fault

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["STAND_INS", "Entry", "validate"]

M_co = TypeVar("M_co", bound=AnyDocument, covariant=True)
_MAX_SHOWN = 60

STAND_INS = {"Table": {"name": "unnamed", "topic": "", "owner": "nobody"}}
"""What stands for a faulty field that must be there; of that nothing is judged."""

_STEPS = {
    "bool_type": "Write true or false.",
    "dict_type": "Write a mapping, one `key: value` a line.",
    "enum": "Write one of {expected}.",
    "greater_than_equal": "Write {ge} or more.",
    "int_type": "Write a whole number without quotes, e.g. 6.",
    "list_type": "Write a list, e.g. [one, two].",
    "literal_error": "Write one of {expected}.",
    "model_type": "Write a mapping, one `key: value` a line.",
    "string_pattern_mismatch": "Names take letters, digits and '_', and begin with no digit.",
    "string_type": "Write text; put quotes around a number.",
    "too_short": "Name at least one.",
}
"""The next step by pydantic's type of error; filled in with the error's context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[M_co]):
    """A typed document and where it was written.

    Attributes:
        partial: whether fields with a fault were left out of the model; then only what is there
            may be judged, not what is missing.
    """

    document: Document
    model: M_co
    partial: bool = False


def validate(document: Document) -> tuple[Entry[AnyDocument] | None, list[Fault]]:
    """Return the typed document, as far as it can be read, and everything wrong with it."""
    kind = document.content.get("kind")
    if kind is None:
        step = f"Begin it with kind: {' or '.join(KINDS)}."
        return None, [document.fault((), "the document has no kind", step)]
    if not isinstance(kind, str) or kind not in KINDS:
        step = nearest(str(kind), KINDS)
        return None, [document.fault(("kind",), f"kind: {kind} is unknown", step)]
    try:
        return Entry(document=document, model=KINDS[kind].model_validate(document.content)), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    return _salvage(document, details, kind), [_fault(document, one, kind) for one in details]


def _salvage(
    document: Document, details: Sequence[ErrorDetails], kind: str
) -> Entry[AnyDocument] | None:
    """Return the document without what is faulty, so that the rest is judged too.

    Only the faulty part is left out where the document can be read without it, else the whole
    field; and a field that must be there is stood in for where `STAND_INS` has a value.
    """
    written = [_written(document, detail["loc"]) for detail in details]
    for depth in (None, 2, 1):
        content = _without(document.content, [loc[:depth] for loc in written if loc])
        try:
            model = KINDS[kind].model_validate({**STAND_INS.get(kind, {}), **content})
        except ValidationError:
            continue
        return Entry(document=document, model=model, partial=True)
    return None


def _without(content: Mapping[str, Any], locs: Iterable[Loc]) -> dict[str, Any]:
    """Return a copy of the content without the locations; of a list, all or nothing is kept."""
    kept = copy.deepcopy(dict(content))
    for loc in locs:
        part: Any = kept
        for step in loc[:-1]:
            part = part.get(step) if isinstance(part, dict) else None
        if isinstance(part, dict):
            part.pop(loc[-1], None)
    return kept


def _fault(document: Document, detail: ErrorDetails, kind: str) -> Fault:
    loc = _written(document, detail["loc"])
    field = ".".join(str(step) for step in loc)
    match detail["type"]:
        case "missing":
            missing = detail["loc"][-1]
            where = f"{field}: " if field else f"this {kind} "
            return document.fault(loc, f"{where}has no {missing}", f"Add {missing}: to it.")
        case "extra_forbidden":
            return document.fault(loc, f"{field}: is unknown", _known_beside(detail["loc"], kind))
        case "value_error":
            what, _, step = str(detail["ctx"]["error"]).partition("; write ")
            step = f"Write {step}." if step else "Choose another."
            return document.fault(loc, f"{field}: {what}", step)
        case _:
            shown = repr(document.value(loc))
            shown = shown if len(shown) <= _MAX_SHOWN else shown[:_MAX_SHOWN] + "…"
            return document.fault(loc, f"{field}: {shown} is wrong", _step(detail))


def _step(detail: ErrorDetails) -> str:
    """Say what to write instead."""
    template = _STEPS.get(detail["type"], detail["msg"] + ".")
    return template.format(**detail.get("ctx", {}))


def _written(document: Document, loc: Iterable[str | int]) -> Loc:
    """Return the part of pydantic's location that stands in the document."""
    found: Loc = ()
    for step in loc:
        if (*found, step) in document.lines:
            found = (*found, step)
    return found


def _known_beside(loc: Sequence[str | int], kind: str) -> str:
    """Suggest the known field nearest to an unknown one."""
    schema = _schema(kind)
    parts = [schema] if len(loc) == 1 else schema.get("$defs", {}).values()
    known = {name for part in parts for name in part.get("properties", {})}
    return nearest(str(loc[-1]), known) or "Remove it."


@cache
def _schema(kind: str) -> dict[str, Any]:
    return KINDS[kind].model_json_schema()
