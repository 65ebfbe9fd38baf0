"""The corpus as data, the database it is about, and the small rule that stands in for a policy.

Protected columns are listed by name; a column is protected when it, or one that it shares
protection with, is on the list. A statement is refused when a protected column decides over rows,
is mentioned, or is computed with.
"""

from __future__ import annotations

import json
import struct
import tomllib
from pathlib import Path
from typing import Any

import asyncpg

from gateway.model import Analysis, Column, Shape

HERE = Path(__file__).parent
LOGIN, READER = "corpus_login", "corpus_reader"

_PATIENT = ("full_name", "mrn", "ssn", "dob", "notes")
PROTECTED = {
    *(f"public.patient.{column}" for column in _PATIENT),
    *(f"archive.patient_2019.{column}" for column in _PATIENT),
    "archive.patient_2019.initial",
    "public.visit.patient_ssn",
    "public.person.full_name",
}  # fmt: skip

# Parts of every protected value of schema.sql.
PLANTED = (
    "Zebediah", "Quillfeather", "Ottoline", "Vantongeren", "Marmaduke", "Oxenthwaite", "Philippa",
    "Drakemoor", "MRN-77", "900-11-", "555-0101", "Hartwhistle",
)  # fmt: skip


def load(name: str, table: str) -> list[dict[str, Any]]:
    """The statements of one file; `params_json` is for what TOML cannot say."""
    entries = tomllib.loads((HERE / name).read_text())[table]
    for entry in entries:
        entry.setdefault("params", json.loads(entry.get("params_json", "[]")))
    return entries


async def build(admin_dsn: str, dsn_of_clinic: str) -> None:
    """A fresh database `clinic` with schema.sql in it."""
    admin = await asyncpg.connect(admin_dsn)
    try:
        await admin.execute("DROP DATABASE IF EXISTS clinic WITH (FORCE)")
        await admin.execute(f"DROP ROLE IF EXISTS {LOGIN}, {READER}")
        await admin.execute("CREATE DATABASE clinic")
    finally:
        await admin.close()
    clinic = await asyncpg.connect(dsn_of_clinic)
    try:
        await clinic.execute((HERE / "schema.sql").read_text())
    finally:
        await clinic.close()


def protected(analysis: Analysis, column: Column) -> bool:
    return any(str(c) in PROTECTED for c in (column, *analysis.related.get(column, ())))


def hidden(analysis: Analysis) -> list[bool]:
    """For each output, whether a protected column reaches it."""
    return [any(protected(analysis, c) for c in output.columns) for output in analysis.outputs]


def decide(analysis: Analysis) -> str:
    """admitted, masked or protected, as in attacks.toml."""
    uses = (*analysis.control, *analysis.mentions)
    if any(protected(analysis, use.column) for use in uses):
        return "protected"
    reached = [o for o, hit in zip(analysis.outputs, hidden(analysis), strict=True) if hit]
    if any(output.shape is Shape.COMPUTED for output in reached):
        return "protected"
    return "masked" if reached else "admitted"


def rows(copy: bytes) -> list[list[bytes | None]]:
    """The fields of COPY BINARY."""
    if copy[:11] != b"PGCOPY\n\xff\r\n\0":
        raise ValueError("no COPY signature")
    at = 19 + struct.unpack_from("!i", copy, 15)[0]
    found = []
    while (count := struct.unpack_from("!h", copy, at)[0]) != -1:
        at += 2
        fields: list[bytes | None] = []
        for _ in range(count):
            size = struct.unpack_from("!i", copy, at)[0]
            at += 4
            fields.append(None if size < 0 else copy[at : at + size])
            at += max(size, 0)
        found.append(fields)
    if at + 2 != len(copy):
        raise ValueError("bytes after the end of the rows")
    return found
