"""Schemas that are files: on this machine, in an object store, or behind http.

    "events.desc" | "s3://schemas/events.desc" | "https://…/events.desc" ─▶ bytes

Relative paths are below the directory that ingest runs in.
"""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import httpx

from penstock.errors import ConfigError, NotFound, NotReady
from penstock.ingest import locations

__all__ = ["read"]

_TIMEOUT_S = 30


def read(place: str) -> bytes:
    """Return the file's content.

    Raises:
        ConfigError: when there is no such file.
        NotReady: when the store does not answer.
    """
    if place.startswith(("http://", "https://")):
        return _over_http(place)
    whole = place if "://" in place else str(Path(place).absolute())
    directory, _, name = whole.rpartition("/")
    location = locations.locate(directory or "/", lake="/")
    # An object store makes a directory it is asked of; a mistyped path is not to leave one.
    missing = location.path is not None and not location.path.is_dir()
    content = None if missing else location.get(name)
    if content is None:
        raise NotFound(f"there is no file {place}. Correct decoder.descriptor.")
    return content


def _over_http(url: str) -> bytes:
    try:
        response = httpx.get(url, timeout=_TIMEOUT_S, follow_redirects=True)
    except httpx.TransportError as error:
        raise NotReady(f"{url} does not answer: {error}. It is asked again.") from error
    except httpx.InvalidURL as error:
        raise ConfigError(f"{url!r} is no URL: {error}. Correct decoder.descriptor.") from error
    status = response.status_code
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise NotReady(f"{url} answered {status}. It is asked again.")
    if status != HTTPStatus.OK:
        raise NotFound(f"{url} answered {status}. Correct decoder.descriptor.")
    return response.content
