"""The transform that gives every source's change events one form, compiled on this machine, once.

    java/connect/src/main ─ecj on the wheel's Java─▶ classes ─▶
        <cache>/connect/smt-<hash>/penstock-connect/penstock-connect.jar ─▶ a worker's plugin.path

A user has no JDK, and no binary is in the repository or the wheel: the sources are, and a compiler
comes by lock file. The hash is of the sources, the compiler and what they are compiled against, so
a new version compiles anew, and the same one never does. Never gives a half-made jar its name.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from penstock.errors import ConfigError, NotReady, RemoteError
from penstock.runtime import artifacts, files, java

__all__ = ["install", "sources"]

_COMPILER = "ecj-3.44.0.lock"
_MAIN = "org.eclipse.jdt.internal.compiler.batch.Main"
_LOCKS = ("kafka-4.3.1-broker.lock", "kafka-4.3.1-connect.lock")
_AGAINST = (
    "connect-api",
    "jackson-annotations",
    "jackson-core",
    "jackson-databind",
    "kafka-clients",
)
"""A worker has these; the transform brings nothing of its own."""

_LAYOUT = "2"
"""Raised when the jar is put together in another way."""

_COMPILED_WITHIN_S = 120
_NAME = "penstock-connect"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MANIFEST = "META-INF/MANIFEST.MF"


def install(progress: artifacts.Progress | None = None) -> Path:
    """Return the plug-in's directory, with the jar in it; its parent is for ``plugin.path``.

    Safe to call in several processes at once: one compiles, the others wait.

    Raises:
        ConfigError: when the cache directory cannot be used.
        NotReady: when the compiler does not end in time, or as `artifacts.fetch`.
        RemoteError: when the sources do not compile, or as `artifacts.fetch`.
    """
    found = sources()
    compiler, against = _locked([_COMPILER]), _locked(_LOCKS, names=_AGAINST)
    key = _key(found, [*compiler, *against])
    plugin = artifacts.cache_directory() / "connect" / f"smt-{key}" / _NAME
    jar = plugin / f"{_NAME}.jar"
    try:
        if not jar.exists():
            (compiler_jar,) = artifacts.fetch(compiler, progress=progress)
            class_path = artifacts.fetch(against, progress=progress)
            with files.exclusive(plugin.parent.with_name(f"smt-{key}.lock")):
                if not jar.exists():
                    _make(jar, found, compiler=compiler_jar, class_path=class_path)
    except OSError as error:
        raise ConfigError(
            f"The cache directory {plugin.parent.parent} cannot be used: {error}. Set PENSTOCK_CACHE "
            "to a directory of your own, on a disk with room."
        ) from error
    return plugin


def sources() -> dict[str, bytes]:
    """Return the transform's sources and resources by their paths below ``src/main``."""
    packed = Path(str(resources.files("penstock.runtime").joinpath("smt_sources")))
    # An editable install has them where they are written.
    written = Path(__file__).resolve().parents[3] / "java" / "connect" / "src" / "main"
    directory = packed if packed.is_dir() else written
    found = sorted(path for path in directory.rglob("*") if path.is_file())
    if not found:
        raise ConfigError(f"{directory} holds no sources. Install Penstock again.")
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}


def _locked(
    names_of_locks: Sequence[str], *, names: Sequence[str] = ()
) -> list[artifacts.Artifact]:
    """Return what the lock files name; of jars with these names only, where some are given."""
    locks = resources.files("penstock.runtime").joinpath("locks")
    return [
        artifact
        for name in names_of_locks
        for artifact in artifacts.parse_lock(locks.joinpath(name).read_text("ascii"), name=name)
        if not names or artifact.path.split("/")[-3] in names
    ]


def _key(found: Mapping[str, bytes], locked: Sequence[artifacts.Artifact]) -> str:
    digest = hashlib.sha256(_LAYOUT.encode())
    for artifact in locked:
        digest.update(artifact.sha256.encode())
    for path, content in found.items():
        digest.update(f"\n{path} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _make(
    jar: Path, found: Mapping[str, bytes], *, compiler: Path, class_path: Sequence[Path]
) -> None:
    jar.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".smt-", dir=jar.parent.parent) as scratch:
        written, classes = Path(scratch, "sources"), Path(scratch, "classes")
        for path, content in found.items():
            target = written / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        _compile(written / "java", classes, compiler=compiler, class_path=class_path)
        for resource in (written / "resources").rglob("*"):
            if resource.is_file():
                target = classes / resource.relative_to(written / "resources")
                target.parent.mkdir(parents=True, exist_ok=True)
                resource.rename(target)
        part = Path(scratch, jar.name)
        _pack(classes, part)
        part.replace(jar)


def _compile(written: Path, classes: Path, *, compiler: Path, class_path: Sequence[Path]) -> None:
    arguments = [
        *("-17", "-proc:none", "-nowarn", "-encoding", "UTF-8"),
        *("-classpath", os.pathsep.join(map(str, class_path)), "-d", str(classes)),
        str(written),
    ]
    command = java.command([compiler], _MAIN, arguments=arguments)
    try:
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            env=java.environment(),
            timeout=_COMPILED_WITHIN_S,
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).decode(errors="replace").strip()
        raise RemoteError(
            f"The transform for Kafka Connect did not compile: {said}. Install Penstock again."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise NotReady(
            f"The Java compiler did not end within {_COMPILED_WITHIN_S} s. The machine may be "
            "overloaded; try again."
        ) from error


def _pack(classes: Path, jar: Path) -> None:
    """Put the classes into a jar that is the same, byte for byte, wherever it is made."""
    entries = {_MANIFEST: b"Manifest-Version: 1.0\r\nCreated-By: Penstock\r\n\r\n"}
    for path in sorted(path for path in classes.rglob("*") if path.is_file()):
        entries[path.relative_to(classes).as_posix()] = path.read_bytes()
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
