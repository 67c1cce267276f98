"""The Spark session: one a process, on this machine, on a cluster, or behind Spark Connect.

    SparkSettings ─open_session─▶ spark_jvm: driver on the given Java, with jars ─▶ SparkSession
                        └─ sc://… ─▶ a remote session; its server brings Java and jars

Every setting that decides what rows come out is set here and nowhere else: UTC, no deletion
vectors, Arrow batches. Started when it is first asked for, since a JVM takes seconds. The Java is
used for the driver's own process alone. Never listens beyond loopback when the master is local.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from penstock import extras
from penstock.errors import ConfigError, Conflict, DataError, NotReady, PenstockError
from penstock.ingest.engines import spark_jvm

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = [
    "DELTA",
    "SparkSettings",
    "close_session",
    "configuration",
    "kept",
    "let_go",
    "open_session",
    "own_session",
    "translated",
]

_OPENING = threading.Lock()
_DRIVERS: list[spark_jvm.Driver] = []
"""At most one: pyspark knows one JVM a process."""
_REMOTE = "sc://"
_PYTHON = "spark.pyspark.python"
_ARROW_RECORDS = 50_000
_ARROW_BYTES = 64 * 2**20
_CONFLICT = re.compile(r"Concurrent\w+Exception|DELTA_CONCURRENT|\[DELTA_.*CONFLICT")
_NOT_MADE_FOR_IT = re.compile(
    r"[Ff]ailed to find (the )?data source|DELTA_CONFIGURE_SPARK_SESSION_WITH_EXTENSION"
)
_CONFIG_ERROR = re.compile(r"penstock\.errors\.ConfigError: (.*)")
_DATA_ERROR = re.compile(r"penstock\.errors\.DataError: (.*)")

# What may be set on a session whose server somebody else has started.
_SESSION: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(_ARROW_RECORDS),
    "spark.sql.execution.arrow.maxBytesPerBatch": str(_ARROW_BYTES),
    # The guard of merges is one text for every engine, with names quoted as in standard SQL.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    # How many rows a commit had is read from the log.
    "spark.databricks.delta.history.metricsEnabled": "true",
    # delta-rs reads and goes on with these tables; it writes no deletion vectors.
    "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
}
DELTA: Mapping[str, str] = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
"""What Delta needs of the Spark itself, whoever starts it."""
_QUIET: Mapping[str, str] = {
    "spark.sql.catalogImplementation": "in-memory",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}
# One machine: nothing listens beyond loopback, and work is cut for a few cores, not for a cluster.
_LOCAL: Mapping[str, str] = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": str(os.cpu_count() or 1),
    "spark.default.parallelism": str(os.cpu_count() or 1),
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    "spark.python.daemon.module": "penstock.ingest.engines.spark_daemon",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkSettings:
    """Where Spark runs, and with what.

    Attributes:
        master: as Spark names it (``local[*]``, ``spark://…``, ``yarn``, ``k8s://…``), or a Spark
            Connect address, ``sc://host:port``; empty for what ``spark-submit`` was told.
        work: directory for scratch files and the warehouse; empty for Spark's own choice.
        jars: Delta's and Kafka's, shipped to the executors; none when the cluster has them.
        java: executable of the driver's Java; None for what pyspark finds on the machine, and
            for a process that ``spark-submit`` has started.
        memory_mib: heap of the driver, which is all of Spark when the master is local.
        options: further settings of Spark, by name; they win over ours.
        java_options: further options of the driver's Java, where it is started by us.
    """

    master: str = "local[*]"
    work: Path | None = None
    jars: tuple[Path, ...] = ()
    java: Path | None = None
    memory_mib: int = 1024
    options: Mapping[str, str] = field(default_factory=dict)
    java_options: tuple[str, ...] = ()

    @property
    def remote(self) -> bool:
        """Tell whether Spark runs behind Spark Connect."""
        return self.master.startswith(_REMOTE)

    @property
    def local(self) -> bool:
        """Tell whether all of Spark runs in one JVM on this machine."""
        return self.master.startswith("local")


def open_session(settings: SparkSettings) -> SparkSession:
    """Return this process's session; the first call starts it, and one after Spark has ended.

    Behind Spark Connect every call makes a session of its own: a server forgets those that are idle,
    and all of them when it ends.

    Raises:
        ConfigError: when pyspark is not installed.
        NotReady: when Spark does not start or cannot be reached.
    """
    _demand_pyspark()
    from pyspark.sql import SparkSession  # noqa: PLC0415 - heavy, and an extra

    with _OPENING, _started(settings):
        chosen = configuration(settings)
        if settings.remote:
            return _connected(settings.master, chosen)
        _end_stopped()
        builder = SparkSession.builder
        for name, value in chosen.items():
            builder = builder.config(name, value)
        if settings.master:
            builder = builder.master(settings.master)
        with _environment(_driver(settings, chosen)):
            return builder.getOrCreate()


def own_session(settings: SparkSettings) -> SparkSession:
    """Return a session whose settings are nobody else's, in the same Spark; see `open_session`."""
    session = open_session(settings)
    return session if settings.remote else session.newSession()


def let_go(session: SparkSession) -> None:
    """Let go of a session from `own_session`; the server of Spark Connect would keep it."""
    if type(session).__module__.startswith("pyspark.sql.connect"):
        session.stop()


def close_session(session: SparkSession) -> None:
    """End the session, and Spark's driver if this process has started it."""
    session.stop()
    with _OPENING:
        _end_drivers()


def _demand_pyspark() -> None:
    try:
        import pyspark  # noqa: F401, PLC0415 - heavy, and an extra
    except ImportError as error:
        raise ConfigError(
            f"a table with engine: spark needs pyspark. Install it: {extras.command('spark')}"
        ) from error


@contextmanager
def _started(settings: SparkSettings) -> Iterator[None]:
    """Tell why Spark does not start."""
    from py4j.protocol import (  # type: ignore[import-untyped]  # noqa: PLC0415 - as above
        Py4JError,
    )
    from pyspark.errors import PySparkException  # noqa: PLC0415

    try:
        yield
    except (PySparkException, Py4JError, OSError) as error:
        raise NotReady(
            f"Spark at {settings.master or 'what spark-submit was told'} does not start: "
            f"{_brief(str(error))}. Check the master's address and what Spark wrote to this "
            "process's standard error."
        ) from error


def _connected(address: str, chosen: Mapping[str, str]) -> SparkSession:
    from pyspark.sql import SparkSession  # noqa: PLC0415 - heavy, and an extra
    from pyspark.sql.connect.client.retries import DefaultPolicy  # noqa: PLC0415

    session: Any = SparkSession.builder.remote(address).create()
    # Else a call waits ten minutes for a server that is away, and nobody could stop the table.
    session.client.set_retry_policies([DefaultPolicy(max_retries=5, max_backoff=5_000)])
    for name, value in chosen.items():
        session.conf.set(name, value)
    return cast("SparkSession", session)


def _end_stopped() -> None:
    """End a Spark of ours that has given up or died: pyspark would go on with it for ever.

    It gives up by itself when its cluster is away for long.
    """
    from py4j.protocol import Py4JError  # noqa: PLC0415 - heavy, and an extra
    from pyspark import SparkContext  # noqa: PLC0415
    from pyspark.sql import SparkSession  # noqa: PLC0415

    context = SparkContext._active_spark_context  # noqa: SLF001 - pyspark tells it nowhere else
    if not _DRIVERS or context is None:
        return
    with suppress(Py4JError, OSError):
        if not context._jsc.sc().isStopped():  # noqa: SLF001
            return
    context._jsc = None  # noqa: SLF001 - else it would ask a JVM that may be gone
    context.stop()
    SparkSession._instantiatedSession = SparkSession._activeSession = None  # noqa: SLF001
    _end_drivers()


def _end_drivers() -> None:
    from py4j.protocol import Py4JError  # noqa: PLC0415 - heavy, and an extra
    from pyspark import SparkContext  # noqa: PLC0415

    while _DRIVERS:
        driver = _DRIVERS.pop()
        if SparkContext._gateway is not None:  # noqa: SLF001 - pyspark never lets go of it
            with suppress(Py4JError, OSError):
                SparkContext._gateway.shutdown()  # noqa: SLF001
            SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001
        driver.end()


@contextmanager
def kept(frame: DataFrame) -> Iterator[DataFrame]:
    """Keep what the frame holds once it is computed, on disk where memory does not suffice."""
    from pyspark import StorageLevel  # noqa: PLC0415 - heavy, and an extra

    held = frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield held
    finally:
        held.unpersist()


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Tell Spark's errors in Penstock's words.

    Args:
        what: the table or the topic that is worked on.

    Raises:
        Conflict: when Delta refused the commit because of another one.
        ConfigError: when the pipeline in a worker said the declaration cannot work, or Spark
            lacks what Delta and Kafka need.
        DataError: when a worker that takes records for good met one that is not.
        NotReady: for every other failure: Spark's and the storage's, which the next try may mend.
    """
    from py4j.protocol import Py4JError  # noqa: PLC0415 - as above
    from pyspark.errors import PySparkException  # noqa: PLC0415

    try:
        yield
    except (PySparkException, Py4JError, OSError) as error:  # the last when the JVM is gone
        raise _explained(what, str(error)) from error


def _explained(what: str, text: str) -> PenstockError:
    if (told := _CONFIG_ERROR.search(text)) is not None:
        return ConfigError(told[1].strip())
    if (told := _DATA_ERROR.search(text)) is not None:
        return DataError(told[1].strip())
    reason = _brief(text)
    if _NOT_MADE_FOR_IT.search(text):
        return ConfigError(
            f"this Spark lacks Delta's or Kafka's jars, or Delta's extension: {reason}. Start its "
            "server with the packages and settings in docs/how-to/run-on-spark.md, then start again."
        )
    if _CONFLICT.search(text):
        return Conflict(
            f"another process has written to {what} meanwhile: {reason}. Let one process ingest a "
            "table; this one goes on from where the other is."
        )
    return NotReady(
        f"Spark failed at {what}: {reason}. Nothing was lost; the same batch is tried again. If it "
        "goes on, look at the executors' logs."
    )


def _brief(text: str) -> str:
    return " ".join(text.split())[:400]


def configuration(settings: SparkSettings) -> dict[str, str]:
    """Return what the session is started with."""
    if settings.remote:
        return {**_SESSION, **settings.options}
    if not settings.master:
        return {**_SESSION, **DELTA, **settings.options}
    chosen = {**_SESSION, **DELTA, **_QUIET}
    chosen["spark.driver.memory"] = f"{settings.memory_mib}m"
    if settings.local:
        chosen |= _LOCAL
    if settings.jars:
        chosen["spark.jars"] = ",".join(map(str, settings.jars))
    if settings.work is not None:
        chosen |= _places(settings.work)
    return {**chosen, **settings.options}


def _places(work: Path) -> dict[str, str]:
    for name in ("scratch", "warehouse", "tmp"):
        (work / name).mkdir(parents=True, exist_ok=True)
    return {
        "spark.local.dir": str(work / "scratch"),
        "spark.sql.warehouse.dir": (work / "warehouse").as_uri(),
    }


def _driver(settings: SparkSettings, chosen: Mapping[str, str]) -> Mapping[str, str]:
    """Start the driver's JVM if that is ours to do; return what leads pyspark to it."""
    from pyspark import SparkContext  # noqa: PLC0415 - heavy, and an extra

    running = SparkContext._gateway is not None or "PYSPARK_GATEWAY_PORT" in os.environ  # noqa: SLF001
    if running:
        return {}
    # pyspark takes the workers' Python from the environment alone, whatever Spark's own setting says;
    # those on this machine are of this installation.
    python = chosen.get(_PYTHON) or (sys.executable if settings.local else "")
    told = {"PYSPARK_PYTHON": python} if python else {}
    if settings.java is None:
        return told
    scratch = [] if settings.work is None else [f"-Djava.io.tmpdir={settings.work / 'tmp'}"]
    driver = spark_jvm.start(
        settings.java,
        memory_mib=settings.memory_mib,
        options=[*scratch, *settings.java_options],
        configuration={**chosen, "spark.master": settings.master},
    )
    _DRIVERS.append(driver)
    return {**driver.environment, **told}


@contextmanager
def _environment(told: Mapping[str, str]) -> Iterator[None]:
    """Set what pyspark reads from the environment alone, while it looks for its JVM."""
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
