"""Copies of tables in other stores: `snowflake`."""
