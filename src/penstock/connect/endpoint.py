"""``/health`` and ``/metrics`` of a managing process, on loopback.

    statuses ─▶ OpenTelemetry gauges ─▶ /metrics
            └─▶ any connector failed, absent, unknown? ─▶ /health: 200 or 503, and which

Read-only, and only for this machine: it has no authentication.
"""

from __future__ import annotations

import ipaddress
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

from opentelemetry.metrics import CallbackOptions, Observation, get_meter

from penstock.connect.statuses import Condition, Status
from penstock.errors import ConfigError, NotReady
from penstock.telemetry import attributes

__all__ = ["serve"]

Look: TypeAlias = Callable[[], Sequence[Status]]
"""Gives how each connector is."""

_ILL = {Condition.FAILED, Condition.ABSENT, Condition.FOREIGN, Condition.UNKNOWN}


@contextmanager
def serve(listen: str, look: Look) -> Iterator[str]:
    """Answer until the block ends; yields ``http://host:port``.

    Args:
        listen: ``host:port`` on loopback; port 0 takes a free one.
        look: gives what is told.

    Raises:
        ConfigError: when the address is none, or not on loopback.
        NotReady: when the port is taken.
    """
    host, port = _parse(listen)
    _measure(look)
    try:
        server = ThreadingHTTPServer((host, port), _handler(look))
    except OSError as error:
        raise NotReady(
            f"connect cannot listen on {listen}: {error.strerror}. Give another --listen."
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="connect-http", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _parse(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
        number = int(port)
    except ValueError as error:
        raise ConfigError(
            f"{listen!r} is no address to listen on. Write an IP address and a port: 127.0.0.1:0."
        ) from error
    if not loopback:
        raise ConfigError(
            f"connect does not listen on {host}: it has no authentication. Listen on 127.0.0.1, and "
            "put a proxy that authenticates before it."
        )
    return host, number


def _measure(look: Look) -> None:
    """Register the gauges; they cost nothing until they are asked for."""
    gauges: dict[str, Callable[[Status], float | None]] = {
        attributes.CONNECTOR_RUNNING: lambda one: one.condition is Condition.RUNNING,
        attributes.CONNECTOR_FAILED_TASKS: lambda one: one.tasks.count("failed"),
        attributes.CONNECTOR_RESTARTS: lambda one: one.restarts,
        attributes.CONNECTOR_SLOT_LAG: lambda one: one.lag.slot.lag_bytes if one.lag.slot else None,
        attributes.CONNECTOR_EVENT_AGE: lambda one: (
            max(0.0, time.time() - one.lag.newest_ms / 1000) if one.lag.newest_ms else None
        ),
    }
    meter = get_meter("penstock.connect")
    for name, value in gauges.items():

        def observe(
            _: CallbackOptions, value: Callable[[Status], float | None] = value
        ) -> Iterable[Observation]:
            return [
                Observation(found, {attributes.CONNECTOR: one.ident})
                for one in look()
                if (found := value(one)) is not None
            ]

        meter.create_observable_gauge(name, callbacks=[observe])


def _handler(look: Look) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path:
                case "/health":
                    self._answer(*_health(look()))
                case "/metrics":
                    self._answer(*_metrics())
                case _:
                    self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/health or /metrics\n")

        def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing: a scrape a second is no news."""

    return Handler


def _health(statuses: Sequence[Status]) -> tuple[HTTPStatus, str, bytes]:
    ill = {one.ident: one.error or one.condition.value for one in statuses if one.condition in _ILL}
    status = HTTPStatus.SERVICE_UNAVAILABLE if ill else HTTPStatus.OK
    body = {"status": "ill" if ill else "ok", "connectors": len(statuses), "ill": ill}
    return status, "application/json", (json.dumps(body) + "\n").encode()


def _metrics() -> tuple[HTTPStatus, str, bytes]:
    from penstock.telemetry import prometheus  # noqa: PLC0415 - needs the platform extra

    return HTTPStatus.OK, prometheus.CONTENT_TYPE_LATEST, prometheus.render()
