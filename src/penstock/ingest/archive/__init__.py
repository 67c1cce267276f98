"""Topics kept as plain files, below one path each.

    topic ─archiver─▶ BatchPlan N (written) ─layout─▶ date=…/hour=…/N.parquet | N.jsonl

The files need nothing of ours to be read; `penstock.ingest.backfill` reads them back into tables.
"""
