"""Several ingest processes share the tables of a home."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.ingest.sources import Source, places, read
from tests.ingest.test_process import ESTATE, TABLE, apply, penstock, status

from penstock.testing.control import running_control_plane
from penstock.testing.plugin import Federation, WaitUntil

pytestmark = pytest.mark.real

NAMES = [f"t{n}" for n in range(6)]


def runners(home: Path) -> dict[str, list[str]]:
    """Return the tables of each process, as the status tells."""
    found: dict[str, list[str]] = {}
    for ident, told in status(home).items():
        found.setdefault(told["process"], []).append(ident)
    return found


def test_two_processes_share_six_tables_and_one_takes_over_when_the_other_is_killed(
    federation: Federation, topic_name: str, wait_until: WaitUntil, tmp_path: Path
) -> None:
    tables = [
        TABLE.format(name=name, topic=topic_name, columns="{id: string, n: long}") for name in NAMES
    ]
    source = Source(topic=topic_name, clusters=dict(federation.clusters))

    def landed() -> list[int]:
        return [len(read(tmp_path / "lake/test" / name)) for name in NAMES]

    with running_control_plane(tmp_path, clusters=federation.bootstraps) as control:
        apply(control, [ESTATE.format(topic=topic_name), *tables])
        source.send_rows(30, cluster="primary")
        with penstock("ingest", home=tmp_path) as one:
            wait_until(lambda: landed() == [30] * 6, message="one process lands all")
            with penstock("ingest", home=tmp_path):
                wait_until(
                    lambda: sorted(map(len, runners(tmp_path).values())) == [3, 3],
                    message="three tables each",
                )
                source.send_rows(30, cluster="standby", first=30)
                wait_until(lambda: landed() == [60] * 6, message="both land")
                source.send_rows(60, cluster="primary", first=60)
                one.kill()
                source.send_rows(60, cluster="standby", first=120)
                wait_until(lambda: landed() == [180] * 6, message="the other takes over")
                wait_until(
                    lambda: list(map(len, runners(tmp_path).values())) == [6], message="all six"
                )
    for name in NAMES:
        assert places(read(tmp_path / "lake/test" / name)) == sorted(source.acked)
