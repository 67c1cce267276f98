"""Lands topics in Delta tables, each record exactly once.

    readers ─▶ RAW ─gather─▶ BatchPlan N ─▶ ledger ─▶ Engine.run ─Pipeline─▶ rows, letters
       ▲                                                             1 ─▶ dead letters, txn N
       └── positions: the plan of the last N in the table's own log ◀─ 2 ─▶ Target.commit(N), txn N

`plan` decides (pure), `readers` and `delta` are the doors to Kafka and Delta Lake, `attempts` runs
one table until something fails, `worker` begins again, `process` runs this process's share of all
tables (`shares`, by leases). `ledger` says what is run, `pipeline` what a declaration makes of
records, `engines` where that happens, `targets` how rows get into a table, `obeying` does what
people ask. A batch is planned before it is run, and rows and its number are one Delta commit: a
kill at any moment loses nothing and doubles nothing. Nothing is ever committed to a consumer group,
and no record is dropped without a dead letter.
"""
