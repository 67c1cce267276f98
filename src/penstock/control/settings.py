"""What can be set of a control plane: defaults, then a file, then the environment, then options.

    <home>/control/settings.json ─▶ PENSTOCK_CONTROL_<FIELD> ─▶ command-line options ─▶ Settings

Every wrong value is reported at once. A setting is added here only when two installations need it
different.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from penstock.errors import ConfigError, Fault

__all__ = ["Settings", "load"]

_PREFIX = "PENSTOCK_CONTROL_"
_HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one control plane."""

    home: Path
    """Directory that holds all state of this Penstock."""

    listen: str = "127.0.0.1"
    """Address that both servers bind to. Anything but a loopback address demands a token for every
    call, reading as well, since the network can then ask."""

    grpc_port: int = 0
    """TCP port. 0 takes the port of the last run where it is free, else any: clients keep it."""

    rest_port: int = 0
    """TCP port, as ``grpc_port``."""

    store: str = ""
    """Database URL. Empty means SQLite in the home directory; several control planes share a
    PostgreSQL, ``postgresql://user:password@host/database``."""

    tokens: str = ""
    """JSON file of further tokens, ``{"name": {"token": "…", "role": "operator" | "reader"}}``. The
    name is who the audit names. The home's own token is ``operator``."""

    reconcile_s: float = 15.0
    """Seconds between two looks at every cluster: short enough to show drift and a dead cluster
    while somebody watches, long enough to cost the brokers nothing."""

    observe_timeout_s: float = 10.0
    """Seconds a cluster has to answer before it counts as unreachable. The others do not wait for
    it, but a plan does."""

    lease_s: float = 5.0
    """Seconds until another control plane takes over from one that died. Renewed at a third."""

    poll_s: float = 0.1
    """Seconds between two looks at the store for changes made by another control plane. A tenth of
    the second in which a switch must reach every client."""

    heartbeat_s: float = 5.0
    """Seconds of silence on a watch after which the server says that it is still there."""

    forget_clients_s: float = 120.0
    """Seconds after which a silent client is no longer listed. Four times what the SDK's report
    interval may be."""

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can reach the servers."""
        return _is_loopback(self.listen)

    @property
    def store_url(self) -> str:
        """Return the database URL that is meant."""
        return self.store or f"sqlite:///{self.home / 'control/store.sqlite'}"


def load(home: Path, *, options: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings for a home.

    Args:
        home: the home directory.
        options: from the command line, by field name; None values are not given.

    Raises:
        ConfigError: with every fault found.
    """
    given, faults = _from_file(home / "control/settings.json")
    sources: list[tuple[str, dict[str, Any]]] = [
        (str(home / "control/settings.json"), given),
        ("environment", _from_environment()),
        ("command line", {k: v for k, v in (options or {}).items() if v is not None}),
    ]
    values: dict[str, Any] = {}
    for source, found in sources:
        for name, value in found.items():
            try:
                values[name] = _parse(name, value)
            except ValueError as error:
                faults.append(Fault(file=source, line=0, what=str(error), next_step="Correct it."))
    if faults:
        raise ConfigError("the control plane's settings are wrong:", faults=faults)
    return Settings(home=home.absolute(), **values)


def _from_file(path: Path) -> tuple[dict[str, Any], list[Fault]]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError) as error:
        return {}, [
            Fault(
                file=str(path),
                line=0,
                what=f"cannot be read: {error}",
                next_step="Correct it, or remove it.",
            )
        ]
    if not isinstance(found, dict):
        return {}, [
            Fault(file=str(path), line=0, what="is not a JSON object", next_step="Write {}.")
        ]
    return found, []


def _from_environment() -> dict[str, str]:
    known = {field.name for field in fields(Settings)}
    return {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(_PREFIX) and name.removeprefix(_PREFIX).lower() in known
    }


def _parse(name: str, value: Any) -> str | int | float:
    kinds = {field.name: str(field.type) for field in fields(Settings) if field.name != "home"}
    if name not in kinds:
        raise ValueError(f"{name!r} is no setting; there are {', '.join(kinds)}")
    if name == "listen":
        _is_loopback(str(value))
        return str(value)
    match kinds[name]:
        case "int":
            return _port(name, value)
        case "float":
            return _seconds(name, value)
        case _:
            return str(value)


def _port(name: str, value: Any) -> int:
    try:
        port = int(value)
    except (TypeError, ValueError):
        port = -1
    if not 0 <= port <= _HIGHEST_PORT:
        raise ValueError(f"{name} is {value!r}, which is no port from 0 to {_HIGHEST_PORT}")
    return port


def _seconds(name: str, value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{name} is {value!r}, which is no number of seconds above 0")
    return seconds


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError as error:
        raise ValueError(
            f"listen is {address!r}, which is no IP address; write 127.0.0.1, or 0.0.0.0 for all"
        ) from error
