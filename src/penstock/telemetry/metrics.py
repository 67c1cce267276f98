"""What the SDK measures, through OpenTelemetry's API.

    lane totals each turn, sampled acks ─▶ once a second: counters, gauges, histograms

Without an OpenTelemetry SDK in the process every instrument is a no-op. Never called once a
record: counts come from the lanes' own counters, latency and size from a sample of the acks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

from opentelemetry.metrics import Counter, Histogram, get_meter
from opentelemetry.metrics import _Gauge as Gauge

from penstock.telemetry import attributes

__all__ = ["ConsumeMetrics", "SendMetrics"]

FLUSH_EVERY_S = 1.0


class SendMetrics:
    """Instruments of one producer."""

    def __init__(
        self, *, topic: str, service: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Measure sends of ``service`` to ``topic``."""
        self._clock = clock
        self._common = {
            attributes.SYSTEM: attributes.KAFKA,
            attributes.DESTINATION: topic,
            attributes.SERVICE: service,
        }
        self._flushed: dict[str, tuple[float, int]] = {}

    def sampled(self, cluster: str, *, latency_s: float, size: int) -> None:
        """Take one acked record's latency and size in bytes."""
        where = self._at(cluster)
        _histogram(attributes.SEND_DURATION, "s").record(latency_s, where)
        _histogram(attributes.SENT_SIZE, "By").record(size, where)

    def resent(self, cluster: str) -> None:
        """Count a record that failed elsewhere and was handed to this cluster."""
        _counter(attributes.RESENT_MESSAGES).add(1, self._at(cluster))

    def failed(self, error_type: str) -> None:
        """Count a record that was given up."""
        _counter(attributes.FAILED_MESSAGES).add(
            1, {**self._common, attributes.ERROR_TYPE: error_type}
        )

    def turned(self, cluster: str, *, works: bool, totals: tuple[int, int]) -> None:
        """Take a lane's totals of sent and settled; written once a second."""
        now = self._clock()
        flushed_at, counted = self._flushed.get(cluster, (0.0, 0))
        if now - flushed_at < FLUSH_EVERY_S:
            return
        sent, settled = totals
        self._flushed[cluster] = (now, sent)
        where = self._at(cluster)
        _counter(attributes.SENT_MESSAGES).add(max(0, sent - counted), where)
        _gauge(attributes.IN_FLIGHT).set(sent - settled, where)
        _gauge(attributes.BREAKER_OPEN).set(0 if works else 1, where)

    def _at(self, cluster: str) -> dict[str, str]:
        return {**self._common, attributes.CLUSTER: cluster}


class ConsumeMetrics:
    """Instruments of one consumer on one cluster."""

    def __init__(self, *, group: str, service: str, cluster: str) -> None:
        """Measure what ``group`` reads of ``cluster``."""
        self._where = {
            attributes.SYSTEM: attributes.KAFKA,
            attributes.GROUP: group,
            attributes.SERVICE: service,
            attributes.CLUSTER: cluster,
        }

    def read(self, count: int, *, lag: int, age_s: float) -> None:
        """Count records read since the last call.

        Args:
            count: records.
            lag: records between what was read last and the end, over the assigned partitions.
            age_s: how old the newest of them was when it was read.
        """
        _counter(attributes.CONSUMED_MESSAGES).add(count, self._where)
        _gauge(attributes.CONSUMER_LAG).set(lag, self._where)
        _gauge(attributes.CONSUMER_AGE).set(age_s, self._where)


@cache
def _counter(name: str) -> Counter:
    return get_meter("penstock.sdk").create_counter(name, unit="{message}")


@cache
def _gauge(name: str) -> Gauge:
    return get_meter("penstock.sdk").create_gauge(name)


@cache
def _histogram(name: str, unit: str) -> Histogram:
    return get_meter("penstock.sdk").create_histogram(name, unit=unit)
