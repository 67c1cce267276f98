"""The transform on a machine without a JDK: compiled by the wheel's Java, run by it, once made."""

from __future__ import annotations

import json
import os
import re
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
NAMES = ("postgres", "postgres-precise", "postgres-nanoseconds", "mongodb", "mongo-kafka")
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
    found = smt.sources()
    locked = smt._locked([smt._COMPILER])
    changed = found | {"resources/more": b"1"}
    assert smt._key(found, locked) == smt._key(dict(found), locked)
    assert smt._key(found, locked) != smt._key(changed, locked)
    assert smt._key(found, locked) != smt._key(found, [])
    monkeypatch.setattr(smt, "sources", lambda: changed)
    with zipfile.ZipFile(jar_of(smt.install())) as jar:
        assert jar.read("more") == b"1"


@pytest.mark.real
def test_several_processes_make_one_and_the_same_jar_without_a_jdk(fresh, tmp_path, monkeypatch):
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
    # Wherever and whenever it is made, it is the same byte for byte.
    monkeypatch.undo()
    assert jar_of(Path(plugin)).read_bytes() == jar_of(smt.install()).read_bytes()


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


@pytest.mark.real
def test_real_records_become_the_expected_events(tmp_path):
    jars = [jar_of(smt.install()), *plugins.worker_jars()]
    (compiler,) = artifacts.fetch(smt._locked([smt._COMPILER]))
    source = ROOT / "java/connect/src/test/java/org/penstock/connect/Recorded.java"
    arguments = ["-17", "-proc:none", "-nowarn", "-encoding", "UTF-8"]
    arguments += ["-classpath", os.pathsep.join(map(str, jars)), "-d", str(tmp_path), str(source)]
    run([compiler], smt._MAIN, arguments)
    recorded = [str(RECORDED / f"{name}.json") for name in NAMES]
    main = "org.penstock.connect.Recorded"
    said = run([tmp_path, *jars], main, [*recorded, "ignored.namespaces=shop.signal"])
    expected = "".join((RECORDED / f"{name}.events.jsonl").read_text("utf-8") for name in NAMES)
    assert list(map(json.loads, said.splitlines())) == list(map(json.loads, expected.splitlines()))


def run(class_path: list[Path], main: str, arguments: list[str]) -> str:
    """Run a class on the wheel's Java."""
    command = java.command(class_path, main, arguments=arguments)
    return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout.decode()


@pytest.mark.unit
def test_both_connectors_for_mongodb_end_with_the_same_rows():
    debezium, mongo_kafka = rows("mongodb"), rows("mongo-kafka")
    assert debezium == mongo_kafka
    assert len(debezium) == 4


def rows(name: str) -> dict[str, object]:
    """Return what the events of a recording leave, by table and key."""
    left: dict[str, dict[str, object]] = {}
    for line in (RECORDED / f"{name}.events.jsonl").read_text("utf-8").splitlines():
        event = json.loads(line).get("value")
        key = event and f"{event['ns']} {event['pk']}"
        match event:
            case {"oc": "I", "va": values}:
                left[key] = values
            case {"oc": "U", "va": values}:
                # A field that a document lacks is null as a column.
                left[key] = {k: v for k, v in (left[key] | values).items() if v is not None}
            case {"oc": "D"}:
                del left[key]
    return left


@pytest.mark.unit
def test_every_setting_is_documented():
    settings = smt.sources()["java/org/penstock/connect/Settings.java"].decode()
    names = set(re.findall(r'String [A-Z_]+ = "([a-z.]+)";', settings)) - {"none"}
    page = (ROOT / "docs/reference/change-events.md").read_text("utf-8")
    assert len(names) == 8
    assert {name for name in names if f"| `{name}` |" in page} == names
