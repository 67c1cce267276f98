"""Secrets in connector settings: only as references that the Connect worker resolves.

key, value ─explain_open_secret─▶ None, or why the value must not stand in an estate

An estate is in Git, and a plan is on a screen: a password in either is everybody's. This finds
what looks like one; it cannot find a secret under an innocent name.
"""

from __future__ import annotations

import re

__all__ = ["explain_open_secret", "is_reference"]

_REFERENCE = re.compile(r"\$\{(?:file:[^:{}\s]+:[^:{}\s]+|env:[A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET_KEY = re.compile(
    r"password|passwd|passphrase|secret|credential|private[._-]?key|api[._-]?key|user\.info$"
    r"|(?:^|[._-])token[._-]|token$",
    re.IGNORECASE,
)
# What these keys hold says where a secret is, or how it is used.
_ABOUT_A_SECRET = re.compile(
    r"[._-](?:url|uri|path|file|location|class|provider|type|name|mode|enabled|ms)$", re.IGNORECASE
)
_CREDENTIALS_IN_URL = re.compile(r"://[^/?#\s@]*:[^/?#\s@]+@")
_JAAS_PASSWORD = re.compile(r"(?:password|secret)\s*=\s*[\"']?(?!\$\{)[^\s;\"']", re.IGNORECASE)


def is_reference(value: str) -> bool:
    """Tell whether the value is one reference and nothing else."""
    return _REFERENCE.fullmatch(value) is not None


def explain_open_secret(key: str, value: str) -> str | None:
    """Return what about the setting is an open secret, or None."""
    if _SECRET_KEY.search(key) and not _ABOUT_A_SECRET.search(key) and not is_reference(value):
        return "it looks like a secret, and is no reference"
    bare = _REFERENCE.sub("", value)
    if _CREDENTIALS_IN_URL.search(bare):
        return "its URL holds a password"
    if _JAAS_PASSWORD.search(value):
        return "it holds a password"
    return None
