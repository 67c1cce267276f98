"""One real Kafka cluster as direct children of this process; for tests and tools.

    start ─▶ kafka.install ─▶ kraft.prepare ─▶ a process a broker ─▶ ready by protocol
    kill · pause · resume · start_again · stop     of the cluster, or of one broker

There is no supervisor: what is killed stays down until it is started again, and everything ends
with this process, unless that is killed itself.
"""

from __future__ import annotations

import atexit
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from penstock.errors import NotReady
from penstock.kafka import probes
from penstock.runtime import java, kafka, kraft, ports, processes

__all__ = ["Broker", "Cluster", "start"]

_READY_WITHIN_S = 120.0
_STOP_WITHIN_S = 10.0


class Broker:
    """One broker of a cluster: a process that can be killed and started again.

    Attributes:
        name: ``<cluster>-<number>``.
        number: Kafka's node id.
        bootstrap: its own ``host:port``.
    """

    def __init__(self, node: kraft.Node, *, home: Path, distribution: kafka.Distribution) -> None:
        """Start nothing yet."""
        self.name = node.name
        self.number = node.number
        self.bootstrap = f"127.0.0.1:{node.client_port}"
        self.log = home / "logs" / f"{node.name}.log"
        self._node = node
        self._home = home
        self._distribution = distribution
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Tell whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Return the running process's id.

        Raises:
            NotReady: when the broker is not running.
        """
        if self._process is None or self._process.poll() is not None:
            raise NotReady(f"Broker {self.name} is not running; call start() first.")
        return self._process.pid

    def start(self) -> None:
        """Start the process, unless it runs; the cluster's `Cluster.wait_ready` waits for it.

        Raises:
            NotReady: when another process has one of its ports.
        """
        if self.running:
            return
        node = self._node
        ports.demand_free(node.ports, purpose=f"broker {node.name}", home=self._home)
        jars, options = self._distribution.jars, self._distribution.options
        spec = processes.Spec(
            name=node.name,
            command=kraft.command(node, jars, options=options),
            log=self.log,
            environment=java.environment(),
        )
        self._process = processes.spawn(spec)

    def kill(self) -> None:
        """End the process at once, by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End the process in order: leaders move off, logs are closed."""
        if self._process is not None:
            processes.terminate([self._process], within_s=_STOP_WITHIN_S)

    def pause(self) -> None:
        """Freeze the process: its connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.running:
            self._process.send_signal(number)


class Cluster:
    """A running cluster.

    Attributes:
        name: in its home's ``clusters.json``.
        bootstrap: ``host:port`` of every broker, joined by commas.
        cluster_id: Kafka's own id of it.
        brokers: by node id, from 1.
    """

    def __init__(self, layout: kraft.Cluster, brokers: Sequence[Broker]) -> None:
        """Start nothing yet."""
        self.name = layout.name
        self.bootstrap = layout.bootstrap
        self.cluster_id = layout.cluster_id
        self.brokers = list(brokers)

    def start_again(self) -> None:
        """Start every broker that is down, and wait until the cluster is ready."""
        for broker in self.brokers:
            broker.start()
        self.wait_ready()

    def wait_ready(self, *, timeout_s: float = _READY_WITHIN_S) -> None:
        """Wait until every broker is in the cluster's own metadata.

        Raises:
            NotReady: when the deadline passes or a broker's process ends.
        """
        probes.wait_ready(
            self.bootstrap,
            brokers=len(self.brokers),
            timeout_s=timeout_s,
            hopeless=self._explain_end,
        )

    def kill(self) -> None:
        """End every broker at once, by SIGKILL."""
        for broker in self.brokers:
            broker.kill()

    def pause(self) -> None:
        """Freeze every broker: connections stay open, nothing is answered."""
        for broker in self.brokers:
            broker.pause()

    def resume(self) -> None:
        """Let frozen brokers go on."""
        for broker in self.brokers:
            broker.resume()

    def stop(self) -> None:
        """End every broker quickly; acknowledged records are kept.

        One broker closes its logs. Of three the quorum goes with the second, and the last would
        wait in vain to hand over its leaders: so they are killed, which loses nothing either.
        """
        if len(self.brokers) > 1:
            self.kill()
        for broker in self.brokers:
            broker.stop()

    def _explain_end(self) -> str | None:
        for broker in self.brokers:
            if not broker.running:
                return f"Broker {broker.name} ended while starting; the reason is in {broker.log}."
        return None


def start(home: Path, name: str = "primary", *, brokers: int = 1) -> Cluster:
    """Start a cluster, new or again, and return it when it is ready.

    Args:
        home: the directory of its state; several clusters may share one.
        name: the cluster's name.
        brokers: 1 or 3.

    Raises:
        NotReady: when it does not become ready, or one of its ports is taken.
        PenstockError: as `kafka.install` and `kraft.prepare`.
    """
    home = home.absolute()
    distribution = kafka.install()
    layout = kraft.prepare(home, name, brokers=brokers, checkpoint=distribution.checkpoint)
    cluster = Cluster(
        layout, [Broker(n, home=home, distribution=distribution) for n in layout.nodes]
    )
    atexit.register(cluster.kill)
    try:
        cluster.start_again()
    except BaseException:
        cluster.kill()
        raise
    return cluster
