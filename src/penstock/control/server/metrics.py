"""What Prometheus reads at ``/metrics``: gauges of the estate, read when it asks.

scrape ─▶ callbacks over memory and the store ─▶ OpenTelemetry ─▶ text
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY, generate_latest

__all__ = ["Gauge", "Metrics"]

Gauge = Callable[[], Iterable[Observation]]


class Metrics:
    """The process's metrics; one a process, since Prometheus' registry is."""

    def __init__(self) -> None:
        """Collect into Prometheus' own registry."""
        self._provider = MeterProvider(metric_readers=[PrometheusMetricReader()])
        self._meter = self._provider.get_meter("penstock.control")

    def add(self, name: str, read: Gauge, *, unit: str, description: str) -> None:
        """Add a gauge that is read at each scrape."""

        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            return read()

        self._meter.create_observable_gauge(
            name, callbacks=[observe], unit=unit, description=description
        )

    def render(self) -> bytes:
        """Return everything as Prometheus reads it."""
        return generate_latest(REGISTRY)

    def close(self) -> None:
        """Stop collecting."""
        self._provider.shutdown()
