"""What was used last is kept, up to so many bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Things by key, made when asked for; those that nobody asked for longest go first. Safe from several threads."""

    def __init__(self, most: int) -> None:
        """most: bytes to keep; what was asked for last is kept however large it is."""
        self.most = most
        self._kept: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._lock = threading.RLock()

    def get(self, key: Hashable, make: Callable[[], T], size: int) -> T:
        """The thing of a key, made anew when it is not kept; size: its bytes."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make(), size
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and sum(size for _, size in self._kept.values()) > self.most:
                self._kept.popitem(last=False)
            return self._kept[key][0]
