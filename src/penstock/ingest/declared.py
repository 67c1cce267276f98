"""Which tables there are: the control plane's answer, or the last one it gave.

    control plane ─▶ tables ─▶ <home>/ingest/tables.json ─▶ tables, while the control plane is away

Never waits longer than one call: landing goes on without a control plane.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from google.protobuf import json_format

from penstock.api import table_wire
from penstock.api._gen import penstock_pb2 as pb
from penstock.api.client import ControlClient
from penstock.errors import NotReady
from penstock.ingest.registries import with_registry
from penstock.ingest.settings import Settings
from penstock.ingest.statuses import write_atomically
from penstock.model import tables

__all__ = ["Declared", "remembered"]

_log = logging.getLogger(__name__)


class Declared:
    """The tables this process runs, by ident; `refresh` asks for them anew."""

    def __init__(self, settings: Settings, *, find: Callable[[], str | None]) -> None:
        """Begin with what was declared when the process last ran.

        Args:
            settings: of this process.
            find: returns the control plane's address now, or None; a restart may change it.
        """
        self._settings = settings
        self._find = find
        self._tables = remembered(settings)

    def refresh(self) -> Mapping[str, tables.Table]:
        """Return the tables that are declared now, or were when the control plane last said so."""
        try:
            answer = self._ask()
        except NotReady as error:
            _log.info("running the tables of before: %s", error.message)
        else:
            self._tables = [table_wire.decode_table(table) for table in answer.tables]
            write_atomically(_file(self._settings), json_format.MessageToJson(answer))
        wanted = self._settings.tables
        known = [with_registry(table, home=self._settings.home) for table in self._tables]
        return {
            table.ident: table
            for table in known
            if not wanted or wanted & {table.name, table.ident}
        }

    def _ask(self) -> pb.ListTablesResponse:
        address = self._find()
        if address is None:
            raise NotReady("no control plane has started here yet; start one with penstock up")
        with ControlClient(address) as control:
            return pb.ListTablesResponse(tables=control.tables())


def remembered(settings: Settings) -> list[tables.Table]:
    """Return the tables that were declared when the process last asked; none if it never did."""
    try:
        answer = json_format.Parse(_file(settings).read_text("utf-8"), pb.ListTablesResponse())
    except (FileNotFoundError, json_format.ParseError):
        return []
    return [table_wire.decode_table(table) for table in answer.tables]


def _file(settings: Settings) -> Path:
    return settings.state / "tables.json"
