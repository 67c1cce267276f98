"""Run many Kafka clusters as one streaming platform.

>>> import penstock
>>> with penstock.connect("billing") as client:  # doctest: +SKIP
...     ack = client.producer("invoices").send(b"...", key="customer-7")

Names are loaded when they are first used: the command and the model import no Kafka client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.errors import (
        ConfigError,
        Conflict,
        DataError,
        NotReady,
        PenstockError,
        Refused,
        RemoteError,
    )
    from penstock.sdk.aio import AsyncClient, AsyncConsumer, AsyncProducer, connect_async
    from penstock.sdk.breaker import BreakerSettings
    from penstock.sdk.client import Client, connect
    from penstock.sdk.consumer import Consumer, Start
    from penstock.sdk.credentials import Credentials, Iam, Mtls, Scram
    from penstock.sdk.deliveries import Ack, Delivery
    from penstock.sdk.metadata import StaticMetadata
    from penstock.sdk.producer import Producer
    from penstock.sdk.profiles import Profile
    from penstock.sdk.records import Batch, Record

_HOMES = {
    "Ack": "penstock.sdk.deliveries",
    "AsyncClient": "penstock.sdk.aio",
    "AsyncConsumer": "penstock.sdk.aio",
    "AsyncProducer": "penstock.sdk.aio",
    "Batch": "penstock.sdk.records",
    "BreakerSettings": "penstock.sdk.breaker",
    "Client": "penstock.sdk.client",
    "ConfigError": "penstock.errors",
    "Conflict": "penstock.errors",
    "Consumer": "penstock.sdk.consumer",
    "Credentials": "penstock.sdk.credentials",
    "DataError": "penstock.errors",
    "Delivery": "penstock.sdk.deliveries",
    "Iam": "penstock.sdk.credentials",
    "Mtls": "penstock.sdk.credentials",
    "NotReady": "penstock.errors",
    "PenstockError": "penstock.errors",
    "Producer": "penstock.sdk.producer",
    "Profile": "penstock.sdk.profiles",
    "Record": "penstock.sdk.records",
    "Refused": "penstock.errors",
    "RemoteError": "penstock.errors",
    "Scram": "penstock.sdk.credentials",
    "Start": "penstock.sdk.consumer",
    "StaticMetadata": "penstock.sdk.metadata",
    "connect": "penstock.sdk.client",
    "connect_async": "penstock.sdk.aio",
}

__all__ = [  # noqa: RUF022 - what a reader meets first comes first
    "connect",
    "connect_async",
    "Client",
    "Producer",
    "Consumer",
    "AsyncClient",
    "AsyncProducer",
    "AsyncConsumer",
    "Ack",
    "Delivery",
    "Record",
    "Batch",
    "Profile",
    "Start",
    "BreakerSettings",
    "Credentials",
    "Mtls",
    "Scram",
    "Iam",
    "StaticMetadata",
    "PenstockError",
    "ConfigError",
    "NotReady",
    "Refused",
    "Conflict",
    "DataError",
    "RemoteError",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted({*globals(), *__all__})
