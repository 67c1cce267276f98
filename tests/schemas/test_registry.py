"""The registry's door: what is kept, and what each kind of failure is."""

from __future__ import annotations

import pytest
from tests.schemas.stub import Stub

from penstock.errors import ConfigError, NotFound, NotReady, PenstockError, RemoteError
from penstock.schemas import registry
from penstock.schemas.registry import Credentials, Kind, Reference, Registry, Schema

pytestmark = pytest.mark.unit


def test_a_schema_is_asked_for_once_and_kept_while_the_registry_is_down(stub: Stub) -> None:
    stub.add(7, "text")
    known = Registry(stub.url)
    assert known.schema(7) == Schema(id=7, kind=Kind.PROTOBUF, text="text")
    stub.status = 503
    assert known.schema(7).text == "text"
    assert stub.asked == ["/schemas/ids/7"]
    with pytest.raises(NotReady, match="503"):
        known.schema(8)


def test_an_unknown_id_is_unknown_for_a_while(stub: Stub) -> None:
    now = [0.0]
    asking = Registry(stub.url, clock=lambda: now[0])
    for _ in range(2):
        with pytest.raises(registry.UnknownId, match="schema id 9 is not in the registry"):
            asking.schema(9)
    assert len(stub.asked) == 1
    stub.add(9, "late")
    now[0] = 31
    assert asking.schema(9).text == "late"


@pytest.mark.parametrize(
    ("status", "raw", "error"),
    [
        (401, b"", ConfigError),
        (403, b"", ConfigError),
        (404, b"<html>", ConfigError),
        (200, b"<html>", ConfigError),
        (200, b"[]", ConfigError),
        (429, b"", NotReady),
        (500, b"", NotReady),
        (200, b'{"schema": "x", "schemaType": "XML"}', RemoteError),
    ],
)
def test_each_broken_answer_says_what_to_do(
    stub: Stub, status: int, raw: bytes, error: type[PenstockError]
) -> None:
    stub.status, stub.raw = status, raw
    with pytest.raises(PenstockError) as raised:
        Registry(stub.url).schema(1)
    assert type(raised.value) is error


def test_a_registry_that_is_not_there_is_not_ready() -> None:
    with pytest.raises(NotReady, match="does not answer"):
        Registry("http://127.0.0.1:1", timeout_s=2).schema(1)


@pytest.mark.parametrize("url", ["", "ftp://x", "host:8081", "http://", "/x"])
def test_what_is_no_url_is_told(url: str) -> None:
    with pytest.raises(ConfigError, match="no URL"):
        Registry(url)


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="in Git") as raised:
        Registry("https://user:hunter2@registry.example")
    assert "hunter2" not in str(raised.value)


def test_credentials_come_from_the_environment(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.add(1, "text")
    monkeypatch.setenv("PENSTOCK_REGISTRY_USERNAME", "me")
    monkeypatch.setenv("PENSTOCK_REGISTRY_PASSWORD", "hunter2")
    Registry(stub.url).schema(1)
    assert stub.headers["Authorization"] == "Basic bWU6aHVudGVyMg=="
    monkeypatch.setenv("PENSTOCK_REGISTRY_TOKEN", "t")
    Registry(stub.url).schema(1)
    assert stub.headers["Authorization"] == "Bearer t"
    assert "hunter2" not in repr(Credentials.from_environment())
    monkeypatch.setenv("PENSTOCK_REGISTRY_CA", "/nowhere")
    with pytest.raises(ConfigError, match="PENSTOCK_REGISTRY_CA"):
        Registry(stub.url)


def test_the_newest_of_a_subject_is_not_kept(stub: Stub) -> None:
    asking = Registry(stub.url)
    with pytest.raises(NotFound, match="no subject 'a/b'"):
        asking.latest("a/b")
    stub.add(1, "one", subject="a%2Fb")
    assert asking.latest("a/b").id == 1
    stub.add(2, "two", "AVRO", subject="a%2Fb")
    assert asking.latest("a/b") == Schema(id=2, kind=Kind.AVRO, text="two")


def version(text: str, *references: tuple[str, str]) -> dict[str, object]:
    told = [{"name": name, "subject": subject, "version": 1} for name, subject in references]
    return {"schema": text, "references": told}


def test_references_are_found_through_others_each_after_what_it_needs(stub: Stub) -> None:
    stub.bodies["/subjects/b/versions/1"] = version("B", ("c.proto", "c"))
    stub.bodies["/subjects/c/versions/1"] = version("C")
    told = tuple(Reference(name=f"{each}.proto", subject=each, version=1) for each in ("b", "c"))
    main = Schema(id=1, kind=Kind.PROTOBUF, text="A", references=told)
    found = Registry(stub.url).referred(main)
    assert {name: schema.text for name, schema in found.items()} == {"c.proto": "C", "b.proto": "B"}
    assert list(found) == ["c.proto", "b.proto"]


@pytest.mark.parametrize(("target", "said"), [("b", "circle"), ("gone", "lacks version 1")])
def test_references_that_lead_nowhere_are_told(stub: Stub, target: str, said: str) -> None:
    stub.bodies["/subjects/b/versions/1"] = version("B", ("again", target))
    told = Reference(name="b", subject="b", version=1)
    with pytest.raises(RemoteError, match=said):
        Registry(stub.url).referred(Schema(id=1, kind=Kind.AVRO, text="A", references=(told,)))
