"""Who calls, and whether they may: bearer tokens with a name and a role.

    authorization header ─▶ Caller(name, role) ─▶ may read? may operate?

Bound to loopback, anybody on this machine may read; changing something always needs an operator's
token. Bound elsewhere, every call needs a token. What the audit says of "who" is the token's name
and nothing a caller claims. Tokens are compared in constant time and never logged.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from penstock.control.settings import Settings
from penstock.errors import ConfigError, PenstockError

__all__ = ["Access", "Caller", "Role", "Unauthenticated", "load"]

_TOKEN_BYTES = 32
_SHORTEST_TOKEN = 16


class Unauthenticated(PenstockError):
    """The call carries no token that allows it."""

    exit_code = 5


class Role(StrEnum):
    """What a token allows."""

    NOBODY = "nobody"
    """No token was shown."""
    READER = "reader"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls: the token's name; empty where none was shown."""

    name: str
    role: Role


class Access:
    """Decides about callers."""

    def __init__(self, tokens: Mapping[str, tuple[str, Role]], *, open_reads: bool) -> None:
        """Know these tokens: name and role by token."""
        self._tokens = [(token.encode(), name, role) for token, (name, role) in tokens.items()]
        self._open_reads = open_reads

    def admit(self, authorization: str, *, operates: bool) -> Caller:
        """Return the caller, when they may do this.

        Args:
            authorization: the header's value, or empty.
            operates: whether the call changes something.

        Raises:
            Unauthenticated: when they may not.
        """
        caller = self._identify(authorization)
        if operates and caller.role is not Role.OPERATOR:
            raise Unauthenticated(
                "this needs an operator's token: send it as `authorization: Bearer …`; it is in "
                "<home>/control/token of the control plane"
            )
        if caller.role is Role.NOBODY and not self._open_reads:
            raise Unauthenticated(
                "this control plane listens to the network, so every call needs a token: send it "
                "as `authorization: Bearer …`"
            )
        return caller

    def _identify(self, authorization: str) -> Caller:
        if not authorization:
            return Caller(name="", role=Role.NOBODY)
        scheme, _, shown = authorization.partition(" ")
        found = Caller(name="", role=Role.NOBODY)
        for token, name, role in self._tokens:
            # All are compared, so that the time tells nothing about which.
            if hmac.compare_digest(token, shown.strip().encode()):
                found = Caller(name=name, role=role)
        if scheme.lower() != "bearer" or found.role is Role.NOBODY:
            raise Unauthenticated("the token is not known here; read <home>/control/token again")
        return found


def load(settings: Settings) -> Access:
    """Read the tokens; make the home's own one where it is missing.

    Raises:
        ConfigError: when a tokens file is wrong.
    """
    own = _own_token(settings.home / "control/token")
    tokens = {own: ("operator", Role.OPERATOR)}
    if settings.tokens:
        tokens.update(_read_tokens(Path(settings.tokens)))
    return Access(tokens, open_reads=settings.is_loopback)


def _own_token(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Exclusive, so that two that start at once agree on one.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        token = path.read_text().strip()
        if len(token) < _SHORTEST_TOKEN:
            raise ConfigError(f"{path} holds no token; remove it, and start again") from None
        return token
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    return token


def _read_tokens(path: Path) -> dict[str, tuple[str, Role]]:
    try:
        found = json.loads(path.read_text())
        tokens = {
            str(entry["token"]): (str(name), Role(entry["role"])) for name, entry in found.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"tokens file {path} cannot be read ({error}); write "
            '{"name": {"token": "…", "role": "operator" or "reader"}}'
        ) from error
    if any(len(token) < _SHORTEST_TOKEN for token in tokens):
        raise ConfigError(f"tokens in {path} need at least {_SHORTEST_TOKEN} characters")
    return tokens
