"""Workers and PostgreSQL as parts of the runtime: what is written, and who can get at it."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from tests.connect.stack import Stack

from penstock.errors import ConfigError
from penstock.model.connectors import Kind
from penstock.runtime import connect, plugins, postgres
from penstock.testing.plugin import WaitUntil

unit = pytest.mark.unit
real = pytest.mark.real


def _archive(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 3
            tar.addfile(entry, io.BytesIO(b"jar"))
    return path


@unit
def test_a_worker_keeps_to_its_machine_and_its_secrets(tmp_path: Path) -> None:
    group = connect.prepare(
        tmp_path, "cdc", bootstrap="127.0.0.1:1", brokers=3, plugins=[tmp_path / "p"], workers=2
    )
    one, two = group.workers
    assert one.port != two.port
    text = (one.directory / "worker.properties").read_text()
    settings = dict(line.partition("=")[::2] for line in text.splitlines())
    assert settings["listeners"] == f"http://127.0.0.1:{one.port}"
    assert settings["config.providers.file.param.allowed.paths"] == str(tmp_path / "secrets")
    assert settings["offset.storage.replication.factor"] == "3"
    assert settings["offset.storage.min.insync.replicas"] == "2"
    assert stat.S_IMODE((one.directory / "worker.properties").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert connect.addresses(tmp_path) == {"cdc": [one.address, two.address]}


@unit
def test_ports_stay_over_restarts(tmp_path: Path) -> None:
    made = [
        connect.prepare(tmp_path, "cdc", bootstrap="b:1", brokers=1, plugins=[]) for _ in range(2)
    ]
    assert made[0] == made[1]


@unit
@pytest.mark.parametrize("heap", ["12", "lots", "-5"])
def test_a_heap_no_worker_starts_with_is_refused(
    heap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_CONNECT_HEAP_MIB", heap)
    with pytest.raises(ConfigError, match="PENSTOCK_CONNECT_HEAP_MIB"):
        connect.heap_mib()


@unit
def test_a_plugin_is_unpacked_once_by_whoever_comes_first(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "p.tar.gz", "plugin/a.jar", "plugin/b.jar")
    target = tmp_path / "cache" / "p"
    target.parent.mkdir()
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: plugins.unpacked(archive, target), range(16))) == {target}
    assert sorted(p.name for p in target.rglob("*.jar")) == ["a.jar", "b.jar"]
    assert [p for p in target.parent.iterdir() if p.name.startswith(".")] == []


@unit
@pytest.mark.parametrize("name", ["../outside.jar", "/etc/outside.jar"])
def test_a_plugin_cannot_write_beside_its_directory(name: str, tmp_path: Path) -> None:
    archive = _archive(tmp_path / "p.tar.gz", "plugin/a.jar", name)
    target = tmp_path / "cache" / "p"
    target.parent.mkdir()
    if name.startswith("/"):  # taken as a name below the directory
        plugins.unpacked(archive, target)
        assert (target / "etc/outside.jar").exists()
    else:
        with pytest.raises(ConfigError, match="could not be unpacked"):
            plugins.unpacked(archive, target)
        assert not target.exists()
    assert not (tmp_path / "cache" / "outside.jar").exists()


@unit
def test_a_link_in_a_plugin_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "p.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo("plugin/a.jar")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(ConfigError, match="could not be unpacked"):
        plugins.unpacked(archive, tmp_path / "p")
    assert not (tmp_path / "p").exists()


@unit
def test_a_plugin_without_a_manifest_is_given_one(tmp_path: Path) -> None:
    jar = tmp_path / "sink-1.jar"
    jar.write_bytes(b"jar")
    target = plugins.gathered([jar], tmp_path / "sink", services={"a.Sink": "b.C"})
    assert (target / "sink/sink-1.jar").read_bytes() == b"jar"
    with zipfile.ZipFile(target / "sink/manifest.jar") as manifest:
        assert manifest.read("META-INF/services/a.Sink") == b"b.C\n"


@unit
def test_only_what_the_declared_kinds_need_is_fetched() -> None:
    assert plugins.needed([Kind.POSTGRES, Kind.CUSTOM, Kind.POSTGRES]) == (plugins.Plugin.POSTGRES,)
    assert plugins.needed([]) == ()


@unit
def test_plugins_of_ones_own_are_looked_for_class_by_class(tmp_path: Path) -> None:
    def discovery() -> str:
        group = connect.prepare(tmp_path, "cdc", bootstrap="b:1", brokers=1, plugins=[])
        return (group.workers[0].directory / "worker.properties").read_text()

    assert "plugin.discovery=service_load" in discovery()
    (tmp_path / "plugins").mkdir()
    assert "plugin.discovery=hybrid_warn" in discovery()
    assert f"plugin.path={tmp_path / 'plugins'}\n" in discovery()


@unit
def test_data_of_a_home_that_is_gone_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name, home in {"kept": "there", "gone": "nowhere", "running": "nowhere"}.items():
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "home").write_text(str(tmp_path / home))
    (tmp_path / "running/data/postmaster.pid").touch()
    postgres._sweep(tmp_path)
    assert sorted(p.parent.name for p in tmp_path.glob("*/home")) == ["kept", "running"]


@real
def test_postgres_takes_the_password_of_its_file_alone(stack: Stack) -> None:
    kept = stack.server.files
    assert [stat.S_IMODE((kept / name).stat().st_mode) for name in ("password", "pgpass")] == [
        0o600,
        0o600,
    ]
    with psycopg.connect(stack.server.address()) as connection:
        assert connection.execute("SHOW wal_level").fetchone() == ("logical",)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host="127.0.0.1", port=stack.server.port, user="postgres", password="guess")


@real
def test_postgres_is_started_again_with_what_was_committed(
    stack: Stack, wait_until: WaitUntil
) -> None:
    def count() -> int:
        try:
            with psycopg.connect(stack.server.address()) as connection:
                row = connection.execute("SELECT count(*) FROM kept").fetchone()
        except psycopg.OperationalError:
            return -1
        return int(row[0]) if row else -1

    with psycopg.connect(stack.server.address(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000)")
    stack.kill(stack.server.name)
    wait_until(lambda: count() == 1000)
    again = postgres.prepare(stack.home, "shop", durable=False)
    assert again == stack.server
