"""Artifacts from a real HTTP mirror on this machine, well behaved and not."""

from __future__ import annotations

import errno
import multiprocessing
import os

import pytest

from penstock.errors import ConfigError, NotReady, RemoteError
from penstock.runtime import artifacts, download

pytestmark = pytest.mark.usefixtures("cache")

CONTENT = bytes(range(256)) * 4096


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(download, "_FIRST_PAUSE_S", 0.0)


@pytest.mark.unit
def test_the_shipped_lock_is_the_brokers_45_jars():
    locked = artifacts.kafka_broker()
    assert len(locked) == 45
    assert sum(a.size_bytes for a in locked) == 45_333_764
    assert any(a.path.endswith("/kafka_2.13-4.3.1.jar") for a in locked)
    assert not any("jetty" in a.path for a in locked)


@pytest.mark.unit
@pytest.mark.parametrize(
    "line",
    [
        "",
        "abc 1 a.jar",
        "0" * 64 + " one a.jar",
        "0" * 64 + " 1 ../a.jar",
        "0" * 64 + " 1 /etc/passwd",
        "0" * 64 + " 1 a.jar extra",
    ],
)
def test_a_broken_lock_line_is_named(line):
    good = "0" * 64 + " 1 org/a.jar"
    with pytest.raises(ConfigError, match=r"x\.lock:2: "):
        artifacts.parse_lock(f"{good}\n{line}\n", name="x.lock")


@pytest.mark.real
def test_what_was_fetched_needs_no_mirror_any_more(mirror):
    wanted = [mirror.add("org/a/a.jar", CONTENT), mirror.add("org/b/b.jar", b"b")]
    seen = []
    paths = artifacts.fetch(wanted, progress=lambda there, total: seen.append((there, total)))
    assert [p.read_bytes() for p in paths] == [CONTENT, b"b"]
    assert seen[-1] == (len(CONTENT) + 1, len(CONTENT) + 1)
    mirror.requests.clear()
    assert artifacts.fetch(wanted) == paths
    assert mirror.requests == []


@pytest.mark.real
def test_a_cut_line_goes_on_where_it_stopped(mirror):
    wanted = mirror.add("org/a/a.jar", CONTENT)
    mirror.cut_after = 300_000
    (path,) = artifacts.fetch([wanted])
    assert path.read_bytes() == CONTENT
    (_, first), (_, second) = mirror.requests
    assert first is None
    assert second is not None
    assert int(second.removeprefix("bytes=").rstrip("-")) > 0


@pytest.mark.real
def test_a_mirror_without_ranges_serves_the_whole_again(mirror):
    wanted = mirror.add("org/a/a.jar", CONTENT)
    mirror.ranges, mirror.cut_after = False, 300_000
    (path,) = artifacts.fetch([wanted])
    assert path.read_bytes() == CONTENT


@pytest.mark.real
def test_a_server_in_trouble_is_asked_again(mirror):
    wanted = mirror.add("org/a/a.jar", CONTENT)
    mirror.failing = 3
    (path,) = artifacts.fetch([wanted])
    assert path.read_bytes() == CONTENT


@pytest.mark.real
def test_a_server_that_stays_in_trouble_is_not_ready(mirror):
    wanted = mirror.add("org/a/a.jar", CONTENT)
    mirror.failing = 99
    with pytest.raises(NotReady, match=r"503.*PENSTOCK_MAVEN_MIRROR"):
        artifacts.fetch([wanted])


@pytest.mark.real
def test_a_mirror_with_another_file_by_that_name_is_refused_with_both_hashes(mirror, cache):
    wanted = mirror.add("org/a/a.jar", CONTENT)
    mirror.files["org/a/a.jar"] = CONTENT[::-1]
    with pytest.raises(RemoteError) as caught:
        artifacts.fetch([wanted])
    assert "a.jar" in caught.value.message
    assert wanted.sha256 in caught.value.message
    assert "PENSTOCK_MAVEN_MIRROR" in caught.value.message
    assert not list((cache / "artifacts").rglob("a.jar*"))


@pytest.mark.real
def test_a_mirror_without_the_file_is_told_at_once(mirror):
    wanted = mirror.add("org/a/a.jar", CONTENT)
    del mirror.files["org/a/a.jar"]
    with pytest.raises(RemoteError, match="404"):
        artifacts.fetch([wanted])
    assert len(mirror.requests) == 1


@pytest.mark.real
@pytest.mark.parametrize("damage", [b"short", CONTENT[::-1]], ids=["size", "content"])
def test_a_corrupted_artifact_is_found_and_fetched_again(mirror, damage):
    wanted = mirror.add("org/a/a.jar", CONTENT)
    (path,) = artifacts.fetch([wanted])
    path.write_bytes(damage)
    assert artifacts.fetch([wanted]) == (path,)
    assert path.read_bytes() == CONTENT


@pytest.mark.real
def test_a_touched_but_good_artifact_is_kept_without_fetching(mirror):
    wanted = mirror.add("org/a/a.jar", CONTENT)
    (path,) = artifacts.fetch([wanted])
    mirror.requests.clear()
    path.touch()
    artifacts.fetch([wanted])
    assert mirror.requests == []


@pytest.mark.real
def test_bad_bytes_kept_from_an_earlier_try_do_not_blame_the_mirror(mirror, cache):
    wanted = mirror.add("org/a/a.jar", CONTENT)
    part = cache / "artifacts/org/a/a.jar.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    (path,) = artifacts.fetch([wanted])
    assert path.read_bytes() == CONTENT


@pytest.mark.real
def test_two_processes_fetch_each_file_once(mirror):
    wanted = [mirror.add(f"org/{n}.jar", CONTENT) for n in range(4)]
    spawning = multiprocessing.get_context("spawn")
    both = [spawning.Process(target=artifacts.fetch, args=(wanted,)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert [one.exitcode for one in both] == [0, 0]
    assert len(mirror.requests) == 4


@pytest.mark.real
def test_a_full_disk_says_how_much_and_where_else(mirror, monkeypatch):
    wanted = mirror.add("org/a/a.jar", CONTENT)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download.os, "fsync", full)
    with pytest.raises(NotReady, match=r"full.*1 MB.*PENSTOCK_CACHE"):
        artifacts.fetch([wanted])


@pytest.mark.unit
def test_a_mirror_that_is_no_address_is_refused(monkeypatch):
    monkeypatch.setenv("PENSTOCK_MAVEN_MIRROR", "mirror.example")
    wanted = artifacts.Artifact(path="org/a.jar", size_bytes=1, sha256="0" * 64)
    with pytest.raises(ConfigError, match=r"PENSTOCK_MAVEN_MIRROR is 'mirror.example'"):
        artifacts.fetch([wanted])


@pytest.mark.real
def test_a_cache_that_cannot_be_written_names_the_setting(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "file"))
    wanted = artifacts.Artifact(path="org/a.jar", size_bytes=1, sha256="0" * 64)
    with pytest.raises(ConfigError, match="PENSTOCK_CACHE"):
        artifacts.fetch([wanted])
