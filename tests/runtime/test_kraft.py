"""The files of a cluster."""

from __future__ import annotations

import pytest

from penstock.errors import ConfigError, Refused
from penstock.runtime import files, kraft

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("cache")]


@pytest.fixture
def prepare(tmp_path):
    checkpoint = tmp_path / "checkpoint"
    checkpoint.write_bytes(b"first metadata")

    def prepare(name="primary", *, brokers=1):
        return kraft.prepare(tmp_path / "home", name, brokers=brokers, checkpoint=checkpoint)

    return prepare


def read(path):
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def test_a_second_time_gives_the_same_cluster(prepare, tmp_path):
    first, second = prepare(brokers=3), prepare(brokers=3)
    assert first == second
    assert files.read_json(tmp_path / "home/clusters.json", default={}) == {
        "primary": {
            "cluster_id": first.cluster_id,
            "bootstrap": {"plaintext": first.bootstrap},
        }
    }


def test_ports_lie_below_the_ephemeral_range_and_differ(prepare):
    ports = [p for c in (prepare("a", brokers=3), prepare("b")) for n in c.nodes for p in n.ports]
    assert len(set(ports)) == len(ports) == 12
    assert all(1024 < port < 32768 for port in ports)


def test_the_data_directory_is_formatted_as_kafka_would(prepare):
    (node,) = (cluster := prepare()).nodes
    meta = read(node.directory / "data/meta.properties")
    assert meta["cluster.id"] == cluster.cluster_id
    assert meta["node.id"] == "1"
    assert meta["version"] == "1"
    assert (node.directory / "data/bootstrap.checkpoint").read_bytes() == b"first metadata"


def test_a_format_that_was_killed_half_way_is_done_again(prepare):
    (node,) = prepare().nodes
    (node.directory / "data/meta.properties").unlink()
    (node.directory / "data/bootstrap.checkpoint").write_bytes(b"half")
    prepare()
    assert (node.directory / "data/bootstrap.checkpoint").read_bytes() == b"first metadata"
    assert (node.directory / "data/meta.properties").exists()


def test_a_formatted_directory_is_never_touched(prepare):
    (node,) = prepare().nodes
    (node.directory / "data/bootstrap.checkpoint").unlink()
    before = (node.directory / "data/meta.properties").read_bytes()
    prepare()
    assert (node.directory / "data/meta.properties").read_bytes() == before
    assert not (node.directory / "data/bootstrap.checkpoint").exists()


def test_a_lost_clusters_file_does_not_change_the_cluster_id(prepare, tmp_path):
    first = prepare()
    (tmp_path / "home/clusters.json").unlink()
    assert prepare().cluster_id == first.cluster_id


def test_settings_hold_the_brokers_password_for_their_owner_alone(prepare):
    (node,) = prepare().nodes
    assert (node.directory / "server.properties").stat().st_mode & 0o077 == 0


def test_three_brokers_keep_two_copies_in_sync(prepare):
    settings = read(prepare(brokers=3).nodes[2].directory / "server.properties")
    assert settings["min.insync.replicas"] == "2"
    assert settings["default.replication.factor"] == "3"
    assert settings["offsets.topic.replication.factor"] == "3"
    assert settings["node.id"] == "3"
    assert settings["controller.quorum.voters"].count("@") == 3


def test_everything_listens_on_this_machine_alone(prepare):
    settings = read(prepare().nodes[0].directory / "server.properties")
    assert settings["listeners"].count("://127.0.0.1:") == settings["listeners"].count("://") == 3


@pytest.mark.parametrize("brokers", [-1, 0, 2, 4])
def test_a_count_of_brokers_that_cannot_be_is_refused(prepare, tmp_path, brokers):
    with pytest.raises(ConfigError, match="Choose 1 or 3"):
        prepare(brokers=brokers)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ["", "Up", "a/b", "../x", "a_b"])
def test_a_name_that_cannot_be_is_refused(prepare, tmp_path, name):
    with pytest.raises(ConfigError, match="Choose another"):
        prepare(name)
    assert not (tmp_path / "home").exists()


def test_another_count_of_brokers_is_refused_and_changes_nothing(prepare, tmp_path):
    prepare()
    before = (tmp_path / "home/clusters.json").read_bytes()
    with pytest.raises(Refused, match="--brokers 1"):
        prepare(brokers=3)
    assert (tmp_path / "home/clusters.json").read_bytes() == before
