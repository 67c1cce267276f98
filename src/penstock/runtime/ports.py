"""Ports: given out once, then remembered for the life of a home.

    name ─▶ <home>/ports.json ─▶ the port of last time
       └─▶ a free one ─▶ claimed in the user's cache for this home ─▶ remembered

All ports lie below 32768, where the kernel takes none for outgoing connections. A port claimed by
a home stays its own while the home exists, also while nothing of it runs: so several Penstocks and
test runs on one machine never take each other's ports. Never moves a port somebody may know of.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

from penstock.errors import NotReady
from penstock.runtime import artifacts, files

__all__ = ["allocate", "demand_free"]

_FIRST, _LAST = 20_000, 32_000


def allocate(home: Path, names: Iterable[str]) -> dict[str, int]:
    """Return a port for each name, the same ones every time.

    Raises:
        NotReady: when no port is left.
    """
    with files.exclusive(home / "ports.lock"):
        remembered: dict[str, int] = files.read_json(home / "ports.json", default={})
        missing = [name for name in names if name not in remembered]
        if missing:
            remembered |= zip(missing, _claim(home, len(missing)), strict=True)
            files.write_json(home / "ports.json", remembered)
    return remembered


def demand_free(ports: Iterable[int], *, purpose: str, home: Path) -> None:
    """Return when all the ports can be listened on.

    Raises:
        NotReady: when somebody else has one; the message names them.
    """
    for port in ports:
        if not _is_free(port):
            raise NotReady(
                f"Port {port}, kept for {purpose}, is taken by {_holder(port)}. Stop that process "
                f"and try again, or remove {home / 'ports.json'} to move to other ports."
            )


def _claim(home: Path, count: int) -> list[int]:
    claims_file = artifacts.cache_directory() / "ports.json"
    with files.exclusive(claims_file.with_suffix(".lock")):
        claims: dict[str, str] = files.read_json(claims_file, default={})
        claims = {port: owner for port, owner in claims.items() if Path(owner).is_dir()}
        candidates = [p for p in range(_FIRST, _LAST) if str(p) not in claims]
        random.shuffle(candidates)
        free: list[int] = []
        while candidates and len(free) < count:
            port = candidates.pop()
            if _is_free(port):
                free.append(port)
        if len(free) < count:
            raise NotReady(
                f"No free port between {_FIRST} and {_LAST} is left on this machine. Remove homes "
                f"you no longer need with `penstock reset`; {claims_file} lists them."
            )
        files.write_json(claims_file, claims | {str(port): str(home.resolve()) for port in free})
    return free


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As Java's server sockets do: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def _holder(port: int) -> str:
    for process in psutil.process_iter(["pid", "name"]):
        try:
            connections = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        if any(c.laddr.port == port and c.status == psutil.CONN_LISTEN for c in connections):
            return f"{process.info['name']} (pid {process.info['pid']})"
    return "another user's process"
