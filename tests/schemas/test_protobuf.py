"""Protobuf schemas compiled: text, descriptors in base64, and both together."""

from __future__ import annotations

import base64

import pytest

from penstock.errors import DataError
from penstock.schemas.protobuf import compile_schema
from penstock.schemas.registry import Kind, Schema

pytestmark = pytest.mark.unit

TAG = 'syntax = "proto3"; package a; message Tag { string name = 1; }'
ITEM = 'syntax = "proto3"; package a; import "dir/tag.proto"; message Item { Tag tag = 1; }'


def schema(text: str) -> Schema:
    return Schema(id=3, kind=Kind.PROTOBUF, text=text)


def described(text: str, name: str, referred: dict[str, Schema]) -> Schema:
    """Give the schema as confluent-kafka's serializer registers it."""
    file = compile_schema(schema(text), referred).files.file[-1]
    file.name = name
    return schema(base64.b64encode(file.SerializeToString()).decode())


@pytest.mark.parametrize("tag_in_base64", [False, True])
@pytest.mark.parametrize("item_in_base64", [False, True])
def test_text_and_base64_give_the_same_descriptors(
    tag_in_base64: bool, item_in_base64: bool
) -> None:
    tag = described(TAG, "dir/tag.proto", {}) if tag_in_base64 else schema(TAG)
    referred = {"dir/tag.proto": tag}
    item = described(ITEM, "item.proto", referred) if item_in_base64 else schema(ITEM)
    compiled = compile_schema(item, referred)
    assert compiled.main == ("item.proto" if item_in_base64 else "penstock/schema_3.proto")
    assert [file.name for file in compiled.files.file] == ["dir/tag.proto", compiled.main]
    assert compiled.files.file[-1].message_type[0].field[0].type_name == ".a.Tag"


@pytest.mark.parametrize(
    ("text", "referred", "said"),
    [
        ("message {", {}, "cannot be compiled"),
        ('syntax = "proto3"; import "gone.proto";', {}, "gone.proto"),
        (TAG, {"../../etc/x": TAG}, "no name below a directory"),
        (TAG, {"/etc/x": TAG}, "no name below a directory"),
    ],
)
def test_what_cannot_be_compiled_says_why(text: str, referred: dict[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        compile_schema(schema(text), {name: schema(each) for name, each in referred.items()})
