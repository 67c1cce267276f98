"""One Spark for the whole run: its JVM takes longer to start than any of these tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.ingest.engines import spark_session
from penstock.ingest.engines.spark_session import SparkSettings
from penstock.runtime import spark

# A session of small batches ends before code made by the optimizing compilers pays.
SHORT_LIVED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


@pytest.fixture(scope="session")
def spark_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSettings]:
    """Give the settings of a running session."""
    settings = spark.settings(
        Path(tmp_path_factory.mktemp("spark")),
        options=SHORT_LIVED,
        java_options=["-XX:TieredStopAtLevel=1"],
    )
    session = spark_session.open_session(settings)
    yield settings
    spark_session.close_session(session)
