"""The door to confluent_kafka for data: its clients, and its errors in Penstock's words.

    settings ─▶ open_producer / open_consumer ─▶ librdkafka
    error_cb ─▶ Failures ──┐
    KafkaError ────────────┴─▶ explain ─▶ one PenstockError that says what to do

librdkafka tells why a connection fails (a bad certificate, a wrong password) only to `error_cb`;
the delivery report says no more than "timed out". `Failures` keeps the one for the other. Never
decides anything: where a record goes next is the SDK's business (`kind_of` sorts the errors).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from penstock.errors import ConfigError, DataError, NotReady, PenstockError, Refused, RemoteError

__all__ = [
    "Consumer",
    "ErrorKind",
    "Failures",
    "KafkaError",
    "KafkaException",
    "Message",
    "Producer",
    "TopicPartition",
    "explain",
    "kind_of",
    "never_left",
    "open_consumer",
    "open_producer",
    "was_purged",
]

# How long a reason from error_cb explains later failures; librdkafka repeats it at most this
# seldom while a broker stays unreachable.
REASON_LASTS_S = 60.0

_librdkafka_log = logging.getLogger("penstock.kafka.librdkafka")
if _librdkafka_log.level == logging.NOTSET:
    # It repeats every failed connection attempt; Penstock logs the change of state once instead.
    _librdkafka_log.setLevel(logging.CRITICAL)


class ErrorKind(StrEnum):
    """What an error says about the next try."""

    CLUSTER = "cluster"
    """The cluster does not work now; another one may."""
    REFUSED = "refused"
    """The cluster works and says no; no other cluster may be tried in its stead."""
    RECORD = "record"
    """This record is wrong, wherever it goes."""
    CONFIG = "config"
    """The client's settings are wrong."""


_REFUSED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.POLICY_VIOLATION,
    }
)
_RECORD = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError._KEY_SERIALIZATION,  # noqa: SLF001 - librdkafka's public name for it
        KafkaError._VALUE_SERIALIZATION,  # noqa: SLF001
    }
)
_CONFIG = frozenset({KafkaError._INVALID_ARG, KafkaError._NOT_IMPLEMENTED})  # noqa: SLF001
_NO_TOPIC = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)
_PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})  # noqa: SLF001
_SILENT = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT})  # noqa: SLF001


class Failures:
    """What one client's `error_cb` has told.

    Attributes:
        happened: whether any error was ever told. Until then no connection was lost with records
            on it, so a record that is purged from the queue has never left this process.
        fatal: whether the client is beyond repair; only a new one works again.
    """

    __slots__ = ("_at", "_on_all_down", "_reason", "fatal", "happened")

    def __init__(self, *, on_all_down: Callable[[str], None] | None = None) -> None:
        """Call ``on_all_down`` with the reason, from the polling thread, when no broker is left."""
        self._on_all_down = on_all_down
        self._reason = ""
        self._at = 0.0
        self.fatal = False
        self.happened = False

    def __call__(self, error: KafkaError) -> None:
        """Take an error from librdkafka."""
        self.happened = True
        self.fatal = self.fatal or error.fatal()
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            if self._on_all_down is not None:
                self._on_all_down(self.reason or error.str())
            return
        self._reason, self._at = error.str(), time.monotonic()

    @property
    def reason(self) -> str:
        """Return the last reason while it is fresh, else an empty text."""
        return self._reason if time.monotonic() - self._at < REASON_LASTS_S else ""


def open_producer(settings: Mapping[str, Any], *, failures: Failures) -> Producer:
    """Make a producer; it connects in the background.

    Raises:
        ConfigError: when librdkafka refuses a setting.
    """
    try:
        return Producer({**settings, "error_cb": failures}, logger=_librdkafka_log)
    except (KafkaException, TypeError, ValueError) as error:
        raise _bad_settings(error) from error


def open_consumer(settings: Mapping[str, Any], *, failures: Failures) -> Consumer:
    """Make a consumer, to `subscribe` or `assign` next; ``group.id`` is required by librdkafka.

    Raises:
        ConfigError: when librdkafka refuses a setting.
    """
    try:
        return Consumer({**settings, "error_cb": failures}, logger=_librdkafka_log)
    except (KafkaException, TypeError, ValueError) as error:
        raise _bad_settings(error) from error


def kind_of(error: KafkaError) -> ErrorKind:
    """Sort an error by what it says about the next try."""
    code = error.code()
    if code in _REFUSED:
        return ErrorKind.REFUSED
    if code in _RECORD:
        return ErrorKind.RECORD
    if code in _CONFIG:
        return ErrorKind.CONFIG
    return ErrorKind.CLUSTER


def was_purged(error: KafkaError) -> bool:
    """Tell whether we took the record back ourselves."""
    return error.code() in _PURGED


def never_left(error: KafkaError, failures: Failures) -> bool:
    """Tell whether the failed record certainly is on no broker.

    A record purged from the queue may have been sent before, and queued again when its connection
    was lost; only on a connection that never failed is it certain.
    """
    return error.code() == KafkaError._PURGE_QUEUE and not failures.happened  # noqa: SLF001


def explain(
    error: KafkaError, *, operation: str, topic: str, cluster: str, principal: str, reason: str = ""
) -> PenstockError:
    """Return the error in Penstock's words; the caller raises it ``from`` the original.

    Args:
        error: what librdkafka reported.
        operation: ``produce to`` or ``consume``, as the message reads.
        topic: physical topic, or the group where the group was refused.
        cluster: the cluster's name.
        principal: who the client is to the cluster.
        reason: `Failures.reason` of the same client.
    """
    where = f"{operation} {topic!r} on cluster {cluster!r}"
    match kind_of(error):
        case ErrorKind.REFUSED:
            return Refused(
                f"{principal} may not {where}: {error.str()}. Grant it in the estate, or ask the"
                " topic's owner."
            )
        case ErrorKind.RECORD:
            return DataError(
                f"cannot {where}: {error.str()}. Make the record smaller or correct it; the"
                " topic's max.message.bytes is the limit."
            )
        case ErrorKind.CONFIG:
            return ConfigError(f"cannot {where}: {error.str()}. Correct the client's settings.")
        case ErrorKind.CLUSTER:
            return _explain_cluster(error, where=where, topic=topic, reason=reason)


def _explain_cluster(
    error: KafkaError, *, where: str, topic: str, reason: str
) -> NotReady | RemoteError:
    if error.code() in _NO_TOPIC:
        return NotReady(
            f"cannot {where}: the cluster has no such topic. Apply the estate (`penstock plan`,"
            f" `penstock apply`), or correct the name {topic!r}."
        )
    if error.fatal():
        return RemoteError(f"cannot {where}: {error.str()}. Open a new client.")
    because = f"{error.str()}; {reason}" if reason and error.code() in _SILENT else error.str()
    return NotReady(f"cannot {where}: {because}. {_next_step(reason or error.str())}")


def _next_step(reason: str) -> str:
    lowered = reason.lower()
    if "certificate" in lowered or "ssl" in lowered:
        return "Check the client's certificate, its key and the CA it trusts."
    if "sasl" in lowered or "authentication" in lowered:
        return "Check the client's user name and password."
    return "Check that the cluster runs and can be reached from here, then try again."


def _bad_settings(error: Exception) -> ConfigError:
    reason = error.args[0].str() if isinstance(error, KafkaException) else str(error)
    return ConfigError(
        f"the Kafka client refuses its settings: {reason.strip()}. Correct or remove them."
    )
