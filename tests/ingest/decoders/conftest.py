"""A registry that breaks when told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.schemas import stub as stubs


@pytest.fixture
def stub() -> Iterator[stubs.Stub]:
    """Give a registry that answers, and breaks, as it is told."""
    with stubs.serve() as running:
        yield running
