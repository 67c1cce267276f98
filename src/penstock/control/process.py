"""A control plane as one process: opens, serves, stops cleanly.

    claim the home ─▶ token ─▶ store (migrated) ─▶ gRPC + REST + hub + reconcile ─▶ control.json
    SIGTERM ─▶ no further change ─▶ watches end ─▶ servers stop ─▶ leases given back

Everything that waits runs in one event loop; everything that blocks, in threads. What a kill
leaves half done, the next start finishes.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvicorn

from penstock.control.leadership import make_holder
from penstock.control.plane import ControlPlane
from penstock.control.reconcile import Reconciler
from penstock.control.server import access, grpc_face
from penstock.control.server.app import make_app
from penstock.control.server.endpoints import endpoints
from penstock.control.server.hub import Hub
from penstock.control.server.measures import measure
from penstock.control.server.operating import Operating
from penstock.control.server.ports import bind, bind_socket, last_ports
from penstock.control.server.reading import Reading
from penstock.control.server.registry import Registry
from penstock.control.settings import Settings
from penstock.control.store import switches, versions
from penstock.control.store.database import Database
from penstock.control.store.opening import open_store
from penstock.errors import Conflict, PenstockError
from penstock.model import metadata

__all__ = ["run"]

_log = logging.getLogger(__name__)

_THREADS = 32
_GRACE_S = 2.0
_STOP_S = 15.0


def run(settings: Settings) -> None:
    """Run a control plane until SIGTERM or SIGINT.

    Raises:
        Conflict: when another one runs in this home.
        ConfigError: when settings, tokens or the store's version are wrong.
        NotReady: when a port is taken, or the store cannot be opened.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with _claim(settings) as publishes:
        admission = access.load(settings)
        database = open_store(settings.store_url)
        try:
            asyncio.run(_serve(settings, database, admission, publishes=publishes))
        finally:
            database.close()


@contextlib.contextmanager
def _claim(settings: Settings) -> Iterator[bool]:
    """Keep a second control plane out of the home; tell whether this one writes control.json."""
    path = settings.home / "control/lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if settings.store and settings.grpc_port and settings.rest_port:
                yield False  # a further one beside it, which clients are given by other means
                return
            raise Conflict(
                f"a control plane runs in {settings.home} already; stop it first, or give this one "
                "--store, --grpc-port and --rest-port of its own to run beside it"
            ) from error
        yield True


async def _serve(
    settings: Settings, database: Database, admission: access.Access, *, publishes: bool
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="blocking"))
    plane = ControlPlane(database, settings, me=make_holder())
    reconciler = Reconciler(plane)
    hub = _make_hub(settings, database)
    registry = Registry(database, forget_after_s=settings.forget_clients_s)
    operating = Operating(plane, reconciler, hub, registry)
    reading = Reading(database, hub, registry)
    served = endpoints({**reading.handlers, **operating.handlers})
    metrics = measure(database, hub, reconciler)
    app = make_app(served, admission, metrics=metrics, ready=lambda: _why_not_ready(database))

    control_json = settings.home / "control.json"
    last_grpc, last_rest = last_ports(control_json)
    grpc_server, grpc_port = bind(
        lambda port: grpc_face.make_server(
            served, admission, address=f"{_bracketed(settings.listen)}:{port}"
        ),
        wanted=settings.grpc_port,
        last=last_grpc,
    )
    rest_socket, rest_port = bind(
        lambda port: bind_socket(settings.listen, port), wanted=settings.rest_port, last=last_rest
    )
    rest_server = _RestServer(
        uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
    )
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)

    await hub.refresh()
    await grpc_server.start()
    reconciler.start()
    async with asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(hub.run()), tasks.create_task(registry.run())]
        rest = tasks.create_task(rest_server.serve(sockets=[rest_socket]))
        if publishes:
            _publish(control_json, settings.listen, grpc_port=grpc_port, rest_port=rest_port)
        _log.info("serving gRPC on port %d and REST on port %d", grpc_port, rest_port)
        await stopping.wait()
        _log.info("stopping")
        plane.stop()
        hub.close()
        await grpc_server.stop(_GRACE_S)
        rest_server.should_exit = True
        await rest
        for task in background:
            task.cancel()
    await asyncio.to_thread(operating.join, timeout_s=_STOP_S)
    await asyncio.to_thread(reconciler.stop, timeout_s=_STOP_S)
    with contextlib.suppress(PenstockError):
        await registry.flush()
    metrics.close()


class _RestServer(uvicorn.Server):
    """Leaves signals to the process, which has more to stop than this server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _make_hub(settings: Settings, database: Database) -> Hub:
    def read_version() -> int:
        with database.read() as tx:
            return versions.current(tx)

    def read_snapshot() -> metadata.Snapshot:
        with database.read() as tx:
            return switches.snapshot(tx)

    return Hub(
        read_version=read_version,
        read_snapshot=read_snapshot,
        poll_s=settings.poll_s,
        heartbeat_s=settings.heartbeat_s,
    )


def _why_not_ready(database: Database) -> str:
    try:
        with database.read() as tx:
            versions.current(tx)
    except PenstockError as error:
        return error.message
    return ""


def _publish(path: Path, listen: str, *, grpc_port: int, rest_port: int) -> None:
    """Write the addresses for clients on this machine, whole or not at all."""
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to
    host = _bracketed(anywhere.get(listen, listen))
    text = json.dumps({"grpc": f"{host}:{grpc_port}", "rest": f"http://{host}:{rest_port}"})
    draft = path.with_suffix(".json.new")
    draft.write_text(text + "\n")
    draft.replace(path)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
