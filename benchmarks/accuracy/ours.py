"""The kernel's `scan` as an engine of the accuracy report.

The kernel says what is left, not where it looked: the spans are found again by laying what is left
beside what was there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa

from accuracy.clinic_notes import BESIDE, ROW
from accuracy.texts import Span, Text
from copybytes import column, copy, joined, opened, row, run

_LABEL = re.compile(r"\[[A-Z][A-Z0-9 _-]*\]")

#: Our label -> the entities that it names rightly.
SAYS: dict[str, frozenset[str]] = {
    label: frozenset(entities.split("|"))
    for label, entities in {
        "NAME": "person",
        "PERSON": "person",
        "ADDRESS": "address",
        "STREET": "address",
        "PLACE": "place|address",
        "CITY": "place|address",
        "ZIP": "zip|address",
        "CARD": "card",
        "PHONE": "phone",
        "FAX": "phone",
        "EMAIL": "e-mail",
        "URL": "url",
        "IBAN": "iban",
        "SSN": "ssn",
        "ITIN": "ssn",
        "IP": "ip",
        "LICENSE": "licence",
        "NPI": "licence",
        "DEA": "licence",
        "PLATE": "licence",
        "VIN": "licence",
        "DEVICE": "device",
        "MBI": "member",
        "CASE": "mrn",
        "DATE": "date|time of day",
        "AGE": "age over 89",
        "MRN": "mrn",
        "MEMBER": "member",
        "POLICY": "member",
        "ACCOUNT": "account|card",
        "ID": "card|ssn|phone|licence|iban|mrn|member|account",
    }.items()
}


class Scan:
    """Each text alone, as a column of text under `scan`."""

    name = "maskgate scan"

    def find(self, texts: Sequence[Text]) -> list[list[Span]]:
        stream = opened([column("note", treatment={"name": "scan"})])
        rows = (row(text.text.encode()) for text in texts)
        left = pa.ipc.open_stream(joined(run(stream, [copy(*rows)]))).read_all()["note"]
        return [
            spans(text.text, masked) for text, masked in zip(texts, left.to_pylist(), strict=True)
        ]


def spans(text: str, masked: str) -> list[Span]:
    """Where the labels of `masked` stood in `text`.

    What is between two labels is found at its first place, from the left. Raises ValueError when
    `masked` did not come from `text` by putting labels in the place of stretches.
    """
    if masked == text:
        return []
    kept = _LABEL.split(masked)
    labels = [label[1:-1] for label in _LABEL.findall(masked)]
    if not labels or not text.startswith(kept[0]) or not text.endswith(kept[-1]):
        raise ValueError("what is left does not come from the text")
    found = []
    place = len(kept[0])
    first = ""  # the label of a stretch in which several follow each other
    for number, label in enumerate(labels):
        first = first or label
        last = number == len(labels) - 1
        after = kept[number + 1]
        if not after and not last:
            continue
        end = len(text) - len(after) if last else text.find(after, place + 1)
        if end <= place:
            raise ValueError("what is left does not come from the text")
        found.append(Span(place, end, first))
        place, first = end + len(after), ""
    return found


def rows(copied: bytes, texts: Sequence[Text]) -> list[list[Span]]:
    """The same notes in their rows, beside the protected columns: `clinic_notes.ROW`."""
    columns = [column(name, treatment=treatment) for name, treatment in ROW.items()]
    beside = [place for place, name in enumerate(ROW) if name in BESIDE]
    columns[list(ROW).index("notes")]["row"] = beside
    left = pa.ipc.open_stream(joined(run(opened(columns), [copied]))).read_all()["notes"]
    return [spans(text.text, masked) for text, masked in zip(texts, left.to_pylist(), strict=True)]
