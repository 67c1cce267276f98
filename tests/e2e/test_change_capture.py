"""A PostgreSQL and its tables in the lake are equal, after every part was killed once."""

from __future__ import annotations

import json
import subprocess

import pytest
from tests.platforms import BIN, bare_environment

pytestmark = pytest.mark.real

PARTS = ["ingest", "connect-primary-1", "primary-1", "postgres-shop"]


@pytest.mark.timeout(900)
def test_the_shop_is_equal_after_a_kill_of_every_part(tmp_path, wait_until):
    """Without Java, javac and Maven on PATH: the transform is compiled on the wheel's Java."""
    home = tmp_path / "home"
    command = [str(BIN / "penstock"), "demo", "cdc", "--seconds", "30", "--home", str(home)]
    log = tmp_path / "told"
    with log.open("w") as told:
        demo = subprocess.Popen(
            [*command, "--rate", "300", "--json"],
            env=bare_environment(home),
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        )
        try:
            wait_until(lambda: "Killed postgres-shop" in log.read_text(), timeout_s=180)
            wait_until(lambda: compared(home), timeout_s=120, message="table verify says equal")
            result = json.loads(demo.communicate(timeout=300)[0])
        finally:
            demo.kill()
    assert demo.returncode == 0, log.read_text()
    assert result["equal"], result["faults"]
    assert result["kills"] == PARTS
    assert result["changes"] > 1_000
    # Also where the last comparison ended after the 30 s, and the load with it.
    assert result["changes_per_s"] <= 1.1 * 300
    assert result["rows"] > 3_000


def compared(home):
    """Compare by the command while it all runs; a part that is just coming back is no verdict."""
    done = subprocess.run(
        [str(BIN / "penstock"), "table", "verify", "orders", "--json", "--home", home / "demo/cdc"],
        env=bare_environment(home),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode in (0, 4), done.stdout + done.stderr
    return done.returncode == 0 and json.loads(done.stdout)["equal"]
