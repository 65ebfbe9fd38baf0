"""What was worked out last, kept to be found again: the least recently used goes.

Bounded by how many there are, not by what they weigh: who keeps large things bounds them himself.
Refuses nothing and forgets without a word, so it holds only what can be worked out anew. For one
thread: looking something up moves it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Latest(Generic[K, V]):
    """At most `most` values by their keys. A value is never None, which says that there is none."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value of `key`, which is the most recently used from here on."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: K, value: V) -> V:
        """`value`, kept for `key` instead of what was there."""
        self._kept[key] = value
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return value

    def drop(self, key: K) -> None:
        """Forget the value of `key`, if there is one."""
        self._kept.pop(key, None)

    def __iter__(self) -> Iterator[K]:
        """The keys, the least recently used first."""
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)
