"""The reference page's mappings, each line of them, as the decoders have them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.ingest.decoders import protos

from penstock.ingest import arrow_types
from penstock.ingest.decoders.avro import FiledAvro
from penstock.ingest.decoders.protobuf import DescribedProtobuf

pytestmark = pytest.mark.docs

PAGE = (Path(__file__).parents[3] / "docs/reference/decoders.md").read_text()


def lines(name: str) -> list[tuple[str, str]]:
    table = PAGE.split(f"<!-- {name} -->")[1].split("<!-- end -->")[0]
    return re.findall(r"^\| `(.+)` \| `(.+)` \|$", table, re.MULTILINE)


def test_every_field_of_protobuf_is_the_column_that_the_page_says() -> None:
    told = lines("protobuf")
    assert len(told) > 40
    head = protos.EVERYTHING.partition("message Item")[0]
    kinds = "message Item { string sku = 1; } message Tree { string name = 1; repeated Tree branches = 2; }"
    fields = [
        f"{field.removesuffix(' x')} f{number} = {number};"
        for number, (field, _) in enumerate(told, start=1)
    ]
    decoder = DescribedProtobuf(
        protos.compiled(f"{head} {kinds} message All {{ {' '.join(fields)} }}"), "shop.All", None
    )
    found = [str(arrow_types.from_arrow(field.type)) for field in decoder.schema]
    assert found == [column for _, column in told]


def test_every_type_of_avro_is_the_column_that_the_page_says() -> None:
    told = lines("avro")
    assert len(told) > 25
    fields = [
        {"name": f"f{number}", "type": json.loads(kind)} for number, (kind, _) in enumerate(told)
    ]
    schema = {"type": "record", "name": "R", "fields": fields}
    found = FiledAvro(json.dumps(schema), None).schema
    assert [str(arrow_types.from_arrow(f.type)) for f in found] == [column for _, column in told]
