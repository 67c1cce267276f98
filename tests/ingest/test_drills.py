"""The loss of a cluster under load: every record is accounted for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ingest.sources import Source, make_source
from tests.ingest.worker_process import make_snapshot

from penstock.errors import ConfigError, NotReady, Refused
from penstock.model import metadata
from penstock.runtime.drills import accounts, thaw, victims
from penstock.runtime.drills.cluster_loss import Drill, Moment, Report, run
from penstock.sdk.client import connect
from penstock.sdk.metadata import StaticMetadata
from penstock.testing.plugin import FreshFederation, WaitUntil

ids = st.sampled_from([f"r{n}" for n in range(6)])


@pytest.mark.unit
@given(
    acked=st.frozensets(ids),
    doubtful=st.frozensets(ids),
    found=st.dictionaries(ids, st.integers(1, 3)),
)
def test_accounts_add_up(
    acked: frozenset[str], doubtful: frozenset[str], found: dict[str, int]
) -> None:
    account = accounts.settle(attempted=6, acked=acked, possibly_doubled=doubtful, found=found)
    assert account.lost == sum(id_ not in found for id_ in acked)
    assert account.duplicates == sum(found.values()) - len(found)
    assert account.duplicates_unexpected <= account.duplicates
    assert account.unacked_found + len(acked) - account.lost == len(found)
    assert account.availability == len(acked) / 6


@pytest.mark.unit
def test_a_lost_or_an_unexpectedly_doubled_record_breaks_the_promise() -> None:
    def report(**changes: int) -> Report:
        sums = {"lost": 0, "duplicates": 0, "duplicates_unexpected": 0, "unacked_found": 0}
        account = accounts.Account(**{"attempted": 100_000, "acked": 100_000, **sums, **changes})
        return Report(
            cluster="primary",
            account=account,
            by_cluster={},
            first_ack_elsewhere_ms=1,
            fail_back_ms=1,
            failures={},
        )

    assert report().passed
    assert report(duplicates=5).passed
    assert report(acked=99_999).passed
    assert not report(acked=99_998).passed
    assert not report(lost=1).passed
    assert not report(duplicates=1, duplicates_unexpected=1).passed


@pytest.mark.unit
def test_a_drill_needs_a_running_platform(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="penstock up"):
        victims.KilledVictim(tmp_path, "primary")
    with pytest.raises(NotReady, match="penstock up"):
        victims.FrozenVictim(tmp_path, "primary")


@pytest.mark.real
@pytest.mark.parametrize("hang", [False, True], ids=["kill", "hang"])
def test_a_lost_cluster_loses_no_record(
    fresh_federation: FreshFederation, topic_name: str, hang: bool
) -> None:
    federation = fresh_federation()
    source = make_source(dict(federation.clusters), topic_name)
    primary = federation.clusters["primary"]
    victim = victims.CalledVictim(
        cluster="primary",
        strike=primary.pause if hang else primary.kill,
        restore=primary.resume if hang else primary.start_again,
    )
    moments: list[Moment] = []
    with connect("drill", metadata=StaticMetadata(snapshot_of(source))) as client:
        drill = Drill(topic=topic_name, rate=1_000, steady_s=1, lost_s=2)
        report = run(client, drill, victim, on_moment=moments.append)
    assert report.passed, report.as_json()
    assert report.account.attempted > 3_000
    assert report.account.acked == report.account.attempted
    assert set(report.by_cluster) == {"primary", "standby"}
    assert {m.phase for m in moments} == {"steady", "lost", "coming back", "counting"}
    assert report.as_json()["first_ack_elsewhere_ms"] > 0


@pytest.mark.real
def test_a_drill_that_fails_brings_the_cluster_back(
    fresh_federation: FreshFederation, topic_name: str
) -> None:
    federation = fresh_federation()
    source = make_source(dict(federation.clusters), topic_name)
    restored: list[str] = []

    def strike() -> None:
        raise KeyboardInterrupt

    victim = victims.CalledVictim(
        cluster="primary", strike=strike, restore=lambda: restored.append("primary")
    )
    with (
        connect("drill", metadata=StaticMetadata(snapshot_of(source))) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        run(client, Drill(topic=topic_name, rate=200, steady_s=0.1), victim)
    assert restored == ["primary"]


@pytest.mark.unit
def test_a_topic_on_one_cluster_is_not_drilled() -> None:
    snapshot = make_snapshot({"primary": "127.0.0.1:9"}, "alone")
    victim = victims.CalledVictim(cluster="primary", strike=lambda: None, restore=lambda: None)
    with connect("drill", metadata=StaticMetadata(snapshot)) as client:
        with pytest.raises(Refused, match="another one"):
            run(client, Drill(topic="alone"), victim)
        with pytest.raises(ConfigError, match="not declared"):
            run(client, Drill(topic="nowhere"), victim)


@pytest.mark.real
def test_a_frozen_process_goes_on_when_its_drill_is_gone(wait_until: WaitUntil) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    guard = subprocess.Popen(
        [sys.executable, thaw.__file__, str(sleeper.pid)], stdin=subprocess.PIPE
    )
    try:
        os.kill(sleeper.pid, signal.SIGSTOP)
        process = psutil.Process(sleeper.pid)
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED)
        guard.communicate()  # what the kernel does for a killed drill: its end of the pipe closes
        wait_until(lambda: process.status() != psutil.STATUS_STOPPED)
    finally:
        sleeper.kill()
        sleeper.communicate()


def snapshot_of(source: Source) -> metadata.Snapshot:
    return make_snapshot(source.bootstraps, source.topic)
