"""The schemas editors read say what validation says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from penstock.control.declare.documents import KINDS
from penstock.control.declare.schema import all_schemas, schema

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]


def test_every_kind_has_a_schema_in_the_tree() -> None:
    written = {path.name: json.loads(path.read_text()) for path in (ROOT / "schemas").iterdir()}
    assert written == all_schemas()
    assert len(written) == len(KINDS) + 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_tells_every_field_and_takes_no_other(kind: str) -> None:
    made = schema(kind)
    assert made["additionalProperties"] is False
    for name, field in made["properties"].items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
        assert name == "kind" or field["description"]
        assert field.get("default", ...) is not None


def test_human_units_have_patterns() -> None:
    fields = schema("Topic")["properties"]
    for name, good, bad in [
        ("retention", ["7d", "1.5 h", "forever"], ["7", "7 days", ""]),
        ("segment", ["500ms"], ["forever"]),
        ("max-message", ["1MiB", "10 KB"], ["1M", "unlimited"]),
        ("retention-bytes", ["unlimited", "5B"], ["5"]),
    ]:
        pattern = fields[name]["pattern"]
        assert all(re.search(pattern, text) for text in good)
        assert not any(re.search(pattern, text) for text in bad)
