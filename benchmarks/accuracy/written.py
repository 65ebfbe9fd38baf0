"""The sentences of `written.txt` with their labels."""

from __future__ import annotations

import re
from pathlib import Path

from accuracy.labelled import date
from accuracy.texts import Duty, Text, Wanted

_MARK = re.compile(r"\{([a-z0-9 -]+):([^{}]+)\}")


_FILE = Path(__file__).with_name("written.txt")


def read() -> list[Text]:
    """Every line that is no comment. Raises ValueError for a brace that marks nothing."""
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    return [marked(line) for line in lines if line and not line.startswith("#")]


def marked(line: str) -> Text:
    """A line with {entity:stretch} marks as a text and its labels."""
    text, wanted, place = "", list[Wanted](), 0
    for mark in _MARK.finditer(line):
        text += line[place : mark.start()]
        entity, stretch = mark.groups()
        if entity == "date":
            wanted += date(len(text), stretch)
        else:
            wanted.append(Wanted(len(text), len(text) + len(stretch), entity, Duty.MASK))
        text += stretch
        place = mark.end()
    text += line[place:]
    if "{" in text or "}" in text:
        raise ValueError(f"a brace that marks nothing: {text}")
    return Text(text, tuple(wanted))
