"""Misuse that has taken clusters down, or would hang: it warns, or says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.sdk.estates import make_snapshot, make_topic

import penstock
from penstock.kafka import contents
from penstock.kafka.admin import Admin
from penstock.sdk import guards
from penstock.sdk.guards import LIMIT, ClientsInALoop

FORK = """
import os, sys
import penstock
from tests.sdk.estates import make_snapshot, make_topic

snapshot = make_snapshot({"a": "127.0.0.1:1"}, [make_topic("t", ["a"])])
client = penstock.connect("parent", metadata=penstock.StaticMetadata(snapshot))
producer = client.producer("t")
child = os.fork()
if child == 0:
    try:
        producer.send_nowait(b"x")
    except penstock.NotReady as error:
        os._exit(0 if "forked" in str(error) else 2)
    os._exit(1)
_, status = os.waitpid(child, 0)
print("child", os.waitstatus_to_exitcode(status), flush=True)
os._exit(0)
"""


def make_many() -> None:
    metadata = penstock.StaticMetadata(make_snapshot({}, [make_topic("t", ["a"])]))
    for _ in range(2 * LIMIT + 2):
        penstock.connect("loop", metadata=metadata).close()


@pytest.mark.unit
def test_making_clients_in_a_loop_warns_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    # Time stands still: on a busy machine the loop itself may take longer than the window.
    counted = guards.Creations(limit=LIMIT, window_s=1.0, clock=lambda: 0.0)
    monkeypatch.setattr(guards, "_creations", counted)
    with pytest.warns(ClientsInALoop, match="Make one at the start of the process"):
        make_many()


@pytest.mark.unit
def test_a_forked_child_is_told_to_connect_itself() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "child 0", done.stderr


FORGETFUL = """
import sys
import penstock
from tests.sdk.estates import make_snapshot, make_topic

snapshot = make_snapshot({"primary": sys.argv[1]}, [make_topic(sys.argv[2], ["primary"])])
producer = penstock.connect("s", metadata=penstock.StaticMetadata(snapshot)).producer(sys.argv[2])
for _ in range(1_000):
    producer.send_nowait(b"x")
"""


@pytest.mark.real
def test_a_script_that_never_closes_has_sent_everything_when_it_ends(kafka, topic_name) -> None:
    admin = Admin("primary", kafka.bootstrap)
    admin.create_topic(topic_name, partitions=2, replication=1, config={})
    subprocess.run(
        [sys.executable, "-c", FORGETFUL, kafka.bootstrap, topic_name],
        check=True,
        cwd=Path(__file__).parents[2],
    )
    spans = contents.spans(admin, topic_name)
    assert sum(end - begin for begin, end in spans.values()) == 1_000
