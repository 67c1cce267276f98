"""Strategies of Hypothesis: changes in any order, with repeats."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.ingest.merge.worlds import Event

keys = st.tuples(st.integers(1, 2), st.sampled_from("xy"))
values = st.fixed_dictionaries(
    {}, optional={"a": st.none() | st.integers(0, 9), "b": st.none() | st.text(max_size=2)}
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Changes of a few keys, each with marks of its own, in any order and some of them twice."""
    events = [
        Event(
            key=draw(keys),
            operation=draw(st.sampled_from("IUUUD")),
            sequence=draw(st.none() | st.integers(0, 3)),
            time=draw(st.integers(0, 3)),
            offset=offset,
            values=draw(values),
        )
        for offset in range(draw(st.integers(1, 12)))
    ]
    repeated = draw(st.lists(st.sampled_from(events), max_size=4))
    return draw(st.permutations([*events, *repeated]))
