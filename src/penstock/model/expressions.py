"""Expressions of derived columns: one scalar of SQL, judged before any record is read.

    text ─parse─▶ Expression(names) ─bound(columns)─▶ Bound(sql, columns, coordinates)

The dialect is DuckDB's, which evaluates them in every engine. What passes gives the same value for
the same record at any time, on any machine, whatever other records are in its batch: so a batch
that is run again gives the same rows. Never evaluates anything, and knows no types: DuckDB does. Imported by those who declare
or land tables only: services that only send have no SQL parser.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import ParseError, SqlglotError

from penstock.model import types
from penstock.model.functions import refusal

__all__ = ["COORDINATES", "PREFIX", "Bound", "Expression", "parse"]

COORDINATES: Mapping[str, types.Primitive] = {
    "cluster": types.Primitive.STRING,
    "topic": types.Primitive.STRING,
    "partition": types.Primitive.INTEGER,
    "offset": types.Primitive.LONG,
    "key": types.Primitive.STRING,
    "record_id": types.Primitive.STRING,
    "event_time": types.Primitive.TIMESTAMP,
}
"""What is known of every record beside its value."""

PREFIX = "kafka"
"""``kafka.<coordinate>`` is the coordinate, also where a column has its name."""

_DIALECT = "duckdb"
_FLAT = {f"{PREFIX}.{name}": name for name in COORDINATES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """An expression over the columns of one table.

    Attributes:
        sql: DuckDB's text, every name quoted. A coordinate is one name with a dot in it,
            ``"kafka.offset"``, which no column can have.
        columns: it reads; also such as the table does not have.
        coordinates: it reads, without the prefix.
    """

    sql: str
    columns: frozenset[str]
    coordinates: frozenset[str]


@dataclass(frozen=True, slots=True)
class Expression:
    """One scalar expression that may stand in a table's file.

    Attributes:
        tree: as sqlglot has it; never changed.
    """

    tree: exp.Expr

    def bound(self, columns: Collection[str]) -> Bound:
        """Return the expression with each name made that of a column or of a coordinate.

        Args:
            columns: of the table; one that has a coordinate's name hides it.
        """
        tree = self.tree.copy()
        read: set[str] = set()
        for node in list(_names(tree)):
            name, made = _bind(node, columns)
            read.add(name)
            if node is tree:
                tree = made
            else:
                node.replace(made)
        coordinates = read & _FLAT.keys()
        return Bound(
            sql=tree.sql(dialect=_DIALECT, identify=True, comments=False),
            columns=frozenset(read - coordinates),
            coordinates=frozenset(_FLAT[name] for name in coordinates),
        )


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """Return the expression that the text is.

    Raises:
        ValueError: with the one reason why it may not stand in a table, and what to write.
    """
    try:
        trees = sqlglot.parse(text, dialect=_DIALECT)
    except ParseError as error:
        found = str(error.errors[0].get("highlight") or "") if error.errors else ""
        near = f", at {found!r}" if found else ""
        raise ValueError(f"{text!r} is not SQL{near}; write e.g. CAST(at AS DATE)") from error
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"{text!r} is not SQL; write e.g. CAST(at AS DATE)") from error
    tree = trees[0] if trees else None
    if tree is None:
        raise ValueError("there is no expression; write e.g. CAST(at AS DATE)")
    if len(trees) > 1:
        raise ValueError(f"{text!r} is more than one expression; write one, without ';'")
    problem = next(_problems(tree), None)
    if problem:
        raise ValueError(f"{text!r} {problem}")
    return Expression(tree)


def _problems(tree: exp.Expr) -> Iterator[str]:
    """Yield why the expression may not stand in a table."""
    yield from filter(None, map(_problem, tree.walk()))
    for name in _called(tree):
        if reason := refusal(name):
            yield f"{reason}; write an expression over the record's own columns"
    if isinstance(tree, exp.Alias):
        yield "gives itself a name; write the name before the colon, and here only the expression"
    gives_a_value = isinstance(tree, exp.Condition | exp.AtTimeZone)
    if not gives_a_value or isinstance(tree, exp.PropertyEQ):
        yield "is no expression that gives a value; write e.g. CAST(at AS DATE)"


def _problem(node: exp.Expr) -> str | None:
    """Return why this part may not stand in an expression, or None when it may."""
    why: str | None = None
    match node:
        case exp.Query():
            why = "has a query in it; write an expression over the record's own columns"
        case exp.Window():
            why = "looks at other rows, by a window; write an expression over one record"
        case exp.AggFunc():
            name = node.sql_name().lower()
            why = f"looks at other rows, by {name}(); write an expression over one record"
        case exp.Star() | exp.Columns():
            why = "takes every column; write the names of those it needs"
        case exp.Placeholder() | exp.Parameter() | exp.PositionalColumn():
            why = "has a placeholder; write the value or the column's name"
        case exp.Dot() if not isinstance(node.expression, exp.Identifier):
            why = "calls a function behind a dot; write function(column)"
        case _:
            pass
    return why


def _called(tree: exp.Expr) -> Iterator[str]:
    """Yield the functions it calls, by DuckDB's names.

    Read from the text: sqlglot has a class for some functions, and none for most.
    """
    values = {TokenType.IDENTIFIER, TokenType.STRING, TokenType.NUMBER}
    tokens = sqlglot.tokenize(
        tree.sql(dialect=_DIALECT, identify=True, comments=False), read=_DIALECT
    )
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        name = token.text.lower()
        call = after is not None and after.token_type is TokenType.L_PAREN
        if call or (token.token_type not in values and name in _WITHOUT_BRACKETS):
            yield name
    for node in tree.find_all(exp.Anonymous):
        if node.name.lower() == "age" and len(node.expressions) == 1:
            yield "today"  # age(at) counts up to today


_WITHOUT_BRACKETS = {
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "session_user",
}


def _names(tree: exp.Expr) -> Iterator[exp.Column]:
    """Yield the names it reads, without those that a comprehension makes."""
    for node in tree.find_all(exp.Column):
        own = {
            name.name
            for above in _above(node, exp.Comprehension)
            for name in (above.args.get("expression"), above.args.get("position"))
            if name is not None
        }
        if node.parts[0].name not in own:
            yield node


def _above(node: exp.Expr, kind: type[exp.Expr]) -> Iterator[exp.Expr]:
    found = node.find_ancestor(kind)
    while found is not None:
        yield found
        found = found.find_ancestor(kind)


def _bind(node: exp.Column, columns: Collection[str]) -> tuple[str, exp.Expr]:
    """Return the column or coordinate that the name means, and the expression that reads it."""
    first, *fields = (part.name for part in node.parts)
    name = _column(first, columns)
    if (flat := ".".join([first, *fields]).lower()) in _FLAT:
        name, fields = flat, []
    elif name not in columns and (flat := f"{PREFIX}.{first.lower()}") in _FLAT and not fields:
        name = flat
    made: exp.Expr = exp.column(exp.to_identifier(name, quoted=True))
    for field in fields:
        made = exp.Bracket(this=made, expressions=[exp.Literal.string(field)])
    return name, made


def _column(name: str, columns: Collection[str]) -> str:
    """Return the column the name means: as written, or else as SQL takes it, whatever its case."""
    if name in columns:
        return name
    return next((column for column in columns if column.lower() == name.lower()), name)
