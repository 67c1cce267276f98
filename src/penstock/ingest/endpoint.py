"""``/health`` and ``/metrics`` of an ingest process, on loopback.

    progress of each table ─▶ OpenTelemetry gauges ─▶ /metrics
                           └─▶ any table stopped? ─▶ /health: 200 or 503, and which

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
from typing import Final, TypeAlias

from opentelemetry.metrics import CallbackOptions, Observation, get_meter

from penstock.errors import ConfigError, NotReady
from penstock.ingest.progress import Progress, State, percentile
from penstock.telemetry import attributes

__all__ = ["serve"]

_LAG_S: Final = "penstock.table.lag.seconds"
_LATENCY: Final = "penstock.table.latency.milliseconds"
_FILES: Final = "penstock.table.files"
_LETTERS: Final = "penstock.table.dead_letters"
_COMMIT: Final = "penstock.table.commit.milliseconds"

Look: TypeAlias = Callable[[], Mapping[str, Progress]]
"""Gives the progress of each table by its ident."""


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
            f"ingest cannot listen on {listen}: {error.strerror}. Give another --listen."
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="ingest-http", daemon=True)
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
            f"ingest does not listen on {host}: it has no authentication. Listen on 127.0.0.1, and "
            "put a proxy that authenticates before it."
        )
    return host, number


def _measure(look: Look) -> None:
    """Register the gauges; they cost nothing until they are asked for."""
    gauges: dict[str, Callable[[Progress], float]] = {
        attributes.TABLE_ROWS: lambda progress: progress.rows,
        attributes.TABLE_LANDED: lambda progress: progress.landed,
        attributes.TABLE_LAG: lambda progress: progress.lag_records,
        _LAG_S: lambda progress: progress.lag_s,
        _LATENCY: lambda progress: percentile(_reached(progress), 0.5),
        _FILES: lambda progress: progress.files,
        _LETTERS: lambda progress: progress.letters,
        _COMMIT: lambda progress: progress.batches[-1].duration_ms if progress.batches else 0,
        attributes.TABLE_RUNNING: lambda progress: progress.state is State.RUNNING,
    }
    meter = get_meter("penstock.ingest")
    for name, value in gauges.items():

        def observe(
            _: CallbackOptions, value: Callable[[Progress], float] = value
        ) -> Iterable[Observation]:
            return [
                Observation(value(progress), {attributes.TABLE: ident})
                for ident, progress in look().items()
            ]

        meter.create_observable_gauge(name, callbacks=[observe])


def _reached(progress: Progress) -> list[int]:
    return [batch.reached_ms for batch in progress.batches]


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


def _health(progress: Mapping[str, Progress]) -> tuple[HTTPStatus, str, bytes]:
    stopped = {i: p.error for i, p in progress.items() if p.state is State.STOPPED}
    status = HTTPStatus.SERVICE_UNAVAILABLE if stopped else HTTPStatus.OK
    body = {"status": "stopped" if stopped else "ok", "tables": len(progress), "stopped": stopped}
    return status, "application/json", (json.dumps(body) + "\n").encode()


def _metrics() -> tuple[HTTPStatus, str, bytes]:
    from penstock.telemetry import prometheus  # noqa: PLC0415 - needs the platform extra

    return HTTPStatus.OK, prometheus.CONTENT_TYPE_LATEST, prometheus.render()
