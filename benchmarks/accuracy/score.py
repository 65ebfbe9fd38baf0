"""Judges what an engine took away against the labels, character by character and span by span.

A stretch counts as whole when no letter or digit of it is left: punctuation that stays tells
nothing. Refuses to count what may stay (a year, an age up to 89, a form of address) as a miss or as
a false alarm.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from accuracy.texts import Duty, Span, Text, Wanted


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


@dataclass(slots=True)
class Recall:
    """Of one entity."""

    spans: int = 0
    whole: int = 0  # nothing left of it
    part: int = 0  # something left
    characters: int = 0  # letters and digits that had to go
    gone: int = 0
    labelled: int = 0  # under a label that says what it is
    missed_shapes: Counter[str] = field(default_factory=Counter)

    @property
    def span_recall(self) -> float:
        return _share(self.whole, self.spans)

    @property
    def character_recall(self) -> float:
        return _share(self.gone, self.characters)


@dataclass(slots=True)
class Precision:
    """Of one label that the engine gives."""

    spans: int = 0
    right: int = 0  # touches something that had to go
    free: int = 0  # touches only what may stay
    characters: int = 0
    right_characters: int = 0
    false_shapes: Counter[str] = field(default_factory=Counter)

    @property
    def span_precision(self) -> float:
        return _share(self.right, self.spans - self.free)

    @property
    def character_precision(self) -> float:
        return _share(self.right_characters, self.characters)


@dataclass(slots=True)
class Score:
    """One engine on one set."""

    texts: int = 0
    clean: int = 0  # texts in which nothing has to go
    clean_altered: int = 0
    bare: int = 0  # of the clean, those in which nothing is labelled at all
    bare_altered: int = 0
    recall: dict[str, Recall] = field(default_factory=lambda: defaultdict(Recall))
    precision: dict[str, Precision] = field(default_factory=lambda: defaultdict(Precision))
    #: (entity or label, the stretch, the text) of misses and false alarms; never recorded.
    misses: list[tuple[str, str, str]] = field(default_factory=list)
    alarms: list[tuple[str, str, str]] = field(default_factory=list)

    def all_recall(self, entities: set[str] | None = None) -> Recall:
        total = Recall()
        for entity, one in self.recall.items():
            if entities is None or entity in entities:
                total.spans += one.spans
                total.whole += one.whole
                total.part += one.part
                total.characters += one.characters
                total.gone += one.gone
                total.labelled += one.labelled
        return total

    def all_precision(self) -> Precision:
        total = Precision()
        for one in self.precision.values():
            total.spans += one.spans
            total.right += one.right
            total.free += one.free
            total.characters += one.characters
            total.right_characters += one.right_characters
        return total


def score(
    texts: Sequence[Text], found: Sequence[Sequence[Span]], says: Mapping[str, frozenset[str]]
) -> Score:
    """`says[label]` are the entities that an engine's label names rightly."""
    result = Score()
    for text, spans in zip(texts, found, strict=True):
        _one(result, text, spans, says)
    return result


def _one(
    result: Score, text: Text, spans: Sequence[Span], says: Mapping[str, frozenset[str]]
) -> None:
    gone = {place for span in spans for place in range(span.start, span.end)}
    must = {place for wanted in text.wanted for place in _must_go(text.text, wanted)}
    stays = {place for wanted in text.wanted for place in range(wanted.start, wanted.end)} - must
    result.texts += 1
    if not must:
        result.clean += 1
        result.clean_altered += bool(spans)
    if not text.wanted:
        result.bare += 1
        result.bare_altered += bool(spans)
    for wanted in text.wanted:
        places = _must_go(text.text, wanted)
        if not places:
            continue
        one = result.recall[wanted.entity]
        one.spans += 1
        one.characters += len(places)
        one.gone += len(places & gone)
        stretch = text.text[wanted.start : wanted.end]
        if places <= gone:
            one.whole += 1
        else:
            one.part += bool(places & gone)
            one.missed_shapes[shape(stretch)] += 1
            result.misses.append((wanted.entity, stretch, text.text))
        one.labelled += any(
            span.start < wanted.end
            and wanted.start < span.end
            and wanted.entity in says.get(span.label, frozenset())
            for span in spans
        )
    for span in spans:
        told = result.precision[span.label]
        places = _plain(text.text, span.start, span.end)
        told.spans += 1
        told.characters += len(places - stays)
        told.right_characters += len(places & must)
        if places & must:
            told.right += 1
        elif places & stays:
            told.free += 1
        else:
            stretch = text.text[span.start : span.end]
            told.false_shapes[shape(stretch)] += 1
            result.alarms.append((span.label, stretch, text.text))


def _plain(text: str, start: int, end: int) -> set[int]:
    """The letters and digits there."""
    return {place for place in range(start, end) if text[place].isalnum()}


def _must_go(text: str, wanted: Wanted) -> set[int]:
    if wanted.duty is Duty.STAY:
        return set()
    return _plain(text, wanted.start, wanted.end) - wanted.may_stay


def shape(stretch: str) -> str:
    """The form of a stretch without what it says: 9 for digits, A and a for letters."""
    letters = re.sub(r"[^\W\d_]", lambda c: "A" if c[0].isupper() else "a", stretch)
    letters = re.sub(r"\s+", " ", re.sub(r"\d", "9", letters))
    short = re.sub(r"a{3,}", "aa…", re.sub(r"A{5,}", "AA…", letters))
    return short if len(short) <= 40 else short[:39] + "…"
