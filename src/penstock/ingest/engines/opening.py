"""Which engine carries out a table's batches: as its file says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias, assert_never

from penstock import extras
from penstock.errors import ConfigError
from penstock.ingest.engines import Engine
from penstock.ingest.engines.embedded import EmbeddedEngine
from penstock.ingest.locations import Location
from penstock.ingest.plan import Source, Tally
from penstock.model import tables
from penstock.model.clusters import Cluster

if TYPE_CHECKING:
    # Only who runs tables on Spark has it installed.
    from penstock.ingest.engines.spark_session import SparkSettings

__all__ = ["Spark", "open_engine"]

Spark: TypeAlias = "Callable[[], SparkSettings]"
"""Gives where Spark runs; called when the first table needs it."""


def open_engine(
    table: tables.Table,
    place: Location,
    *,
    letters_place: Location,
    tally: Tally,
    clock: Callable[[], datetime],
    clusters: Mapping[str, Cluster],
    sources: Sequence[Source],
    records: int,
    spark: Spark | None,
) -> Engine:
    """Open the engine that the table declares, and the table with it.

    Args:
        table: the declaration.
        place: where it is.
        letters_place: where its dead letters are.
        tally: counts poison, and says when it is too much.
        clock: gives the time at which letters are found.
        clusters: by name, for an engine that reads by itself.
        sources: what it is to read there.
        records: of a batch, at most.
        spark: gives where Spark runs; None where no table may.

    Raises:
        ConfigError: when the declaration cannot work, or the engine is not installed.
        Refused: when the table there is not what is declared.
        NotReady: when the storage or the schema registry fails.
    """
    match table.engine:
        case tables.Engine.EMBEDDED:
            return EmbeddedEngine(
                table, place, letters_place=letters_place, tally=tally, clock=clock
            )
        case tables.Engine.SPARK:
            if spark is None:
                raise ConfigError(
                    f"table {table.ident} runs on Spark, and this process was not told where Spark "
                    f"is. Install it ({extras.command('spark')}) and run: penstock ingest."
                )
            from penstock.ingest.engines import spark as on_spark  # noqa: PLC0415

            return on_spark.open_engine(
                table,
                place,
                letters_place=letters_place,
                tally=tally,
                clock=clock,
                clusters=clusters,
                sources=sources,
                settings=spark(),
                records=records,
            )
        case _:
            assert_never(table.engine)
