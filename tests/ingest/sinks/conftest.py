"""fakesnow's server in an environment of its own, and a database a test."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.ingest.sinks.worlds import Lake

from penstock.ingest.sinks.snowflake_client import Client, account_from, connected
from penstock.runtime import artifacts, files, ports

_HERE = Path(__file__).resolve().parent
_REQUIREMENTS = _HERE.parents[2] / "requirements" / "fakesnow.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeSnowflake:
    """A server on loopback."""

    port: int

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SNOWFLAKE_ACCOUNT": "fakesnow",
            "SNOWFLAKE_USER": "penstock",
            "SNOWFLAKE_PASSWORD": "any",
            "SNOWFLAKE_HOST": "127.0.0.1",
            "SNOWFLAKE_PORT": str(self.port),
            "SNOWFLAKE_PROTOCOL": "http",
        }

    def end_sessions(self) -> None:
        """Do what Snowflake does with sessions whose process was killed."""
        url = f"http://127.0.0.1:{self.port}/test/end-sessions"
        urllib.request.urlopen(url, data=b"", timeout=30).close()


def _environment() -> Path:
    """Return the interpreter that has fakesnow, made once for a set of pinned versions."""
    digest = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:12]
    place = artifacts.cache_directory() / f"fakesnow-{sys.version_info.minor}-{digest}"
    uv = Path(sys.executable).with_name("uv")
    with files.exclusive(place.with_suffix(".lock")):
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            subprocess.run([uv, "venv", "-q", "--python", sys.executable, place], check=True)
            install = [uv, "pip", "install", "-q", "--python", place / "bin" / "python"]
            subprocess.run([*install, "--require-hashes", "-r", _REQUIREMENTS], check=True)
            (place / "complete").touch()
    return place / "bin" / "python"


@pytest.fixture(scope="session")
def snowflake_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeSnowflake]:
    home = tmp_path_factory.mktemp("fakesnow")
    port = ports.allocate(home, ["fakesnow"])["fakesnow"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [_environment(), _HERE / "fakesnow_server.py", str(port)],
            stdout=log,
            stderr=log,
            env={"TMPDIR": str(home), "PATH": "/usr/bin:/bin"},
        )
    server = FakeSnowflake(port=port)
    try:
        _wait(server, process, home / "log")
        yield server
    finally:
        process.kill()
        process.wait()


def _wait(server: FakeSnowflake, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            server.end_sessions()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            threading.Event().wait(0.1)
        else:
            return


@pytest.fixture
def database() -> str:
    return f"LAKE_{uuid.uuid4().hex[:8].upper()}"


@pytest.fixture
def open_client(
    snowflake_server: FakeSnowflake, database: str
) -> Callable[[], contextlib.AbstractContextManager[Client]]:
    account = account_from(snowflake_server.environment)
    return lambda: connected(account, database=database, schema="SHOP")


@pytest.fixture
def client(
    open_client: Callable[[], contextlib.AbstractContextManager[Client]],
) -> Iterator[Client]:
    with open_client() as opened:
        yield opened


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(path=tmp_path / "orders").create()
