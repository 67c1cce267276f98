"""The door to the schema registry: Confluent's API, whoever serves it."""
