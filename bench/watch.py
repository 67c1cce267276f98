"""(e) How long a switch takes to reach a thousand watching clients.

    operator ─cordon─▶ control plane ─▶ 1,000 gRPC streams in another process ─▶ last one knows

The clock is the machine's monotonic one, which both processes share: from before the operator's
call is sent until each client has read the new state from its stream.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

import grpc.aio

from bench.rows import Row
from penstock.api._gen import penstock_pb2 as pb
from penstock.api._gen import penstock_pb2_grpc as pb_grpc
from penstock.testing.control import RunningControlPlane, running_control_plane

CLIENTS = 1_000
SWITCHES = 10
GOAL_S = 1.0

ESTATE = """
kind: Cluster
name: primary
environment: bench
category: events
bootstrap: {plaintext: "127.0.0.1:1"}
"""


def run() -> list[Row]:
    """Measure, and return the rows."""
    with tempfile.TemporaryDirectory() as home, running_control_plane(Path(home)) as control:
        _declare(control)
        watchers = subprocess.Popen(
            [sys.executable, "-m", "bench.watch", control.address],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            rounds = _switch(control, watchers)
        finally:
            watchers.kill()
            watchers.wait()
    delays_ms = sorted(delay for delays in rounds for delay in delays)
    slowest_s = [max(delays) / 1_000 for delays in rounds]
    percent = quantiles(delays_ms, n=100)
    note = (
        f"{CLIENTS} clients, {SWITCHES} switches; ms to a client: p50 {percent[49]:.0f}, "
        f"p99 {percent[98]:.0f}, max {delays_ms[-1]:.0f}"
    )
    worst_s = max(slowest_s)
    return [
        {
            "bench": "watch",
            "case": f"switch to the last of {CLIENTS} clients, worst of {SWITCHES}",
            "ours": round(worst_s, 3),
            "peer": None,
            "peer_name": None,
            "unit": "s",
            "ratio": None,
            "goal": f"≤ {GOAL_S:.0f} s",
            "met": worst_s <= GOAL_S,
            "note": note,
        }
    ]


def _declare(control: RunningControlPlane) -> None:
    files = [pb.EstateFile(path="estate.yaml", content=ESTATE)]
    with control.client() as client:
        list(client.apply(files, digest=client.plan(files).digest))


def _switch(control: RunningControlPlane, watchers: subprocess.Popen[str]) -> list[list[float]]:
    assert watchers.stdin is not None
    assert watchers.stdout is not None
    rounds = []
    with control.client() as client:
        client.uncordon("primary")
        assert json.loads(watchers.stdout.readline()) == "watching"
        for number in range(SWITCHES):
            flip = client.cordon if number % 2 == 0 else client.uncordon
            begun = time.monotonic()
            flip("primary", reason="bench")
            arrived = json.loads(watchers.stdout.readline())
            rounds.append([(at - begun) * 1_000 for at in arrived])
    return rounds


async def _watch_all(address: str) -> None:
    """Hold every stream; print when each of them got a switch, one line a switch."""
    arrivals: asyncio.Queue[float] = asyncio.Queue()
    ready: asyncio.Queue[None] = asyncio.Queue()
    watching = [
        asyncio.create_task(_watch(address, number, ready=ready, arrivals=arrivals))
        for number in range(CLIENTS)
    ]
    for _ in range(CLIENTS):
        await ready.get()
    print(json.dumps("watching"), flush=True)
    while any(not task.done() for task in watching):
        print(json.dumps([await arrivals.get() for _ in range(CLIENTS)]), flush=True)


async def _watch(
    address: str, number: int, *, ready: asyncio.Queue[None], arrivals: asyncio.Queue[float]
) -> None:
    # A connection each, as a thousand services have; gRPC would share one otherwise.
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        request = pb.WatchRequest(
            client=pb.Client(service="bench", instance=f"bench-{number}"), environment="bench"
        )
        async for event in pb_grpc.MetadataStub(channel).Watch(request):
            if event.WhichOneof("event") == "snapshot":
                ready.put_nowait(None)
            elif event.WhichOneof("event") == "delta" and event.delta.clusters:
                arrivals.put_nowait(time.monotonic())


if __name__ == "__main__":
    asyncio.run(_watch_all(sys.argv[1]))
