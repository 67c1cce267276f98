"""What the control plane remembers: one database, SQLite by default, PostgreSQL by URL.

    opening.open_store(url) ─▶ Database ─write()/read()─▶ transaction ─▶ functions of the nouns

Each module is a noun and holds functions on a transaction: ``estates`` (recorded clusters, topics,
tables, ownership), ``plans``, ``switches``, ``audit``, ``leases``, ``clients``, ``health``,
``versions``. Records and their audit entry are written in one transaction by the caller.
Nothing here reads a cluster, and no other package writes SQL.
"""
