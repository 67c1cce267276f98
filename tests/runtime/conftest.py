"""A mirror of Java artifacts on this machine, and a cache of a test's own."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from penstock.runtime import artifacts


@dataclass
class Mirror:
    """What it serves, what it was asked, and how it misbehaves.

    `cut_after` bytes of its next answer, it drops the connection, once. `failing` answers come
    first with status 503.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    cut_after: int | None = None
    failing: int = 0
    ranges: bool = True

    def add(self, path: str, content: bytes) -> artifacts.Artifact:
        self.files[path] = content
        digest = hashlib.sha256(content).hexdigest()
        return artifacts.Artifact(path=path, size_bytes=len(content), sha256=digest)


class _Handler(BaseHTTPRequestHandler):
    mirror: Mirror

    def do_GET(self):
        mirror = self.mirror
        path, wanted = self.path.removeprefix("/maven/"), self.headers["Range"]
        mirror.requests.append((path, wanted))
        if mirror.failing:
            mirror.failing -= 1
            self.send_error(503)
        elif path not in mirror.files:
            self.send_error(404)
        else:
            self._answer(mirror.files[path], wanted)

    def _answer(self, content, wanted):
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        partial = bool(wanted) and self.mirror.ranges
        body = content[first:] if partial else content
        self.send_response(206 if partial else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut, self.mirror.cut_after = self.mirror.cut_after, None
        self.wfile.write(body[:cut])

    def log_message(self, *_args):
        pass


@pytest.fixture
def mirror(monkeypatch):
    serving = Mirror()
    handler = type("Handler", (_Handler,), {"mirror": serving})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("PENSTOCK_MAVEN_MIRROR", f"http://127.0.0.1:{server.server_port}/maven/")
    yield serving
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
