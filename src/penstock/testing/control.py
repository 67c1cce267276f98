"""A real control plane as a process of its own, for tests.

    with running_control_plane(home, clusters={"primary": bootstrap}) as control: …

It is what `penstock control` starts, on free ports of the loopback address, with a short
reconcile interval. The estate's clusters say ``embedded: true`` and get their addresses from here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock.api.client import ControlClient
from penstock.errors import NotReady

__all__ = ["RunningControlPlane", "running_control_plane"]

_READY_WITHIN_S = 60.0
_STOPS_WITHIN_S = 30.0
_POLL_S = 0.05


@dataclass(slots=True, kw_only=True)
class RunningControlPlane:
    """A control plane that runs, until it is stopped or killed.

    Attributes:
        address: ``host:port`` of its gRPC.
        rest: base URL of its REST.
        token: the operator's.
    """

    home: Path
    address: str
    rest: str
    token: str
    process: subprocess.Popen[bytes]

    def client(self) -> ControlClient:
        """Return a client that acts as the operator; the caller closes it."""
        return ControlClient(self.address, token=self.token)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it with SIGTERM; return its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def pause(self) -> None:
        """Stop it with SIGSTOP: it holds its connections and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def running_control_plane(
    home: Path,
    *,
    clusters: Mapping[str, str] | None = None,
    options: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[RunningControlPlane]:
    """Start a control plane, give it when it serves, and stop it.

    Args:
        home: its home directory; started again on the same one, it goes on where it was.
        clusters: plaintext bootstrap addresses by cluster name, for ``embedded: true``.
        options: further options of `penstock control`.
        environment: further environment variables, e.g. ``PENSTOCK_CONTROL_RECONCILE_S``.

    Raises:
        NotReady: when it does not serve in time; with its last words.
    """
    home.mkdir(parents=True, exist_ok=True)
    if clusters is not None:
        _write_addresses(home / "clusters.json", clusters)
    log = home / "control.log"
    process = _start(home, log=log, options=options, environment=environment or {})
    try:
        yield _wait_ready(home, process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(_STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(
    home: Path, *, log: Path, options: tuple[str, ...], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    # The address of the last run must not look like this run's; the ports are kept by name.
    last = home / "control.json"
    if last.exists() and not options:
        addresses = json.loads(last.read_text())
        ports = [addresses[key].rpartition(":")[2] for key in ("grpc", "rest")]
        options = ("--grpc-port", ports[0], "--rest-port", ports[1])
    last.unlink(missing_ok=True)
    variables = {
        **os.environ,
        "PENSTOCK_CONTROL_RECONCILE_S": "1",
        "PENSTOCK_CONTROL_LEASE_S": "5",
        **environment,
    }
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "penstock", "control", "--home", str(home), *options],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env=variables,
        )


def _wait_ready(home: Path, process: subprocess.Popen[bytes], log: Path) -> RunningControlPlane:
    deadline = time.monotonic() + _READY_WITHIN_S
    published = home / "control.json"
    while not published.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise NotReady(f"the control plane did not start: {log.read_text()[-2_000:]}")
        time.sleep(_POLL_S)
    addresses = json.loads(published.read_text())
    return RunningControlPlane(
        home=home,
        address=addresses["grpc"],
        rest=addresses["rest"],
        token=(home / "control/token").read_text().strip(),
        process=process,
    )


def _write_addresses(path: Path, clusters: Mapping[str, str]) -> None:
    path.write_text(
        json.dumps(
            {
                name: {"cluster_id": "", "bootstrap": {"plaintext": bootstrap}}
                for name, bootstrap in clusters.items()
            }
        )
    )
