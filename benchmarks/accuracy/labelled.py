"""The labelled sentences: where they are read, and what each of their labels is owed.

The set stays where it is: nothing of it is copied into this tree, and what is recorded are numbers
and shapes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accuracy.texts import Duty, Text, Wanted

_OLDEST = 89  # 45 CFR 164.514(b)(2)(i)(C): ages over it are identifiers
_YEAR = re.compile(r"(?<!\d)(1[89]|20)\d\d(?!\d)")
_CLOCK = re.compile(r"\d\d?:\d\d(:\d\d)?")
_WEEKDAY = re.compile(r"(mon|tues|wednes|thurs|fri|satur|sun)day", re.IGNORECASE)

#: The set's label -> the entity it is counted under here, and what it is owed under the Safe Harbor
#: list of identifiers. Dates and ages are told apart further (`_date`, `_age`).
LABELS: dict[str, tuple[str, Duty]] = {
    "PERSON": ("person", Duty.MASK),
    "STREET_ADDRESS": ("address", Duty.MASK),
    "GPE": ("place", Duty.MASK),  # towns, and countries too, which could stay
    "ORGANIZATION": ("organisation", Duty.MASK),  # employers' names are on the list
    "CREDIT_CARD": ("card", Duty.MASK),
    "PHONE_NUMBER": ("phone", Duty.MASK),
    "EMAIL_ADDRESS": ("e-mail", Duty.MASK),
    "DOMAIN_NAME": ("url", Duty.MASK),
    "IBAN_CODE": ("iban", Duty.MASK),
    "US_SSN": ("ssn", Duty.MASK),
    "IP_ADDRESS": ("ip", Duty.MASK),
    "US_DRIVER_LICENSE": ("licence", Duty.MASK),
    "ZIP_CODE": ("zip", Duty.MASK),
    "DATE_TIME": ("date", Duty.MASK),
    "AGE": ("age over 89", Duty.MASK),
    "TITLE": ("title", Duty.STAY),  # a form of address or a trade
    "NRP": ("nationality", Duty.STAY),
}


def read(folder: Path) -> list[Text]:
    """Every sentence of every JSON file in the folder. Raises ValueError for an unknown label."""
    texts = []
    for path in sorted(folder.glob("*.json")):
        for sample in json.loads(path.read_text(encoding="utf-8")):
            texts.append(Text(sample["full_text"], tuple(_wanted(sample))))
    if not texts:
        raise ValueError(f"{folder}: no labelled sentences (*.json) there")
    return texts


def _wanted(sample: dict[str, Any]) -> Iterator[Wanted]:
    for span in sample["spans"]:
        start, end, label = span["start_position"], span["end_position"], span["entity_type"]
        value = sample["full_text"][start:end]
        if value != span["entity_value"]:
            raise ValueError(f"a label that does not hold what it says: {start}..{end}")
        if label not in LABELS:
            raise ValueError(f"unknown label {label}: say in LABELS what it is owed")
        entity, duty = LABELS[label]
        if label == "DATE_TIME":
            yield from date(start, value)
        elif label == "AGE" and not (value.isdigit() and int(value) > _OLDEST):
            yield Wanted(start, end, "age up to 89", Duty.STAY)
        else:
            yield Wanted(start, end, entity, duty)


def date(start: int, value: str) -> Iterator[Wanted]:
    """The year of a date may stay, and so may a weekday that stands alone. A time of day that comes
    with the date is counted by itself: the rule speaks of elements of dates."""
    end = start + len(value)
    if _YEAR.fullmatch(value) or _WEEKDAY.fullmatch(value):
        yield Wanted(start, end, "year or weekday", Duty.STAY)
        return
    clock = _CLOCK.search(value)
    if clock is not None:
        yield Wanted(start + clock.start(), start + clock.end(), "time of day", Duty.MASK)
        end = start + len(value[: clock.start()].rstrip())
    years = {start + place for found in _YEAR.finditer(value) for place in range(*found.span())}
    yield Wanted(start, end, "date", Duty.MASK, frozenset(years))
