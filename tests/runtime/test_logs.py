"""Reading the processes' logs."""

from __future__ import annotations

import itertools
from functools import partial

import pytest

from penstock.errors import ConfigError
from penstock.runtime import logs

pytestmark = pytest.mark.real


@pytest.fixture
def home(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.log").write_text("one\ntwo\nthree\n")
    (tmp_path / "logs/b.log").write_text("four\n")
    return tmp_path


def test_the_last_lines_of_each_log_come_with_its_name(home):
    lines = list(logs.last_lines(logs.find(home, None), lines=2))
    assert lines == [("a", "two"), ("a", "three"), ("b", "four")]


def test_a_process_without_a_log_is_told_which_there_are(home):
    with pytest.raises(ConfigError, match="there are: a, b"):
        logs.find(home, "c")
    with pytest.raises(ConfigError, match="none yet"):
        logs.find(home / "nowhere", "c")


def test_following_goes_on_over_a_rotation(home):
    log = home / "logs/a.log"
    lines = logs.follow(logs.find(home, "a"), pause=lambda: next(steps)())  # noqa: PLW0108 - steps comes later

    def rotate():
        log.replace(home / "logs/a.log.1")
        log.write_text("five\n")

    steps = iter([partial(append, log, "four\n"), rotate, partial(append, log, "six\n")])
    assert [line for _, line in itertools.islice(lines, 3)] == ["four", "five", "six"]
    lines.close()


def append(log, text):
    with log.open("a") as file:
        file.write(text)
