"""Which processes an estate asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.runtime import kafka, platform
from penstock.runtime.platform import Platform

NOTHING = kafka.Distribution(jars=(), checkpoint=Path("/nowhere/checkpoint"))

CLUSTER = """\
kind: Cluster
name: {name}
environment: development
{where}
---
"""


@pytest.mark.real
def test_the_quickstart_is_two_clusters_the_agent_and_ingest():
    wanted = platform.of_estate(None)
    assert wanted.clusters == ("primary", "standby")
    assert wanted.agent
    assert wanted.ingest
    assert wanted.first_only, "what was applied to the home since is left as it is"


@pytest.mark.real
def test_only_embedded_clusters_are_started_and_only_what_is_declared_runs(tmp_path):
    (tmp_path / "clusters.yaml").write_text(
        CLUSTER.format(name="here", where="embedded: true")
        + CLUSTER.format(name="there", where="bootstrap: {plaintext: 'kafka.example:9092'}")
    )
    assert platform.of_estate(tmp_path) == Platform(clusters=("here",), estate=tmp_path)


@pytest.mark.unit
def test_bare_clusters_have_the_names_of_the_quickstarts():
    assert platform.bare(1).clusters == ("primary",)
    assert platform.bare(3).clusters == ("primary", "standby", "cluster-3")


@pytest.mark.real
def test_services_end_before_what_they_need(tmp_path):
    wanted = Platform(clusters=(), agent=True, ingest=True)
    layers = {
        service.name: service.layer
        for service in [
            *platform.first_services(tmp_path, [], distribution=NOTHING),
            *platform.further_services(wanted, tmp_path, distribution=NOTHING),
        ]
    }
    assert layers["agent"] == layers["ingest"] == layers["aot-cache"] > layers["control"] > 0
