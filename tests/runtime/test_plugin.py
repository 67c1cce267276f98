"""The fixtures as somebody else's test run sees them."""

from __future__ import annotations

import subprocess
import sys

import pytest

SERVICE = """
from penstock.kafka import probes


def test_kafka_is_real(kafka, topic_name, wait_until):
    wait_until(lambda: probes.look(kafka.bootstrap).cluster_id == kafka.cluster_id)
    assert topic_name.startswith("test-kafka-is-real-")


def test_the_cluster_is_the_same_for_the_whole_session(kafka, topic_name):
    assert kafka.brokers[0].running
    assert "kafka-is-real" not in topic_name


def test_a_condition_that_never_comes_fails_with_its_message(wait_until):
    wait_until(lambda: False, timeout_s=0.01, message="the moon")
"""


@pytest.mark.real
def test_somebody_elses_tests_get_real_clusters(tmp_path):
    (tmp_path / "test_service.py").write_text(SERVICE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout
    assert "1 failed" in done.stdout
    assert "not within 0.01 s: the moon" in done.stdout
