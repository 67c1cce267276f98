"""The door to Snowflake: one session, statements with parameters, errors in Penstock's words.

    environment ─account_from─▶ Account ─connected─▶ Client ─run(sql, values)─▶ rows, count
                                                       └─transaction()─▶ all of it or nothing

Secrets come from the environment or from files it names, and are in no message and no
representation. A session that ends in an error is closed, which rolls its transaction back; that of
a process that was killed Snowflake rolls back itself, once another session waits for it. Never
retries a statement: whoever calls begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock import extras
from penstock.errors import ConfigError, NotReady, PenstockError, Refused, RemoteError

__all__ = ["Account", "Client", "account_from", "connected"]

_LOGIN_S = 60
_NETWORK_S = 4 * 3600
"""The connector cancels a statement by this as well, and the first load of a table may be long."""
_SESSION = {
    "TIMEZONE": "UTC",
    "QUERY_TAG": "penstock",
    "LOCK_TIMEOUT": 900,
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
}
_ABSENT = {2003, 2043}  # an object is not there, or this role may not know of it
_FORBIDDEN = {3001}
_LOCKED = {625}
_CREDENTIALS = range(390_100, 390_400)
_CONNECTING = range(250_000, 252_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where to copy to, and who we are there.

    Attributes:
        name: the account's identifier.
        options: of the connector: host and port for a private link, role, warehouse.
        secrets: of the connector: a password, or a key's file and passphrase.
    """

    name: str
    user: str
    options: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


def account_from(environment: Mapping[str, str]) -> Account:
    """Return the account that the environment names.

    Raises:
        ConfigError: with every variable that is missing.
    """
    missing = [n for n in ("SNOWFLAKE_ACCOUNT", "SNOWFLAKE_USER") if not environment.get(n)]
    secrets = _secrets(environment)
    if not secrets:
        missing.append("SNOWFLAKE_PRIVATE_KEY_FILE, SNOWFLAKE_PASSWORD_FILE or SNOWFLAKE_PASSWORD")
    if missing:
        raise ConfigError(f"Snowflake's account is not known. Set {'; '.join(missing)}.")
    options: dict[str, Any] = {
        name: value
        for name in ("role", "warehouse", "host", "protocol")
        if (value := environment.get(f"SNOWFLAKE_{name.upper()}"))
    }
    if port := environment.get("SNOWFLAKE_PORT"):
        if not port.isdecimal():
            raise ConfigError(f"SNOWFLAKE_PORT is {port!r}. Write a port's number.")
        options["port"] = int(port)
    return Account(
        name=environment["SNOWFLAKE_ACCOUNT"],
        user=environment["SNOWFLAKE_USER"],
        options=options,
        secrets=secrets,
    )


def _secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the means to log in; a key before a password."""
    if key := environment.get("SNOWFLAKE_PRIVATE_KEY_FILE"):
        _read(key)
        passphrase = environment.get("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE")
        found = {"authenticator": "SNOWFLAKE_JWT", "private_key_file": key}
        return {**found, "private_key_file_pwd": passphrase} if passphrase else found
    if file := environment.get("SNOWFLAKE_PASSWORD_FILE"):
        return {"password": _read(file).strip()}
    password = environment.get("SNOWFLAKE_PASSWORD")
    return {"password": password} if password else {}


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as text: {type(error).__name__}.") from error


class Client:
    """A session in one schema of one database."""

    def __init__(self, connection: Any) -> None:
        """Take an open connection, of a library without types; `connected` makes one."""
        self._connection = connection

    def run(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return what it gives.

        Raises:
            ConfigError: when it names something that is not there.
            Refused: when the role may not do it.
            NotReady: when Snowflake cannot be reached, or another session holds the table.
            RemoteError: when it fails otherwise.
        """
        with _translated(), self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(values) or None)
            return list(cursor.fetchall())

    def count(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run a statement that changes rows, and return how many; see `run`."""
        with _translated(), self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(values) or None)
            return int(cursor.rowcount or 0)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Let what is run become visible as one, or not at all."""
        self.run("BEGIN")
        try:
            yield
        except BaseException:
            # Where this fails as well, the end of the session rolls back.
            with suppress(PenstockError):
                self.run("ROLLBACK")
            raise
        self.run("COMMIT")


@contextmanager
def connected(account: Account, *, database: str, schema: str) -> Iterator[Client]:
    """Give a session in the schema, and end it.

    Raises:
        ConfigError: when the connector is not installed, or the credentials are wrong.
        NotReady: when Snowflake cannot be reached.
    """
    try:
        # What an extra installs is loaded by those who copy.
        import snowflake.connector  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"Snowflake's connector is not installed. Install it: {extras.command('snowflake')}"
        ) from error
    connection = _open(snowflake.connector.connect, account, database=database, schema=schema)
    try:
        yield Client(connection)
    finally:
        connection.close(retry=False)


def _open(connect: Callable[..., Any], account: Account, *, database: str, schema: str) -> Any:
    try:
        with _translated():
            return connect(
                account=account.name,
                user=account.user,
                database=database,
                schema=schema,
                application="penstock",
                paramstyle="qmark",
                autocommit=True,
                login_timeout=_LOGIN_S,
                network_timeout=_NETWORK_S,
                session_parameters=_SESSION,
                **account.options,
                **account.secrets,
            )
    except (OSError, ValueError, TypeError) as error:
        # What the connector raises for a key or a passphrase that is none.
        raise ConfigError(
            f"Snowflake's connector refuses its settings: {_brief(error)}. Check the account, the "
            "key's file and its passphrase."
        ) from error


@contextmanager
def _translated() -> Iterator[None]:
    from snowflake.connector import errors  # noqa: PLC0415 - see `connected`

    try:
        yield
    except PenstockError:
        raise
    except errors.Error as error:
        raise _told(error) from error


def _told(error: Any) -> PenstockError:
    from snowflake.connector import errors  # noqa: PLC0415 - see `connected`

    number, brief = int(error.errno or 0), _brief(error)
    if number in _CREDENTIALS or "Incorrect username or password" in brief:
        return ConfigError(f"Snowflake refuses the credentials: {brief}. Check SNOWFLAKE_USER.")
    if number in _ABSENT:
        return ConfigError(
            f"Snowflake does not have it, or hides it from this role: {brief}. Make the database "
            "and the schema, or grant the role USAGE on them and CREATE TABLE in the schema."
        )
    if number in _FORBIDDEN:
        return Refused(f"Snowflake forbids it: {brief}. Grant the role what it needs.")
    if number in _LOCKED:
        return NotReady(f"another session holds the copy: {brief}. Try again in some minutes.")
    unreachable = isinstance(error, errors.OperationalError | errors.InterfaceError)
    if unreachable or number in _CONNECTING:
        return NotReady(f"Snowflake cannot be reached: {brief}. Nothing was lost; try again.")
    return RemoteError(f"Snowflake failed: {brief}. Nothing of this copy was made visible.")


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
