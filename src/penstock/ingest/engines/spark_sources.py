"""Planned ranges of topics as a DataFrame of records, the columns of `records.RAW`.

    ranges ─a read a cluster, exact starting and ending offsets─▶ union ─▶ RAW
    librdkafka's settings ─connection─▶ the Java client's, as options

Guarantee: exactly the records of the ranges, or the read fails: an offset that is gone is never
skipped (what was gone when the batch was planned is not in its ranges). Commits nothing to Kafka.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import ConfigError
from penstock.ingest.plan import Partition
from penstock.telemetry import attributes

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["Ranges", "connection", "records"]

Ranges = Mapping[Partition, tuple[int, int]]
"""Offsets to read of each partition, ``first <= o < end``."""

_NO_RECORD_ID = "CAST(NULL AS STRING) AS record_id"
# The first header of the name, as the embedded engine takes it.
_RECORD_ID = (
    f"make_valid_utf8(CAST(get(filter(headers, h -> h.key = '{attributes.CE_ID}'), 0).value "
    "AS STRING)) AS record_id"
)
_SAME = ("bootstrap.servers", "security.protocol", "client.id")


def records(
    session: SparkSession,
    ranges: Ranges,
    *,
    connections: Mapping[str, Mapping[str, str]],
    record_ids: bool,
) -> DataFrame:
    """Return the records of the ranges.

    Args:
        session: of Spark.
        ranges: what to read; at least one.
        connections: by cluster the options from `connection`.
        record_ids: whether to read the SDK's record id from the headers.
    """
    by_cluster: dict[str, dict[Partition, tuple[int, int]]] = defaultdict(dict)
    for partition, span in ranges.items():
        by_cluster[partition.cluster][partition] = span
    frames = [
        _of_cluster(session, cluster, spans, connections[cluster], record_ids=record_ids)
        for cluster, spans in sorted(by_cluster.items())
    ]
    return reduce(lambda left, right: left.unionByName(right), frames)


def _of_cluster(
    session: SparkSession,
    cluster: str,
    spans: Ranges,
    options: Mapping[str, str],
    *,
    record_ids: bool,
) -> DataFrame:
    reader = session.read.format("kafka").options(
        **options,
        **{
            "assign": _json({p: p.number for p in spans}, listed=True),
            "startingOffsets": _json({p: first for p, (first, _) in spans.items()}),
            "endingOffsets": _json({p: end for p, (_, end) in spans.items()}),
            "failOnDataLoss": "true",
            "includeHeaders": str(record_ids).lower(),
            "kafka.isolation.level": "read_committed",
        },
    )
    return reader.load().selectExpr(
        f"{_quoted(cluster)} AS cluster",
        "topic",
        "partition",
        "offset",
        "unix_millis(timestamp) AS timestamp_ms",
        "key",
        "value",
        _RECORD_ID if record_ids else _NO_RECORD_ID,
    )


def connection(settings: Mapping[str, object]) -> dict[str, str]:
    """Return librdkafka's settings of a connection as options of Spark's reader.

    Raises:
        ConfigError: for a setting that has no counterpart in Java.
    """
    told = {f"kafka.{name}": str(settings[name]) for name in _SAME if name in settings}
    rest = {name: value for name, value in settings.items() if name not in _SAME}
    if "ssl.ca.location" in rest:
        told["kafka.ssl.truststore.type"] = "PEM"
        told["kafka.ssl.truststore.certificates"] = _pem(rest.pop("ssl.ca.location"))
    if "ssl.key.location" in rest:
        told["kafka.ssl.keystore.type"] = "PEM"
        told["kafka.ssl.keystore.key"] = _pem(rest.pop("ssl.key.location"))
        told["kafka.ssl.keystore.certificate.chain"] = _pem(rest.pop("ssl.certificate.location"))
    if "sasl.username" in rest:
        told["kafka.sasl.mechanism"] = str(rest.pop("sasl.mechanism"))
        told["kafka.sasl.jaas.config"] = (
            "org.apache.kafka.common.security.scram.ScramLoginModule required "
            f"username={_java_text(rest.pop('sasl.username'))} "
            f"password={_java_text(rest.pop('sasl.password'))};"
        )
    if rest:
        raise ConfigError(
            f"Spark cannot reach a cluster by {', '.join(sorted(rest))}. Declare a plaintext, SCRAM "
            "or mTLS listener of the cluster, or the table with engine: embedded."
        )
    return told


def _pem(path: object) -> str:
    # The text itself: an executor on another machine has no such file.
    return Path(str(path)).read_text(encoding="ascii")


def _java_text(value: object) -> str:
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _json(numbers: Mapping[Partition, int], *, listed: bool = False) -> str:
    if listed:
        topics: dict[str, list[int]] = defaultdict(list)
        for partition, number in numbers.items():
            topics[partition.topic].append(number)
        return json.dumps(topics)
    offsets: dict[str, dict[str, int]] = defaultdict(dict)
    for partition, offset in numbers.items():
        offsets[partition.topic][str(partition.number)] = offset
    return json.dumps(offsets)
