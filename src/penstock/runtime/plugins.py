"""Kafka Connect's jars and plug-ins: fetched by lock file, put in place once, shared by all homes.

    locks/kafka-4.3.1-connect.lock ─fetch─▶ jars of a worker
    locks/<plug-in>.lock ─fetch─▶ <cache>/artifacts/… ─unpack or gather, once─▶
        <cache>/connect/<plug-in>/<folder of its jars> ─▶ the worker's plugin.path
    our own transform, by `smt` ────────────────────────▲

Each names its classes in manifests (META-INF/services), so that a worker finds them without reading
every class of every jar; a plug-in that comes without is given one. Never uses a file with another
hash than the locked one, and never gives a half-made folder its final name.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from importlib import resources
from pathlib import Path

from penstock.errors import ConfigError
from penstock.model.connectors import Kind
from penstock.runtime import artifacts, files, smt

__all__ = ["Plugin", "directories", "gathered", "needed", "unpacked", "worker_jars"]


class Plugin(StrEnum):
    """A plug-in that can be had by locked coordinates; its value is the name of its lock."""

    POSTGRES = "debezium-postgres-3.6.2.Final"
    MONGODB = "debezium-mongodb-3.6.1.Final"
    SNOWFLAKE = "snowflake-2.5.0"
    """170 MB."""


_OF_KIND = {
    Kind.POSTGRES: Plugin.POSTGRES,
    Kind.MONGODB: Plugin.MONGODB,
    Kind.SNOWFLAKE: Plugin.SNOWFLAKE,
}

_SERVICES: Mapping[Plugin, Mapping[str, str]] = {
    Plugin.SNOWFLAKE: {
        "org.apache.kafka.connect.sink.SinkConnector": (
            "com.snowflake.kafka.connector.SnowflakeSinkConnector"
        )
    }
}
"""What plug-ins without manifests would say in them."""


def worker_jars(progress: artifacts.Progress | None = None) -> tuple[Path, ...]:
    """Return the class path of a Connect worker: Kafka's jars and Connect's.

    Raises:
        PenstockError: as `artifacts.fetch`.
    """
    name = f"kafka-{artifacts.KAFKA_VERSION}-connect"
    return artifacts.fetch([*artifacts.kafka_broker(), *_locked(name)], progress=progress)


def needed(kinds: Iterable[Kind]) -> tuple[Plugin, ...]:
    """Return the plug-ins that connectors of these kinds run on; a custom one brings its own."""
    return tuple(sorted({_OF_KIND[kind] for kind in kinds if kind in _OF_KIND}))


def directories(
    plugins: Iterable[Plugin] = (Plugin.POSTGRES, Plugin.MONGODB),
    *,
    progress: artifacts.Progress | None = None,
) -> tuple[Path, ...]:
    """Return the directories for a worker's ``plugin.path``: one a plug-in, and our transform's.

    Raises:
        PenstockError: as `artifacts.fetch` and `smt.install`.
        ConfigError: when a plug-in cannot be put in place.
    """
    found = []
    for plugin in plugins:
        fetched = artifacts.fetch(_locked(plugin.value), progress=progress)
        target = artifacts.cache_directory() / "connect" / plugin.value
        if fetched[0].suffix == ".jar":
            found.append(gathered(fetched, target, services=_SERVICES.get(plugin, {})))
        else:
            found.append(unpacked(fetched[0], target))
    return (*found, smt.install(progress).parent)


def unpacked(archive: Path, target: Path) -> Path:
    """Return the directory that holds the archive's files; unpacks them where it is not there.

    Raises:
        ConfigError: when the archive cannot be unpacked, with the way out.
    """

    def make(part: Path) -> None:
        with tarfile.open(archive) as tar:
            for member in tar:
                if not member.isdir():
                    _unpack(tar, member, part)

    return _put_in_place(target, make)


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, directory: Path) -> None:
    """Write one file, below the directory.

    As `tarfile`'s ``filter="data"``, which Python has since 3.11.4 only; links are refused.
    """
    place = (directory / member.name.lstrip("/")).resolve()
    content = tar.extractfile(member) if member.isfile() else None
    if content is None or not place.is_relative_to(directory.resolve()):
        raise tarfile.ExtractError(f"{member.name!r} is no file, or one beside the directory")
    place.parent.mkdir(parents=True, exist_ok=True)
    with content, place.open("wb") as file:
        shutil.copyfileobj(content, file)


def gathered(jars: Sequence[Path], target: Path, *, services: Mapping[str, str]) -> Path:
    """Return the directory that holds the jars as one plug-in, with a manifest of its classes.

    Args:
        jars: the plug-in's.
        target: the directory.
        services: interface by interface, the class the plug-in has for it; none where the jars
            say so themselves.

    Raises:
        ConfigError: when they cannot be put there, with the way out.
    """

    def make(part: Path) -> None:
        folder = part / target.name
        folder.mkdir()
        for jar in jars:
            _link(jar, folder / jar.name)
        with zipfile.ZipFile(folder / "manifest.jar", "w") as manifest:
            for interface, name in services.items():
                manifest.writestr(f"META-INF/services/{interface}", f"{name}\n")

    return _put_in_place(target, make)


def _link(jar: Path, target: Path) -> None:
    """Have the jar there as well, without its bytes twice where the file system can."""
    try:
        os.link(jar, target)
    except OSError:
        shutil.copy2(jar, target)


def _put_in_place(target: Path, make: Callable[[Path], None]) -> Path:
    if target.is_dir():
        return target
    with files.exclusive(target.with_name(target.name + ".lock")):
        if target.is_dir():
            return target
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            make(part)
            part.chmod(0o755)
            part.replace(target)
        except (OSError, tarfile.TarError) as error:
            shutil.rmtree(part, ignore_errors=True)
            raise ConfigError(
                f"{target} could not be unpacked: {error}. Free some space, or remove "
                f"{artifacts.cache_directory()}: everything in it is fetched anew."
            ) from error
    return target


def _locked(name: str) -> tuple[artifacts.Artifact, ...]:
    lock = resources.files("penstock.runtime").joinpath("locks", f"{name}.lock")
    return artifacts.parse_lock(lock.read_text(encoding="ascii"), name=f"{name}.lock")
