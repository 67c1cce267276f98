"""From files to a plan: the one place where the planner meets the world.

    files ─parse─▶ Estate ─┐ embedded clusters get the address they run at
    store ─▶ Recorded ─────┼─▶ observe ─▶ make_plan
                           │
    the same for the files of the last apply: that plan is the drift

Changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from penstock.control import declare, plan
from penstock.control.declare.estate import Estate, EstateFile
from penstock.control.observations import Observed, Recorded
from penstock.control.observe import observe
from penstock.control.settings import Settings
from penstock.control.store import estates
from penstock.control.store.database import Database
from penstock.errors import NotReady
from penstock.model import clusters

__all__ = ["Survey", "embedded_addresses", "survey", "survey_applied"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A plan and what it was made from."""

    files: tuple[EstateFile, ...]
    observed: Observed
    plan: plan.Plan


def survey(files: Sequence[EstateFile], *, database: Database, settings: Settings) -> Survey:
    """Compare estate files with the clusters.

    Raises:
        ConfigError: with every fault in the files.
        NotReady: when the store cannot be read.
    """
    declared = _resolve(declare.parse(files), embedded_addresses(settings.home))
    with database.read() as tx:
        recorded = estates.recorded(tx)
    return _compare(declared, recorded, files=files, settings=settings)


def survey_applied(*, database: Database, settings: Settings) -> Survey:
    """Compare the files of the last apply with the clusters.

    Raises:
        NotReady: when the store cannot be read.
    """
    with database.read() as tx:
        files = estates.files(tx)
    return survey(files, database=database, settings=settings)


def embedded_addresses(home: Path) -> Mapping[str, Mapping[clusters.AuthMode, str]]:
    """Return where the embedded clusters of this home run, by name.

    Raises:
        NotReady: when the runtime's file cannot be read.
    """
    path = home / "clusters.json"
    try:
        found = json.loads(path.read_text())
        return {
            name: {clusters.AuthMode(mode): at for mode, at in cluster["bootstrap"].items()}
            for name, cluster in found.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotReady(f"{path} cannot be read ({error}); run `penstock up` again") from error


def _resolve(declared: Estate, addresses: Mapping[str, Mapping[clusters.AuthMode, str]]) -> Estate:
    resolved = {
        name: replace(cluster, bootstrap=addresses.get(name, cluster.bootstrap))
        if cluster.embedded
        else cluster
        for name, cluster in declared.clusters.items()
    }
    return replace(declared, clusters=resolved)


def _compare(
    declared: Estate, recorded: Recorded, *, files: Sequence[EstateFile], settings: Settings
) -> Survey:
    observed = observe(
        {**recorded.clusters, **declared.clusters},
        look_into=plan.deletion_candidates(declared, recorded),
        timeout_s=settings.observe_timeout_s,
    )
    return Survey(
        files=tuple(files),
        observed=observed,
        plan=plan.make_plan(declared, observed, recorded),
    )
