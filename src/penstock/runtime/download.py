"""Fetches one file of known size and hash over HTTP, going on where an earlier try stopped.

    url ─GET, Range─▶ <file>.part ─size and sha256─▶ <file>

Line faults and answers that promise to pass (429, 5xx) are tried again with growing pauses. Never
gives the final name to bytes with another hash, never writes more than the known size.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from penstock.errors import NotReady, RemoteError

__all__ = ["client", "fetch", "sha256_of"]

_ATTEMPTS = 5
_FIRST_PAUSE_S = 0.5
_CHUNK_BYTES = 256 * 1024
_PASSING = {408, 425, 429, 500, 502, 503, 504}


def client() -> httpx.Client:
    """Return a client for `fetch`; proxies and certificates come from the environment."""
    return httpx.Client(timeout=30, follow_redirects=True)


def fetch(
    http: httpx.Client,
    url: str,
    *,
    target: Path,
    size_bytes: int,
    sha256: str,
    received: Callable[[int], None],
) -> None:
    """Put the file under its name, complete and checked.

    Args:
        http: from `client`.
        url: where the file is.
        target: its final name; ``<target>.part`` beside it holds what has arrived so far.
        size_bytes: its size.
        sha256: its hash, in hexadecimal.
        received: told the count of bytes that are newly there; negative when they were discarded.

    Raises:
        NotReady: when the line or the server keeps failing.
        RemoteError: when the server has no such file, or another one by that name.
    """
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_FIRST_PAUSE_S * 2 ** (attempt - 1))
        try:
            resumed = _receive(http, url, part=part, size_bytes=size_bytes, received=received)
        except httpx.TransportError as error:
            fault: Exception = error
            continue
        except httpx.HTTPStatusError as error:
            fault = error
            if error.response.status_code in _PASSING:
                continue
            break
        got = sha256_of(part)
        if got == sha256:
            part.replace(target)
            return
        # Bytes of an earlier try may be the bad ones: only a whole new file proves the server's.
        received(-part.stat().st_size)
        part.unlink()
        if not resumed:
            raise RemoteError(
                f"{url} is not the locked file: expected sha256 {sha256}, got {got}. Nothing of it "
                "was kept. If PENSTOCK_MAVEN_MIRROR names a mirror, have it refreshed or unset it."
            )
        fault = RemoteError("the bytes kept from an earlier try were bad")
    if isinstance(fault, httpx.HTTPStatusError) and fault.response.status_code not in _PASSING:
        raise RemoteError(
            f"{url} was answered with {fault.response.status_code}. If PENSTOCK_MAVEN_MIRROR names "
            "a mirror, check that it carries Maven Central's artifacts."
        ) from fault
    raise NotReady(
        f"{url} could not be fetched: {fault}. What has arrived is kept; try again, or set "
        "PENSTOCK_MAVEN_MIRROR to a mirror of Maven Central that this machine can reach."
    ) from fault


def sha256_of(path: Path) -> str:
    """Return the file's hash in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _receive(
    http: httpx.Client,
    url: str,
    *,
    part: Path,
    size_bytes: int,
    received: Callable[[int], None],
) -> bool:
    """Add to the part what is missing; tell whether bytes of an earlier try are in it."""
    there = part.stat().st_size if part.exists() else 0
    if there >= size_bytes:
        return True
    headers = {"Range": f"bytes={there}-"} if there else {}
    with http.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        if there and not resumed:
            received(-there)
            there = 0
        with part.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_raw(_CHUNK_BYTES):
                fitting = chunk[: size_bytes - there]
                file.write(fitting)
                there += len(fitting)
                received(len(fitting))
                if len(fitting) < len(chunk):
                    break
            file.flush()
            os.fsync(file.fileno())
    if there < size_bytes:
        raise httpx.RemoteProtocolError(f"{there} of {size_bytes} bytes arrived")
    return resumed
