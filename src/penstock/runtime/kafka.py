"""The Kafka distribution on this machine: its jars, and what is made of them once.

    lock ─fetch─▶ jars ─▶ <cache>/kafka-<version>/bootstrap.checkpoint   a new cluster's metadata
                   └────▶ <cache>/kafka-<version>/java-<version>.aot     a shorter start

The checkpoint is the same for every cluster, so the format tool's JVM runs once a machine and
never on the way of a start. The AOT cache holds the classes a broker loads, read and linked; it
halves the start, takes half a minute to make and is made in the background.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import NotReady, RemoteError
from penstock.runtime import artifacts, files, java

__all__ = ["Distribution", "install"]

_TOOL_DEADLINE_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Kafka, ready to run.

    Attributes:
        jars: the class path, in its order.
        checkpoint: the first metadata of a new cluster.
    """

    jars: tuple[Path, ...]
    checkpoint: Path

    @property
    def aot_cache(self) -> Path:
        """Return where the AOT cache is, or would be."""
        return self.checkpoint.with_name(f"java-{java.version()}.aot")

    @property
    def options(self) -> tuple[str, ...]:
        """Return the JVM options of a broker: the AOT cache, where it is made."""
        # Without -Xlog, a JVM that cannot use the cache says so on every start, and does without.
        return (
            (f"-XX:AOTCache={self.aot_cache}", "-Xlog:aot=off") if self.aot_cache.exists() else ()
        )


def install(progress: artifacts.Progress | None = None) -> Distribution:
    """Return Kafka, fetched and prepared where it is not yet.

    Raises:
        PenstockError: as `artifacts.fetch`.
    """
    jars = artifacts.fetch(artifacts.kafka_broker(), progress=progress)
    directory = artifacts.cache_directory() / f"kafka-{artifacts.KAFKA_VERSION}"
    checkpoint = directory / "bootstrap.checkpoint"
    if not checkpoint.exists():
        with files.exclusive(directory / "lock"):
            if not checkpoint.exists():
                _make_checkpoint(jars, checkpoint)
    return Distribution(jars=jars, checkpoint=checkpoint)


def _make_checkpoint(jars: tuple[Path, ...], checkpoint: Path) -> None:
    """Let Kafka's own format tool write one, and keep it."""
    with tempfile.TemporaryDirectory(dir=checkpoint.parent) as scratch:
        settings = Path(scratch, "server.properties")
        settings.write_text(
            "node.id=1\nprocess.roles=broker,controller\ncontroller.listener.names=CONTROLLER\n"
            "controller.quorum.voters=1@127.0.0.1:1\nlisteners=PLAINTEXT://:2,CONTROLLER://:1\n"
            f"log.dirs={scratch}/data\n",
            encoding="utf-8",
        )
        arguments = ["format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", str(settings)]
        command = java.command(jars, "kafka.tools.StorageTool", arguments=arguments)
        try:
            subprocess.run(
                command,
                check=True,
                capture_output=True,
                env=java.environment(),
                timeout=_TOOL_DEADLINE_S,
            )
        except subprocess.CalledProcessError as error:
            said = (error.stderr or error.stdout).decode(errors="replace").strip()
            raise RemoteError(
                f"Kafka's format tool failed: {said}. Remove {checkpoint.parent.parent} and try "
                "again: everything in it is fetched anew."
            ) from error
        except subprocess.TimeoutExpired as error:
            raise NotReady(
                f"Kafka's format tool did not end within {_TOOL_DEADLINE_S} s. The machine may be "
                "overloaded; try again."
            ) from error
        shutil.move(Path(scratch, "data", "bootstrap.checkpoint"), checkpoint)
