"""The corpus as data, the databases it is about, and the rules that it is judged by.

Protected columns are listed by name. With `refuse` a small rule stands in for the policy: a column
is protected when it, or one that it shares protection with, is on the list, and a statement is
refused when a protected column decides over rows, is mentioned, or is computed with. With
`mask-at-source` the policy itself decides.

There are three clinics: `clinic`; `twin`, which differs in protected values only; and `blank`,
whose protected values are all NULL.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import struct
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from gateway.model import Analysis, Column, Decision, Grant, GrantState, Shape
from gateway.policy import Policy, decide, to_hide
from gateway.sql import analyse, mask_at_source, without_dependents
from gateway.upstream import Database, UpstreamSettings

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


#: The same protected values, other ones of the same length.
_TWIN = {
    "Zebediah Quillfeather": "Barnabas Stillwatered", "Quillfeather": "Stillwatered",
    "Ottoline Vantongeren": "Theodora Wickerwaine", "Vantongeren": "Wickerwaine",
    "Marmaduke Oxenthwaite": "Alisander Popplewell_", "Philippa Drakemoor": "Eugenia Fallowmere",
    "Drakemoor": "Fallowmer", "MRN-77": "MRN-31", "'900-11-": "'812-47-", "555-0101": "555-7788",
    "1950-01-02": "1949-11-12", "1961-03-04": "1980-10-01", "1972-05-06": "1933-02-02",
    "1983-07-08": "1955-05-05", "Cornelius Hartwhistle": "Wilhelmina Underwood_",
}  # fmt: skip
_BLANK = """
ALTER TABLE public.patient ALTER full_name DROP NOT NULL, ALTER mrn DROP NOT NULL;
UPDATE public.patient SET full_name = NULL, mrn = NULL, ssn = NULL, dob = NULL, notes = NULL;
UPDATE archive.patient_2019 SET full_name = NULL, mrn = NULL, ssn = NULL, dob = NULL, notes = NULL,
  initial = NULL;
UPDATE public.visit SET patient_ssn = NULL;
UPDATE public.person SET full_name = NULL;
REFRESH MATERIALIZED VIEW public.patient_copy;
REFRESH MATERIALIZED VIEW public.deep_copy;
"""
MASKED = Policy("clinic", {"*.*.*": "clear", **dict.fromkeys(sorted(PROTECTED), "redact")})
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_GRANT = Grant(
    "g", "i#a", "clinic", ("*",), "corpus", GrantState.ACTIVE, _NOW, 60, _NOW, _NOW, None
)


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
    await _fill(dsn_of_clinic, (HERE / "schema.sql").read_text())


async def build_beside(admin_dsn: str, name: str, dsn: str) -> None:
    """`twin` or `blank`, for the roles that `build` has made."""
    text = (HERE / "schema.sql").read_text()
    if name == "twin":
        for planted, other in _TWIN.items():
            if len(other) != len(planted):
                raise ValueError(f"{other} is not as long as {planted}")
            text = text.replace(planted, other)
    else:
        text += _BLANK
    admin = await asyncpg.connect(admin_dsn)
    try:
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.execute(f"CREATE DATABASE {name}")
    finally:
        await admin.close()
    lines = [line for line in text.splitlines() if not line.startswith("CREATE ROLE")]
    await _fill(dsn, "\n".join(lines).replace("DATABASE clinic", f"DATABASE {name}"))


async def _fill(dsn: str, script: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


@dataclass(frozen=True)
class Answer:
    """What `mask-at-source` answers: raw rows, for no kernel is in between."""

    analysis: Analysis
    decision: Decision
    rows: list[list[bytes | None]]

    def masked(self) -> list[bool]:
        """For each output, whether the kernel would mask what comes."""
        return [column.treatment.name == "redact" for column in self.decision.columns]

    def shown(self) -> list[list[bytes | str | None]]:
        """The rows as the kernel would leave them."""
        return [
            [
                "***" if hit and field is not None else field
                for field, hit in zip(row, hits, strict=True)
            ]
            for hits in [self.masked()]
            for row in self.rows
        ]


@contextlib.asynccontextmanager
async def opened(dsn: str, **settings: Any) -> AsyncIterator[Database]:
    """The gateway's connection to one database."""
    database = Database(UpstreamSettings(dsn, **settings))
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def answer(clinic: Database, statement: dict[str, Any]) -> Answer:
    """Steps 3, 4 and 6 of the corridor. Raises what they raise."""
    async with clinic.transaction("at_source") as transaction:
        analysis = await analyse(statement["sql"], statement["params"], transaction)
        if gone := to_hide(_GRANT, analysis, MASKED):
            analysis = await without_dependents(analysis, gone, transaction)
            if gone := to_hide(_GRANT, analysis, MASKED):
                analysis = await mask_at_source(analysis, gone, transaction)
        decision = decide(_GRANT, analysis, MASKED)
        # What was decided for another statement of its shape is what is decided for this one.
        assert decision == decide(_GRANT, dataclasses.replace(analysis), MASKED)
        pieces = transaction.stream(analysis.server_text, analysis.server_tree, analysis.relations)
        return Answer(analysis, decision, rows(b"".join([piece async for piece in pieces])))


def protected(analysis: Analysis, column: Column) -> bool:
    return any(str(c) in PROTECTED for c in (column, *analysis.related.get(column, ())))


def hidden(analysis: Analysis) -> list[bool]:
    """For each output, whether a protected column reaches it."""
    return [any(protected(analysis, c) for c in output.columns) for output in analysis.outputs]


def refuse(analysis: Analysis) -> str:
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
