"""Settings and tokens: where they come from, and every wrong one at once."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from penstock.control import settings
from penstock.control.server import access
from penstock.control.server.access import Role
from penstock.errors import ConfigError

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LISTEN", "STORE", "RECONCILE_S", "GRPC_PORT"):
        monkeypatch.delenv(f"PENSTOCK_CONTROL_{name}", raising=False)


def write(home: Path, text: str) -> None:
    (home / "control").mkdir()
    (home / "control/settings.json").write_text(text)


def test_options_win_over_environment_over_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, json.dumps({"reconcile_s": 1, "lease_s": 2, "poll_s": 3}))
    monkeypatch.setenv("PENSTOCK_CONTROL_LEASE_S", "20")
    monkeypatch.setenv("PENSTOCK_CONTROL_POLL_S", "30")
    loaded = settings.load(tmp_path, options={"poll_s": 300, "store": None})
    assert (loaded.reconcile_s, loaded.lease_s, loaded.poll_s) == (1, 20, 300)
    assert loaded.store_url == f"sqlite:///{tmp_path}/control/store.sqlite"


def test_every_wrong_setting_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, json.dumps({"reconcile_s": -1, "bogus": 1}))
    wrong = {"listen": "example.org", "grpc_port": 70_000, "lease_s": "nan"}
    with pytest.raises(ConfigError) as caught:
        settings.load(tmp_path, options=wrong)
    told = " ".join(fault.what for fault in caught.value.faults)
    assert all(name in told for name in ("reconcile_s", "bogus", "listen", "grpc_port", "lease_s"))
    assert caught.value.faults[0].file.endswith("settings.json")


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_settings_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"settings\.json"):
        settings.load(tmp_path)


@pytest.mark.parametrize(
    ("listen", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)],
)
def test_only_loopback_is_open(tmp_path: Path, listen: str, loopback: bool) -> None:
    assert settings.load(tmp_path, options={"listen": listen}).is_loopback is loopback


def test_the_homes_token_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    loaded = settings.load(tmp_path)
    access.load(loaded)
    path = tmp_path / "control/token"
    token = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(token) >= 40
    caller = access.load(loaded).admit(f"Bearer {token}", operates=True)
    assert (caller.name, caller.role) == ("operator", Role.OPERATOR)


def test_an_empty_token_file_does_not_open_the_door(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    (tmp_path / "control/token").write_text("\n")
    with pytest.raises(ConfigError, match="holds no token"):
        access.load(settings.load(tmp_path))


def test_a_tokens_file_names_who_may_what(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"anna": {"token": "a" * 20, "role": "reader"}}))
    loaded = access.load(settings.load(tmp_path, options={"tokens": str(path)}))
    assert loaded.admit(f"Bearer {'a' * 20}", operates=False).name == "anna"
    with pytest.raises(access.Unauthenticated, match="operator"):
        loaded.admit(f"Bearer {'a' * 20}", operates=True)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"anna": "secret"}',
        '{"anna": {"token": "x", "role": "operator"}}',
        '{"anna": {"token": "aaaaaaaaaaaaaaaaaaaa", "role": "king"}}',
    ],
)
def test_a_wrong_tokens_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"tokens"):
        access.load(settings.load(tmp_path, options={"tokens": str(path)}))
