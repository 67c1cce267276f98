"""Where tables are: a directory or a URL, and the small files that Penstock keeps beside them.

    "orders" + lake ─locate─▶ Location ─▶ uri, storage_options   (whatever opens a Delta table)
                                   └─▶ put · create · get · names · delete   (one small file each)

Guarantee: a file is there whole or not at all, and of several that create the same name at once
exactly one does; unless a caller can do without, what is written is there after a power cut. This is the only door to obstore. Never lists or deletes what is not below the
location.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, from_url

from penstock.errors import ConfigError, NotReady
from penstock.ingest import durable

__all__ = ["Location", "locate"]

_OPTIONS = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ALLOW_HTTP",
    ),
    "gs": ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS"),
    "az": (
        "AZURE_STORAGE_ACCOUNT_NAME",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_STORAGE_CLIENT_SECRET",
        "AZURE_STORAGE_TENANT_ID",
    ),
}
_SCHEMES = {"s3": "s3", "s3a": "s3", "gs": "gs", "az": "az", "abfs": "az", "abfss": "az"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A directory on this machine or a prefix in an object store.

    Attributes:
        uri: an absolute path, or a URL without a slash at its end.
        options: credentials and endpoint, by the names that deltalake takes.
    """

    uri: str
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        """Render without any secret."""
        return self.uri

    @property
    def storage_options(self) -> dict[str, str]:
        """Return what opens a Delta table there, beside the URI."""
        return dict(self.options)

    @property
    def path(self) -> Path | None:
        """Return the directory, None where it is not on this machine."""
        return None if "://" in self.uri else Path(self.uri)

    def child(self, name: str) -> Location:
        """Return the place below this one."""
        return Location(uri=f"{self.uri}/{name}", options=self.options)

    def sibling(self, suffix: str) -> Location:
        """Return the place beside this one whose name is this one's and the suffix."""
        return Location(uri=f"{self.uri}{suffix}", options=self.options)

    def put(self, name: str, content: bytes, *, lasting: bool = True) -> None:
        """Write the file, in place of any that is there.

        Args:
            name: below this place.
            content: the whole of it.
            lasting: whether it must be there after a power cut, which costs a disk some milliseconds.

        Raises:
            NotReady: when the storage fails.
        """
        with _translated(self):
            if lasting and self.path is not None:
                durable.write(self.path / name, content, replace=True)
            else:
                obstore.put(_store(self), name, content)

    def create(self, name: str, content: bytes, *, lasting: bool = True) -> bool:
        """Write the file unless there is one; tell whether it was written.

        Args:
            name: below this place.
            content: the whole of it.
            lasting: as for `put`.

        Raises:
            NotReady: when the storage fails; whether it was written is not known.
        """
        with _translated(self):
            if lasting and self.path is not None:
                return durable.write(self.path / name, content, replace=False)
            try:
                obstore.put(_store(self), name, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
            return True

    def get(self, name: str) -> bytes | None:
        """Return the file's content, None when there is none.

        Raises:
            NotReady: when the storage fails.
        """
        with _translated(self):
            try:
                return bytes(obstore.get(_store(self), name).bytes())
            except (NotFoundError, FileNotFoundError):
                return None

    def names(self, prefix: str) -> list[str]:
        """Return the names of all files below the prefix, in order.

        Args:
            prefix: a directory's name, without a slash at its end.

        Raises:
            NotReady: when the storage fails.
        """
        with _translated(self):
            try:
                found = [
                    entry["path"] for page in obstore.list(_store(self), prefix) for entry in page
                ]
            except (NotFoundError, FileNotFoundError):
                return []
        return sorted(found)

    def delete(self, *names: str, lasting: bool = False) -> None:
        """Remove the files; one that is not there is fine.

        Args:
            names: below this place.
            lasting: whether they must be gone after a power cut.

        Raises:
            NotReady: when the storage fails.
        """
        with _translated(self):
            for name in names:
                if lasting and self.path is not None:
                    durable.delete(self.path / name)
                    continue
                try:
                    obstore.delete(_store(self), name)
                except (NotFoundError, FileNotFoundError):
                    continue


def locate(
    path: str, *, lake: Path | str, environment: Mapping[str, str] | None = None
) -> Location:
    """Return where a declared path is.

    Args:
        path: a URL, an absolute path, or one below ``lake``.
        lake: a directory or a URL.
        environment: the variables that hold credentials and endpoints; else the process's own.

    Raises:
        ConfigError: when the URL is of no store that is known.
    """
    joined = path if "://" in path or path.startswith("/") else f"{str(lake).rstrip('/')}/{path}"
    joined = joined.removeprefix("file://").rstrip("/")
    if "://" not in joined:
        return Location(uri=str(Path(joined).absolute()))
    scheme = joined.partition("://")[0]
    if scheme not in _SCHEMES:
        raise ConfigError(
            f"{joined} is in no store that is known. Write a path, or a URL of one of "
            f"{', '.join(sorted(_SCHEMES))}."
        )
    variables = os.environ if environment is None else environment
    store = _SCHEMES[scheme]
    options = {name: variables[name] for name in _OPTIONS[store] if variables.get(name)}
    if store == "s3":
        options["AWS_CONDITIONAL_PUT"] = "etag"
        if options.get("AWS_ENDPOINT_URL", "").startswith("http://"):
            options["AWS_ALLOW_HTTP"] = "true"
    return Location(uri=joined, options=tuple(sorted(options.items())))


@lru_cache(maxsize=256)
def _store(location: Location) -> Any:
    # Any: obstore's stores have no common class that can be named at run time.
    if location.path is not None:
        return LocalStore(location.path, mkdir=True)
    options: Any = {name.lower(): value for name, value in location.options}
    client: Any = {"timeout": "30s"}
    if options.pop("aws_allow_http", "") == "true":
        client["allow_http"] = True
    options.pop("aws_conditional_put", None)  # its default, which deltalake has to be told
    return from_url(location.uri, config=options, client_options=client)


@contextmanager
def _translated(location: Location) -> Iterator[None]:
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise NotReady(
            f"{location} refuses to be read or written: {_brief(error)}. Check the credentials in "
            "the environment and what they may do."
        ) from error
    except (BaseError, GenericError, OSError) as error:
        raise NotReady(
            f"{location} cannot be read or written: {_brief(error)}. Check the disk's free space "
            "and permissions, or the store's endpoint; nothing was lost, it is tried again."
        ) from error


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
