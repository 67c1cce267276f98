"""Reads the secrets a connector's configuration refers to, from where its workers read them.

    ${file:<path>:<key>}   only below the secrets directory
    ${env:<NAME>}          only names that begin with PENSTOCK_SECRET_

For measuring a source and for dropping its slot, where this process lies on the workers' machine.
Never logs, keeps or shows what it read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from penstock.errors import NotReady

__all__ = ["resolve"]

_REFERENCE = re.compile(r"\$\{(?P<kind>file|env):(?P<rest>[^}]+)\}")
_ALLOWED = "PENSTOCK_SECRET_"


def resolve(value: str, *, directory: Path) -> str:
    """Return the value with every reference replaced by what it refers to.

    Args:
        value: of a connector's configuration.
        directory: the only one whose files are read.

    Raises:
        NotReady: when a reference cannot be read from here.
    """
    return _REFERENCE.sub(lambda found: _read(found["kind"], found["rest"], directory), value)


def _read(kind: str, rest: str, directory: Path) -> str:
    if kind == "env":
        if rest.startswith(_ALLOWED) and rest in os.environ:
            return os.environ[rest]
        raise NotReady(f"the variable {rest} is not set here, or is none of {_ALLOWED}*. Set it.")
    text, _, key = rest.rpartition(":")
    path = (directory / text).resolve()
    if not path.is_relative_to(directory.resolve()):
        raise NotReady(f"{path} is not below {directory}, where secrets are. Move it there.")
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise NotReady(f"{path} cannot be read here: {error.strerror}.") from error
    for line in lines:
        name, found, secret = line.partition("=")
        if found and name.strip() == key:
            return secret.strip()
    raise NotReady(f"{path} has no line {key}=…. Add it.")
