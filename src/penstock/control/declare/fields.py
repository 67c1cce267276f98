"""The types of fields in estate documents: what people write, and what it becomes.

"7d" ─Duration─▶ 604_800_000      "64MiB" ─Size─▶ 67_108_864      "-v2" ─Suffixes─▶ ["-v2"]

Each refuses what it cannot take with a ValueError that says what to write; pydantic gathers them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from penstock.model import names
from penstock.units import parse_bytes, parse_ms

__all__ = [
    "Address",
    "ConfigValue",
    "Count",
    "DnsName",
    "Duration",
    "Flag",
    "Names",
    "Pattern",
    "Period",
    "Size",
    "Space",
    "Suffixes",
    "TopicName",
]

_HOST_AND_PORT = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})")
_MAX_PORT = 65_535

# What editors check while one types; `penstock.units` has the last word.
_TIME = r"[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d|w)"
_SPACE = r"[0-9]+(\.[0-9]+)?\s*(B|[KMGT]i?B)"


def _duration(value: object) -> int:
    return _above_zero(value, parse_ms(_text(value, example="7d")))


def _finite_duration(value: object) -> int:
    return _finite(value, _duration(value), example="7d")


def _size(value: object) -> int:
    return _above_zero(value, parse_bytes(_text(value, example="64MiB")))


def _finite_size(value: object) -> int:
    return _finite(value, _size(value), example="64MiB")


def _text(value: object, *, example: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"it needs a unit; write e.g. {example}")  # noqa: TRY004 - pydantic's way
    return value


def _above_zero(value: object, amount: int) -> int:
    if amount == 0:
        raise ValueError(f"{value!r} is zero; write more than zero")
    return amount


def _finite(value: object, amount: int, *, example: str) -> int:
    if amount < 0:
        raise ValueError(
            f"{value!r} is not allowed here; write a number with a unit, e.g. {example}"
        )
    return amount


def _dns_name(value: str) -> str:
    return _checked(value, names.explain_bad_name(value))


def _topic_name(value: str) -> str:
    return _checked(value, names.explain_bad_topic(value))


def _variant_suffix(value: str) -> str:
    if not value.startswith(("-", "_", ".")):
        raise ValueError(f"{value!r} runs into the topic's name; write e.g. -v2")
    return _checked(value, names.explain_bad_topic(value))


def _checked(value: str, problem: str | None) -> str:
    if problem:
        raise ValueError(f"{value!r}: {problem}")
    return value


def _address(value: str) -> str:
    for part in value.split(","):
        match = _HOST_AND_PORT.fullmatch(part.strip())
        if not match or not 0 < int(match.group(1)) <= _MAX_PORT:
            raise ValueError(f"{part.strip()!r} is no address; write host:port,host:port")
    return ",".join(part.strip() for part in value.split(","))


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error}") from error
    return value


def _config_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"{value!r} is no single value; write text, a number, true or false")


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Duration = Annotated[
    int,
    BeforeValidator(
        _duration, json_schema_input_type=Annotated[str, Field(pattern=f"^({_TIME}|forever)$")]
    ),
]
"""Time with a unit (ms, s, m, h, d, w), or ``forever``; milliseconds."""

Period = Annotated[
    int,
    BeforeValidator(
        _finite_duration, json_schema_input_type=Annotated[str, Field(pattern=f"^{_TIME}$")]
    ),
]
"""Time with a unit (ms, s, m, h, d, w); milliseconds."""

Space = Annotated[
    int,
    BeforeValidator(
        _size, json_schema_input_type=Annotated[str, Field(pattern=f"^({_SPACE}|unlimited)$")]
    ),
]
"""Space with a unit (B, KB … TiB), or ``unlimited``; bytes."""

Size = Annotated[
    int,
    BeforeValidator(
        _finite_size, json_schema_input_type=Annotated[str, Field(pattern=f"^{_SPACE}$")]
    ),
]
"""Space with a unit (B, KB … TiB); bytes."""

Count = Annotated[int, Field(strict=True, ge=1)]
"""A whole number of 1 or more."""

Flag = Annotated[bool, Field(strict=True)]
"""true or false."""

DnsName = Annotated[
    str,
    AfterValidator(_dns_name),
    WithJsonSchema({"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"}),
]
"""Lower-case letters, digits and '-'; at most 63."""

TopicName = Annotated[
    str,
    AfterValidator(_topic_name),
    WithJsonSchema({"type": "string", "pattern": "^[a-zA-Z0-9._-]{1,249}$"}),
]
"""A name Kafka takes for a topic."""

VariantSuffix = Annotated[str, AfterValidator(_variant_suffix)]
"""What is put behind a topic's name, beginning with '-', '_' or '.'."""

ConfigValue = Annotated[
    str, BeforeValidator(_config_value, json_schema_input_type=str | int | float | bool)
]
"""Text, a number, true or false; kept as Kafka has it, as text."""

Address = Annotated[str, AfterValidator(_address)]
"""``host:port,host:port``."""

Pattern = Annotated[str, AfterValidator(_pattern)]
"""A regular expression that the whole name must match."""

Names = Annotated[list[str], BeforeValidator(_one_or_more, json_schema_input_type=str | list[str])]
"""One name, or a list of them."""

Suffixes = Annotated[
    list[VariantSuffix],
    BeforeValidator(_one_or_more, json_schema_input_type=VariantSuffix | list[VariantSuffix]),
]
"""One suffix, or a list of them."""
