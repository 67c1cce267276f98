"""Lands topics in Delta tables, each record exactly once.

    every cluster of a topic ─readers─▶ chunks ─decoders─▶ rows ──────apply──▶ Delta table
                  ▲                                   └─▶ poison ──apply──▶ its dead letters
                  └────────── next offsets, read from the table itself ◀───────┘

`plan` decides (pure), `readers` and `delta` are the doors to Kafka and Delta Lake, `apply` makes
one commit, `worker` runs one table, `process` runs all of them. Rows and the offsets they came
from are one Delta commit, so a kill at any moment loses nothing and doubles nothing. Nothing is
ever committed to a consumer group, and no record is dropped without a dead letter.
"""
