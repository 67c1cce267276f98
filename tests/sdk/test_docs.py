"""The profiles' table in the reference is made from the profiles.

``python -m tests.sdk.test_docs`` writes it anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from penstock.sdk.profiles import CONSUMER, OVERRIDES, PRODUCER, Profile, Setting

pytestmark = pytest.mark.docs

PAGE = Path(__file__).parents[2] / "docs/reference/sdk.md"
MARK = "<!-- From here on made by python -m tests.sdk.test_docs -->\n"


def render() -> str:
    """Return the generated part of the page."""
    lines = [f"- `{profile}`: {MEANINGS[profile]}" for profile in Profile]
    lines += ["", *table("producer", PRODUCER), "", *table("consumer", CONSUMER)]
    allowed = ", ".join(f"`{name}`" for name in sorted(OVERRIDES))
    return "\n".join([*lines, "", f"What may be overridden: {allowed}.", ""])


def table(title: str, profiles: Mapping[Profile, tuple[Setting, ...]]) -> list[str]:
    """Return a table of every setting, with the profiles that have it."""
    having: dict[Setting, list[Profile]] = {}
    for profile, settings in profiles.items():
        for setting in settings:
            having.setdefault(setting, []).append(profile)
    return [
        f"| {title} setting | value | profiles | because |",
        "|---|---|---|---|",
        *(
            f"| `{s.name}` | {s.value} | {'all' if len(p) == len(Profile) else ', '.join(p)} |"
            f" {s.reason} |"
            for s, p in having.items()
        ),
    ]


MEANINGS = {
    Profile.LATENCY: "each record leaves at once",
    Profile.THROUGHPUT: "big compressed batches; a record may wait 20 ms for company",
    Profile.DURABLE: "the default: leaves within 2 ms, and rides out a rolling restart",
    Profile.SHORT_LIVED: "for functions and commands: gives up early, holds little",
}


def test_the_profiles_of_the_reference_are_the_codes() -> None:
    assert PAGE.read_text().partition(MARK)[2] == render()


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().partition(MARK)[0] + MARK + render())
