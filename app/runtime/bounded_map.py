"""Maps that never outgrow their bound, whatever a client sends."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedMap(Generic[K, V]):
    """Map that drops its oldest entries while it is larger than its bound.

    As in a dict, a new value keeps the place of its key; `pop` it first to make it the newest.
    """

    def __init__(self, bound: int, size: Callable[[V], int] = lambda _: 1) -> None:
        """`size` returns how much of the bound a value takes up."""
        self._bound = bound
        self._size_of = size
        self._size = 0
        # The first key of a dict is found slower and slower, the more are removed before it.
        self._entries = OrderedDict[K, V]()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def get(self, key: K) -> V | None:
        """Return the value of a key, or None."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> dict[K, V]:
        """Set the value of a key, and return the entries that were dropped for it."""
        if key in self._entries:
            self._size -= self._size_of(self._entries[key])
        self._entries[key] = value
        self._size += self._size_of(value)
        dropped: dict[K, V] = {}
        while self._size > self._bound:
            dropped |= self.pop_oldest(1)
        return dropped

    def pop(self, key: K) -> V | None:
        """Remove a key, and return its value, or None."""
        if key not in self._entries:
            return None
        value = self._entries.pop(key)
        self._size -= self._size_of(value)
        return value

    def pop_oldest(self, count: int) -> dict[K, V]:
        """Remove and return the oldest entries, at most `count`."""
        oldest = {}
        for _ in range(min(count, len(self._entries))):
            key, value = self._entries.popitem(last=False)
            self._size -= self._size_of(value)
            oldest[key] = value
        return oldest
