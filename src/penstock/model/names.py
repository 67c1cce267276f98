"""Which names are allowed, and why one is not.

Kafka's rule for topics is that of ``org.apache.kafka.common.internals.Topic``: 1 to 249 of
``[a-zA-Z0-9._-]``, not ``.`` or ``..``. Names that differ only in ``.`` and ``_`` collide in
Kafka's metric names, which it warns of; `collision_key` finds them.
"""

from __future__ import annotations

import re

__all__ = ["MAX_TOPIC_LENGTH", "collision_key", "explain_bad_name", "explain_bad_topic"]

MAX_TOPIC_LENGTH = 249
_TOPIC = re.compile(r"[a-zA-Z0-9._-]+")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_MAX_NAME_LENGTH = 63


def explain_bad_topic(name: str) -> str | None:
    """Return why Kafka refuses the topic name, or None when it takes it."""
    if not name:
        return "a topic name cannot be empty"
    if name in {".", ".."}:
        return f"Kafka refuses the topic name {name!r}"
    if len(name) > MAX_TOPIC_LENGTH:
        return f"a topic name has at most {MAX_TOPIC_LENGTH} characters, this one {len(name)}"
    if not _TOPIC.fullmatch(name):
        bad = sorted({c for c in name if not _TOPIC.fullmatch(c)})
        return f"Kafka topic names take letters, digits, '.', '_' and '-'; not {' '.join(bad)!r}"
    if name.startswith("__"):
        return "names that begin with '__' are Kafka's own"
    return None


def explain_bad_name(name: str) -> str | None:
    """Return why a cluster, environment, service or table name is refused, or None.

    The rule is a DNS label, because these names stand in host names, paths and certificates.
    """
    if len(name) > _MAX_NAME_LENGTH:
        return f"a name has at most {_MAX_NAME_LENGTH} characters, this one {len(name)}"
    if not _NAME.fullmatch(name):
        return "names take lower-case letters, digits and '-', and begin and end with no '-'"
    return None


def collision_key(topic: str) -> str:
    """Return what Kafka makes of the topic's name in metrics; equal keys collide."""
    return topic.replace(".", "_")
