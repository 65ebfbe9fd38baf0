"""The relations of schema.sql as the generator knows them, and what an expression may name."""

from __future__ import annotations

from dataclasses import dataclass, field

#: name -> columns as "name type", those behind the bar protected.
_TABLES = {
    "person": "id int, city text, label text, sex text, zip text, level risk, n int, big big, "
    "amount num, ratio float, active bool, day date, at ts, uid uuid, info json, tags texts, "
    "nums ints, place addr, raw bytes, gap gap, next_n int | name text, mrn text, ssn text, "
    "pin text, code text, mood risk, home_zip text, age int, account big, score num, "
    "weight float, alive bool, dob date, born ts, key uuid, doc json, aliases texts, marks ints, "
    "home addr, photo bytes, notes text, wait gap, diary text, moved date, initial text",
    "visit": "id int, person_id int, kind text, cost num, at ts, room int, ok bool | mrn text, "
    "fee num, reason text, seen date, grade int",
    "event": "id int, day date, level int | secret text, points int",
    "event_2024": "id int, day date, level int | secret text, points int",
    "staff": "id int, rank int | alias text, pay int",
    "doctor": "id int, rank int, badge text | alias text, pay int, licence text",
    "v_clear": "id int, city text, n int, day date",
    "v_pass": "id int, city text | title text, number text, dob date",
    "v_calc": "id int, twice int | loud text, older int",
    "v_join": "| id int, kind text, city text, reason text",
    "v_pick": "| id int, city text",
    "v_sum": "person_id int, visits big, total num",
    "m_copy": "id int, city text | who text, number text",
    "m_calc": "city text, n big | top text",
    "m_pick": "| id int, city text",
}
PLAIN = ("person", "person", "person", "visit", "visit", "event", "staff", "doctor", "v_clear")


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    protected: bool


@dataclass(frozen=True)
class Source:
    """Something in FROM; `key` is a clear column that no two of its rows share."""

    alias: str
    columns: tuple[Column, ...]
    key: str | None = None


def _columns(text: str) -> tuple[Column, ...]:
    clear, _, hidden = text.partition("|")
    return tuple(
        Column(*entry.split(), protected=protected)
        for part, protected in ((clear, False), (hidden, True))
        for entry in part.strip(" ,").split(", ")
        if entry
    )


TABLES = {name: _columns(text) for name, text in _TABLES.items()}


@dataclass
class Scope:
    """The columns an expression may name: the query's own, then those of the queries around it."""

    own: list[Source] = field(default_factory=list)
    outer: list[Source] = field(default_factory=list)
    grouped: bool = False  # own columns only inside aggregates
