"""Hold a lease for as long as it takes: renewed in a thread of its own, noticed when lost.

Lease.try_take ─▶ held ─renewed at a third of its time─▶ release
                    └─ could not be renewed in time ─▶ lost: stop what you are doing
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time

from penstock.control.store import leases
from penstock.control.store.database import Database
from penstock.errors import PenstockError

__all__ = ["Lease", "make_holder"]

_log = logging.getLogger(__name__)


def make_holder() -> str:
    """Return a name for this process that no other has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class Lease:
    """One lease in the hands of one process; any thread may ask `held`."""

    def __init__(self, database: Database, name: str, *, me: str, seconds: float) -> None:
        """Take nothing yet."""
        self._database = database
        self._name = name
        self._me = me
        self._seconds = seconds
        self._held_until = 0.0
        self._released = threading.Event()
        self._renewer: threading.Thread | None = None

    @property
    def held(self) -> bool:
        """Tell whether the lease is certainly still mine."""
        return time.monotonic() < self._held_until

    def try_take(self) -> bool:
        """Take the lease and keep it, or tell that somebody else holds it.

        Raises:
            NotReady: when the store cannot be written.
        """
        if not self._take():
            return False
        if self._renewer is None or not self._renewer.is_alive():
            self._released.clear()
            self._renewer = threading.Thread(
                target=self._renew, name=f"lease-{self._name}", daemon=True
            )
            self._renewer.start()
        return True

    def release(self) -> None:
        """Give the lease back, so that nobody has to wait for its end."""
        self._released.set()
        if self._renewer is not None:
            self._renewer.join()
        self._held_until = 0.0
        try:
            with self._database.write() as tx:
                leases.release(tx, self._name, me=self._me)
        except PenstockError as error:
            _log.warning("the lease %s ends by itself: %s", self._name, error.message)

    def _take(self) -> bool:
        # Counted from before the call, so that it is over here before it is over in the store.
        until = time.monotonic() + self._seconds
        with self._database.write() as tx:
            mine = leases.take(tx, self._name, me=self._me, seconds=self._seconds)
        self._held_until = until if mine else 0.0
        return mine

    def _renew(self) -> None:
        while not self._released.wait(self._seconds / 3):
            try:
                if not self._take():
                    return
            except PenstockError as error:
                _log.warning("the lease %s was not renewed: %s", self._name, error.message)
