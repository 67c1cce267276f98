"""A turn at a table whose live stream commits too often to let a large piece in between.

    conflict after conflict ─take─▶ <table>/_penstock/turn ─Watch─▶ the live stream stands still
      renewed by a thread ─▶ held      give_back, or nobody renews ─▶ the live stream goes on

Guarantee: a turn ends with its holder: one that was killed is seen at once on its machine, elsewhere
after `LASTS_S` by the looker's own clock. It stands beside a person's pause and never touches it. It
only lets the piece in sooner: what keeps two writers apart is the table's own log. Held for one
piece at a time.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

from penstock.errors import NotReady
from penstock.ingest.leases import Lease
from penstock.ingest.locations import Location
from penstock.ingest.owners import me

__all__ = ["LASTS_S", "Turn", "look_out"]

_log = logging.getLogger(__name__)

LASTS_S = 20.0
"""A turn that was not renewed for so long is over."""
_DIRECTORY = "_penstock/turn"


def look_out(place: Location) -> Lease:
    """Return what tells the live stream of a table whose turn it is; it is never taken by it."""
    return Lease(place, owner=me(), lasts_s=LASTS_S, directory=_DIRECTORY)


class Turn:
    """The turn of one load."""

    def __init__(self, place: Location, name: str) -> None:
        """Take nothing yet.

        Args:
            place: of the table.
            name: of the load; people see it.
        """
        owner = me()
        owner = replace(owner, name=f"{name} of {owner.name}")
        self._lease = Lease(place, owner=owner, lasts_s=LASTS_S, directory=_DIRECTORY)
        self._ended = threading.Event()
        self._renewing: threading.Thread | None = None

    def take(self) -> None:
        """Let the live stream stand still, unless it does for another load; never fails."""
        if self._renewing is not None and self._renewing.is_alive():
            return
        try:
            if not self._lease.take():
                return
        except NotReady as error:
            _log.warning("no turn now: %s", error.message)
            return
        self._ended.clear()
        self._renewing = threading.Thread(target=self._renew, name="turn", daemon=True)
        self._renewing.start()

    def give_back(self) -> None:
        """Let the live stream go on, if this load made it stand still; never fails."""
        if self._renewing is None:
            return
        self._ended.set()
        self._renewing.join()
        self._renewing = None
        try:
            self._lease.release()
        except NotReady as error:
            _log.warning("the live stream stands for %g s more: %s", LASTS_S, error.message)

    def _renew(self) -> None:
        held = True
        while held and not self._ended.wait(LASTS_S / 4):
            try:
                held = self._lease.renew()
            except NotReady as error:
                _log.warning("the turn is not renewed now: %s", error.message)
