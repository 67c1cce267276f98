"""What a cluster answers to an administrative request, waited for and put in Penstock's words.

Future ─wait─▶ value · None (an error that is fine here) · NotReady · Refused · RemoteError
"""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from penstock.errors import NotReady, PenstockError, Refused, RemoteError

__all__ = ["translated", "wait"]

T = TypeVar("T")

# The library's own time-out comes first and says more; this one only guards against its absence.
_GRACE_S = 5.0

_NOT_NOW = frozenset(
    {
        KafkaError._TRANSPORT,  # noqa: SLF001 - librdkafka's own codes begin so
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_CONTROLLER,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.NETWORK_EXCEPTION,
        # A broker that has just come back does not know yet who leads.
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.KAFKA_STORAGE_ERROR,
    }
)
_REFUSED = frozenset(
    {
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.POLICY_VIOLATION,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_REQUEST,
    }
)


def wait(
    future: Future[T],
    *,
    where: str,
    doing: str,
    timeout_s: float,
    fine: frozenset[int] = frozenset(),
) -> T | None:
    """Return the answer, or None where it is an error listed in ``fine``.

    Args:
        future: as the library gave it.
        where: the cluster and its address, for the message.
        doing: what is asked for, e.g. ``create topic x``.
        timeout_s: what the request itself was given.
        fine: codes of errors that mean there is nothing to do.

    Raises:
        NotReady: when the cluster does not answer, or not now.
        Refused: when its policy, authorizer or validation says no.
        RemoteError: for any other answer.
    """
    try:
        return future.result(timeout_s + _GRACE_S)
    except FutureTimeoutError as error:
        raise NotReady(
            f"{where} did not {doing} within {timeout_s:.0f} s; see whether it is healthy, then "
            "try again"
        ) from error
    except KafkaException as error:
        if error.args[0].code() in fine:
            return None
        raise translated(error, where=where, doing=doing) from error


def translated(error: KafkaException, *, where: str, doing: str) -> PenstockError:
    """Return the library's error in Penstock's words."""
    kafka_error: KafkaError = error.args[0]
    reason = kafka_error.str()
    if kafka_error.code() in _NOT_NOW:
        return NotReady(f"{where} could not {doing} now: {reason}; try again")
    if kafka_error.code() in _REFUSED:
        return Refused(f"{where} refused to {doing}: {reason}; correct the estate or the cluster")
    return RemoteError(f"{where} failed to {doing}: {reason}; see the brokers' logs")
