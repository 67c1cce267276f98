"""What a declared connector asks of its Connect group.

    connectors.Connector ─▶ Wanted(config as Connect has it, state)
        owner written into the configuration ─▶ whose it is, for everybody who looks
        ${file:shop.properties:password}     ─▶ ${file:<secrets>/shop.properties:password}

Pure: it reads no file, and no secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from penstock.model.connectors import Connector, ConnectorState

__all__ = ["OWNER", "SWITCH", "Wanted", "make_wanted"]

OWNER = "penstock.owner"
"""Key of a connector's configuration: ``environment/name`` of the declaration it comes from."""

SWITCH = "penstock.switch"
"""Key of a connector's configuration: what an operator said over the declaration's head. It lies
with the connector, so that it holds for whichever process manages it, and no plan undoes it."""

_FILE = re.compile(r"\$\{file:(?P<path>[^:}]+):(?P<key>[^}]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One connector as it shall be.

    Attributes:
        ident: ``environment/name``, which is also its owner key.
        config: complete, but for the operator's switch.
    """

    name: str
    ident: str
    config: Mapping[str, str]
    state: ConnectorState


def make_wanted(connector: Connector, *, secrets: PurePath) -> Wanted:
    """Return what the connector asks of its group.

    Args:
        connector: as declared.
        secrets: the directory in which its workers look for relative ``${file:…}`` references.
    """
    config = {
        **connector.config,
        "connector.class": connector.connector_class,
        "tasks.max": str(connector.tasks),
        "name": connector.name,
        OWNER: connector.ident,
    }
    return Wanted(
        name=connector.name,
        ident=connector.ident,
        config={key: _placed(value, secrets) for key, value in config.items()},
        state=connector.state,
    )


def _placed(value: str, secrets: PurePath) -> str:
    """Return the value with every file reference absolute, as Connect's provider demands it."""
    return _FILE.sub(lambda found: f"${{file:{secrets / found['path']}:{found['key']}}}", value)
