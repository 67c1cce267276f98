"""Who a service is to a cluster: the strongest listener it has credentials for.

    cluster's listeners by auth mode + Credentials ─reach─▶ address and security settings

Never prints a secret: `Credentials` hides them from its representation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from penstock.errors import ConfigError
from penstock.model.clusters import AuthMode, Cluster

__all__ = ["Credentials", "Iam", "Mtls", "Reach", "Scram", "reach"]

_STRONGEST_FIRST = (AuthMode.MTLS, AuthMode.IAM, AuthMode.SCRAM, AuthMode.PLAINTEXT)

Setting = str | int | float | bool | Callable[[str], tuple[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mtls:
    """A client certificate, as PEM files."""

    certificate: Path
    key: Path
    ca: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Scram:
    """A user and password of SCRAM-SHA-512 over TLS."""

    username: str
    password: str = field(repr=False)
    ca: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Iam:
    """A signer of tokens: takes librdkafka's config text, returns (token, expiry in seconds)."""

    token: Callable[[str], tuple[str, float]] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a service can prove itself with; none of it means plaintext only."""

    mtls: Mtls | None = None
    scram: Scram | None = None
    iam: Iam | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How to connect to one cluster.

    Attributes:
        settings: librdkafka's, address and security.
        principal: who the cluster will call us, for messages.
    """

    settings: dict[str, Setting] = field(repr=False)
    principal: str


def reach(cluster: Cluster, credentials: Credentials, *, service: str) -> Reach:
    """Return how the service connects to the cluster.

    Raises:
        ConfigError: when the cluster has no listener the service has credentials for.
    """
    for mode in _STRONGEST_FIRST:
        address = cluster.bootstrap.get(mode)
        security = _security(mode, credentials, service=service) if address else None
        if address and security is not None:
            settings, principal = security
            return Reach(settings={"bootstrap.servers": address, **settings}, principal=principal)
    offered = ", ".join(sorted(cluster.bootstrap)) or "nothing"
    raise ConfigError(
        f"cluster {cluster.name!r} offers {offered}, and the service has no credentials for it."
        " Pass `credentials=` to connect, or declare a bootstrap address in the cluster's file."
    )


def _security(
    mode: AuthMode, credentials: Credentials, *, service: str
) -> tuple[dict[str, Setting], str] | None:
    match mode:
        case AuthMode.PLAINTEXT:
            return {}, "User:ANONYMOUS"
        case AuthMode.MTLS:
            return _mtls(credentials.mtls, service=service) if credentials.mtls else None
        case AuthMode.SCRAM:
            return _scram(credentials.scram) if credentials.scram else None
        case AuthMode.IAM:
            return _iam(credentials.iam, service=service) if credentials.iam else None
        case _:
            assert_never(mode)


def _mtls(mtls: Mtls, *, service: str) -> tuple[dict[str, Setting], str]:
    settings: dict[str, Setting] = {
        "security.protocol": "SSL",
        "ssl.certificate.location": str(mtls.certificate),
        "ssl.key.location": str(mtls.key),
        "ssl.ca.location": str(mtls.ca),
    }
    return settings, f"User:CN={service}"


def _scram(scram: Scram) -> tuple[dict[str, Setting], str]:
    settings: dict[str, Setting] = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": scram.username,
        "sasl.password": scram.password,
        "ssl.ca.location": str(scram.ca),
    }
    return settings, f"User:{scram.username}"


def _iam(iam: Iam, *, service: str) -> tuple[dict[str, Setting], str]:
    settings: dict[str, Setting] = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "OAUTHBEARER",
        "oauth_cb": iam.token,
    }
    return settings, f"the IAM role of {service}"
