"""A turn at a table whose live stream commits too often to let a large piece in between.

    conflict after conflict ─take─▶ mark, pause ─▶ the live stream stands still after its batch
                  piece is in ─give_back─▶ resume

Guarantee: a table that a person has paused stays paused, and a turn that a kill left over is given
back when the load goes on. Held for one piece at a time.
"""

from __future__ import annotations

import logging

from penstock.errors import NotReady
from penstock.ingest.locations import Location
from penstock.ingest.orders import Orders

__all__ = ["Turn"]

_log = logging.getLogger(__name__)


class Turn:
    """The turn of one load."""

    def __init__(self, place: Location, name: str) -> None:
        """Give back what a killed process of the same load left.

        Args:
            place: of the table.
            name: of the load.

        Raises:
            NotReady: when the storage fails.
        """
        self._place = place
        self._orders = Orders(place)
        self._mark = f"_penstock/{name}/turn"
        self._held = place.get(self._mark) is not None
        self.give_back()

    def take(self) -> None:
        """Let the live stream stand still, unless it does.

        Raises:
            NotReady: when the storage fails.
        """
        paused, _ = self._orders.look()
        if paused:
            return
        # The mark first: a pause that nobody knows of would stay.
        self._held = True
        self._place.put(self._mark, b"")
        self._orders.pause()

    def give_back(self) -> None:
        """Let the live stream go on, if this load made it stand still."""
        if not self._held:
            return
        try:
            self._orders.resume()
            self._place.delete(self._mark)
        except NotReady as error:
            _log.warning("the live stream still stands, it is tried again: %s", error.message)
            return
        self._held = False
