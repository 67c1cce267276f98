"""Gives partitions back to the brokers that should lead them.

    every partition ─preferred leader election─▶ its first replica leads

A broker that was restarted leads nothing until then, and the others carry its load.
"""

from __future__ import annotations

from confluent_kafka import ElectionType, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from penstock.errors import NotReady

__all__ = ["elect_preferred"]


def elect_preferred(bootstrap: str, *, timeout_s: float = 30.0) -> None:
    """Let the first replica of every partition lead it; those that do already are left alone.

    Raises:
        NotReady: when the cluster does not answer, or a first replica is not in sync.
    """
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        # Without its options: the binding of confluent-kafka 2.16.1 fails on any.
        elected = client.elect_leaders(ElectionType.PREFERRED).result(timeout=timeout_s)
    except (KafkaException, TimeoutError) as error:
        raise NotReady(f"Leaders at {bootstrap} were not elected: {error}. Try again.") from error
    failed = [
        f"{where.topic}/{where.partition}: {error}"
        for where, error in elected.items()
        if error is not None and error.args[0].code() != KafkaError.ELECTION_NOT_NEEDED
    ]
    if failed:
        raise NotReady(
            f"At {bootstrap} these kept their leaders: {'; '.join(failed)}. Wait until every "
            "replica is in sync, then try again."
        )
