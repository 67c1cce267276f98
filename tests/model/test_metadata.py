from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from tests.strategies import snapshots

from penstock.model import metadata

pytestmark = pytest.mark.unit


@given(snapshots, snapshots)
def test_a_difference_applied_gives_the_new_snapshot(
    old: metadata.Snapshot, new: metadata.Snapshot
) -> None:
    new = replace(new, version=old.version + 1)
    assert metadata.apply(old, metadata.difference(old, new)) == new


@given(snapshots, snapshots)
def test_a_late_delta_changes_nothing(old: metadata.Snapshot, new: metadata.Snapshot) -> None:
    late = replace(metadata.difference(old, new), version=old.version)
    assert metadata.apply(old, late) is old


@given(snapshots)
def test_a_snapshot_does_not_differ_from_itself(snapshot: metadata.Snapshot) -> None:
    assert metadata.difference(snapshot, snapshot).empty
