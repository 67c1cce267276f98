"""The watch over the wire, and who may call: a real control plane without any cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from tests.control.estates import apply_all, cluster_document, estate

from penstock.api import wire
from penstock.api._gen import penstock_pb2 as pb
from penstock.api._gen import penstock_pb2_grpc as pb_grpc
from penstock.api.client import ControlClient, connect_home
from penstock.errors import ConfigError, NotReady, Refused
from penstock.model import metadata

pytestmark = pytest.mark.real

CLUSTER = cluster_document("primary", bootstrap="{plaintext: '127.0.0.1:1'}")
SERVICE = pb.Client(service="billing", instance="billing-1", sdk_version="0.1.0")


@pytest.fixture
def control(start_control, tmp_path: Path):
    return start_control(tmp_path / "home", environment={"PENSTOCK_CONTROL_HEARTBEAT_S": "0.2"})


@pytest.fixture
def client(control) -> Iterator[ControlClient]:
    with control.client() as connected:
        apply_all(connected, estate(clusters=["primary"], primary=CLUSTER))
        yield connected


@pytest.fixture
def stub(control) -> Iterator[pb_grpc.MetadataStub]:
    with grpc.insecure_channel(control.address) as channel:
        yield pb_grpc.MetadataStub(channel)


def next_change(stream: Iterator[pb.WatchEvent]) -> pb.WatchEvent:
    return next(event for event in stream if event.WhichOneof("event") != "heartbeat")


def test_a_watch_is_a_snapshot_then_deltas_then_heartbeats(client, stub) -> None:
    stream = stub.Watch(pb.WatchRequest(client=SERVICE), timeout=60)
    held = wire.decode_snapshot(next(stream).snapshot)
    assert held.clusters["primary"].state == "active"
    for switch, state in ((client.cordon, "cordoned"), (client.uncordon, "active")):
        switch("primary")
        held = metadata.apply(held, wire.decode_delta(next_change(stream).delta))
        assert held.clusters["primary"].state == state
    assert held == wire.decode_snapshot(client.snapshot())
    assert next(stream).heartbeat.version == held.version
    known = stub.Watch(pb.WatchRequest(known_version=held.version), timeout=60)
    assert next(known).heartbeat.version == held.version


def test_a_watch_by_rest_is_one_object_a_line(client, control) -> None:
    with httpx.stream("GET", f"{control.rest}/v1/metadata:watch", timeout=30) as response:
        lines = response.iter_lines()
        assert json.loads(next(lines))["snapshot"]["clusters"][0]["name"] == "primary"
        client.cordon("primary")
        events = (json.loads(line) for line in lines)
        delta = next(event["delta"] for event in events if "delta" in event)
        assert delta["clusters"][0]["state"] == "CLUSTER_STATE_CORDONED"


def test_clients_are_listed_with_what_they_have_applied(client, stub) -> None:
    version = client.status().version
    answer = stub.ReportApplied(
        pb.ReportAppliedRequest(client=SERVICE, version=version - 1, topics=["orders"]), timeout=30
    )
    assert answer.version == version
    (seen,) = client.clients().clients
    assert (seen.client, seen.version, list(seen.topics)) == (SERVICE, version - 1, ["orders"])
    assert client.status().clients == 1


def test_a_server_that_stops_ends_its_watches_at_once(control, stub) -> None:
    stream = stub.Watch(pb.WatchRequest(), timeout=120)
    next(stream)
    assert control.stop() == 0
    with pytest.raises(grpc.RpcError) as caught:
        list(stream)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_without_the_token_nothing_can_be_changed(client, control) -> None:
    for token in (None, "wrong-token-wrong-token"):
        with ControlClient(control.address, token=token) as stranger:
            with pytest.raises(Refused, match="token"):
                stranger.cordon("primary")
            with pytest.raises(Refused, match="token"):
                list(stranger.apply([], digest="x"))
    with ControlClient(control.address) as reader:
        assert reader.cluster("primary").state == pb.CLUSTER_STATE_ACTIVE
    assert [entry.what for entry in client.audit(subject="primary")] == ["register-cluster"]


def test_off_loopback_reading_needs_a_token_too(start_control, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps({"ben": {"token": "b" * 20, "role": "reader"}}))
    control = start_control(
        tmp_path / "open", options=("--listen", "0.0.0.0", "--tokens", str(tokens))
    )
    assert control.address.startswith("127.0.0.1:")
    with ControlClient(control.address) as stranger, pytest.raises(Refused, match="every call"):
        stranger.topics()
    assert httpx.get(f"{control.rest}/v1/topics").status_code == 401
    with ControlClient(control.address, token="b" * 20) as reader:
        assert not reader.topics()
        with pytest.raises(Refused, match="operator"):
            reader.cordon("primary")
    with control.client() as operator:
        assert not operator.topics()


def test_several_environments_must_be_told_apart(client, control, stub) -> None:
    other = CLUSTER.replace("primary", "live-1").replace("environment: test", "environment: live")
    apply_all(client, estate(clusters=["primary", "live-1"], primary=CLUSTER, **{"live-1": other}))
    with pytest.raises(ConfigError, match="live, test"):
        client.snapshot()
    assert [c.name for c in client.snapshot(environment="live").clusters] == ["live-1"]
    with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
        next(stub.Watch(pb.WatchRequest(), timeout=30))
    assert httpx.get(f"{control.rest}/v1/metadata:watch").status_code == 400


def test_a_home_leads_to_its_control_plane(control, tmp_path: Path) -> None:
    with connect_home(control.home) as operator:
        assert operator.status().penstock_version
    with pytest.raises(NotReady, match="penstock up"):
        connect_home(tmp_path / "nowhere")
    control.kill()
    with connect_home(control.home) as gone, pytest.raises(NotReady, match="cannot be reached"):
        gone.status()
    (control.home / "control.json").write_text("{")
    with pytest.raises(ConfigError, match=r"control\.json"):
        connect_home(control.home)
