"""Lock jars by their hashes: ``python tools/lock_jars.py spark-4.2.0``.

    coordinates ─▶ Maven Central ─▶ src/penstock/runtime/locks/<name>.lock (sha256 bytes path)

Run when a version changes. The sets are written out rather than resolved: most of what their poms
ask for is in pyspark's wheel already, and two versions of one jar must not meet on a class path.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import httpx
from jgo.constants import MAVEN_CENTRAL_URL

LOCKS = Path(__file__).resolve().parent.parent / "src/penstock/runtime/locks"
DELTA = "4.4.0"
SPARK = "4.2.0"

SETS = {
    # Beside the jars of pyspark's wheel; `spark.version` there says which Delta and Kafka fit.
    f"spark-{SPARK}": (
        f"io.delta:delta-spark_4.2_2.13:{DELTA}",
        f"io.delta:delta-storage:{DELTA}",
        f"io.delta:delta-kernel-api:{DELTA}",
        f"io.delta:delta-kernel-defaults:{DELTA}",
        f"io.delta:delta-kernel-unitycatalog:{DELTA}",
        "io.unitycatalog:unitycatalog-client:0.6.0",
        f"org.apache.spark:spark-sql-kafka-0-10_2.13:{SPARK}",
        # The newest that is on Central everywhere; it only serves Kerberos delegation tokens.
        "org.apache.spark:spark-token-provider-kafka-0-10_2.13:4.0.0",
        "org.apache.kafka:kafka-clients:3.9.2",
        "org.apache.commons:commons-pool2:2.13.1",
    ),
}


def main(name: str) -> None:
    """Fetch each jar of the set and write its lock file."""
    base = (os.environ.get("PENSTOCK_MAVEN_MIRROR") or str(MAVEN_CENTRAL_URL)).rstrip("/")
    with httpx.Client(timeout=60, follow_redirects=True) as http:
        lines = [lock(http, base, path_of(coordinates)) for coordinates in sorted(SETS[name])]
    (LOCKS / f"{name}.lock").write_text("".join(lines), encoding="ascii")


def path_of(coordinates: str) -> str:
    """Return where a repository keeps the jar of ``group:artifact:version``."""
    group, artifact, version = coordinates.split(":")
    return f"{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.jar"


def lock(http: httpx.Client, base: str, path: str) -> str:
    """Return the jar's line."""
    jar = http.get(f"{base}/{path}").raise_for_status().content
    print(f"{len(jar):>11,} {path}")
    return f"{hashlib.sha256(jar).hexdigest()} {len(jar)} {path}\n"


if __name__ == "__main__":
    main(sys.argv[1])
