"""Every name Penstock gives to a header, an instrument or an attribute; one file, no logic.

Headers are CloudEvents' binary mode for Kafka; attributes are OpenTelemetry's messaging
conventions.
"""

from __future__ import annotations

from typing import Final

# CloudEvents headers of a record.
CE_ID: Final = "ce_id"
CE_SOURCE: Final = "ce_source"
CE_TYPE: Final = "ce_type"
CE_TIME: Final = "ce_time"
CE_SPECVERSION: Final = "ce_specversion"
TRACEPARENT: Final = "traceparent"
SPECVERSION: Final = "1.0"

# OpenTelemetry attributes.
SYSTEM: Final = "messaging.system"
DESTINATION: Final = "messaging.destination.name"
GROUP: Final = "messaging.consumer.group.name"
CLUSTER: Final = "penstock.cluster"
SERVICE: Final = "penstock.service"
ERROR_TYPE: Final = "error.type"
KAFKA: Final = "kafka"

# OpenTelemetry instruments.
SENT_MESSAGES: Final = "messaging.client.sent.messages"
SENT_SIZE: Final = "penstock.client.sent.size"
FAILED_MESSAGES: Final = "penstock.client.failed.messages"
SEND_DURATION: Final = "messaging.client.operation.duration"
RESENT_MESSAGES: Final = "penstock.client.resent.messages"
IN_FLIGHT: Final = "penstock.client.in_flight.messages"
BREAKER_OPEN: Final = "penstock.client.breaker.open"
CONSUMED_MESSAGES: Final = "messaging.client.consumed.messages"
CONSUMER_LAG: Final = "penstock.consumer.lag"
CONSUMER_AGE: Final = "penstock.consumer.age"

# Tables of the lake.
TABLE: Final = "penstock.table"
TABLE_ROWS: Final = "penstock.table.rows"
TABLE_LANDED: Final = "penstock.table.landed.rows"
TABLE_LAG: Final = "penstock.table.lag"
TABLE_LAG_S: Final = "penstock.table.lag.seconds"
TABLE_LATENCY: Final = "penstock.table.latency.milliseconds"
TABLE_FILES: Final = "penstock.table.files"
TABLE_DEAD_LETTERS: Final = "penstock.table.dead_letters"
TABLE_COMMIT: Final = "penstock.table.commit.milliseconds"
TABLE_RUNNING: Final = "penstock.table.running"
LOAD: Final = "penstock.load"
LOAD_ROWS_DONE: Final = "penstock.load.rows.done"
LOAD_ROWS_TOTAL: Final = "penstock.load.rows.total"
LOAD_RATE: Final = "penstock.load.rate"
LOAD_RUNNING: Final = "penstock.load.running"
CONNECTOR: Final = "penstock.connector"
CONNECTOR_RUNNING: Final = "penstock.connector.running"
CONNECTOR_FAILED_TASKS: Final = "penstock.connector.failed.tasks"
CONNECTOR_RESTARTS: Final = "penstock.connector.restarts"
CONNECTOR_SLOT_LAG: Final = "penstock.connector.slot.lag"
CONNECTOR_EVENT_AGE: Final = "penstock.connector.event.age"
