"""Say where a record comes from, in its headers, without touching its payload.

    service, type, clock ─Stamp─▶ ce_id, ce_source, ce_type, ce_time, ce_specversion[, traceparent]

CloudEvents' binary mode for Kafka. This runs once a record, so whatever is the same for all is
made once, and the time's text once a millisecond. Never reads the value.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from opentelemetry import propagate, trace

from penstock.telemetry import attributes

__all__ = ["Header", "Stamp", "render_time"]

Header = tuple[str, str | bytes | None]
# From and until (seconds), what ids begin with, and the headers after the id.
_Moment = tuple[float, float, str, Header, Header, Header, Header]

RESERVED = frozenset(
    {
        attributes.CE_ID,
        attributes.CE_SOURCE,
        attributes.CE_TYPE,
        attributes.CE_TIME,
        attributes.CE_SPECVERSION,
    }
)
# A global of this module: it is looked up once a record.
_CE_ID = attributes.CE_ID


class Stamp:
    """Makes the headers of one producer's records.

    Ids are ``<96 random bits>-<ms since 1970>-<counter>``: unique over processes without a call a
    record, and they tell the record's ``ce_time``.

    Attributes:
        traces: whether an OpenTelemetry SDK is set up, so that records may have a ``traceparent``.
    """

    __slots__ = ("_clock", "_fixed", "_moment", "_process", "_source", "_tick", "traces")

    def __init__(self, *, service: str, type_: str, clock: Callable[[], float] = time.time) -> None:
        """Stamp records of ``service``; ``clock`` is seconds since 1970."""
        self._clock = clock
        self._source: Header = (attributes.CE_SOURCE, service)
        self._fixed = self._fix(type_)
        self._tick = itertools.count(1).__next__
        self._process = secrets.token_hex(12)
        self._moment = self._begin_millisecond(int(clock() * 1000))

    def plain(self) -> tuple[str, list[Header]]:
        """Return the id and headers of a record that has nothing special about it."""
        now_s = self._clock()
        from_s, until_s, prefix, time_, source, type_, version = self._moment
        if not from_s <= now_s < until_s:
            _, _, prefix, time_, *_ = self._begin_millisecond(int(now_s * 1000))
        id_ = f"{prefix}{self._tick()}"
        return id_, [(_CE_ID, id_), time_, source, type_, version]

    def again(self, id_: str) -> list[Header]:
        """Return the headers that `plain` made with this id."""
        ms = int(id_.split("-")[1], 16)
        return [(_CE_ID, id_), (attributes.CE_TIME, render_time(ms)), *self._fixed]

    def special(
        self, id_: str | None, type_: str | None, extra: Iterable[Header] | None
    ) -> list[Header]:
        """Return the headers of a record with an id, type or headers of its own, or a span."""
        _, headers = self.plain()
        if id_ is not None:
            headers[0] = (_CE_ID, id_)
        if type_ is not None:
            headers[2:] = self._fix(type_)
        if self.traces:
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            headers.extend(carrier.items())
        if extra is not None:
            headers.extend(extra)
        return headers

    def _begin_millisecond(self, ms: int) -> _Moment:
        # Whether an SDK was set up is asked here: asking for the current span once a record costs
        # as much as making the id.
        self.traces = not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        time_ = (attributes.CE_TIME, render_time(ms))
        # One tuple, so that a thread never sees the time of one moment and the id of another.
        prefix = f"{self._process}-{ms:x}-"
        self._moment = (ms / 1000, (ms + 1) / 1000, prefix, time_, *self._fixed)
        return self._moment

    def _fix(self, type_: str) -> tuple[Header, Header, Header]:
        specversion = (attributes.CE_SPECVERSION, attributes.SPECVERSION)
        return (self._source, (attributes.CE_TYPE, type_), specversion)


def render_time(ms: int) -> str:
    """Return milliseconds since 1970 as RFC 3339 in UTC: ``2026-11-21T11:10:00.123Z``."""
    whole = datetime.fromtimestamp(ms // 1000, tz=UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
