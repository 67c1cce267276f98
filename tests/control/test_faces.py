"""The two faces without a network: transcoding, errors, the OpenAPI document, who may call."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from penstock.api import failures
from penstock.api._gen import penstock_pb2 as pb
from penstock.control.server import endpoints, openapi, rest_face
from penstock.control.server.access import Access, Caller, Role, Unauthenticated
from penstock.errors import (
    ConfigError,
    Conflict,
    DataError,
    Fault,
    NotFound,
    NotReady,
    PenstockError,
    Refused,
    RemoteError,
)

pytestmark = pytest.mark.unit

OPERATOR = "operator-token-of-the-tests"
READER = "reader-token-of-the-tests"
TOKENS = {OPERATOR: ("anna", Role.OPERATOR), READER: ("ben", Role.READER)}
FAULT = Fault(file="a.yaml", line=3, what="no", next_step="Write yes.")


class Recorder:
    """Handlers that remember what they were asked, and answer with an empty response."""

    def __init__(self, *, failure: PenstockError | None = None) -> None:
        self.calls: list[tuple[Any, Caller]] = []
        self._failure = failure
        self.handlers = {
            endpoint.name: self._stream if endpoint.streams else self._answer(endpoint.response)
            for endpoint in endpoints.describe()
        }

    def _answer(self, response: type) -> Any:
        async def answer(request: Any, caller: Caller) -> Any:
            self.calls.append((request, caller))
            if self._failure:
                raise self._failure
            return response()

        return answer

    async def _stream(self, request: Any, caller: Caller) -> AsyncIterator[Any]:
        self.calls.append((request, caller))
        if isinstance(request, pb.ApplyRequest):
            yield pb.ApplyEvent(done=1, total=2)
        else:
            yield pb.WatchEvent(heartbeat=pb.Heartbeat(version=7)).SerializeToString()
        if self._failure:
            raise self._failure


def ask(recorder: Recorder, method: str, path: str, *, open_reads: bool = True, **options: Any):
    access = Access(TOKENS, open_reads=open_reads)
    app = Starlette(routes=rest_face.routes(endpoints.endpoints(recorder.handlers), access))

    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://penstock") as http:
            return await http.request(method, path, **options)

    return asyncio.run(main())


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_path_query_and_body_make_the_request() -> None:
    recorder = Recorder()
    ask(recorder, "GET", "/v1/topics/orders?environment=live")
    ask(recorder, "GET", "/v1/metadata?topics=a&topics=b&environment=live")
    ask(recorder, "GET", "/v1/audit?limit=5&before_id=9007199254740993")
    ask(
        recorder,
        "POST",
        "/v1/topics/orders:activate",
        json={"cluster": "standby", "reason": "drill"},
        headers=bearer(OPERATOR),
    )
    assert [request for request, _ in recorder.calls] == [
        pb.GetTopicRequest(name="orders", environment="live"),
        pb.GetSnapshotRequest(topics=["a", "b"], environment="live"),
        pb.ListAuditRequest(limit=5, before_id=9007199254740993),
        pb.SetActiveClusterRequest(name="orders", cluster="standby", reason="drill"),
    ]


def test_every_method_of_the_contract_can_be_reached() -> None:
    for endpoint in endpoints.describe():
        recorder = Recorder()
        path = re.sub(r"\{\w+\}", "x", endpoint.path)
        body = {"json": {}} if endpoint.has_body else {}
        response = ask(recorder, endpoint.verb, path, headers=bearer(OPERATOR), **body)
        assert response.status_code == 200, endpoint
        assert isinstance(recorder.calls[0][0], endpoint.request), endpoint


def test_a_stream_is_one_json_object_a_line() -> None:
    response = ask(Recorder(), "GET", "/v1/metadata:watch")
    assert response.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in response.text.splitlines()] == [
        {"heartbeat": {"version": "7"}}
    ]


def test_an_error_inside_a_stream_is_its_last_line() -> None:
    recorder = Recorder(failure=NotReady("stopping"))
    lines = ask(recorder, "GET", "/v1/metadata:watch").text.splitlines()
    assert json.loads(lines[-1])["error"]["message"] == "stopping"


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/v1/topics?bogus=1", None, "bogus"),
        ("/v1/audit?limit=many", None, "limit"),
        ("/v1/audit?limit=99999999999", None, "limit"),
        ("/v1/metadata:watch?client=x", None, "client"),
        ("/v1/plan", b'{"files": [', "does not take that"),
        ("/v1/plan", b'{"bogus": 1}', "bogus"),
        ("/v1/plan", b"\xff\xfe", "does not take that"),
        ("/v1/plan", b"[]", "JSON object"),
    ],
)
def test_what_the_contract_does_not_take_is_refused(path: str, body: bytes, says: str) -> None:
    recorder = Recorder()
    method = "GET" if body is None else "POST"
    response = ask(recorder, method, path, content=body)
    assert response.status_code == 400
    assert re.search(says, response.json()["error"]["message"])
    assert not recorder.calls


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("wrong:", faults=[FAULT]), 400),
        (NotFound("nothing there"), 404),
        (Conflict("moved"), 409),
        (Refused("no"), 412),
        (NotReady("later"), 503),
        (RemoteError("broken"), 500),
    ],
)
def test_errors_have_their_status_and_faults(error: PenstockError, status: int) -> None:
    response = ask(Recorder(failure=error), "GET", "/v1/topics")
    assert response.status_code == status
    body = response.json()["error"]
    assert body["message"] == error.message
    assert body["exit_code"] == error.exit_code
    faults = [{"file": "a.yaml", "line": 3, "what": "no", "next_step": "Write yes."}]
    assert body["faults"] == (faults if status == 400 else [])


def test_reading_is_open_and_operating_is_not() -> None:
    recorder = Recorder()
    assert ask(recorder, "GET", "/v1/topics").status_code == 200
    assert ask(recorder, "POST", "/v1/plan", json={}).status_code == 200
    operating = [endpoint for endpoint in endpoints.describe() if endpoint.operates]
    assert {endpoint.name for endpoint in operating} == {
        "Apply",
        "CordonCluster",
        "UncordonCluster",
        "SetActiveCluster",
        "FailBack",
        "EmptyTopic",
    }
    recorder.calls.clear()
    for endpoint in operating:
        path = endpoint.path.replace("{name}", "x")
        for headers in ({}, bearer(READER), bearer("wrong"), {"authorization": OPERATOR}):
            response = ask(recorder, "POST", path, json={}, headers=headers)
            assert response.status_code == 401, (endpoint, headers)
    assert not recorder.calls


def test_who_calls_is_the_name_of_the_token() -> None:
    recorder = Recorder()
    ask(recorder, "POST", "/v1/clusters/x:cordon", json={}, headers=bearer(OPERATOR))
    assert recorder.calls[0][1] == Caller(name="anna", role=Role.OPERATOR)


def test_off_loopback_every_call_needs_a_token() -> None:
    recorder = Recorder()
    for path in ("/v1/topics", "/v1/metadata:watch"):
        assert ask(recorder, "GET", path, open_reads=False).status_code == 401
        headers = bearer(READER)
        assert ask(recorder, "GET", path, open_reads=False, headers=headers).status_code == 200


@given(shown=st.text())
def test_no_other_text_is_a_token(shown: str) -> None:
    access = Access(TOKENS, open_reads=True)
    if shown.strip() not in TOKENS:
        with pytest.raises(Unauthenticated):
            access.admit(f"Bearer {shown}", operates=False)


def test_the_openapi_document_describes_every_method() -> None:
    document = openapi.document(endpoints.describe(), version="1")
    assert document["openapi"] == "3.1.0"
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = {operation["operationId"] for operation in operations}
    assert names == {endpoint.name for endpoint in endpoints.describe()}
    for path, verbs in document["paths"].items():
        for operation in verbs.values():
            of_path = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert of_path == set(re.findall(r"\{(\w+)\}", path))
            assert operation["responses"]["200"]


def test_every_reference_of_the_openapi_document_leads_somewhere() -> None:
    document = openapi.document(endpoints.describe(), version="1")
    references = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))
    assert "Placement" in references
    assert set(references) <= document["components"]["schemas"].keys()


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("wrong:", faults=[FAULT, FAULT]),
        ConfigError("there is no such thing"),
        Conflict("moved"),
        Refused("no"),
        NotReady("cluster a does not answer"),
        RemoteError("broken"),
        DataError("unreadable"),
    ],
)
def test_an_error_crosses_grpc_and_stays_itself(error: PenstockError) -> None:
    arrived = failures.from_status(
        failures.code_of(error), error.message, failures.to_metadata(error), address="here"
    )
    assert type(arrived) is type(error)
    assert arrived.message == error.message
    assert getattr(arrived, "faults", None) == getattr(error, "faults", None)


def test_a_kind_of_an_error_crosses_as_that_error() -> None:
    class Busy(NotReady):
        pass

    assert failures.code_of(Busy("later")) is grpc.StatusCode.UNAVAILABLE
    assert rest_face.error_response(Busy("later")).status_code == 503


def test_a_server_that_is_not_there_is_told_from_one_that_says_not_now() -> None:
    gone = failures.from_status(
        grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses", (), address="h:1"
    )
    late = failures.from_status(grpc.StatusCode.DEADLINE_EXCEEDED, "", (), address="h:1")
    assert isinstance(gone, NotReady)
    assert "h:1 cannot be reached" in gone.message
    assert isinstance(late, NotReady)
    assert "in time" in late.message
