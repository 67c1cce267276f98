"""Metadata from the control plane, followed in the background and kept on disk.

    Watch ─▶ snapshot, delta, heartbeat ─▶ Store ─▶ listeners ─▶ ReportApplied
      └─ lost ─▶ GetSnapshot now and then, and Watch again after a jittered pause

The client asks for the topics it uses and no more, so that a fleet's metadata stays small. Never
blocks a record: only `need` waits, and not for long when an earlier run has left metadata.
"""

from __future__ import annotations

import json
import logging
import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version as distribution_version
from pathlib import Path

import grpc
import platformdirs

from penstock.api import wire
from penstock.api._gen import penstock_pb2 as pb
from penstock.api._gen import penstock_pb2_grpc as rpc
from penstock.errors import ConfigError, NotReady, PenstockError
from penstock.model import metadata
from penstock.model.metadata import Snapshot
from penstock.sdk import cache
from penstock.sdk.metadata import Listener, Store

__all__ = ["ControlMetadata", "find_control"]

log = logging.getLogger("penstock.sdk.metadata")

# A dead control plane is noticed within this, even where its machine vanished.
_CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # gRPC's own reconnecting would add up to two minutes to ours.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
FIRST_ANSWER_S = 5.0
# With metadata of an earlier run at hand there is no need to wait long for fresh.
FRESH_ANSWER_S = 1.0
CALL_TIMEOUT_S = 5.0
REPORT_EVERY_S = 15.0
MAX_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the control plane is, and where its metadata is kept.

    Attributes:
        find: returns ``host:port`` now, or None; asked again at every attempt, because a restart
            may change it.
        directory: of the saved metadata.
    """

    find: Callable[[], str | None]
    directory: Path


def find_control(control: str | None, *, home: Path | str | None) -> Place:
    """Return where to look: the argument, ``PENSTOCK_CONTROL``, ``<home>/control.json``."""
    base = Path(home or os.environ.get("PENSTOCK_HOME") or ".penstock")
    known = control or os.environ.get("PENSTOCK_CONTROL")
    directory = base if base.is_dir() else Path(platformdirs.user_cache_dir("penstock"))
    return Place(
        find=lambda: known or _read_address(base / "control.json"), directory=directory / "clients"
    )


class ControlMetadata(Store):
    """The control plane's metadata, as one client sees it."""

    def __init__(self, place: Place, *, service: str, environment: str | None) -> None:
        """Begin with what an earlier run has left; `need` starts the watch."""
        self._place = place
        self._environment = environment or ""
        self._path = cache.path_for(place.directory, service=service, environment=environment)
        self._client = pb.Client(
            service=service,
            instance=secrets.token_hex(8),
            sdk_version=distribution_version("penstock"),
        )
        self._needing = threading.Lock()
        self._topics: tuple[str, ...] | None = None
        self._fresh = threading.Event()
        self._closed = threading.Event()
        self._call: grpc.Call | None = None
        self._thread: threading.Thread | None = None
        self._last_error = "no answer yet"
        self._reported_at = 0.0
        self._nudge = threading.Event()
        super().__init__(cache.load(self._path))

    def snapshot(self) -> Snapshot:
        """Return what is known; a client that has named no topic gets all of them."""
        self._need_something()
        return super().snapshot()

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with what is known and with each newer snapshot."""
        self._need_something()
        return super().on_change(listener)

    def wait_for_version(self, version: int, *, timeout_s: float) -> Snapshot:
        """Return the snapshot once it is at least of ``version``.

        Raises:
            NotReady: after ``timeout_s``.
        """
        self._need_something()
        return super().wait_for_version(version, timeout_s=timeout_s)

    def need(self, topics: Sequence[str]) -> None:
        """Follow these topics too (none: all), and wait until they are known.

        Raises:
            ConfigError: when no address of a control plane is known, nor an earlier run's metadata.
            NotReady: when the control plane does not answer, and an earlier run left nothing.
        """
        with self._needing:
            wanted = _union(self._topics, topics)
            if wanted == self._topics:
                return
            self._topics = wanted
            self._fresh.clear()
            self._nudge.set()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._follow, name="penstock-metadata", daemon=True
                )
                self._thread.start()
            elif self._call is not None:
                self._call.cancel()
            self._await_fresh(topics)

    def close(self) -> None:
        """Stop following."""
        self._closed.set()
        self._nudge.set()
        if self._call is not None:
            self._call.cancel()
        if self._thread is not None:
            self._thread.join(CALL_TIMEOUT_S)

    def _need_something(self) -> None:
        if self._topics is None:
            self.need(())

    def _await_fresh(self, topics: Sequence[str]) -> None:
        known = {topic.name for topic in super().snapshot().topics.values()}
        saved = bool(known) and known.issuperset(topics)
        if self._fresh.wait(FRESH_ANSWER_S if saved else FIRST_ANSWER_S):
            return
        if saved:
            log.warning(
                "no answer from the control plane (%s): going on with metadata version %d of an"
                " earlier run",
                self._last_error,
                super().snapshot().version,
            )
            return
        if self._place.find() is None:
            raise ConfigError(
                "no control plane is known. Pass `control=host:port`, set PENSTOCK_CONTROL, or"
                " start Penstock here with `penstock up`."
            )
        raise NotReady(
            f"the control plane does not answer ({self._last_error}), and no earlier run has left"
            " metadata here. Check that it runs, then try again.",
            retry_after_s=MAX_PAUSE_S,
        )

    def _follow(self) -> None:
        failures = 0
        while not self._closed.is_set():
            self._nudge.clear()
            try:
                self._connect(poll=failures > 0)
            except (grpc.RpcError, PenstockError) as error:
                if self._nudge.is_set():
                    continue  # cancelled by us, to watch other topics
                failures = failures + 1 if failures or not self._fresh.is_set() else 1
                self._last_error = _describe(error)
                log.debug("metadata watch ended: %s", self._last_error)
            else:
                failures = 0
            # Jitter over the whole pause: a fleet that lost one control plane does not come back
            # at once.
            pause_s = min(MAX_PAUSE_S, 0.2 * 2 ** min(failures, 6))
            self._nudge.wait(pause_s * random.random())  # noqa: S311 - no secret

    def _connect(self, *, poll: bool) -> None:
        address = self._place.find()
        if address is None:
            raise NotReady("no address of a control plane is known.")
        topics = self._topics or ()
        with grpc.insecure_channel(address, options=_CHANNEL_OPTIONS) as channel:
            stub = rpc.MetadataStub(channel)
            if poll:
                # Where streams are cut short, news still arrives.
                request = pb.GetSnapshotRequest(environment=self._environment, topics=topics)
                answer = stub.GetSnapshot(request, timeout=CALL_TIMEOUT_S)
                self._take(wire.decode_snapshot(answer), topics)
                self._report(stub)
            self._watch(stub, topics)

    def _watch(self, stub: rpc.MetadataStub, topics: tuple[str, ...]) -> None:
        request = pb.WatchRequest(
            client=self._client,
            environment=self._environment,
            topics=topics,
            known_version=super().snapshot().version if self._fresh.is_set() else 0,
        )
        call = stub.Watch(request)
        self._call = call
        if self._nudge.is_set():  # asked for something else before the call could be cancelled
            call.cancel()
        for event in call:
            match event.WhichOneof("event"):
                case "snapshot":
                    self._take(wire.decode_snapshot(event.snapshot), topics)
                case "delta":
                    delta = wire.decode_delta(event.delta)
                    self._take(metadata.apply(super().snapshot(), delta), topics)
            self._report(stub)

    def _take(self, snapshot: Snapshot, topics: tuple[str, ...]) -> None:
        if topics != (self._topics or ()):
            return  # an answer to an older question
        # The first answer for these topics replaces what was known, whatever its version: it may
        # hold more topics of the same version, or come from a control plane made anew.
        if self.put(snapshot, replace=not self._fresh.is_set()):
            cache.save(self._path, snapshot)
            self._reported_at = 0.0
        self._fresh.set()

    def _report(self, stub: rpc.MetadataStub) -> None:
        """Say which version is applied: after each, and now and then as a sign of life."""
        if time.monotonic() - self._reported_at < REPORT_EVERY_S:
            return
        # Jittered, so that the reports of clients started together drift apart.
        self._reported_at = time.monotonic() - random.random() * REPORT_EVERY_S / 4  # noqa: S311
        stub.ReportApplied(
            pb.ReportAppliedRequest(
                client=self._client,
                version=super().snapshot().version,
                environment=self._environment,
                topics=self._topics or (),
            ),
            timeout=CALL_TIMEOUT_S,
        )


def _union(known: tuple[str, ...] | None, more: Sequence[str]) -> tuple[str, ...]:
    """Return both sets of topics; the empty one means all, and stays all."""
    if known == () or not more:
        return ()
    return tuple(sorted({*(known or ()), *more}))


def _read_address(path: Path) -> str | None:
    try:
        address = json.loads(path.read_text())["grpc"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(address)


def _describe(error: Exception) -> str:
    if isinstance(error, grpc.Call):
        return f"{error.code().name}: {error.details()}"
    return str(error)
