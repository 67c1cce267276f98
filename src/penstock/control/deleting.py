"""Delete a topic, if and only if it is proven empty on every cluster it is to leave.

    refuse writes everywhere ─▶ prove empty everywhere ─▶ delete here ─▶ undo our locks
                                     └─ a record ─▶ allow writes again, Refused

Writes are refused first, so that nothing can arrive between the proof and the deletion.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock.errors import PenstockError, Refused
from penstock.kafka import contents, write_locks
from penstock.kafka.admin import Admin

__all__ = ["Doomed", "delete_topic_when_empty"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """A physical topic that is to go.

    Attributes:
        admin: of its cluster.
        config: its own configuration, as the plan saw it.
    """

    admin: Admin
    topic: str
    config: Mapping[str, str]


def delete_topic_when_empty(doomed: Doomed, *, siblings: Sequence[Doomed]) -> None:
    """Delete the topic on its cluster; one that is gone already is done.

    Args:
        doomed: what to delete now.
        siblings: everything the logical topic leaves, ``doomed`` included; what is gone already
            counts as empty.

    Raises:
        Refused: when any of them holds a record; writes are allowed again.
        NotReady: when that cannot be found out; writes are allowed again where possible.
    """
    there = [sibling for sibling in siblings if sibling.admin.has_topic(sibling.topic)]
    tried: list[Doomed] = []
    try:
        for sibling in there:
            tried.append(sibling)
            write_locks.lock(sibling.admin, sibling.topic)
        for sibling in there:
            _demand_empty(sibling.admin, sibling.topic)
    except PenstockError:
        for sibling in tried:
            _allow_writes(sibling)
        raise
    doomed.admin.delete_topic(doomed.topic)
    _allow_writes(doomed)


def _demand_empty(admin: Admin, topic: str) -> None:
    if contents.has_records(admin, topic):
        raise Refused(
            f"{topic} on cluster {admin.cluster} has records, so it is not deleted; declare it "
            f"again, or empty it first with: penstock topic empty {topic}"
        )


def _allow_writes(doomed: Doomed) -> None:
    try:
        write_locks.unlock(doomed.admin, doomed.topic, config=doomed.config)
    except PenstockError as error:
        # The reason for which we are here matters more; say what is left behind.
        _log.warning("writes to %s are still refused: %s", doomed.topic, error.message)
