"""The door to Connect: what a rebalance, a dead worker and a refusal look like from inside."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from penstock.connectors.observations import State
from penstock.connectors.rest import Connect
from penstock.errors import ConfigError, Conflict, NotFound, NotReady, RemoteError

pytestmark = pytest.mark.unit

ONE, TWO = "http://one:1", "http://two:2"


def connect(answer: Callable[[httpx.Request], httpx.Response], **options: object) -> Connect:
    return Connect(
        "cdc",
        [ONE, TWO],
        transport=httpx.MockTransport(answer),
        wait=lambda _: None,
        **options,
    )


def says(status: int, message: str) -> httpx.Response:
    return httpx.Response(status, json={"error_code": status, "message": message})


def test_a_rebalance_is_waited_for() -> None:
    answers = [says(409, "Cannot complete request: a rebalance is expected")] * 3
    answers.append(httpx.Response(202))
    connect(lambda _: answers.pop(0)).pause("a")
    assert answers == []


def test_a_rebalance_without_end_is_told() -> None:
    always = connect(lambda _: says(409, "rebalance"), rebalance_s=0.0)
    with pytest.raises(NotReady, match="settling"):
        always.pause("a")


def test_a_dead_worker_is_passed_over_and_then_forgotten() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        if request.url.host == "one":
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={})

    group = connect(answer)
    assert group.connectors() == {}
    assert group.connectors() == {}
    assert asked == ["one", "two", "two"]


def test_a_group_that_is_down_is_not_ready() -> None:
    def down(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(NotReady, match="does not answer"):
        connect(down).connectors()


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (404, "Connector a not found", NotFound),
        (409, "Connector a already exists", Conflict),
        (400, "Connector configuration is invalid", ConfigError),
        (500, "Request timed out", NotReady),
        (500, "IO Error trying to forward REST request: refused", NotReady),
        (500, "broken", RemoteError),
    ],
)
def test_refusals_are_told_apart(status: int, message: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        connect(lambda _: says(status, message), rebalance_s=0.0).create(
            "a", {}, state=State.RUNNING
        )


def test_deleting_what_is_gone_is_done() -> None:
    connect(lambda _: says(404, "not found")).delete("a")


def test_something_else_than_connect_is_recognised() -> None:
    with pytest.raises(RemoteError, match="makes no sense"):
        connect(lambda _: httpx.Response(200, json=["hello"])).connectors()


def test_a_name_is_one_segment_of_the_path() -> None:
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path.decode())
        return httpx.Response(200, content=json.dumps({}))

    connect(answer).pause("a/b c")
    assert paths == ["/connectors/a%2Fb%20c/pause"]
