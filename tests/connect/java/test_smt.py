"""The transform on a machine without a JDK: compiled by the wheel's Java, run by it, once made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from penstock.errors import ConfigError, RemoteError
from penstock.runtime import artifacts, java, plugins, smt

ROOT = Path(__file__).resolve().parents[3]
RECORDED = ROOT / "tests" / "connect" / "recorded"
JAVA_17 = 61


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Give a cache that has the artifacts and nothing made of them."""
    fetched = artifacts.cache_directory() / "artifacts"
    smt.install()  # so that the artifacts are there
    made = tmp_path / "cache"
    made.mkdir()
    (made / "artifacts").symlink_to(fetched)
    monkeypatch.setenv("PENSTOCK_CACHE", str(made))
    return made


def jar_of(plugin: Path) -> Path:
    (jar,) = plugin.iterdir()
    return jar


@pytest.mark.unit
def test_the_sources_are_the_transforms_and_its_manifest():
    found = smt.sources()
    assert "java/org/penstock/connect/StandardEvent.java" in found
    manifest = found[
        "resources/META-INF/services/org.apache.kafka.connect.transforms.Transformation"
    ]
    assert manifest.decode().split() == ["org.penstock.connect.StandardEvent"]
    assert not [path for path in found if "Test" in path]


@pytest.mark.unit
def test_the_wheel_carries_the_sources():
    assert (
        '"java/connect/src/main" = "penstock/runtime/smt_sources"'
        in (ROOT / "pyproject.toml").read_text()
    )


@pytest.mark.real
def test_it_is_made_once(fresh):
    jar = jar_of(smt.install())
    made_ns = jar.stat().st_mtime_ns
    assert jar_of(smt.install()) == jar
    assert jar.stat().st_mtime_ns == made_ns
    assert [path.name for path in (fresh / "connect").iterdir() if path.is_dir()] == [
        jar.parent.parent.name
    ]


@pytest.mark.real
@pytest.mark.usefixtures("fresh")
def test_another_source_is_another_jar(monkeypatch):
    first = smt.install()
    found = smt.sources()
    changed = found | {"resources/more": b"1"}
    monkeypatch.setattr(smt, "sources", lambda: changed)
    second = smt.install()
    assert first != second
    with zipfile.ZipFile(jar_of(second)) as jar:
        assert jar.read("more") == b"1"


@pytest.mark.real
def test_several_processes_make_one_and_the_same_jar_without_a_jdk(fresh, tmp_path):
    # Nothing is on the path: no java, no javac, no mvn.
    environment = {"PATH": str(tmp_path), "PENSTOCK_CACHE": str(fresh), "JAVA_HOME": "/nowhere"}
    program = "from penstock.runtime import smt; print(smt.install())"

    def install(_: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout.strip()

    with ThreadPoolExecutor(3) as threads:
        (plugin,) = set(threads.map(install, range(3)))
    with zipfile.ZipFile(jar_of(Path(plugin))) as jar:
        assert jar.testzip() is None
        classes = [name for name in jar.namelist() if name.endswith(".class")]
        assert "org/penstock/connect/StandardEvent.class" in classes
        assert {jar.read(name)[7] for name in classes} == {JAVA_17}
        assert {entry.date_time[0] for entry in jar.infolist()} == {1980}


@pytest.mark.real
def test_the_jar_is_the_same_byte_for_byte(fresh, monkeypatch, tmp_path):
    first = jar_of(smt.install()).read_bytes()
    again = tmp_path / "again"
    again.mkdir()
    (again / "artifacts").symlink_to((fresh / "artifacts").resolve())
    monkeypatch.setenv("PENSTOCK_CACHE", str(again))
    assert jar_of(smt.install()).read_bytes() == first


@pytest.mark.real
def test_sources_that_do_not_compile_are_told_and_leave_nothing(fresh, monkeypatch):
    broken = {"java/Broken.java": b"class Broken { int x = ; }"}
    monkeypatch.setattr(smt, "sources", lambda: broken)
    with pytest.raises(RemoteError, match=r"Broken\.java"):
        smt.install()
    assert list((fresh / "connect").rglob("*.jar")) == []


@pytest.mark.unit
def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    place = tmp_path / "file"
    place.write_text("")
    monkeypatch.setenv("PENSTOCK_CACHE", str(place))
    with pytest.raises(ConfigError, match="PENSTOCK_CACHE"):
        smt.install()


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    """Give the command that replays recorded records, on the wheel's Java and the user's jar."""
    scratch = tmp_path_factory.mktemp("replay")
    jars = [jar_of(smt.install()), *plugins.worker_jars()]
    (compiler,) = artifacts.fetch(smt._locked([smt._COMPILER]))
    source = ROOT / "java/connect/src/test/java/org/penstock/connect/Recorded.java"
    arguments = ["-17", "-proc:none", "-nowarn", "-encoding", "UTF-8"]
    arguments += ["-classpath", os.pathsep.join(map(str, jars)), "-d", str(scratch), str(source)]
    command = java.command([compiler], smt._MAIN, arguments=arguments)
    subprocess.run(command, check=True, capture_output=True, timeout=120)

    def run(*arguments: str) -> list[str]:
        main = "org.penstock.connect.Recorded"
        command = java.command([scratch, *jars], main, arguments=arguments)
        done = subprocess.run(command, check=True, capture_output=True, timeout=120)
        return done.stdout.decode().splitlines()

    return run


@pytest.mark.real
@pytest.mark.parametrize(
    "name", ["postgres", "postgres-precise", "postgres-nanoseconds", "mongodb", "mongo-kafka"]
)
def test_real_records_become_the_expected_events(replay, name):
    said = replay(str(RECORDED / f"{name}.json"), "ignored.namespaces=shop.signal")
    expected = (RECORDED / f"{name}.events.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in said] == [json.loads(line) for line in expected]


@pytest.mark.unit
def test_both_connectors_for_mongodb_tell_of_the_same_changes():
    told = [
        [
            (event["oc"], event["ns"], event["pk"], event["va"])
            for line in (RECORDED / f"{name}.events.jsonl").read_text("utf-8").splitlines()
            if (event := json.loads(line).get("value"))
        ]
        for name in ("mongodb", "mongo-kafka")
    ]
    assert told[0] == told[1]
    assert {event[0] for event in told[0]} == {"I", "U", "D"}
