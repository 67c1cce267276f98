"""OpenTelemetry's metrics as a Prometheus page, for the parts that are servers.

    set_up ─▶ MeterProvider ─▶ instruments everywhere ─render─▶ /metrics

Needs the ``platform`` extra. Never imported by the SDK.
"""

from __future__ import annotations

from functools import cache

from penstock.errors import ConfigError

try:
    from opentelemetry import metrics
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
except ImportError as error:
    raise ConfigError(
        "this part needs Penstock's platform extra. Install it: pip install 'penstock[platform]'."
    ) from error

__all__ = ["CONTENT_TYPE_LATEST", "render", "set_up"]


@cache
def set_up(service: str) -> None:
    """Collect this process's metrics under ``service``'s name; once a process is enough."""
    provider = MeterProvider(
        metric_readers=[PrometheusMetricReader()],
        resource=Resource.create({SERVICE_NAME: service}),
    )
    metrics.set_meter_provider(provider)


def render() -> bytes:
    """Return the metrics page; its content type is ``CONTENT_TYPE_LATEST``."""
    return generate_latest(REGISTRY)
