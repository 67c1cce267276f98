"""Drop records whose id was seen lately.

    id ─seen?─▶ drop or pass

The window is bounded by count: it holds the last N ids and no more. A pure value, no clock. Only
what the window still holds is found: a copy that comes later than N records passes.
"""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["Window"]


class Window:
    """The last ``size`` record ids."""

    __slots__ = ("_ids", "_size")

    def __init__(self, size: int) -> None:
        """Hold at most ``size`` ids, at least one."""
        if size < 1:
            raise ValueError(f"a window holds at least one id, not {size}")
        self._size = size
        self._ids: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        """Return how many ids are held."""
        return len(self._ids)

    def seen(self, id_: str) -> bool:
        """Tell whether the id is in the window, and put it there as the newest."""
        if id_ in self._ids:
            self._ids.move_to_end(id_)
            return True
        self._ids[id_] = None
        if len(self._ids) > self._size:
            self._ids.popitem(last=False)
        return False
