"""The files of an archive or a snapshot: what there is, and its rows, a part at a time.

    Location ─parts─▶ Parts (footers and sizes only)      Part ─read─▶ one Arrow table

Reads Parquet files and JSON lines in any layout of directories, and Delta tables; in this machine's
file system and in S3. Bounded: a part is some row groups of a file, or some megabytes of lines.
Names that begin with ``_`` or ``.`` are not looked at. Never writes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
import pyarrow as pa
from pyarrow import fs, parquet

from penstock.errors import ConfigError, DataError, NotReady, Refused
from penstock.ingest import delta
from penstock.ingest.archive.layout import BASE64
from penstock.ingest.backfill.pieces import Part
from penstock.ingest.locations import Location
from penstock.ingest.records import RAW

__all__ = ["LINE", "Files", "is_raw"]

LINE = "line"
"""The column of JSON lines that are no records of an archive of ours: the line itself."""
_RAW_NEEDED = {"cluster", "topic", "partition", "offset", "timestamp_ms"}
_LINES_BYTES = 16 * 2**20
_LINE_BYTES = 200
_LOOK_AHEAD_BYTES = 64 * 2**10
_ENDINGS = (".parquet", ".jsonl", ".json", ".ndjson")
_NOTHING = "__HIVE_DEFAULT_PARTITION__"


def is_raw(names: Sequence[str]) -> bool:
    """Tell whether columns are those of records, as the archiver writes them."""
    return set(names) >= {*_RAW_NEEDED, "value"}


class Files:
    """What is below one path."""

    def __init__(self, place: Location) -> None:
        """Look whether it can be read.

        Raises:
            ConfigError: when it is in a store that cannot be read, or is not there.
            NotReady: when the storage fails.
        """
        self.place = place
        with _translated(place):
            self._files = _file_system(place)
            if self._files.get_file_info("").type is fs.FileType.NotFound:
                raise ConfigError(
                    f"nothing is at {place}. Name a directory of Parquet or JSON lines."
                )

    def parts(self, *, since_ms: int = 0, until_ms: int = 0, part_rows: int) -> list[Part]:
        """Return every part, in the order of the files' names.

        Args:
            since_ms: leaves files out whose path says that they are older; 0 for none.
            until_ms: leaves files out whose path says that they are not older; 0 for none.
            part_rows: row groups of a file are put together up to so many.

        Raises:
            ConfigError: when there is no file.
            NotReady: when the storage fails.
            Refused: when it is a Delta table that cannot be read file by file.
        """
        known = self._delta_files()
        named = self._listed() if known is None else known
        found = [(n, size, v) for n, size, v in named if _overlaps(n, since_ms, until_ms)]
        if not found:
            raise ConfigError(f"no Parquet file or JSON lines of that time are below {self.place}.")
        with _translated(self.place), ThreadPoolExecutor(8) as pool:
            cut = pool.map(lambda each: self._cut(*each, part_rows=part_rows), found)
            return [part for parts in cut for part in parts]

    def read(self, part: Part) -> pa.Table:
        """Return the rows of a part, and the columns that its path has.

        JSON lines of an archive of ours are `records.RAW`; others have the one column `LINE`.

        Raises:
            NotReady: when the storage fails.
            DataError: when the file is broken.
        """
        with _translated(self.place):
            if not part.file.endswith(".parquet"):
                return _parsed(self._lines(part), part.file)
            with self._files.open_input_file(part.file) as file:
                rows = parquet.ParquetFile(file).read_row_groups(range(part.first, part.end))
        for name, value in part.values.items():
            if name not in rows.column_names:
                constant = pa.repeat(pa.scalar(value, pa.string()), rows.num_rows)
                rows = rows.append_column(name, constant)
        return rows

    def _listed(self) -> list[tuple[str, int, dict[str, str | None]]]:
        with _translated(self.place):
            selector = fs.FileSelector("", recursive=True)
            infos = self._files.get_file_info(selector)
        names = {i.path.lstrip("/"): i.size for i in infos if i.type is fs.FileType.File}
        return [
            (name, names[name], _path_values(name))
            for name in sorted(names)
            if name.endswith(_ENDINGS) and not any(p[0] in "_." for p in name.split("/"))
        ]

    def _delta_files(self) -> list[tuple[str, int, dict[str, str | None]]] | None:
        with _translated(self.place):
            if self._files.get_file_info("_delta_log").type is fs.FileType.NotFound:
                return None
        lake = delta.read_table(self.place)
        if lake is None:
            return None
        unread = set(lake.table.protocol().reader_features or ()) & {
            "deletionVectors",
            "columnMapping",
        }
        if unread:
            raise Refused(
                f"the Delta table at {self.place} has {', '.join(sorted(unread))}, so its files alone "
                "do not tell its rows. Write it once more without, or give a Parquet directory."
            )
        with delta.translated(self.place):
            actions = pa.table(lake.table.get_add_actions(flatten=True)).to_pylist()
        return sorted(
            (
                (
                    unquote(action["path"]),
                    action["size_bytes"],
                    {
                        name.removeprefix("partition."): None if value is None else str(value)
                        for name, value in action.items()
                        if name.startswith("partition.")
                    },
                )
                for action in actions
            ),
            key=lambda each: each[0],
        )

    def _cut(
        self, name: str, size: int, values: dict[str, str | None], *, part_rows: int
    ) -> list[Part]:
        if not name.endswith(".parquet"):
            firsts = range(0, size, _LINES_BYTES)
            ends = [*firsts[1:], size]
            return [
                Part(file=name, first=f, end=e, rows=(e - f) // _LINE_BYTES + 1)
                for f, e in zip(firsts, ends, strict=True)
            ]
        with self._files.open_input_file(name) as file:
            about = parquet.ParquetFile(file).metadata
        parts: list[Part] = []
        first = rows = 0
        for group in range(about.num_row_groups):
            rows += about.row_group(group).num_rows
            if rows >= part_rows or group == about.num_row_groups - 1:
                parts.append(Part(file=name, first=first, end=group + 1, rows=rows, values=values))
                first, rows = group + 1, 0
        return parts

    def _lines(self, part: Part) -> list[bytes]:
        """Return the lines that begin in the part."""
        with self._files.open_input_file(part.file) as file:
            # A line that begins before the part is the part's before: look at the byte before.
            file.seek(max(0, part.first - 1))
            content = file.read(part.end - max(0, part.first - 1))
            while content and not content.endswith(b"\n"):
                more = file.read(_LOOK_AHEAD_BYTES)
                if not more:
                    break
                content += more[: more.find(b"\n") + 1 or None]
        if part.first:
            content = content[content.find(b"\n") + 1 :] if b"\n" in content else b""
        return [line for line in content.split(b"\n") if line.strip()]


def _parsed(lines: Sequence[bytes], name: str) -> pa.Table:
    if not lines:
        return pa.table({LINE: pa.array([], pa.binary())})
    if not _is_record(lines[0]):
        return pa.table({LINE: pa.array(lines, pa.binary())})
    try:
        return pa.Table.from_pylist([_record(orjson.loads(line)) for line in lines], schema=RAW)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise DataError(
            f"{name} is no archive of records in JSON lines: {error}", origin=name
        ) from error


def _is_record(line: bytes) -> bool:
    try:
        told = orjson.loads(line)
    except ValueError:
        return False
    return isinstance(told, dict) and told.keys() >= _RAW_NEEDED


def _record(told: dict[str, Any]) -> dict[str, Any]:
    for name in ("key", "value"):
        if told.get(name + BASE64) is not None:
            told[name] = base64.b64decode(told[name + BASE64])
        elif isinstance(text := told.get(name), str):
            told[name] = text.encode()
    return told


def _path_values(name: str) -> dict[str, str | None]:
    pairs = [each.split("=", 1) for each in name.split("/")[:-1] if "=" in each]
    return {unquote(k): None if v == _NOTHING else unquote(v) for k, v in pairs}


def _overlaps(name: str, since_ms: int, until_ms: int) -> bool:
    """Tell whether the file may have records of the time, as far as ``date=`` and ``hour=`` tell."""
    values = _path_values(name)
    try:
        begin = datetime.fromisoformat(values.get("date") or "").replace(tzinfo=UTC)
        hour = values.get("hour")
        span = timedelta(days=1) if hour is None else timedelta(hours=1)
        begin += timedelta(hours=int(hour or 0))
    except ValueError:
        return True
    after = not until_ms or begin.timestamp() * 1000 < until_ms
    return after and (not since_ms or (begin + span).timestamp() * 1000 > since_ms)


def _file_system(place: Location) -> fs.FileSystem:
    if place.path is not None:
        return fs.SubTreeFileSystem(str(place.path), fs.LocalFileSystem())
    url = urlsplit(place.uri)
    if url.scheme not in ("s3", "s3a"):
        raise ConfigError(
            f"archives are read from directories and from S3, not from {place}. Copy it there."
        )
    told = dict(place.options)
    endpoint = urlsplit(told.get("AWS_ENDPOINT_URL", ""))
    options = {
        "access_key": told.get("AWS_ACCESS_KEY_ID"),
        "secret_key": told.get("AWS_SECRET_ACCESS_KEY"),
        "session_token": told.get("AWS_SESSION_TOKEN"),
        "region": told.get("AWS_REGION") or told.get("AWS_DEFAULT_REGION"),
        "endpoint_override": endpoint.netloc,
        "scheme": endpoint.scheme,
    }
    store = fs.S3FileSystem(**{name: value for name, value in options.items() if value})
    return fs.SubTreeFileSystem(f"{url.netloc}{url.path}", store)


@contextmanager
def _translated(place: Location) -> Iterator[None]:
    try:
        yield
    except pa.ArrowInvalid as error:
        raise DataError(f"a file below {place} is broken: {error}", origin=str(place)) from error
    except (OSError, pa.ArrowException) as error:
        raise NotReady(
            f"{place} cannot be read: {str(error)[:300]}. Check the path, the credentials and that "
            "nobody removes its files; nothing was lost, it is tried again."
        ) from error
