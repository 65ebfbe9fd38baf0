"""Two databases that differ in protected values only and have one masked image.

A clear cell is the same on both sides. A protected cell differs in everything its treatment hides:
order, equality, length, sign, which casts succeed, which divisions fail. What the treatment shows
(a year, the last two characters, the same NULL, equality of tokens) is the same on both.

A pair is `still` or `stirred`. Still: values of equal length and no statistics, so that the planner
has nothing to tell the sides apart by and every byte of every answer must be equal. Stirred: values
of different lengths, and statistics of them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pyarrow as pa

from gateway.masking import Masker, TokenKey

SCHEMA = (Path(__file__).parent / "schema.sql").read_text()
LOGIN, READER = "twin_login", "twin_reader"
PERSONS, VISITS, EVENTS, STAFF = 24, 36, 16, 8

#: Columns that a rule protects; every other column of the schema is clear or follows one of these.
PROTECTED: dict[str, Any] = {
    "public.person.name": "redact",
    "public.person.mrn": "token",
    "public.person.ssn": {"treatment": "partial", "last": 2},
    "public.person.pin": "redact",
    "public.person.code": "redact",
    "public.person.mood": "redact",
    "public.person.home_zip": "redact",
    "public.person.age": "null",
    "public.person.account": "token",
    "public.person.score": "redact",
    "public.person.weight": "null",
    "public.person.alive": "null",
    "public.person.dob": "year",
    "public.person.born": "year",
    "public.person.key": "token",
    "public.person.doc": "redact",
    "public.person.aliases": "token",
    "public.person.marks": "null",
    "public.person.home": "redact",
    "public.person.photo": "null",
    "public.person.notes": "scan",
    "public.person.wait": "null",
    "public.person.diary": {"treatment": "scan", "row": ["name", "mrn"]},
    "public.person.moved": {"treatment": "shift", "subject": "mrn"},
    "public.visit.mrn": "token",
    "public.visit.fee": "redact",
    "public.visit.reason": "redact",
    "public.visit.seen": "year",
    "public.visit.grade": "null",
    "public.event.secret": "redact",
    "public.event.points": "null",
    "public.staff.alias": "redact",
    "public.staff.pay": "null",
    "public.doctor.licence": "token",
}
CLEAR = {f"public.{table}.*": "clear" for table in (
    "person", "visit", "event", "staff", "doctor", "v_clear", "v_sum", "m_copy", "m_calc", "m_pick",
)}  # fmt: skip
RULES: dict[str, Any] = {**CLEAR, **PROTECTED}
#: Of the tokens and offsets of both sides, whose connection has the name of the domain.
KEY, DOMAIN = TokenKey(bytes(range(32)), "k1"), "twin"


@dataclass(frozen=True)
class Side:
    """One database: `b` decides the hidden halves of its values, `stirred` their lengths."""

    name: str
    b: bool
    stirred: bool

    def word(self, row: int, salt: str, least: int = 4, most: int = 11) -> str:
        """A hidden word; on the first side many rows share one, on the second hardly any."""
        size = random.Random(f"{salt}{row}").randint(least, most)
        if self.stirred and self.b:
            size = 2 * most - size
        seed = f"{salt}{row}b" if self.b else f"{salt}{row % 5}a"
        return "".join(random.Random(seed).choices("abcdefghijklmnopqrstuvwxyz", k=size))

    def number(self, row: int, salt: str, low: int, high: int) -> int:
        return random.Random(f"{salt}{row}{'b' if self.b else 'a'}").randint(low, high)

    def within_year(self, row: int, salt: str) -> date:
        """The same year on both sides, or any year that the class of the oldest hides."""
        year = random.Random(f"{salt}{row}").randint(1938, 2020)
        if row % 9 == 0:
            year = 1900 + self.number(row, f"{salt}y", 0, 30)
        return date(year, 1, 1) + timedelta(self.number(row, f"{salt}d", 0, 364))

    def mrn(self, row: int) -> str:
        """Unique on each side: equal values are equal tokens, and nothing else is."""
        number = (row * 7919 if self.b else row * 104729 + 5) % 100_000
        return f"MRN-{number:05d}" + ("-long-form" if self.stirred and self.b else "")

    def null(self, row: int, salt: str) -> bool:
        """Where a hidden NULL stands. Columns that always come back NULL have them on one side."""
        return (row + len(salt)) % 6 == 0

    def persons(self) -> Iterator[tuple[Any, ...]]:
        for row in range(PERSONS):
            clear = random.Random(f"person{row}")
            moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=clear.randint(0, 9000))
            yield (
                row + 1,
                clear.choice(["Aarhus", "Bergen", "Cork", "Delft", None]),
                clear.choice(["1", "2", "17", "x-1", "a b", None]),
                clear.choice("mf"), f"{clear.randint(0, 3):05d}",
                clear.choice(["low", "medium", "high", None]),
                clear.choice([0, 0, 1, 2, 3, 5, 8, None]), clear.randint(-4, 4) * 10**10,
                Decimal(clear.randint(-400, 900)) / 4, clear.randint(-40, 40) / 8,
                clear.choice([True, False, None]),
                moment.date(), moment, UUID(int=clear.getrandbits(128), version=4),
                _json(plan=clear.choice(["gold", "tin"]), k=clear.randint(0, 3), l=[1]),
                [clear.choice("abc") for _ in range(clear.randint(0, 3))],
                [clear.randint(0, 4) for _ in range(clear.randint(0, 3))],
                (f"{clear.choice(['Elm', 'Oak'])} {row % 4}", clear.choice(["Aarhus", "Cork"])),
                bytes([row, 255 - row]), timedelta(minutes=clear.randint(0, 600)),
                *self._hidden(row),
            )  # fmt: skip

    def _hidden(self, row: int) -> tuple[Any, ...]:
        tail = random.Random(f"tail{row}").randint(0, 99)
        born = datetime.combine(self.within_year(row, "born"), datetime.min.time(), UTC)
        word = self.word
        return (
            None if self.null(row, "name") else word(row, "name"),
            self.mrn(row),
            f"900-{self.number(row, 'ssn', 10, 99)}-{self.number(row, 'ssn2', 10, 99)}{tail:02d}",
            f"{self.number(row, 'pin', 0, 9999):04d}",
            # On one side numbers, on the other words: a cast fails there and not here.
            word(row, "code", 4, 4) if self.b else f"{row * 37 % 9000 + 1000}",
            ("low", "medium", "high")[self.number(row, "mood", 0, 2)],
            f"{self.number(row, 'zip', 10000, 99999)}",
            None if self.null(row, "a") and self.b else self.number(row, "age", 0, 99),
            self.number(row, "account", 0, 10**6) * 100 + row,
            # Zeros on one side only: a division fails there.
            Decimal(self.number(row, "score", 1, 300) if self.b or row % 4 else 0) / 100,
            self.number(row, "weight", 1, 400) / 4,
            bool(self.number(row, "alive", 0, 1)),
            self.within_year(row, "dob"),
            born + timedelta(seconds=self.number(row, "s", 0, 86_000)),
            UUID(int=random.Random(f"key{row}{self.b}").getrandbits(128), version=4),
            _json(plan=word(row, "doc", 4, 4), k=self.number(row, "k", 0, 3)),
            [f"{'yx'[self.b]}{(n * 3 + self.b) % 9}-alias" for n in range(row % 4)],
            [self.number(row + n, "marks", 0, 9) for n in range(3)],
            (word(row, "street"), word(row, "town")),
            self.number(row, "photo", 0, 2**62).to_bytes(8, "big"),
            f"Told by {word(row, 'mail', 5, 8)}@example.org that all is well",
            timedelta(minutes=self.number(row, "wait", 0, 5000)),
            self._diary(row),
            self._moved(row),
        )

    def _diary(self, row: int) -> str:
        """A text that says what else stands in its row, and that is masked there."""
        name = "nobody" if self.null(row, "name") else self.word(row, "name").upper()
        return f"Told {name} ({self.mrn(row)}) that all is well, and {name} will call"

    def _moved(self, row: int) -> date:
        """What has to stand here for the same date to come out, whatever the subject's offset."""
        shown = date(2020, 1, 1) + timedelta(random.Random(f"moved{row}").randint(0, 900))
        table = pa.table({"mrn": [self.mrn(row)], "moved": pa.array([shown], pa.date32())})
        rules = {name.rsplit(".", 1)[1]: rule for name, rule in PROTECTED.items()}
        kept = {name: rules[name] for name in table.column_names}
        shifted = Masker(kept, key=KEY, domain=DOMAIN).mask(table)["moved"][0].as_py()
        return shown - (shifted - shown)

    def visits(self) -> Iterator[tuple[Any, ...]]:
        for row in range(VISITS):
            clear = random.Random(f"visit{row}")
            whose = clear.randrange(PERSONS)
            yield (
                row + 1, whose + 1, clear.choice(["visit", "phone", "surgery"]),
                Decimal(clear.randint(0, 900)) / 4,
                datetime(2024, 3, 1, tzinfo=UTC) + timedelta(hours=clear.randint(0, 5000)),
                clear.choice([0, 1, 2, 3, None]), clear.choice([True, False]),
                self.mrn(clear.randrange(PERSONS)),
                Decimal(self.number(row, "fee", 1, 200) if not self.b or row % 4 else 0),
                None if self.null(row, "reason") else self.word(row, "reason"),
                self.within_year(row, "seen"), self.number(row, "grade", 0, 5),
            )  # fmt: skip

    def events(self) -> Iterator[tuple[Any, ...]]:
        for row in range(EVENTS):
            day = date(2024 + row % 2, 1, 1) + timedelta(row * 20)
            yield row + 1, day, row % 3, self.word(row, "secret"), self.number(row, "points", 0, 50)

    def staff(self, first: int) -> Iterator[tuple[Any, ...]]:
        for row in range(first, first + STAFF):
            yield row, row % 3, self.word(row, "alias"), self.number(row, "pay", 1, 9)


def _json(**parts: Any) -> str:
    return json.dumps(parts)


async def build(admin_dsn: str, sides: Sequence[Side], dsn: Callable[[str], str]) -> None:
    """The databases of these sides on one server; `dsn` gives the superuser's address of each.

    All are copies of one empty database: the order in which a hash hands out rows depends on the
    OIDs of an enum's labels, which are then the same everywhere.
    """
    admin = await asyncpg.connect(admin_dsn)
    try:
        await admin.execute(f"CREATE ROLE {READER}")
        await admin.execute(f"CREATE ROLE {LOGIN} LOGIN NOINHERIT IN ROLE {READER}")
        await admin.execute("CREATE DATABASE twin")
        empty = await asyncpg.connect(dsn("twin"))
        try:
            await empty.execute(SCHEMA)
        finally:
            await empty.close()
        for side in sides:
            await admin.execute(f'CREATE DATABASE "{side.name}" TEMPLATE twin')
            await admin.execute(f'REVOKE ALL ON DATABASE "{side.name}" FROM PUBLIC')
            await admin.execute(f'GRANT CONNECT ON DATABASE "{side.name}" TO {LOGIN}')
    finally:
        await admin.close()
    for side in sides:
        await _rows(dsn(side.name), side)


async def _rows(dsn: str, side: Side) -> None:
    database = await asyncpg.connect(dsn)
    try:
        doctors = [
            (*row, f"badge {row[0]}", f"L{row[0] * 31 % 97 + side.b * 100:04d}")
            for row in side.staff(100)
        ]
        for table, rows in (
            ("person", side.persons()), ("visit", side.visits()), ("event", side.events()),
            ("staff", side.staff(0)), ("doctor", iter(doctors)),
        ):  # fmt: skip
            await _fill(database, table, list(rows))
        for view in ("m_copy", "m_calc", "m_pick"):
            await database.execute(f"REFRESH MATERIALIZED VIEW {view}")
        if side.stirred:
            await database.execute("ANALYZE")
    finally:
        await database.close()


async def _fill(database: Any, table: str, rows: list[tuple[Any, ...]]) -> None:
    values = ", ".join(f"${number}" for number in range(1, len(rows[0]) + 1))
    columns = await database.fetchval(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = $1::text::regclass AND attnum > 0 AND attgenerated = ''",
        table,
    )
    await database.executemany(f"INSERT INTO {table} ({columns}) VALUES ({values})", rows)


def pair(kind: str) -> tuple[Side, Side]:
    """The two sides of one pair, `still` or `stirred`."""
    stirred = kind == "stirred"
    return Side(f"{kind}_a", False, stirred), Side(f"{kind}_b", True, stirred)
