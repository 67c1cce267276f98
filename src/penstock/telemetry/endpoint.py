"""``/health`` and ``/metrics`` of a process that has no other server, on loopback.

    health() ─▶ (well?, what is told) ─▶ /health: 200 or 503      OpenTelemetry ─▶ /metrics

Read-only, and only for this machine: it has no authentication.
"""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias, TypeVar

from opentelemetry.metrics import CallbackOptions, Observation, get_meter

from penstock.errors import ConfigError, NotReady

__all__ = ["Health", "gauge", "serve"]

T = TypeVar("T")

Health: TypeAlias = Callable[[], tuple[bool, Mapping[str, Any]]]
"""Tells whether all is well, and what more is to be told as JSON."""


@contextmanager
def serve(listen: str, health: Health, *, program: str) -> Iterator[str]:
    """Answer until the block ends; yields ``http://host:port``.

    Args:
        listen: ``host:port`` on loopback; port 0 takes a free one.
        health: asked at each look.
        program: what the process is called in errors.

    Raises:
        ConfigError: when the address is none, or not on loopback.
        NotReady: when the port is taken.
    """
    host, port = _parse(listen, program)
    try:
        server = ThreadingHTTPServer((host, port), _handler(health))
    except OSError as error:
        raise NotReady(
            f"{program} cannot listen on {listen}: {error.strerror}. Give another --listen."
        ) from error
    thread = threading.Thread(target=server.serve_forever, name=f"{program}-http", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def gauge(
    meter: str,
    name: str,
    look: Callable[[], Iterable[tuple[T, Mapping[str, str]]]],
    value: Callable[[T], float | None],
) -> None:
    """Register a gauge; it costs nothing until it is asked for.

    Args:
        meter: of the part.
        name: of the gauge.
        look: gives what is measured, each with its attributes.
        value: measures one; None leaves it out.
    """

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(found, marks) for one, marks in look() if (found := value(one)) is not None
        ]

    get_meter(meter).create_observable_gauge(name, callbacks=[observe])


def _parse(listen: str, program: str) -> tuple[str, int]:
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
            f"{program} does not listen on {host}: it has no authentication. Listen on 127.0.0.1, "
            "and put a proxy that authenticates before it."
        )
    return host, number


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path:
                case "/health":
                    well, told = health()
                    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
                    self._answer(status, "application/json", (json.dumps(told) + "\n").encode())
                case "/metrics":
                    self._answer(HTTPStatus.OK, *_metrics())
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


def _metrics() -> tuple[str, bytes]:
    from penstock.telemetry import prometheus  # noqa: PLC0415 - needs the platform extra

    return prometheus.CONTENT_TYPE_LATEST, prometheus.render()
