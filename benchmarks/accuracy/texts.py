"""What every measurement here speaks of: a text, what is in it, what an engine found in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Duty(Enum):
    """What masking owes a labelled stretch."""

    MASK = "must be masked"
    STAY = "may stay"  # no identifier under 45 CFR 164.514(b)(2): masked or not is no mistake


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start..end` and what they are. `label` is in the words of whoever says it."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A labelled stretch, the entity under which it is counted, and what it is owed."""

    start: int
    end: int
    entity: str
    duty: Duty
    #: Places inside that may stay, as the year of a date.
    may_stay: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    wanted: tuple[Wanted, ...]
    #: The protected values of the same row, for an engine that can use them.
    row: int = -1


class Finder(Protocol):
    """An engine: which characters of each text it takes away, and under which label."""

    name: str

    def find(self, texts: Sequence[Text]) -> list[list[Span]]: ...
