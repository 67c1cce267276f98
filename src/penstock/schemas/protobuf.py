"""Protobuf schemas as descriptors: what a registry has as text, compiled by protoc itself.

    Schema + those it refers to ─text─▶ files ─protoc─▶ FileDescriptorSet, the schema's file last
                                └base64▶ descriptors ──▲

protoc comes in the grpcio-tools wheel and runs as a process of its own: it takes its input from
people we do not know. Imports are found among the references, then among Google's common types.
"""

from __future__ import annotations

import base64
import binascii
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

from penstock.errors import DataError, NotReady
from penstock.schemas.registry import Schema

__all__ = ["Compiled", "compile_schema"]

_DEADLINE_S = 60

_CONFLUENT = {
    "confluent/meta.proto": """syntax = "proto3"; package confluent;
import "google/protobuf/descriptor.proto";
message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }
extend google.protobuf.FileOptions { Meta file_meta = 1088; }
extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }
""",
    "confluent/type/decimal.proto": """syntax = "proto3"; package confluent.type;
message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }
""",
}
"""What Confluent's registry takes for known, without references to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """Descriptors.

    Attributes:
        files: each after those it needs.
        main: name of the schema's own file.
    """

    files: descriptor_pb2.FileDescriptorSet
    main: str


def compile_schema(schema: Schema, referred: Mapping[str, Schema]) -> Compiled:
    """Return the schema's descriptors with all that they need.

    Raises:
        DataError: when it cannot be compiled; the message has protoc's words.
        NotReady: when protoc does not end.
    """
    described = _descriptor(schema.text)
    main = described.name if described is not None else f"penstock/schema_{schema.id}.proto"
    sources = {name: each.text for name, each in referred.items()} | {main: schema.text}
    with tempfile.TemporaryDirectory(prefix="penstock-protoc-") as scratch:
        return Compiled(files=_compile(sources, main, Path(scratch)), main=main)


def _descriptor(text: str) -> descriptor_pb2.FileDescriptorProto | None:
    """Return the descriptor that some clients register in base64, or None for source text."""
    try:
        found = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, DecodeError):
        return None
    return found if found.name else None


def _compile(
    sources: Mapping[str, str], main: str, scratch: Path
) -> descriptor_pb2.FileDescriptorSet:
    described = descriptor_pb2.FileDescriptorSet()
    for name, text in (_CONFLUENT | dict(sources)).items():
        if (found := _descriptor(text)) is not None:
            found.name = name
            described.file.append(found)
        else:
            _write(scratch / "sources", name, text)
    given, made = scratch / "given", scratch / "made"
    given.write_bytes(described.SerializeToString())
    _run(
        f"--proto_path={scratch / 'sources'}",
        *(f"--proto_path={path}" for path in _common_types()),
        *([f"--descriptor_set_in={given}"] if described.file else []),
        "--include_imports",
        f"--descriptor_set_out={made}",
        main,
        scratch=scratch,
    )
    return descriptor_pb2.FileDescriptorSet.FromString(made.read_bytes())


def _write(directory: Path, name: str, text: str) -> None:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise DataError(f"the schema's file {name!r} is no name below a directory")
    path = directory.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _common_types() -> tuple[Path, Path]:
    """Return where google/protobuf/*.proto and google/type/*.proto are."""
    tools = Path(str(resources.files("grpc_tools").joinpath("_proto")))
    types = Path(str(resources.files("google.type").joinpath("date.proto")))
    return tools, types.parents[2]


def _run(*arguments: str, scratch: Path) -> None:
    try:
        done = subprocess.run(
            # -I: nothing of the directory it runs in is imported.
            [sys.executable, "-I", "-m", "grpc_tools.protoc", *arguments],
            check=False,
            capture_output=True,
            cwd=scratch,
            timeout=_DEADLINE_S,
        )
    except subprocess.TimeoutExpired as error:
        raise NotReady(
            f"protoc did not end within {_DEADLINE_S} s. The machine may be overloaded; it is "
            "tried again."
        ) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise DataError(f"its schema cannot be compiled: {said}")
