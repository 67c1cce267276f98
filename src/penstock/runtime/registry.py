"""A schema registry on this machine: Apicurio, which answers Confluent's API.

    --registry ─choose─▶ <home>/registry.json: its URL, and that it is to run
    lock ─fetch, unpack once─▶ <cache>/registry/…
    home ─prepare─▶ ports, <home>/registry ─▶ Registry ─service─▶ supervised.Service   (`penstock up`)
                                                       └─start──▶ Running              (tests)

It keeps its schemas in a database of its own in the home, and takes only schemas that old readers'
data can be read by (BACKWARD), unless told otherwise. It knows no passwords here, so both of its
ports are on loopback: left alone, it would open one to the network.
"""

from __future__ import annotations

import atexit
import subprocess
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import httpx

from penstock.errors import NotReady
from penstock.runtime import artifacts, files, java, plugins, ports, processes
from penstock.runtime.supervised import Service

__all__ = ["Registry", "Running", "choose", "install", "prepare", "service", "start"]

VERSION = "3.3.3"

_API = "/apis/ccompat/v7"
_LAYER = 1
"""With the services: nothing of Kafka waits for it."""
_HEAP_MIB = 384
_READY_WITHIN_S = 120.0
_STOP_WITHIN_S = 10.0
_ANSWER_WITHIN_S = 5.0
_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A registry whose ports are taken.

    Attributes:
        directory: of its schemas.
        port: of its API, on loopback.
        management_port: of its health and metrics, on loopback too.
    """

    directory: Path
    port: int
    management_port: int

    @property
    def url(self) -> str:
        """Return what to declare as ``decoder.registry``."""
        return f"http://127.0.0.1:{self.port}{_API}"


class Running:
    """A registry's process.

    Attributes:
        url: what to declare as ``decoder.registry``.
    """

    def __init__(self, url: str, process: subprocess.Popen[bytes]) -> None:
        """Take over the process."""
        self.url = url
        self._process = process

    @property
    def pid(self) -> int:
        """Return the process's id."""
        return self._process.pid

    def stop(self) -> None:
        """End the process in order."""
        processes.terminate([self._process], within_s=_STOP_WITHIN_S)

    def kill(self) -> None:
        """End the process at once, by SIGKILL."""
        self._process.kill()
        self._process.wait()


def install(progress: artifacts.Progress | None = None) -> Path:
    """Return the directory of Apicurio, fetched (159 MB) and unpacked where it is not yet.

    Raises:
        PenstockError: as `artifacts.fetch` and `plugins.unpacked`.
    """
    name = f"apicurio-registry-{VERSION}"
    lock = resources.files("penstock.runtime").joinpath("locks", f"{name}.lock")
    locked = artifacts.parse_lock(lock.read_text(encoding="ascii"), name=lock.name)
    (archive,) = artifacts.fetch(locked, progress=progress)
    directory = artifacts.cache_directory() / "registry"
    directory.mkdir(parents=True, exist_ok=True)
    return plugins.unpacked(archive, directory / name)


def choose(home: Path, wanted: bool | None) -> bool:
    """Remember whether the home has a registry, and return it.

    Args:
        home: the directory of all state.
        wanted: whether it shall have one from now on; None for as before. One that is given up
            keeps its schemas.

    Raises:
        NotReady: when no port is left.
    """
    noted = home / "registry.json"
    if wanted:
        files.write_json(noted, {"url": prepare(home).url})
    elif wanted is not None:
        noted.unlink(missing_ok=True)
    return noted.exists()


def prepare(home: Path) -> Registry:
    """Return the home's registry, with the ports it always has.

    Raises:
        NotReady: when no port is left.
    """
    given = ports.allocate(home, ["registry/api", "registry/management"])
    directory = (home / "registry").absolute()
    directory.mkdir(parents=True, exist_ok=True)
    return Registry(
        directory=directory,
        port=given["registry/api"],
        management_port=given["registry/management"],
    )


def service(home: Path, registry: Registry, *, installed: Path) -> Service:
    """Return the registry for a supervisor.

    Args:
        home: the directory of all state.
        registry: from `prepare`.
        installed: from `install`.
    """
    return Service(
        name="registry",
        spec=lambda: _spec(home, registry, installed=installed),
        layer=_LAYER,
        ready=lambda: _is_ready(registry.url),
        stop_within_s=_STOP_WITHIN_S,
    )


def start(home: Path) -> Running:
    """Start a registry, new or again, and return it when it answers; it ends with this process.

    Raises:
        NotReady: when it does not answer, or one of its ports is taken.
        PenstockError: as `install`.
    """
    installed = install()
    registry = prepare(home)
    process = processes.spawn(_spec(home, registry, installed=installed))
    running = Running(registry.url, process)
    atexit.register(running.kill)
    deadline = time.monotonic() + _READY_WITHIN_S
    while not _is_ready(registry.url):
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            running.kill()
            what = (
                "ended while starting" if ended else f"is not ready after {_READY_WITHIN_S:.0f} s"
            )
            log = home / "logs" / "registry.log"
            raise NotReady(f"The schema registry {what}; the reason is in {log}.")
        time.sleep(_POLL_S)
    return running


def _spec(home: Path, registry: Registry, *, installed: Path) -> processes.Spec:
    both = [registry.port, registry.management_port]
    ports.demand_free(both, purpose="the schema registry", home=home)
    settings = {
        "quarkus.http.host": "127.0.0.1",
        "quarkus.http.port": registry.port,
        "quarkus.management.host": "127.0.0.1",
        "quarkus.management.port": registry.management_port,
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
        # H2 writes half a second late by itself; an id that was given out must outlive a kill.
        "apicurio.datasource.url": f"jdbc:h2:file:{registry.directory}/schemas;WRITE_DELAY=0",
        "apicurio.rules.global.compatibility": "BACKWARD",
    }
    return processes.Spec(
        name="registry",
        command=java.command(
            [installed / "quarkus-run.jar"],
            "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
            options=[f"-D{name}={value}" for name, value in settings.items()],
            heap_mib=_HEAP_MIB,
        ),
        log=home / "logs" / "registry.log",
        environment=java.environment(),
    )


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/subjects", timeout=_ANSWER_WITHIN_S).is_success
    except httpx.HTTPError:
        return False
