"""Which of DuckDB's functions may not stand in a table's file, and why.

    name ─refusal─▶ the reason, or nothing

A test holds the lists against the DuckDB that is installed: each function of its own that gives
another value another time, looks at several rows or makes several is here. One that DuckDB does not
have is not told here, but when a record is tried.
"""

from __future__ import annotations

__all__ = ["refusal"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CLOCK = _names(
    "ago current_date current_time current_timestamp get_current_time get_current_timestamp "
    "localtime localtimestamp now pg_conf_load_time pg_postmaster_start_time today "
    "transaction_timestamp"
)
_CHANCE = _names("gen_random_uuid random setseed uuid uuidv4 uuidv7")
_SESSION = _names(
    "current_catalog current_connection_id current_database current_query current_query_id "
    "current_role current_schema current_schemas current_setting current_transaction_id "
    "current_user currval format_type get_block_size getenv getvariable in_search_path nextval pg_sleep "
    "session_user setval sleep_ms stats txid_current user vector_type version write_log"
)
_FAILING = frozenset({"assert_true", "error"})
_AGGREGATES = _names(
    "any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null "
    "arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg avg bit_and "
    "bit_or bit_xor bitstring_agg bool_and bool_or combine_aggr corr count count_if count_star "
    "countif covar_pop covar_samp decimal_average entropy favg first fsum geomean geometric_mean "
    "group_concat histogram histogram_exact json_group_array json_group_object "
    "json_group_structure kahan_sum kurtosis kurtosis_pop last list listagg lttb mad max max_by "
    "mean median min min_by mode product quantile quantile_cont quantile_disc regr_avgx regr_avgy "
    "regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy reservoir_quantile "
    "sem skewness stddev stddev_pop stddev_samp string_agg sum sum_no_overflow sumkahan var_pop "
    "var_samp variance variant_group_array variant_group_object wavg weighted_avg"
)
_MANY_ROWS = _names(
    "explode generate_subscripts glob histogram_values json_each json_execute_serialized_sql "
    "json_tree query query_table regexp_split_to_table unnest"
)
_FILES = ("read_", "parquet_", "sniff_", "scan_", "iceberg_", "delta_", "sqlite_", "postgres_")
_SYSTEM = ("pg_", "duckdb_", "pragma_", "has_", "inet_")


def refusal(name: str) -> str:
    """Return why the function may not be used, as what follows the expression; empty if it may.

    Args:
        name: in lower case.
    """
    for names, reason in (
        (_CLOCK, f"reads the clock, by {name}"),
        (_CHANCE, f"is left to chance, by {name}()"),
        (_SESSION, f"asks where it is run, by {name}"),
        (_FAILING, f"stops every record beside it, by {name}()"),
        (_AGGREGATES, f"looks at other rows, by {name}()"),
        (_MANY_ROWS, f"makes several rows of one, by {name}()"),
    ):
        if name in names:
            return reason
    if name.startswith(_FILES) or name.endswith(("_scan", "_scan_dumb")):
        return f"reads files, by {name}()"
    if name.startswith(_SYSTEM) and name not in {"pg_typeof", "pg_size_pretty"}:
        return f"asks where it is run, by {name}()"
    return ""
