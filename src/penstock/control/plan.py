"""The planner: what is to be done so that the clusters are as the files say.

Estate, Observed, Recorded ─make_plan─▶ Plan(changes, refusals, unreachable, digest) ─▶ apply

Pure: no client, clock, file or random source, so the same three values always give the same plan,
byte by byte. The plan of an estate that was applied is empty; drift is the plan of the estate that
was applied last. What is never planned is told in `plan_clusters`, `plan_topics` and
`plan_connectors`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from pydantic_core import to_jsonable_python

from penstock.control import changes
from penstock.control.declare.estate import Estate
from penstock.control.observations import Observed, Recorded
from penstock.control.plan_clusters import ClustersPlan, plan_clusters, plan_forgetting
from penstock.control.plan_connectors import plan_connectors
from penstock.control.plan_topics import TopicPlan, plan_topic
from penstock.control.refusals import Refusal
from penstock.model import topics

__all__ = ["Plan", "Refusal", "deletion_candidates", "make_plan"]

_STAGE = {kind: number for number, kind in enumerate(get_args(changes.Change))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do, what not to do, and a fingerprint of what both rest on.

    Attributes:
        changes: in the order in which to do them.
        refusals: what is declared and will not be done.
        unreachable: clusters that did not answer; nothing is planned on them.
        digest: of all the above. Each change holds what was seen of its subject, so the digest
            moves when anything the plan rests on does, and not with what is somebody else's.
    """

    changes: tuple[changes.Change, ...]
    refusals: tuple[Refusal, ...]
    unreachable: tuple[str, ...]
    digest: str


def make_plan(declared: Estate, observed: Observed, recorded: Recorded) -> Plan:
    """Return the plan that makes the world as declared.

    Args:
        declared: the estate to reach.
        observed: every declared and every recorded cluster. What `deletion_candidates` names
            should carry a looked-up ``has_records``; unknown is refused.
        recorded: what earlier applies left in the store.
    """
    of_clusters = plan_clusters(declared, observed, recorded)
    of_topics = list(_plan_topics(declared, recorded, of_clusters))
    steps = [*of_clusters.changes, *(step for plan in of_topics for step in plan.changes)]
    steps += _plan_tables(declared, recorded)
    of_connectors, moved = plan_connectors(declared, recorded)
    steps += of_connectors
    forgotten, in_use = plan_forgetting(
        declared, recorded, remaining=_count_remaining(recorded, steps)
    )
    ordered = tuple(sorted([*steps, *forgotten], key=_in_order))
    refused = [*of_clusters.refusals, *in_use, *moved]
    refused += [refusal for plan in of_topics for refusal in plan.refusals]
    refused.sort()
    return Plan(
        changes=ordered,
        refusals=tuple(refused),
        unreachable=of_clusters.unreachable,
        digest=_digest(ordered, refused, of_clusters.unreachable),
    )


def deletion_candidates(declared: Estate, recorded: Recorded) -> frozenset[tuple[str, str]]:
    """Return the (cluster, physical topic) that are owned and no longer declared.

    Only for these does a plan need to know ``has_records``, which is slow to find out.
    """
    wanted = {
        (placement.cluster, placement.topic)
        for topic in declared.topics.values()
        for placement in topic.current.placements
    }
    return frozenset(recorded.ownership.keys() - wanted)


def _plan_topics(
    declared: Estate, recorded: Recorded, of_clusters: ClustersPlan
) -> Iterator[TopicPlan]:
    owned: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for place, ident in recorded.ownership.items():
        owned[ident].add(place)
    leaving = deletion_candidates(declared, recorded)
    for ident in sorted(declared.topics.keys() | recorded.topics.keys() | owned.keys()):
        wanted = declared.topics.get(ident)
        plan = TopicPlan(
            ident=ident,
            wanted=wanted,
            served=recorded.topics.get(ident),
            owned=owned.get(ident, set()),
            leaving=owned.get(ident, set()) & leaving,
            elsewhere=_other_owners(wanted, recorded.ownership) if wanted else {},
        )
        plan_topic(plan, of_clusters.ready, states=of_clusters.states)
        yield plan


def _other_owners(topic: topics.Topic, ownership: Mapping[tuple[str, str], str]) -> dict[str, str]:
    owners = {
        placement.cluster: ownership.get((placement.cluster, placement.topic), topic.ident)
        for placement in topic.current.placements
    }
    return {cluster: owner for cluster, owner in owners.items() if owner != topic.ident}


def _plan_tables(declared: Estate, recorded: Recorded) -> list[changes.Change]:
    steps: list[changes.Change] = []
    for ident, table in declared.tables.items():
        old = recorded.tables.get(ident)
        if old is None:
            steps.append(changes.DeclareTable(new=table))
        elif old != table:
            steps.append(changes.UpdateTable(old=old, new=table))
    gone = recorded.tables.keys() - declared.tables.keys()
    return steps + [changes.RemoveTable(old=recorded.tables[ident]) for ident in gone]


def _count_remaining(recorded: Recorded, steps: Iterable[changes.Change]) -> Counter[str]:
    given_up = {
        (step.cluster, step.subject)
        for step in steps
        if isinstance(step, changes.DeleteTopic | changes.ReleaseTopic)
    }
    return Counter(
        cluster for cluster, topic in recorded.ownership if (cluster, topic) not in given_up
    )


def _in_order(change: changes.Change) -> tuple[int, str, str]:
    return _STAGE[type(change)], change.cluster, change.subject


def _digest(
    ordered: Sequence[changes.Change], refused: Sequence[Refusal], unreachable: Sequence[str]
) -> str:
    plan = to_jsonable_python(
        {
            "changes": [changes.to_record(change) for change in ordered],
            "refusals": refused,
            "unreachable": unreachable,
        }
    )
    text = json.dumps(plan, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
