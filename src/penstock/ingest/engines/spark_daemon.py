"""What Spark forks its Python workers from: pyspark's own daemon, with the pipeline imported once.

Spark starts a worker for each task at first, and a new one for each that failed. Without this, each
spends more than a second on the pipeline's imports before its first record.
"""

from __future__ import annotations

if __name__ == "__main__":
    from pyspark import daemon, worker  # noqa: F401 - the latter for the workers, as is the pipeline

    from penstock.ingest.engines import spark_pipeline  # noqa: F401

    daemon.manager()
