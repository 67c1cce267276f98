"""Before a table is declared: what its file may say, and whether it would work.

    registry's schema │ records of the topic │ PostgreSQL's table ─propose─▶ Proposal ─render─▶ file
    file's table + records of the topic ─trial─▶ rows, poison, keys ─estimate─▶ cost and latency

`samples` and `source_tables` are the doors to what is looked at; the rest is pure. Nothing here
writes to a topic, a database, a registry or a lake.
"""
