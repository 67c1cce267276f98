"""What may become of a table whose declared columns changed."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Refused
from penstock.ingest import evolution
from penstock.model.tables import Evolution

pytestmark = pytest.mark.unit

TYPES = [
    pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(),
    pa.decimal128(9, 2), pa.decimal128(18, 2), pa.decimal128(18, 9), pa.date32(),
]  # fmt: skip
fields = st.builds(pa.field, st.just("c"), st.sampled_from(TYPES), st.booleans())


def evolve(declared: pa.Field, existing: pa.Field, policy: Evolution) -> evolution.Evolved:
    return evolution.evolve(
        pa.schema([declared]), pa.schema([existing]), layouts=("", ""), policy=policy, place="t"
    )


@given(declared=fields, existing=fields)
def test_a_widened_column_holds_every_old_value(declared: pa.Field, existing: pa.Field) -> None:
    try:
        evolved = evolve(declared, existing, Evolution.WIDEN)
    except Refused:
        assert declared != existing
        return
    if not evolved.widened:
        assert declared == existing
        return
    extremes = {
        "int8": [-(2**7), 2**7 - 1], "int16": [-(2**15), 2**15 - 1], "int32": [-(2**31), 2**31 - 1],
        "float": [1.5, float("inf")], "decimal128(9, 2)": ["-1234567.89"],
        "decimal128(18, 2)": ["1234567890123456.78"], "decimal128(18, 9)": ["123456789.123456789"],
    }[str(existing.type)]  # fmt: skip
    decimal = pa.types.is_decimal(existing.type)
    old = pa.array(extremes).cast(existing.type) if decimal else pa.array(extremes, existing.type)
    assert old.cast(declared.type).cast(existing.type).equals(old)


@given(declared=fields, existing=fields, policy=st.sampled_from([Evolution.REFUSE, Evolution.ADD]))
def test_no_type_changes_without_leave(
    declared: pa.Field, existing: pa.Field, policy: Evolution
) -> None:
    if declared == existing:
        assert evolve(declared, existing, policy) == evolution.Evolved()
    else:
        with pytest.raises(Refused, match="c is "):
            evolve(declared, existing, policy)


def test_a_column_that_may_not_be_null_cannot_be_added() -> None:
    existing = pa.schema([("a", pa.string())])
    for field, added in (
        (pa.field("b", pa.string()), True),
        (pa.field("b", pa.string(), nullable=False), False),
    ):
        declared = existing.append(field)
        if added:
            evolved = evolution.evolve(
                declared, existing, layouts=("", ""), policy=Evolution.ADD, place="t"
            )
            assert evolved.added == (field,)
            continue
        with pytest.raises(Refused, match="b is not in the table"):
            evolution.evolve(declared, existing, layouts=("", ""), policy=Evolution.ADD, place="t")
