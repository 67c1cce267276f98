from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import errors, units
from penstock.model import names

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("7d", 604_800_000),
        ("1.5h", 5_400_000),
        ("250 ms", 250),
        ("forever", -1),
        ("2w", 1_209_600_000),
    ],
)
def test_durations_are_read(text: str, ms: int) -> None:
    assert units.parse_ms(text) == ms


@pytest.mark.parametrize("text", ["", "7", "d", "-7d", "7 days", "1.5ms", "7D", "∞"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write e\.g\. 7d"):
        units.parse_ms(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("1KiB", 1_024), ("64 MiB", 67_108_864), ("10GB", 10**10), ("unlimited", -1)],
)
def test_sizes_are_read(text: str, count: int) -> None:
    assert units.parse_bytes(text) == count


@given(st.integers(-1, 2**60))
def test_what_is_rendered_is_read_back(amount: int) -> None:
    assert units.parse_ms(units.format_ms(amount)) == amount
    assert units.parse_bytes(units.format_bytes(amount)) == amount


@pytest.mark.parametrize("name", ["a", "A.b_c-1", "x" * 249])
def test_kafka_takes_these_topics(name: str) -> None:
    assert names.explain_bad_topic(name) is None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a b", "ä", "a/b", "x" * 250, "__consumer_offsets"]
)
def test_kafka_refuses_these_topics(name: str) -> None:
    assert names.explain_bad_topic(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a.b", "x" * 64])
def test_these_are_no_names_of_clusters(name: str) -> None:
    assert names.explain_bad_name(name)


def test_dots_and_underscores_collide() -> None:
    assert names.collision_key("a.b") == names.collision_key("a_b")


def test_a_config_error_names_every_fault_with_its_line() -> None:
    faults = [
        errors.Fault(file="a.yaml", line=3, what="partitions is 0", next_step="Write 1 or more."),
        errors.Fault(file="PENSTOCK_HOME", line=0, what="is empty", next_step="Name a directory."),
    ]
    error = errors.ConfigError("2 faults.", faults=faults)
    assert error.message.splitlines()[1:] == [
        "a.yaml:3: partitions is 0. Write 1 or more.",
        "PENSTOCK_HOME: is empty. Name a directory.",
    ]
    assert error.exit_code == 3
