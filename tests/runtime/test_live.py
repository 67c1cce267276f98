"""What a person sees of a running platform."""

from __future__ import annotations

import dataclasses
import re
import sys

import pytest
from rich.console import Console

from penstock.cli import live
from penstock.runtime import statuses

pytestmark = pytest.mark.unit


def topic(**records):
    return statuses.TopicStatus(
        name="orders",
        environment="development",
        routing="failover",
        active="primary",
        clusters=("primary", "standby"),
        records=records,
    )


def status(**changes):
    broker = statuses.BrokerStatus(
        name="primary-1", number=1, address="127.0.0.1:1", state="ready", pid=7, restarts=0
    )
    cluster = statuses.ClusterStatus(
        name="primary",
        state="ready",
        traffic="active",
        bootstrap="127.0.0.1:1",
        cluster_id="id",
        brokers=(broker,),
    )
    process = statuses.ProcessStatus(
        name="ingest", state="restarting", pid=None, restarts=1, reason="killed", log="ingest.log"
    )
    table = statuses.TableStatus(
        name="development/orders",
        rows=12_345,
        rows_per_s=2.5,
        lag_records=3,
        committed_at="12:00",
        state="running",
        error="",
    )
    base = statuses.Status(
        home=".penstock",
        state="up",
        pid=1,
        notes=("a note",),
        control=statuses.ControlStatus(state="ready", rest="http://x", clients=2),
        clusters=(cluster,),
        processes=(process,),
        topics=(topic(primary=100, standby=7),),
        tables=(table,),
    )
    return dataclasses.replace(base, **changes)


def show(latest, **options):
    console = Console(width=160, record=True, quiet=False, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(live.draw(latest, **options))
    return captured.get()


def test_the_view_holds_everything_worth_knowing():
    picture = show(live.Latest(status=status(), rates={("orders", "primary"): 1.5}))
    for part in [
        "Penstock is up",
        "2 clients",
        "primary",
        "failover",
        "primary 1.5/s",
        "standby 0.0/s",
        "12,345",
        "a note",
        "ingest is restarting: killed",
        " table show orders",
        " drill cluster-loss",
        "Ctrl-C",
    ]:
        assert part in picture


def test_status_says_nothing_of_what_to_try():
    assert "Ctrl-C" not in show(live.Latest(status=status()), tries=False)


def test_one_line_says_the_same():
    line = live.describe(live.Latest(status=status(), rates={("orders", "primary"): 1.5}))
    assert "\n" not in line
    for part in ["primary ready", "orders 1.5/s on primary", "12,345 rows", "killed", "a note"]:
        assert part in line


def test_what_is_being_fetched_and_the_registry_are_told():
    latest = live.Latest(status=status(doing="12 of 41 MB", registry="http://r/v7"))
    assert "12 of 41 MB" in show(latest)
    assert "Schema registry: http://r/v7" in show(latest)
    assert "12 of 41 MB" in live.describe(latest)


def test_rates_are_growth_over_time_and_need_both_ends():
    before = status(topics=(topic(primary=100),))
    after = status(topics=(topic(primary=110, standby=50),))
    assert live._rates(before, after, seconds=4) == {("orders", "primary"): 2.5}
    assert live._rates(before, after, seconds=0) == {}


def test_a_home_where_nothing_ever_ran_is_down(tmp_path):
    gathered = statuses.gather(tmp_path)
    assert gathered.state == "down"
    assert gathered.clusters == gathered.processes == gathered.topics == ()
    assert "Penstock is down" in show(live.Latest(status=gathered))


def test_what_to_try_can_be_pasted_where_penstock_is_not_on_the_path(monkeypatch):
    monkeypatch.setattr(sys, "argv", [".venv/bin/penstock", "up"])
    monkeypatch.setenv("PATH", "nowhere")
    monkeypatch.delenv("PENSTOCK_HOME", raising=False)
    shown = show(live.Latest(status=status()))
    assert "  .venv/bin/penstock drill cluster-loss\n" in re.sub(" +\n", "\n", shown)
    elsewhere = show(live.Latest(status=status(home="elsewhere")))
    assert ".venv/bin/penstock drill cluster-loss --home elsewhere" in elsewhere
