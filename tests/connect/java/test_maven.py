"""The transform's own tests, in Java; they need Maven, which a user does not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from penstock.runtime import smt

PROJECT = Path(__file__).resolve().parents[3] / "java" / "connect"
MAVEN = shutil.which("mvn")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(MAVEN is None, reason="mvn is not on this machine; CI has it"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Give the directory into which Maven built and tested."""
    target = tmp_path_factory.mktemp("maven") / "target"
    command = [MAVEN or "", "-B", "-ntp", f"-Dpenstock.target={target}", "package"]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, "MAVEN_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    return target


def test_the_transforms_own_tests_pass(built):
    reports = list((built / "surefire-reports").glob("TEST-*.xml"))
    counts = [
        tuple(
            map(int, re.findall(r'(?:tests|errors|skipped|failures)="(\d+)"', report.read_text()))
        )
        for report in reports
    ]
    assert len(reports) >= 7
    assert sum(count[0] for count in counts) >= 150
    assert {count[1:4] for count in counts} == {(0, 0, 0)}


def test_mavens_jar_and_the_users_hold_the_same(built):
    (mavens,) = built.glob("*.jar")
    (users,) = smt.install().iterdir()
    assert _entries(mavens) == _entries(users)


def _entries(jar: Path) -> set[str]:
    # Of a switch over an enum javac makes a class of its own, X$1; the other compiler does not.
    own = re.compile(r"META-INF/services/.+|[\w/]+(?:\$[A-Z]\w*)?\.class")
    with zipfile.ZipFile(jar) as archive:
        return {name for name in archive.namelist() if own.fullmatch(name)}
