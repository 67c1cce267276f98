"""Kafka Connect managed: what connectors there are, and making it so through Connect's REST API."""
