"""What slow views show of starter photographs: it is the same for everyone, so it is worked out once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from hsae.views.page.photos import starter_keys
from hsae.views.page.selection import Selection
from hsae.views.page.squares import split_key
from hsae.views.parts.view import View


class Remembered:
    """The answers used last, for all visitors; what shows an upload is never among them."""

    def __init__(self, most: int = 128) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, ...], Sequence[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def values(self, view: View, selection: Selection) -> Sequence[Any]:
        """What the view renders; errors are raised and not kept."""
        if not view.later or split_key(selection.image)[0] not in starter_keys():
            return view.render(selection)
        key = (view.name, *map(repr, view.key(selection)))
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        values = view.render(selection)
        with self._lock:
            self._known[key] = values
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return values
