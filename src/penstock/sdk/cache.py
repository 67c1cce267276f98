"""The last known good metadata of a service, on this machine's disk.

    snapshot ─save─▶ <home>/clients/<service>-<environment>.json ─load─▶ snapshot

Written whole to a new file and then renamed, so a reader never sees half of it. What cannot be
read is ignored with a warning: the control plane tells it anew. Holds no secrets.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path

from google.protobuf import json_format

from penstock.api import wire
from penstock.api._gen import penstock_pb2 as pb
from penstock.errors import PenstockError
from penstock.model.metadata import Snapshot

__all__ = ["load", "path_for", "save"]

log = logging.getLogger("penstock.sdk.metadata")

FORMAT = 1


def path_for(directory: Path, *, service: str, environment: str | None) -> Path:
    """Return the file of a service's metadata below ``directory``."""
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in service)
    return directory / f"{safe}-{environment or 'any'}.json"


def save(path: Path, snapshot: Snapshot) -> None:
    """Write the snapshot; a failure is logged, for the client works without the file."""
    text = json.dumps(
        {"format": FORMAT, "snapshot": json_format.MessageToDict(wire.encode_snapshot(snapshot))}
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}-", delete=False
        ) as file:
            file.write(text)
        os.replace(file.name, path)  # noqa: PTH105 - of a name and a path
    except OSError as error:
        log.warning("metadata is not kept on disk: %s", error)


def load(path: Path) -> Snapshot | None:
    """Return the saved snapshot, or None when there is none that can be read."""
    try:
        saved = json.loads(path.read_text())
        if saved["format"] != FORMAT:
            log.warning("saved metadata in %s is of format %s", path, saved["format"])
            return None
        return wire.decode_snapshot(json_format.ParseDict(saved["snapshot"], pb.Snapshot()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, json_format.ParseError, PenstockError) as e:
        log.warning("saved metadata in %s cannot be read and is ignored: %s", path, e)
        return None
