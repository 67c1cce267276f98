"""The door to Kafka Connect: its REST API, and its errors in Penstock's words.

    Connect(addresses) ─HTTP, a deadline─▶ any worker of the group ─▶ value or PenstockError
        409 while the group rebalances, 500 while it has no leader ─▶ asked again, for a while
        a worker that is gone ─▶ the next address

Every worker of a group answers for the whole group. Every effect may be repeated: what is already
so is done. Never decides whether something should be done, and never logs a configuration.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from penstock.connectors.observations import Observed, State, Task
from penstock.errors import ConfigError, Conflict, NotFound, NotReady, PenstockError, RemoteError

__all__ = ["Connect", "Offset", "Wrong"]

_POLL_S = 0.25
_REBALANCE_S = 30.0

_PASSING = re.compile("timed out|forward REST request", re.IGNORECASE)
"""What a worker says of a fault that goes by: its leader was killed, and has no successor yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """How far a connector is, as it wrote it down.

    Attributes:
        partition: what of the source, in the connector's own words.
        position: where in it.
    """

    partition: Mapping[str, Any]
    position: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """A setting that a connector's own validation does not take."""

    key: str
    reasons: tuple[str, ...]


class Connect:
    """The Connect group of one cluster; any thread may call it.

    Every method raises `NotReady` when no worker answers in time or the group does not settle, and
    `RemoteError` for an answer that makes no sense.
    """

    def __init__(
        self,
        cluster: str,
        addresses: Sequence[str],
        *,
        timeout_s: float = 10.0,
        rebalance_s: float = _REBALANCE_S,
        transport: httpx.BaseTransport | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """Keep the addresses; nothing is sent yet.

        Args:
            cluster: the group's cluster, for messages.
            addresses: ``http://host:port`` of its workers.
            timeout_s: of each request.
            rebalance_s: how long a rebalance may take.
            transport: what carries the requests; the network by default.
            wait: waits for some seconds.
        """
        self.cluster = cluster
        self._addresses = tuple(address.rstrip("/") for address in addresses)
        self._rebalance_s = rebalance_s
        self._wait = wait
        self._http = httpx.Client(timeout=timeout_s, transport=transport, trust_env=False)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def connectors(self) -> dict[str, Observed]:
        """Return every connector of the group by name."""
        answer = self._ask("GET", "/connectors?expand=info&expand=status")
        try:
            return {name: _observed(name, both) for name, both in answer.items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._senseless(error) from error

    def create(self, name: str, config: Mapping[str, str], *, state: State) -> None:
        """Make the connector, in this state from its first moment on.

        Raises:
            ConfigError: when its own validation refuses the configuration.
            Conflict: when there is one of this name.
        """
        body = {"name": name, "config": dict(config), "initial_state": state.value}
        self._ask("POST", "/connectors", body)

    def configure(self, name: str, config: Mapping[str, str]) -> None:
        """Give the connector exactly this configuration; makes it where it is not there.

        Raises:
            ConfigError: when its own validation refuses the configuration.
        """
        self._ask("PUT", f"{_path(name)}/config", dict(config))

    def adjust(self, name: str, changes: Mapping[str, str | None]) -> None:
        """Set these keys of the configuration, and remove those that are None.

        Raises:
            ConfigError: when its own validation refuses what comes out.
            NotFound: when there is no such connector.
        """
        self._ask("PATCH", f"{_path(name)}/config", dict(changes))

    def pause(self, name: str) -> None:
        """Let it keep its tasks and do nothing."""
        self._ask("PUT", f"{_path(name)}/pause")

    def resume(self, name: str) -> None:
        """Let it go on, from paused or from stopped."""
        self._ask("PUT", f"{_path(name)}/resume")

    def stop(self, name: str) -> None:
        """Take its tasks away; configuration and position are kept."""
        self._ask("PUT", f"{_path(name)}/stop")

    def restart_failed(self, name: str) -> None:
        """Start the connector and those of its tasks anew that have failed."""
        self._ask("POST", f"{_path(name)}/restart?includeTasks=true&onlyFailed=true")

    def restart(self, name: str) -> None:
        """Start the connector and all of its tasks anew."""
        self._ask("POST", f"{_path(name)}/restart?includeTasks=true&onlyFailed=false")

    def topics(self, name: str) -> tuple[str, ...]:
        """Return the topics the connector has used since they were last reset."""
        answer = self._ask("GET", f"{_path(name)}/topics")
        try:
            return tuple(sorted(answer[name]["topics"]))
        except (KeyError, TypeError) as error:
            raise self._senseless(error) from error

    def offsets(self, name: str) -> tuple[Offset, ...]:
        """Return how far the connector is."""
        answer = self._ask("GET", f"{_path(name)}/offsets")
        try:
            return tuple(
                Offset(partition=one["partition"], position=one["offset"])
                for one in answer["offsets"]
            )
        except (KeyError, TypeError) as error:
            raise self._senseless(error) from error

    def forget_offsets(self, name: str) -> None:
        """Forget how far the connector is; it must be stopped.

        Raises:
            ConfigError: when it is not stopped.
        """
        self._ask("DELETE", f"{_path(name)}/offsets")

    def delete(self, name: str) -> None:
        """Remove the connector; one that is gone already is done. Its offsets stay."""
        try:
            self._ask("DELETE", _path(name))
        except NotFound:
            return

    def plugins(self) -> dict[str, str]:
        """Return the version of each connector class the workers have."""
        answer = self._ask("GET", "/connector-plugins")
        try:
            return {one["class"]: str(one.get("version", "")) for one in answer}
        except (AttributeError, KeyError, TypeError) as error:
            raise self._senseless(error) from error

    def validate(self, connector_class: str, config: Mapping[str, str]) -> tuple[Wrong, ...]:
        """Return every setting that the connector's own validation does not take.

        Raises:
            NotFound: when the workers do not have the class.
        """
        body = {**config, "connector.class": connector_class}
        plugin = quote(connector_class, safe="")
        answer = self._ask("PUT", f"/connector-plugins/{plugin}/config/validate", body)
        try:
            values = [one["value"] for one in answer["configs"]]
            return tuple(
                Wrong(key=value["name"], reasons=tuple(value["errors"]))
                for value in values
                if value["errors"]
            )
        except (KeyError, TypeError) as error:
            raise self._senseless(error) from error

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        """Return the group's answer, once it has settled."""
        deadline = time.monotonic() + self._rebalance_s
        while True:
            response = self._send(method, path, body)
            if response.is_success:
                return response.json() if response.content else None
            error = self._translated(response, doing=f"{method} {path.partition('?')[0]}")
            if not isinstance(error, NotReady) or time.monotonic() > deadline:
                raise error
            self._wait(_POLL_S)

    def _send(self, method: str, path: str, body: object) -> httpx.Response:
        """Return the first answer of any worker."""
        reason = "no address is known"
        for address in self._addresses:
            try:
                response = self._http.request(method, f"{address}{path}", json=body)
            except httpx.TransportError as error:
                reason = f"{address}: {str(error) or type(error).__name__}"
                continue
            # The one that answers is asked first the next time.
            others = (other for other in self._addresses if other != address)
            self._addresses = (address, *others)
            return response
        raise NotReady(
            f"the Connect group of cluster {self.cluster} does not answer ({reason}). See whether "
            "its workers run (`penstock status`), then try again."
        )

    def _translated(self, response: httpx.Response, *, doing: str) -> PenstockError:
        said = _message(response)
        where = f"the Connect group of cluster {self.cluster}"
        match response.status_code:
            case HTTPStatus.NOT_FOUND:
                return NotFound(f"{where} has no such thing: {said}")
            case HTTPStatus.CONFLICT if "already exists" in said:
                return Conflict(f"{where} has it already: {said}")
            case HTTPStatus.CONFLICT | HTTPStatus.SERVICE_UNAVAILABLE:
                return NotReady(f"{where} is settling: {said} Try again in some seconds.")
            case HTTPStatus.BAD_REQUEST | HTTPStatus.UNPROCESSABLE_ENTITY:
                return ConfigError(f"{where} refuses it: {said}")
            case HTTPStatus.INTERNAL_SERVER_ERROR if _PASSING.search(said):
                return NotReady(f"{where} did not answer in time: {said} Try again.")
            case status:
                return RemoteError(
                    f"{where} failed to {doing} ({status}): {said} The workers' logs say more."
                )

    def _senseless(self, error: Exception) -> RemoteError:
        return RemoteError(
            f"the Connect group of cluster {self.cluster} gave an answer that makes no sense "
            f"({error!r}). See whether its address is that of Kafka Connect, version 3.7 or later."
        )


def _path(name: str) -> str:
    return f"/connectors/{quote(name, safe='')}"


def _message(response: httpx.Response) -> str:
    try:
        said = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        said = response.text[:500] or response.reason_phrase
    return said if said.endswith((".", "!", "?")) else f"{said}."


def _observed(name: str, both: Mapping[str, Any]) -> Observed:
    status = both["status"]
    connector = status["connector"]
    return Observed(
        name=name,
        config=dict(both["info"]["config"]),
        state=State(connector["state"]),
        worker=connector.get("worker_id", ""),
        trace=connector.get("trace", ""),
        tasks=tuple(
            Task(
                number=int(task["id"]),
                state=State(task["state"]),
                worker=task.get("worker_id", ""),
                trace=task.get("trace", ""),
            )
            for task in sorted(status["tasks"], key=lambda task: int(task["id"]))
        ),
    )
