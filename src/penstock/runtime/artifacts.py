"""Java artifacts: fetched once by a lock file, checked, kept in the user's cache.

    locks/kafka-4.3.1-broker.lock ─parse─▶ Artifact … ─8 threads─▶ <cache>/artifacts/<path>
       sha256 bytes path                     └─ .part, resumed by range, checked, renamed

A file under its final name had the locked hash when it was put there, and carries a time stamp
made from that hash: a start compares size and stamp, and hashes again only what does not match.
(The stamp is the same for every fetch, so the JVM's AOT cache, which remembers it, stays valid.)
Never asks the network for what is there; never uses a file with another hash.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import platformdirs

from penstock.errors import ConfigError, NotReady
from penstock.runtime import files

__all__ = [
    "KAFKA_VERSION",
    "Artifact",
    "cache_directory",
    "fetch",
    "kafka_broker",
    "parse_lock",
]

KAFKA_VERSION = "4.3.1"

Progress = Callable[[int, int], None]
"""Told how many bytes are there, and of how many."""

_THREADS = 8
_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64}) (?P<size>[0-9]+) (?P<path>[\w.+-]+(?:/[\w.+-]+)*)")
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One locked file.

    Attributes:
        path: below the repository's base address, and below the cache.
        sha256: in hexadecimal.
    """

    path: str
    size_bytes: int
    sha256: str


def cache_directory() -> Path:
    """Return the directory shared by all homes of this user: ``PENSTOCK_CACHE``, or the system's."""
    chosen = os.environ.get("PENSTOCK_CACHE")
    return Path(chosen).absolute() if chosen else platformdirs.user_cache_path("penstock")


def parse_lock(text: str, *, name: str) -> tuple[Artifact, ...]:
    """Return the artifacts of a lock file.

    Raises:
        ConfigError: for a line that is not ``sha256 bytes path``.
    """
    artifacts = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None or ".." in match["path"].split("/"):
            raise ConfigError(
                f"{name}:{number}: {line!r} is not 'sha256 bytes path'. Install Penstock again."
            )
        artifacts.append(
            Artifact(path=match["path"], size_bytes=int(match["size"]), sha256=match["sha256"])
        )
    return tuple(artifacts)


def kafka_broker() -> tuple[Artifact, ...]:
    """Return what a broker and Kafka's tools need: 45 jars, 45 MB."""
    name = f"kafka-{KAFKA_VERSION}-broker.lock"
    text = resources.files("penstock.runtime").joinpath("locks", name).read_text(encoding="ascii")
    return parse_lock(text, name=name)


def fetch(artifacts: Sequence[Artifact], *, progress: Progress | None = None) -> tuple[Path, ...]:
    """Return the artifacts' files, in their order; fetches what is not there.

    Safe to interrupt and to run in several processes at once: one fetches, the others wait.

    Raises:
        ConfigError: when the mirror's address or the cache directory cannot be used.
        NotReady: when the line keeps failing or the disk is full.
        RemoteError: when the mirror lacks a file or has another one by its name.
    """
    directory = cache_directory() / "artifacts"
    targets = {artifact: directory / artifact.path for artifact in artifacts}
    try:
        if not all(_is_intact(artifact, path) for artifact, path in targets.items()):
            with files.exclusive(directory / "lock"):
                _fetch_missing(targets, progress=progress)
    except OSError as error:
        raise _explain(error, directory, artifacts) from error
    return tuple(targets.values())


def _explain(
    error: OSError, directory: Path, artifacts: Sequence[Artifact]
) -> NotReady | ConfigError:
    if error.errno in _NO_SPACE:
        need_mb = sum(a.size_bytes for a in artifacts) / 1e6
        return NotReady(
            f"The disk that holds {directory} is full; the artifacts take {need_mb:.0f} MB. Free some "
            "space, or set PENSTOCK_CACHE to a directory on another disk; what was fetched is kept."
        )
    return ConfigError(
        f"The cache directory {directory} cannot be used: {error}. Set PENSTOCK_CACHE to a "
        "directory of your own."
    )


def _fetch_missing(targets: dict[Artifact, Path], *, progress: Progress | None) -> None:
    # Imported here: a start that has everything needs no HTTP client, and starts sooner.
    from penstock.runtime import download  # noqa: PLC0415

    missing = {a: path for a, path in targets.items() if not _adopt(a, path)}
    received = _Count(total=sum(a.size_bytes for a in missing), progress=progress)
    base = _base_address()
    with download.client() as http, ThreadPoolExecutor(_THREADS) as threads:

        def fetch_one(artifact: Artifact) -> None:
            path = missing[artifact]
            download.fetch(
                http,
                f"{base}/{artifact.path}",
                target=path,
                size_bytes=artifact.size_bytes,
                sha256=artifact.sha256,
                received=received.add,
            )
            _stamp(artifact, path)

        try:
            _drain(threads.map(fetch_one, missing))
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def _drain(results: Iterable[None]) -> None:
    for _ in results:
        pass


class _Count:
    """Adds up the bytes of several threads for one progress display."""

    def __init__(self, *, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._there = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._there += count
            if self._progress is not None:
                self._progress(self._there, self._total)


def _base_address() -> str:
    mirror = os.environ.get("PENSTOCK_MAVEN_MIRROR")
    if not mirror:
        from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415 - rarely needed

        mirror = str(MAVEN_CENTRAL_URL)
    if not mirror.startswith(("https://", "http://")):
        raise ConfigError(
            f"PENSTOCK_MAVEN_MIRROR is {mirror!r}, which is no http or https address. Set it to "
            "the base address of a mirror of Maven Central, or unset it."
        )
    return mirror.rstrip("/")


def _stamp_s(artifact: Artifact) -> int:
    return int(artifact.sha256[:7], base=16)


def _stamp(artifact: Artifact, path: Path) -> None:
    os.utime(path, (_stamp_s(artifact),) * 2)


def _is_intact(artifact: Artifact, path: Path) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return status.st_size == artifact.size_bytes and status.st_mtime == _stamp_s(artifact)


def _adopt(artifact: Artifact, path: Path) -> bool:
    """Tell whether the file is right; hashes one that lost its stamp, removes a wrong one."""
    from penstock.runtime import download  # noqa: PLC0415 - as above

    if _is_intact(artifact, path):
        return True
    if not path.exists():
        return False
    if path.stat().st_size == artifact.size_bytes and download.sha256_of(path) == artifact.sha256:
        _stamp(artifact, path)
        return True
    path.unlink()
    return False
