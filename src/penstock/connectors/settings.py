"""What the process that manages connectors can be told; every default is right for one machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from penstock.connectors.tries import Pauses
from penstock.errors import ConfigError

__all__ = ["Settings", "parse_groups"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One managing process.

    Attributes:
        home: directory with all state of this Penstock.
        control: gRPC address of the control plane; empty reads ``<home>/control.json``.
        groups: REST addresses of Connect groups by cluster, beside those in the home's
            ``connect.json``.
        secrets: where the workers look for relative ``${file:…}`` references; None for the home's.
        listen: where ``/health`` and ``/metrics`` answer, ``host:port`` on loopback; the address
            is then in ``<home>/connect/listen.json``. Empty for nowhere.
        every_s: a group is looked at this often. A look is two requests, and cheap.
        measure_every_s: lag is measured this often. It asks the source database.
        pauses: between tries of what fails.
    """

    home: Path
    control: str = ""
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    secrets: Path | None = None
    listen: str = "127.0.0.1:0"
    every_s: float = 2.0
    measure_every_s: float = 10.0
    pauses: Pauses = field(default_factory=Pauses)

    @property
    def state(self) -> Path:
        """Return the directory of what this process writes about itself."""
        return self.home / "connect"

    @property
    def secrets_directory(self) -> Path:
        """Return the directory that relative ``${file:…}`` references are below."""
        return (self.secrets or self.home / "secrets").absolute()


def parse_groups(given: Sequence[str]) -> dict[str, list[str]]:
    """Return the addresses in ``cluster=http://host:port`` texts, several a cluster.

    Raises:
        ConfigError: for a text that is not one.
    """
    groups: dict[str, list[str]] = {}
    for text in given:
        cluster, found, address = text.partition("=")
        if not found or not cluster or not address.startswith(("http://", "https://")):
            raise ConfigError(
                f"{text!r} is no Connect group. Write CLUSTER=http://HOST:PORT, once for each worker."
            )
        groups.setdefault(cluster, []).append(address)
    return groups
