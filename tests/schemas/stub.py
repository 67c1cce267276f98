"""A registry of forty lines: what a real one answers, and what a broken one does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Stub:
    """Answers from ``bodies`` by path; ``status`` and ``raw`` break every answer."""

    def __init__(self, url: str, bodies: dict[str, Any]) -> None:
        self.url = url
        self.bodies = bodies
        self.status = 0
        self.raw = b""
        self.asked: list[str] = []
        self.headers: Mapping[str, str] = {}

    def add(self, number: int, text: str, kind: str = "PROTOBUF", subject: str = "") -> None:
        body = {"schema": text, "schemaType": kind, "id": number}
        self.bodies[f"/schemas/ids/{number}"] = body
        if subject:
            self.bodies[f"/subjects/{subject}/versions/latest"] = body


@contextmanager
def serve() -> Iterator[Stub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stub.asked.append(self.path)
            stub.headers = dict(self.headers)
            body = stub.bodies.get(self.path)
            missing = {"error_code": 40403, "message": "not found"}
            status = stub.status or (200 if body is not None else 404)
            self._answer(status, stub.raw or json.dumps(body or missing).encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub = Stub(f"http://127.0.0.1:{server.server_address[1]}", {})
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield stub
    server.shutdown()
    server.server_close()
    thread.join()
