"""A small shop in PostgreSQL, and the load that keeps changing it.

    create ─▶ customers, products, orders      Load: insert, update, delete … until stopped

The data is invented. It has what change capture finds hard: exact numbers, JSON, arrays, dates,
texts that are stored out of line and stay as they are while the rest of the row changes, composite
keys, key changes, rollbacks, and rows that are deleted and inserted again.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, assert_never

import psycopg

from penstock.errors import NotReady, RemoteError

__all__ = ["DATABASE", "TABLES", "Load", "Pace", "create"]

_log = logging.getLogger(__name__)

DATABASE = "shop"
TABLES = ("customers", "products", "orders")

_CUSTOMERS = 1_000
_PRODUCTS = 200
_FIRST_ORDERS = 2_000
_RETRY_S = 0.2
_TICK_S = 0.05
_LONG_TEXT = 4_000
"""Characters; beyond 2 kB PostgreSQL stores a text out of line."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS customers (
    id bigint PRIMARY KEY,
    email text NOT NULL,
    name text,
    address jsonb,
    vip boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS products (
    supplier integer,
    sku text,
    name text NOT NULL,
    price numeric(12,2) NOT NULL,
    tags text[],
    weight_kg double precision,
    available_from date,
    description text,
    PRIMARY KEY (supplier, sku)
);
CREATE TABLE IF NOT EXISTS orders (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL,
    supplier integer NOT NULL,
    sku text NOT NULL,
    quantity integer NOT NULL,
    total numeric(14,2) NOT NULL,
    status text NOT NULL,
    note text,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE SEQUENCE IF NOT EXISTS order_ids;
"""
_FILL_CUSTOMERS = """
INSERT INTO customers (id, email, name, address, vip)
SELECT n, 'customer-' || n || '@example.org', 'Customer ' || n,
       jsonb_build_object('street', n || ' Main Street', 'floors', n %% 7), n %% 10 = 0
FROM generate_series(1, %(customers)s) n WHERE NOT EXISTS (SELECT 1 FROM customers)
"""
_FILL_PRODUCTS = """
INSERT INTO products (supplier, sku, name, price, tags, weight_kg, available_from, description)
SELECT n %% 5, 'P-' || n, 'Product ' || n, (n * 137 %% 10000) / 100.0,
       ARRAY['tag-' || n %% 3, 'tag-' || n %% 11], n / 8.0, date '2020-01-01' + n,
       (SELECT string_agg(md5(n || ' ' || m), '') FROM generate_series(1, %(long)s / 32) m)
FROM generate_series(1, %(products)s) n WHERE NOT EXISTS (SELECT 1 FROM products)
"""
_INSERT_ORDERS = """
INSERT INTO orders (id, customer_id, supplier, sku, quantity, total, status, note)
SELECT nextval('order_ids'), 1 + (random() * %(customers)s)::int %% %(customers)s, supplier, sku, q,
       q * price, 'placed',
       CASE WHEN random() < 0.1 THEN (SELECT string_agg(md5(random()::text || m), '') FROM generate_series(1, %(long)s / 32) m) ELSE 'as agreed' END
FROM (SELECT supplier, sku, price, 1 + (random() * 5)::int AS q FROM products
      ORDER BY random() LIMIT %(count)s) chosen
"""
_UPDATE_ORDERS = """
UPDATE orders SET status = (ARRAY['paid','packed','sent','back'])[1 + (random() * 3)::int],
       changed_at = clock_timestamp()
WHERE id = ANY (SELECT id FROM orders WHERE id >= %(start)s ORDER BY id LIMIT %(count)s)
"""
_DELETE_ORDERS = """
DELETE FROM orders WHERE id = ANY
    (SELECT id FROM orders WHERE id >= %(start)s ORDER BY id LIMIT %(count)s)
"""
_UPDATE_PRODUCTS = """
UPDATE products SET price = price + 0.01 WHERE (supplier, sku) IN
    (SELECT supplier, sku FROM products ORDER BY random() LIMIT %(count)s)
"""
_MOVE_PRODUCT = """
UPDATE products SET supplier = (supplier + 1) % 5 WHERE (supplier, sku) IN
    (SELECT supplier, sku FROM products ORDER BY random() LIMIT 1)
"""
_UPDATE_CUSTOMER = """
UPDATE customers SET name = CASE WHEN random() < 0.2 THEN NULL ELSE 'Customer ' || random() END,
       address = jsonb_build_object('street', random(), 'floors', NULL)
WHERE id = 1 + (random() * %(customers)s)::int %% %(customers)s
"""
_REPLACE_CUSTOMER = """
WITH gone AS (DELETE FROM customers WHERE id = %(id)s RETURNING *)
SELECT id, email, name, address, vip FROM gone
"""


class _Change(Enum):
    """One kind of transaction."""

    PLACE = auto()
    PROGRESS = auto()
    FORGET = auto()
    REPRICE = auto()
    RESUPPLY = auto()
    RENAME = auto()
    REPLACE = auto()


_WEIGHTS = {
    _Change.PLACE: 45,
    _Change.PROGRESS: 30,
    _Change.FORGET: 10,
    _Change.REPRICE: 8,
    _Change.RESUPPLY: 2,
    _Change.RENAME: 3,
    _Change.REPLACE: 2,
}
_GIVEN_UP = 0.02
"""The share of transactions that are rolled back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much the load changes.

    Attributes:
        changes_per_s: rows inserted, updated or deleted a second, as far as the database goes.
        transaction_rows: rows of one transaction, about.
    """

    changes_per_s: int = 500
    transaction_rows: int = 20


def create(connect: Callable[[], psycopg.Connection[Any]]) -> None:
    """Make the shop's tables and first rows, where they are not there yet."""
    with connect() as connection:
        connection.execute(_SCHEMA)
        connection.execute(_FILL_CUSTOMERS, _values(0))
        connection.execute(_FILL_PRODUCTS, _values(0))
        count = connection.execute("SELECT count(*) FROM orders").fetchone()
        missing = _FIRST_ORDERS - (count[0] if count else 0)
        for _ in range(0, missing, _PRODUCTS):
            connection.execute(_INSERT_ORDERS, _values(_PRODUCTS))


class Load:
    """One thread that changes the shop until it is stopped; it outlives the database's end.

    Attributes:
        changes: rows that were changed and committed.
        interruptions: how often the database was away.
    """

    def __init__(
        self, connect: Callable[[], psycopg.Connection[Any]], pace: Pace, *, seed: int = 0
    ) -> None:
        """Start nothing yet.

        Args:
            connect: opens a connection; may fail while the database is away.
            pace: how much to change.
            seed: which changes, in which order.
        """
        self.changes = 0
        self.interruptions = 0
        self._connect = connect
        self._pace = pace
        self._random = random.Random(seed)  # noqa: S311 - a load, not a secret
        self._refused = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shop-load", daemon=True)

    def start(self) -> None:
        """Begin to change rows."""
        self._thread.start()

    def stop(self, *, within_s: float = 30.0) -> None:
        """End after the transaction that is open.

        Raises:
            NotReady: when the database keeps it longer than that.
            RemoteError: when the database had refused a change, so that the load ended early.
        """
        self._stopping.set()
        self._thread.join(within_s)
        if self._thread.is_alive():
            raise NotReady(f"The load's last transaction did not end within {within_s:g} s.")
        if self._refused:
            raise RemoteError(f"The load ended early; PostgreSQL said: {self._refused}")

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._connect() as connection:
                    self._change(connection)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self.interruptions += 1
                _log.info("the shop's database is away: %s", str(error).strip())
                self._stopping.wait(_RETRY_S)
            except psycopg.Error as error:
                self._refused = str(error).strip()
                return

    def _change(self, connection: psycopg.Connection[Any]) -> None:
        begun_at, before = time.monotonic(), self.changes
        while not self._stopping.is_set():
            self.changes += self._transaction(connection)
            ahead = self.changes - before - self._pace.changes_per_s * (time.monotonic() - begun_at)
            if ahead > 0:
                self._stopping.wait(min(1.0, max(_TICK_S, ahead / self._pace.changes_per_s)))

    def _transaction(self, connection: psycopg.Connection[Any]) -> int:
        """Change some rows; return how many are committed."""
        (change,) = self._random.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))
        with connection.cursor() as cursor:
            changed = self._carry_out(change, cursor)
        if self._random.random() < _GIVEN_UP:
            connection.rollback()
            return 0
        connection.commit()
        return changed

    def _carry_out(self, change: _Change, cursor: psycopg.Cursor[Any]) -> int:
        rows = self._pace.transaction_rows
        match change:
            case _Change.PLACE:
                cursor.execute(_INSERT_ORDERS, _values(rows))
            case _Change.PROGRESS:
                cursor.execute(_UPDATE_ORDERS, self._some_orders(cursor, rows))
            case _Change.FORGET:
                cursor.execute(_DELETE_ORDERS, self._some_orders(cursor, rows))
            case _Change.REPRICE:
                cursor.execute(_UPDATE_PRODUCTS, {"count": max(1, rows // 4)})
            case _Change.RESUPPLY:
                cursor.execute(_MOVE_PRODUCT)
            case _Change.RENAME:
                cursor.execute(_UPDATE_CUSTOMER, {"customers": _CUSTOMERS})
            case _Change.REPLACE:
                return self._replace_customer(cursor)
            case _:
                assert_never(change)
        return max(0, cursor.rowcount)

    def _some_orders(self, cursor: psycopg.Cursor[Any], rows: int) -> dict[str, int]:
        newest = cursor.execute("SELECT coalesce(max(id), 0) FROM orders").fetchone()
        return {"start": self._random.randint(0, newest[0] if newest else 0), "count": rows}

    def _replace_customer(self, cursor: psycopg.Cursor[Any]) -> int:
        """Delete a customer and insert it again in the same transaction."""
        chosen = {"id": self._random.randint(1, _CUSTOMERS)}
        gone = cursor.execute(_REPLACE_CUSTOMER, chosen).fetchone()
        if gone is None:
            return 0
        cursor.execute(
            "INSERT INTO customers (id, email, name, address, vip) "
            "VALUES (%s, %s, %s, %s::jsonb, %s)",
            (gone[0], gone[1], "Customer again", "{}", gone[4]),
        )
        return 2


def _values(count: int) -> dict[str, int]:
    return {
        "customers": _CUSTOMERS,
        "products": _PRODUCTS,
        "count": count,
        "long": _LONG_TEXT,
    }
