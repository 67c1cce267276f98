"""Spark's driver as a child process of ours, on the Java that it is given.

    java, jars, settings in a file ─start─▶ JVM with Spark's own gateway ─▶ port and secret for py4j

pyspark's script asks for a module of a whole JDK (jdk.incubator.vector, for machine learning) that
a runtime made small does not have, and takes its Java from this process's environment: so the JVM
is started here, with the options that script would give less that one. The JVM ends when this
process does, however that ends: it reads our end of a pipe. Listens on loopback alone.
"""

from __future__ import annotations

import importlib.util
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import NotReady

__all__ = ["Driver", "properties", "start"]

_READY_WITHIN_S = 120.0
_ENDS_WITHIN_S = 20.0
_LOOK_EVERY_S = 0.05
_LOOPBACK = "127.0.0.1"
_SUBMIT = "org.apache.spark.deploy.SparkSubmit"
# org.apache.spark.launcher.JavaModuleOptions, less what the wheel's Java does not have.
_OPTIONS = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    *(
        f"--add-opens={package}=ALL-UNNAMED"
        for package in (
            "java.base/java.lang",
            "java.base/java.lang.invoke",
            "java.base/java.lang.reflect",
            "java.base/java.io",
            "java.base/java.net",
            "java.base/java.nio",
            "java.base/java.util",
            "java.base/java.util.concurrent",
            "java.base/java.util.concurrent.atomic",
            "java.base/jdk.internal.ref",
            "java.base/sun.nio.ch",
            "java.base/sun.nio.cs",
            "java.base/sun.util.calendar",
            "java.security.jgss/sun.security.krb5",
        )
    ),
    "-Dio.netty.tryReflectionSetAccessible=true",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-XX:+UseSerialGC",
)
# What would change the JVM, or pyspark's way to it, behind our back.
_FOREIGN = {
    "CLASSPATH",
    "JAVA_HOME",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "PYSPARK_SUBMIT_ARGS",
    "SPARK_CONF_DIR",
    "_JAVA_OPTIONS",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A running JVM.

    Attributes:
        environment: what pyspark reads to find it instead of starting one of its own.
    """

    process: subprocess.Popen[bytes]
    environment: Mapping[str, str]

    def end(self) -> None:
        """Let it end, and wait for that: it does when its standard input is closed."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(
    java: Path,
    *,
    memory_mib: int,
    options: Sequence[str],
    configuration: Mapping[str, str],
) -> Driver:
    """Start the JVM, and wait until it listens.

    Args:
        java: the executable.
        memory_mib: its heap.
        options: further ones of Java's.
        configuration: Spark's settings.

    Raises:
        NotReady: when it ends, or does not listen in time.
    """
    home = _spark_home()
    with tempfile.TemporaryDirectory(prefix="penstock-spark-") as directory:
        told, settings = Path(directory) / "gateway", Path(directory) / "settings"
        # Not as arguments, which every user of the machine may read: there may be passwords.
        settings.touch(0o600)
        settings.write_text(properties(configuration), "utf-8")
        process = subprocess.Popen(
            [
                str(java),
                f"-Xmx{memory_mib}m",
                *_OPTIONS,
                *options,
                "-cp",
                str(home / "jars" / "*"),
                _SUBMIT,
                "--properties-file",
                str(settings),
                "pyspark-shell",
            ],
            env=_environment(home, told, local=configuration["spark.master"].startswith("local")),
            stdin=subprocess.PIPE,
            # An interrupt on the terminal is ours to handle: a commit that is under way ends first.
            start_new_session=True,
        )
        port, secret = _wait(process, told)
    return Driver(
        process=process,
        environment={"PYSPARK_GATEWAY_PORT": str(port), "PYSPARK_GATEWAY_SECRET": secret},
    )


def properties(configuration: Mapping[str, str]) -> str:
    """Return settings as a file of Java's `Properties`, which Spark reads as UTF-8."""
    escapes = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t", " ": r"\ "})
    return "".join(
        f"{name.translate(escapes)}={value.translate(escapes)}\n"
        for name, value in configuration.items()
    )


def _spark_home() -> Path:
    spec = importlib.util.find_spec("pyspark")
    assert spec is not None  # noqa: S101 - the caller has imported it
    assert spec.origin is not None  # noqa: S101 - it is a package of files
    return Path(spec.origin).parent


def _environment(home: Path, told: Path, *, local: bool) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return {
        **kept,
        "SPARK_HOME": str(home),
        "SPARK_CONNECT_MODE": "0",
        **({"SPARK_LOCAL_IP": _LOOPBACK} if local else {}),
        "PYSPARK_PYTHON": sys.executable,
        "_PYSPARK_DRIVER_CONN_INFO_PATH": str(told),
    }


def _wait(process: subprocess.Popen[bytes], told: Path) -> tuple[int, str]:
    """Return port and secret; Spark renames the file into place when it is whole."""
    until = time.monotonic() + _READY_WITHIN_S
    while not told.exists():
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            raise NotReady(
                f"Spark's JVM did not come up (exit code {process.wait()}). Its words are on this "
                "process's standard error; check the memory that is free, then start again."
            )
        time.sleep(_LOOK_EVERY_S)
    port, length = struct.unpack(">ii", told.read_bytes()[:8])
    return port, told.read_bytes()[8 : 8 + length].decode()
