"""Schemas by id and by subject, from a registry with Confluent's API.

    id ─kept?─▶ Schema          (a registry never changes what an id stands for: kept for good)
       └─GET /schemas/ids/…─▶ 200 kept · 404 unknown, for a while · else NotReady or ConfigError

httpx rather than confluent-kafka's registry client: three kinds of GET are all that is read, and
that client would bring a second HTTP library, an OAuth library and rules that run code. Credentials
come from the environment, never from a table's file. Never writes to a registry.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from penstock.errors import ConfigError, DataError, NotFound, NotReady, RemoteError

__all__ = ["Credentials", "Kind", "Reference", "Registry", "Schema", "UnknownId"]

_Key = TypeVar("_Key")

_TIMEOUT_S = 10.0
_KEPT = 4096
_UNKNOWN_FOR_S = 30.0
"""A registry's replica may lag behind the producer that registered the schema."""
_DEPTH = 64


class Kind(StrEnum):
    """What a schema is written in, by the registry's own names."""

    AVRO = "AVRO"
    PROTOBUF = "PROTOBUF"
    JSON = "JSON"


class UnknownId(DataError):
    """The registry has no schema of the id: the record that names it is a dead letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A schema that another one refers to.

    Attributes:
        name: what the referring schema calls it: an imported file, or a full type name.
    """

    name: str
    subject: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A schema as it was registered.

    Attributes:
        id: the registry's, or 0 where it did not tell.
        text: as it was sent: source text; for protobuf also a descriptor in base64.
    """

    id: int
    kind: Kind
    text: str
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How we show who we are; empty fields are not used.

    Attributes:
        authority: path of the certificates to trust, PEM.
    """

    username: str = ""
    password: str = ""
    token: str = ""
    authority: str = ""

    def __repr__(self) -> str:
        """Render without secrets."""
        return f"Credentials(username={self.username!r})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Credentials:
        """Return ``PENSTOCK_REGISTRY_USERNAME``, ``_PASSWORD``, ``_TOKEN`` and ``_CA``."""
        return cls(
            username=environment.get("PENSTOCK_REGISTRY_USERNAME", ""),
            password=environment.get("PENSTOCK_REGISTRY_PASSWORD", ""),
            token=environment.get("PENSTOCK_REGISTRY_TOKEN", ""),
            authority=environment.get("PENSTOCK_REGISTRY_CA", ""),
        )


class Registry:
    """One registry; may be used by several threads."""

    def __init__(
        self,
        url: str,
        *,
        credentials: Credentials | None = None,
        timeout_s: float = _TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask nothing yet.

        Args:
            url: the API's base address, e.g. ``https://registry.example/apis/ccompat/v7``.
            credentials: else those of the environment.
            timeout_s: of one request.
            clock: seconds, for how long an unknown id stays unknown.

        Raises:
            ConfigError: when the URL is none, or holds a password.
        """
        self.url = _checked(url)
        self._http = _client(
            self.url, credentials or Credentials.from_environment(), timeout_s=timeout_s
        )
        self._clock = clock
        self._lock = threading.Lock()
        self._by_id: OrderedDict[int, Schema] = OrderedDict()
        self._by_version: OrderedDict[tuple[str, int], Schema] = OrderedDict()
        self._unknown: OrderedDict[int, float] = OrderedDict()

    def schema(self, number: int) -> Schema:
        """Return the schema of an id.

        Raises:
            UnknownId: when the registry has none.
            NotReady: when it does not answer now.
            ConfigError: when it is no registry, or does not let us in.
        """
        if (kept := self._kept(self._by_id, number)) is not None:
            return kept
        unknown = UnknownId(f"schema id {number} is not in the registry {self.url}")
        if self._clock() < self._unknown.get(number, 0.0):
            raise unknown
        answer = self._get(f"/schemas/ids/{number}")
        if answer is None:
            _bounded(self._unknown, number, self._clock() + _UNKNOWN_FOR_S)
            raise unknown
        return self._keep(self._by_id, number, _schema(answer, number))

    def latest(self, subject: str) -> Schema:
        """Return the newest schema of a subject.

        Raises:
            NotFound: when there is no such subject.
            NotReady: when the registry does not answer now.
            ConfigError: when it is no registry, or does not let us in.
        """
        answer = self._get(f"/subjects/{quote(subject, safe='')}/versions/latest")
        if answer is None:
            raise NotFound(
                f"the registry {self.url} has no subject {subject!r}. Register the schema, or name "
                "another one: decoder.subject."
            )
        return _schema(answer, int(answer.get("id", 0)))

    def referred(self, schema: Schema) -> dict[str, Schema]:
        """Return all the schemas that one refers to, also through others, by name.

        The names come in an order in which each is after those it needs.

        Raises:
            RemoteError: when a reference leads nowhere, or in a circle.
            PenstockError: as `schema`.
        """
        found: dict[str, Schema] = {}
        self._refer(schema, found, depth=0)
        return found

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def _refer(self, schema: Schema, found: dict[str, Schema], *, depth: int) -> None:
        if depth > _DEPTH:
            raise RemoteError(
                f"the references of schema {schema.id} in {self.url} go deeper than {_DEPTH}: they "
                "may be a circle. Register it anew without."
            )
        for reference in schema.references:
            if reference.name not in found:
                target = self._version(reference)
                self._refer(target, found, depth=depth + 1)
                found[reference.name] = target

    def _version(self, reference: Reference) -> Schema:
        key = (reference.subject, reference.version)
        if (kept := self._kept(self._by_version, key)) is not None:
            return kept
        subject = quote(reference.subject, safe="")
        answer = self._get(f"/subjects/{subject}/versions/{reference.version}")
        if answer is None:
            raise RemoteError(
                f"{self.url} lacks version {reference.version} of {reference.subject!r}, which a "
                f"schema refers to as {reference.name!r}. Register it again."
            )
        return self._keep(self._by_version, key, _schema(answer, int(answer.get("id", 0))))

    def _kept(self, kept: OrderedDict[_Key, Schema], key: _Key) -> Schema | None:
        with self._lock:
            if key in kept:
                kept.move_to_end(key)
            return kept.get(key)

    def _keep(self, kept: OrderedDict[_Key, Schema], key: _Key, new: Schema) -> Schema:
        with self._lock:
            _bounded(kept, key, new)
        return new

    def _get(self, path: str) -> dict[str, Any] | None:
        """Return the answer; None for what the registry says it does not have."""
        try:
            response = self._http.get(path)
        except httpx.TransportError as error:
            raise NotReady(
                f"the schema registry {self.url} does not answer: {str(error) or type(error).__name__}. "
                "Known schemas go on being read; start it, or correct decoder.registry."
            ) from error
        return _answer(response, self.url)


def _checked(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"decoder.registry {url!r} is no URL: {error}.") from error
    if parsed.userinfo:
        raise ConfigError(
            f"decoder.registry of {parsed.host} holds credentials, which would be in Git. Set "
            "PENSTOCK_REGISTRY_USERNAME and PENSTOCK_REGISTRY_PASSWORD where ingest runs."
        )
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ConfigError(
            f"decoder.registry {url!r} is no URL of a registry. Write e.g. https://host:8081."
        )
    return url.rstrip("/")


def _client(url: str, credentials: Credentials, *, timeout_s: float) -> httpx.Client:
    headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
    if credentials.token:
        headers["Authorization"] = f"Bearer {credentials.token}"
    by_name = bool(credentials.username) and not credentials.token
    try:
        return httpx.Client(
            base_url=url,
            headers=headers,
            auth=(credentials.username, credentials.password) if by_name else None,
            timeout=timeout_s,
            follow_redirects=True,
            verify=_trusted(credentials.authority),
        )
    except OSError as error:
        raise ConfigError(
            f"PENSTOCK_REGISTRY_CA {credentials.authority!r} cannot be read: {error}."
        ) from error


def _trusted(authority: str) -> Any:
    import ssl  # noqa: PLC0415 - only with an authority of one's own

    return ssl.create_default_context(cafile=authority) if authority else True


def _answer(response: httpx.Response, url: str) -> dict[str, Any] | None:
    status = response.status_code
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise ConfigError(
            f"the schema registry {url} does not let us in ({status}). Set "
            "PENSTOCK_REGISTRY_USERNAME and PENSTOCK_REGISTRY_PASSWORD, or PENSTOCK_REGISTRY_TOKEN."
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise NotReady(f"the schema registry {url} answered {status}. It is asked again.")
    body = _json(response)
    if status == HTTPStatus.NOT_FOUND and "error_code" in body:
        return None
    if status != HTTPStatus.OK or "schema" not in body:
        raise ConfigError(
            f"{response.url} answered {status}, and not as a schema registry does. Correct "
            "decoder.registry: it is the address below which /subjects is."
        )
    return body


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _schema(answer: Mapping[str, Any], number: int) -> Schema:
    kind = answer.get("schemaType") or Kind.AVRO
    try:
        return Schema(
            id=number,
            kind=Kind(kind),
            text=str(answer["schema"]),
            references=tuple(
                Reference(
                    name=str(each["name"]),
                    subject=str(each["subject"]),
                    version=int(each["version"]),
                )
                for each in answer.get("references") or ()
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RemoteError(
            f"the registry's schema {number} is of a kind nobody knows: {kind!r} ({error})."
        ) from error


def _bounded(kept: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > _KEPT:
        kept.popitem(last=False)
