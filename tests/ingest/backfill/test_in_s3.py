"""An archive in S3 is read back as one in a directory is."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from tests.ingest.backfill.worlds import event, held, load_of, shop
from tests.ingest.test_object_stores import lake, s3

from penstock.errors import ConfigError
from penstock.ingest.archive import layout
from penstock.ingest.backfill.files import Files
from penstock.ingest.locations import locate
from penstock.ingest.records import RAW

pytestmark = pytest.mark.real
__all__ = ["lake", "s3"]  # fixtures of theirs


@pytest.mark.parametrize("kind", list(layout.Format))
def test_an_archive_in_s3(lake: str, tmp_path: Path, kind: layout.Format) -> None:
    rows = [
        {
            "cluster": "c", "topic": "t", "partition": 0, "offset": n, "timestamp_ms": n * 3_600_000,
            "key": b"k", "value": event("I", n, n, sequence=n), "record_id": None,
        }
        for n in range(40)
    ]  # fmt: skip
    place = locate("archive", lake=lake)
    for name, own in layout.files_of(1, pa.Table.from_pylist(rows, schema=RAW), kind):
        assert place.create(name, layout.encoded(own, kind))
    since_ms, until_ms = 5 * 3_600_000, 30 * 3_600_000
    files = Files(place).parts(since_ms=since_ms, until_ms=until_ms, part_rows=10)
    assert len(files) == 25, "files of other hours are not looked at"
    done = load_of(shop("t"), tmp_path, place.uri, since_ms=since_ms, until_ms=until_ms).run()
    assert (done.state, done.rows) == ("done", 25)
    assert held(shop("t"), tmp_path) == {n: n for n in range(5, 30)}
    with pytest.raises(ConfigError, match="nothing is at"):
        Files(locate("nothing", lake=lake))
