"""Kafka Connect's jars and plug-ins: fetched by lock file, unpacked once, shared by all homes.

    locks/kafka-4.3.1-connect.lock ─fetch─▶ jars of a worker
    locks/<plug-in>.lock ─fetch─▶ <cache>/artifacts/….tar.gz ─unpack, once─▶
        <cache>/connect/<plug-in>/<folder of its jars> ─▶ the worker's plugin.path
    our own transform, by `smt` ────────────────────────▲

Every plug-in here names its classes in manifests of its own (META-INF/services), so a worker finds
them without reading every class of every jar: ``plugin.discovery=service_load``. Never uses an
archive with another hash, and never gives a half unpacked folder its final name.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from enum import StrEnum
from importlib import resources
from pathlib import Path

from penstock.errors import ConfigError
from penstock.runtime import artifacts, files, smt

__all__ = ["Plugin", "directories", "unpacked", "worker_jars"]


class Plugin(StrEnum):
    """A plug-in that can be had by locked coordinates; its value is the name of its lock."""

    POSTGRES = "debezium-postgres-3.6.2.Final"
    MONGODB = "debezium-mongodb-3.6.1.Final"


def worker_jars(progress: artifacts.Progress | None = None) -> tuple[Path, ...]:
    """Return the class path of a Connect worker: Kafka's jars and Connect's.

    Raises:
        PenstockError: as `artifacts.fetch`.
    """
    name = f"kafka-{artifacts.KAFKA_VERSION}-connect"
    return artifacts.fetch([*artifacts.kafka_broker(), *_locked(name)], progress=progress)


def directories(
    plugins: Iterable[Plugin] = (Plugin.POSTGRES, Plugin.MONGODB),
    *,
    progress: artifacts.Progress | None = None,
) -> tuple[Path, ...]:
    """Return the directories for a worker's ``plugin.path``: one a plug-in, and our transform's.

    Raises:
        PenstockError: as `artifacts.fetch` and `smt.install`.
        ConfigError: when an archive cannot be unpacked.
    """
    found = []
    for plugin in plugins:
        (archive,) = artifacts.fetch(_locked(plugin.value), progress=progress)
        found.append(unpacked(archive, artifacts.cache_directory() / "connect" / plugin.value))
    return (*found, smt.install(progress).parent)


def unpacked(archive: Path, target: Path) -> Path:
    """Return the directory that holds the archive's files; unpacks them where it is not there.

    Raises:
        ConfigError: when the archive cannot be unpacked, with the way out.
    """
    if not target.is_dir():
        with files.exclusive(target.with_name(target.name + ".lock")):
            if not target.is_dir():
                _unpack(archive, target)
    return target


def _unpack(archive: Path, target: Path) -> None:
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(part, filter="data")
        part.chmod(0o755)
        part.replace(target)
    except (OSError, tarfile.TarError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise ConfigError(
            f"{archive} could not be unpacked into {target.parent}: {error}. Free some space, or "
            "remove the archive: it is then fetched anew."
        ) from error


def _locked(name: str) -> tuple[artifacts.Artifact, ...]:
    lock = resources.files("penstock.runtime").joinpath("locks", f"{name}.lock")
    return artifacts.parse_lock(lock.read_text(encoding="ascii"), name=f"{name}.lock")
