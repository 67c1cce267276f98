"""The pieces without I/O: ages, ids, windows, fan-out, profiles, credentials, guards, inbox."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.estates import make_snapshot, make_topic

from penstock.errors import ConfigError, NotReady, Refused
from penstock.model.clusters import AuthMode, Cluster
from penstock.sdk import profiles
from penstock.sdk.ages import Ages
from penstock.sdk.credentials import Credentials, Iam, Mtls, Scram, reach
from penstock.sdk.dedupe import Window
from penstock.sdk.deliveries import Ack, Delivery
from penstock.sdk.fanout import Fanout
from penstock.sdk.guards import Creations
from penstock.sdk.inbox import Inbox
from penstock.sdk.metadata import StaticMetadata, find_topic
from penstock.sdk.provenance import Stamp, render_time
from penstock.sdk.records import Batch, Source

pytestmark = pytest.mark.unit


class Clock:
    """Seconds that pass when told to."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Sampled:
    """A message that was acked."""


def ages_with(clock: Clock) -> Ages:
    return Ages(clock=clock, settled=lambda *_: None)


def test_the_oldest_unacked_record_gives_the_age():
    clock = Clock()
    ages = ages_with(clock)
    sent, delivered, _ = ages.current
    sent()
    sent()
    clock.now += 1
    ages.turn()
    later_sent, later_delivered, _ = ages.current
    later_sent()
    later_delivered("id", None, Sampled())
    assert ages.oldest_s() == 1
    delivered("id", None, Sampled())
    assert ages.oldest_s() == 1
    delivered("id", None, Sampled())
    assert ages.oldest_s() == 0


def test_a_bucket_that_nothing_was_counted_in_grows_no_older():
    clock = Clock()
    ages = ages_with(clock)
    for _ in range(100):
        clock.now += 1
        ages.turn()
    ages.current[0]()
    assert ages.oldest_s() == 0


@given(st.lists(st.sampled_from(["send", "ack", "turn"]), max_size=200))
def test_totals_count_every_record_once(steps):
    clock = Clock()
    ages = ages_with(clock)
    open_, sent, settled = [], 0, 0
    for step in steps:
        clock.now += 0.05
        match step:
            case "send":
                count, delivered, _ = ages.current
                count()
                open_.append((clock.now, delivered))
                sent += 1
            case "ack" if open_:
                open_.pop(0)[1]("id", None, Sampled())
                settled += 1
            case "turn":
                ages.turn()
        assert ages.totals() == (sent, settled)
        if open_:
            assert ages.oldest_s() >= clock.now - open_[0][0]
        else:
            assert ages.oldest_s() == 0


def test_ids_are_unique_and_give_the_headers_back():
    clock = Clock(1_700_000_000.123)
    stamp = Stamp(service="billing", type_="invoice", clock=clock)
    made = []
    for _ in range(100):
        clock.now += 0.0004
        made.append(stamp.plain())
    assert len({id_ for id_, _ in made}) == 100
    for id_, headers in made:
        assert stamp.again(id_) == headers


def test_headers_are_cloudevents():
    stamp = Stamp(service="billing", type_="invoice", clock=Clock(1_700_000_000.5))
    headers = dict(stamp.special("mine", None, [("x", b"1")]))
    assert headers == {
        "ce_id": "mine",
        "ce_time": "2023-11-14T22:13:20.500Z",
        "ce_source": "billing",
        "ce_type": "invoice",
        "ce_specversion": "1.0",
        "x": b"1",
    }
    assert dict(stamp.special(None, "refund", None))["ce_type"] == "refund"


@given(st.integers(0, 4_000_000_000_000))
def test_times_are_rfc_3339_to_the_millisecond(ms):
    text = render_time(ms)
    assert text.endswith(f".{ms % 1000:03d}Z")


def test_a_current_span_travels_with_the_record():
    """In a process of its own: an OpenTelemetry provider is set once a process."""
    script = (
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from penstock.sdk.provenance import Stamp\n"
        "trace.set_tracer_provider(TracerProvider())\n"
        "stamp = Stamp(service='s', type_='t')\n"
        "with trace.get_tracer('x').start_as_current_span('y') as span:\n"
        "    headers = dict(stamp.special(None, None, None))\n"
        "assert stamp.traces\n"
        "assert format(span.get_span_context().trace_id, '032x') in headers['traceparent']\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@given(st.lists(st.integers(0, 20).map(str)), st.integers(1, 10))
def test_a_window_remembers_exactly_the_last_ids(ids, size):
    window, last = Window(size), []
    for id_ in ids:
        assert window.seen(id_) == (id_ in last)
        last = [*[i for i in last if i != id_], id_][-size:]
        assert len(window) == len(last)


def test_a_window_holds_at_least_one():
    with pytest.raises(ValueError, match="at least one"):
        Window(0)


def ack(cluster: str) -> Delivery:
    return Delivery(id="1", ack=Ack(id="1", topic="t", cluster=cluster, partition=0, offset=0))


def test_a_fanout_is_acked_when_all_are_settled_and_one_acked():
    joined: list[Delivery] = []
    fanout = Fanout("1", copies=2, on_joined=joined.append, missing=["c"])
    fanout.settled("a", ack("a"))
    assert joined == []
    fanout.settled("b", Delivery(id="1", error=NotReady("no.")))
    assert joined[0].ack is not None
    assert joined[0].ack.missing == ("b", "c")


def test_a_fanout_that_no_cluster_acked_has_failed():
    joined: list[Delivery] = []
    fanout = Fanout("1", copies=1, on_joined=joined.append)
    fanout.settled("a", Delivery(id="1", error=NotReady("no.")))
    assert joined[0].ack is None
    assert isinstance(joined[0].error, NotReady)


def test_an_override_off_the_list_is_refused_with_what_is_allowed():
    overrides = {"acks": 0, "bootstrap.servers": "x", "linger.ms": 1}
    with pytest.raises(ConfigError, match=r"linger\.ms") as caught:
        profiles.producer_settings(profiles.Profile.DURABLE, overrides=overrides)
    assert [fault.what.split()[0] for fault in caught.value.faults] == [
        "'acks'",
        "'bootstrap.servers'",
    ]


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="latency, throughput, durable, short-lived"):
        profiles.parse("fast")


@pytest.mark.parametrize("profile", profiles.Profile)
def test_every_producer_is_idempotent_and_waits_for_all_replicas(profile):
    settings = profiles.producer_settings(profile, overrides={})
    assert settings["enable.idempotence"] is True
    assert settings["acks"] == "all"


@pytest.mark.parametrize("table", [profiles.PRODUCER, profiles.CONSUMER])
def test_every_setting_stands_once_and_has_a_reason(table):
    for settings in table.values():
        assert len({s.name for s in settings}) == len(settings)
        assert all(s.reason for s in settings)


CLUSTER = Cluster(
    name="c",
    environment="e",
    bootstrap={mode: f"{mode}:1" for mode in AuthMode},
)
MTLS = Mtls(certificate=Path("tls.crt"), key=Path("tls.key"), ca=Path("ca.crt"))
SCRAM = Scram(username="u", password="hidden", ca=Path("ca.crt"))
IAM = Iam(token=lambda _: ("hidden", 0.0))


@pytest.mark.parametrize(
    ("credentials", "address"),
    [
        (Credentials(mtls=MTLS, scram=SCRAM, iam=IAM), "mtls:1"),
        (Credentials(scram=SCRAM, iam=IAM), "iam:1"),
        (Credentials(scram=SCRAM), "scram:1"),
        (Credentials(), "plaintext:1"),
    ],
)
def test_the_strongest_listener_with_credentials_is_chosen(credentials, address):
    to = reach(CLUSTER, credentials, service="billing")
    assert to.settings["bootstrap.servers"] == address
    assert "hidden" not in repr(credentials) + repr(to)


def test_no_listener_with_credentials_is_an_error_that_says_so():
    secured = Cluster(name="c", environment="e", bootstrap={AuthMode.MTLS: "x:1"})
    with pytest.raises(ConfigError, match="offers mtls"):
        reach(secured, Credentials(), service="billing")


def test_clients_in_a_loop_are_noticed_once_a_window():
    clock = Clock()
    creations = Creations(limit=3, window_s=10, clock=clock)
    assert [creations.count() for _ in range(5)] == [False, False, False, True, False]
    clock.now += 60
    assert [creations.count() for _ in range(3)] == [False] * 3


def test_clients_made_now_and_then_are_fine():
    clock = Clock()
    creations = Creations(limit=3, window_s=10, clock=clock)
    for _ in range(50):
        clock.now += 5
        assert not creations.count()


SOURCE = Source("c", {})


class Numbered:
    """Enough of a message for a buffer."""

    def __init__(self, number: int) -> None:
        self.number = number

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return self.number % 2


def batch(*numbers: int) -> Batch:
    return Batch([Numbered(n) for n in numbers], SOURCE)


def numbers(taken: Batch | None) -> list[int]:
    return [] if taken is None else [message.number for message in taken.messages]


def test_an_inbox_gives_what_it_got_in_order_and_in_small_pieces():
    inbox = Inbox(10)
    inbox.put(batch(1, 2, 3))
    inbox.put(batch(4))
    assert numbers(inbox.take(2, timeout_s=0)) == [1, 2]
    assert numbers(inbox.take(2, timeout_s=0)) == [3]
    assert numbers(inbox.take(2, timeout_s=0)) == [4]
    assert inbox.take(2, timeout_s=0) is None


def test_an_inbox_has_room_until_it_is_full():
    inbox = Inbox(3)
    inbox.put(batch(1, 2))
    assert inbox.wait_for_room(0)
    inbox.put(batch(3, 4))
    assert not inbox.wait_for_room(0)
    inbox.take(2, timeout_s=0)
    assert inbox.wait_for_room(0)


def test_an_inbox_forgets_records_of_partitions_that_were_given_away():
    inbox = Inbox(10)
    inbox.put(batch(1, 2, 3, 4))
    inbox.drop(SOURCE, {("t", 1)})
    assert len(inbox) == 2
    assert numbers(inbox.take(10, timeout_s=0)) == [2, 4]


def test_an_inbox_raises_a_failure_after_the_records_before_it():
    inbox = Inbox(10)
    inbox.put(batch(1))
    inbox.fail(Refused("no."))
    assert numbers(inbox.take(10, timeout_s=0)) == [1]
    with pytest.raises(Refused):
        inbox.take(10, timeout_s=0)


def test_a_topic_that_is_not_declared_is_named():
    snapshot = make_snapshot({"a": "h:1"}, [make_topic("known", ["a"])])
    assert find_topic(snapshot, "known", environment=None).name == "known"
    with pytest.raises(ConfigError, match=r"'unknown' is not declared.*penstock apply"):
        find_topic(snapshot, "unknown", environment=None)


def test_listeners_hear_of_newer_versions_only_and_one_failure_stops_nobody(caplog):
    metadata = StaticMetadata()
    heard: list[int] = []

    def fail(_: object) -> None:
        raise RuntimeError("listener")

    metadata.on_change(fail)
    forget = metadata.on_change(lambda snapshot: heard.append(snapshot.version))
    for version in (1, 3, 2, 3, 4):
        metadata.put(make_snapshot({}, [], version=version))
    forget()
    metadata.put(make_snapshot({}, [], version=5))
    assert heard == [1, 3, 4]
    assert "a listener failed" in caplog.text
    with pytest.raises(NotReady, match="version 9"):
        metadata.wait_for_version(9, timeout_s=0)
