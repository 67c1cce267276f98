"""Ports given out, remembered, and demanded."""

from __future__ import annotations

import os
import socket

import pytest

from penstock.errors import NotReady
from penstock.runtime import ports

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("cache")]


def test_a_port_is_remembered(tmp_path):
    first = ports.allocate(tmp_path / "home", ["a", "b"])
    again = ports.allocate(tmp_path / "home", ["b", "c"])
    assert again["b"] == first["b"]
    assert len({*first.values(), *again.values()}) == 3


def test_another_home_never_gets_the_port_though_nothing_listens_on_it(tmp_path, monkeypatch):
    monkeypatch.setattr(ports, "_LAST", ports._FIRST + 8)
    one = ports.allocate(tmp_path / "one", ["a", "b"])
    other = ports.allocate(tmp_path / "other", ["a", "b"])
    assert not set(one.values()) & set(other.values())


def test_a_removed_home_gives_its_ports_back(tmp_path, monkeypatch):
    monkeypatch.setattr(ports, "_LAST", ports._FIRST + 4)
    taken = ports.allocate(tmp_path / "one", map(str, range(3)))
    assert len(taken) == 3
    with pytest.raises(NotReady, match="penstock reset"):
        ports.allocate(tmp_path / "other", map(str, range(3)))
    for file in (tmp_path / "one").iterdir():
        file.unlink()
    (tmp_path / "one").rmdir()
    assert len(ports.allocate(tmp_path / "other", map(str, range(3)))) == 3


def test_a_taken_port_names_who_has_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(NotReady) as caught:
            ports.demand_free([port], purpose="broker primary-1", home=tmp_path)
    assert str(port) in caught.value.message
    assert "broker primary-1" in caught.value.message
    assert f"pid {os.getpid()}" in caught.value.message
    assert "ports.json" in caught.value.message
    ports.demand_free([port], purpose="broker primary-1", home=tmp_path)
