"""Copies, each in a process of its own, which says each step and stops at one until it is killed.

Requests come as lines of JSON, and each is carried out in a fork: what a copy has to load is loaded
once.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

import snowflake.connector  # noqa: F401 - loaded before the fork
from tests.ingest.sinks import worlds

from penstock.ingest.locations import Location
from penstock.ingest.sinks import snowflake as sink
from penstock.ingest.sinks.snowflake_client import account_from, connected


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def run(told: dict[str, Any]) -> None:
    def step(name: str) -> None:
        say(name)
        if name == told["stop"]:
            threading.Event().wait()

    account = account_from(told["environment"])
    with connected(account, database=told["database"], schema="SHOP") as client:
        step("connected")
        sink.copy(worlds.orders(), Location(uri=told["place"]), client, told=step)


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            run(json.loads(line))
            os._exit(0)
        say(f"pid {pid}")
        sys.stdin.readline()
        _, status = os.waitpid(pid, 0)
        say(f"ended {status}")


if __name__ == "__main__":
    main()
