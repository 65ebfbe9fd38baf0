"""A session's records read back for people: what was asked, decided, released and refused.

Reads only the bytes that go into the bundle. Judges nothing: the auditor's script does that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import InvalidRequest


@dataclass(slots=True)
class Column:
    """One output column's decision and what it did."""

    name: str
    treatment: str
    reason: str
    sources: list[str]
    masked: str
    detectors: str


@dataclass(slots=True)
class Statement:
    """One statement from its first record to its last."""

    number: int
    asked_at: str
    record: int
    text: str
    params: str = ""
    server_text: str = ""
    tables: list[str] = field(default_factory=list)
    decision: list[dict[str, Any]] = field(default_factory=list)
    format: str = ""
    notes: list[str] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    chunks: int = 0
    outcome: str = "unfinished"
    ended_at: str = ""
    detail: str = ""
    code: str = ""
    digest: str = ""
    truncated: bool = False
    cells_masked: dict[str, Any] = field(default_factory=dict)
    detectors: dict[str, Any] = field(default_factory=dict)
    permitted: list[str] = field(default_factory=list)
    sealed: bool = False

    @property
    def cells(self) -> int:
        """How many cells its treatments changed."""
        counts = [value for value in self.cells_masked.values() if isinstance(value, dict)]
        return sum(one for count in counts for one in count.values() if isinstance(one, int))

    @property
    def columns(self) -> list[Column]:
        names = [str(column.get("column", "")) for column in self.decision]
        return [
            Column(
                name,
                _treatment(column),
                str(column.get("reason", "")),
                [*map(str, column.get("columns", [])), *_at_source(column)],
                _counts(self.cells_masked.get(key)),
                _counts(self.detectors.get(key)),
            )
            for column, name, key in zip(self.decision, names, counted_under(names), strict=True)
        ]


@dataclass(slots=True)
class Story:
    """The whole session."""

    opened: dict[str, Any]
    genesis: dict[str, Any]
    opened_at: str
    sid: str
    count: int = 0
    statements: list[Statement] = field(default_factory=list)
    closed_at: str = ""
    close_reason: str = ""

    @classmethod
    def read(cls, records: bytes) -> Story:
        """Raises InvalidRequest unless this is an agent's session."""
        lines = records.split(b"\n")[:-1]
        first = json.loads(lines[0]) if lines else {}
        if first.get("type") != "open" or not isinstance(first["body"].get("grant"), dict):
            raise InvalidRequest("only an agent's session, opened under a grant, has a bundle")
        story = cls(first["body"], first["genesis"], first["ts"], first["sid"], len(lines))
        running: dict[Any, Statement] = {}
        for line in lines[1:]:
            story._take(json.loads(line), running)
        return story

    def _take(self, record: dict[str, Any], running: dict[Any, Statement]) -> None:
        kind, body, ts = record["type"], record["body"], record["ts"]
        if kind in ("intent", "refused"):
            statement = Statement(body["statement_no"], ts, record["i"], _text(body))
            statement.sealed = "sealed" in body
            running[statement.number] = statement
            self.statements.append(statement)
            if kind == "intent":
                _intent(statement, body)
            else:
                _end(statement, "refused", body, ts)
        elif kind == "result":
            statement = running[body["statement_no"]]
            statement.rows += body["rows"]
            statement.bytes += body["bytes"]
            statement.chunks += 1
        elif kind in ("release", "error", "cancel"):
            _end(running[body["statement_no"]], kind, body, ts)
        elif kind == "close":
            self.closed_at, self.close_reason = ts, body["reason"]

    @property
    def rows(self) -> int:
        return sum(statement.rows for statement in self.statements)

    @property
    def cells(self) -> int:
        return sum(statement.cells for statement in self.statements)

    def ended(self, outcome: str) -> int:
        """How many statements ended so."""
        return sum(statement.outcome == outcome for statement in self.statements)


def _text(body: Mapping[str, Any]) -> str:
    if "statement" in body:
        return str(body["statement"])
    return (
        f"{body['statement_head']}\n… {body['statement_bytes']} bytes in all, "
        f"BLAKE3 {body['statement_blake3']}"
    )


def _intent(statement: Statement, body: Mapping[str, Any]) -> None:
    params = body.get("params") or ""  # JSON, in a string
    statement.params = params if isinstance(params, str) else _plain(params)
    server_text = body.get("server_text")
    statement.server_text = server_text if server_text and server_text != statement.text else ""
    statement.tables = [str(table) for table in body["analysis"].get("tables", [])]
    statement.decision = body["decision"]
    statement.format = body["format"]
    statement.notes = [str(note) for note in body["notes"]]
    statement.permitted = [
        f"{use.get('option')} of {', '.join(map(str, use.get('columns', [])))}, "
        f"by the rule {use.get('rule')}"
        for use in body.get("permitted") or ()
    ]


def _end(statement: Statement, outcome: str, body: Mapping[str, Any], ts: str) -> None:
    statement.outcome = {"release": "released", "cancel": "cancelled"}.get(outcome, outcome)
    statement.ended_at = ts
    statement.code = str(body.get("code", ""))
    statement.detail = str(body.get("detail", body.get("reason", "")))
    statement.digest = str(body.get("digest", ""))
    statement.truncated = body.get("truncated") is True
    statement.cells_masked = body.get("cells_masked", {})
    statement.detectors = body.get("detectors", {})
    new = [str(note) for note in body.get("notes", [])]
    statement.notes += [note for note in new if note not in statement.notes]


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def counted_under(names: Iterable[str]) -> list[str]:
    """What the counts of each column stand under: a repeated name gets _2, _3, in the columns'
    order (as in rust/mask/src/report.rs)."""
    keys: dict[str, None] = {}
    for name in names:
        key, number = name, 2
        while key in keys:
            key, number = f"{name}_{number}", number + 1
        keys[key] = None
    return [*keys]


def _at_source(column: dict[str, Any]) -> list[str]:
    """The columns that were NULL before anything was made of them."""
    return [str(source) for source in column.get("masked_at_source") or ()]


def _treatment(column: dict[str, Any]) -> str:
    """A treatment's name, its options when it has any, and whether its sources were NULL."""
    value = column.get("treatment")
    if isinstance(value, dict):
        options = {key: option for key, option in value.items() if key != "name" and option}
        told = f"{value.get('name')} {_plain(options)}" if options else str(value.get("name"))
    else:
        told = str(value)
    return f"{told}, made of NULL" if _at_source(column) else told


def _counts(value: Any) -> str:
    """{"redact": 12} as "redact 12"; a detector's cells and spans likewise."""
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    parts = []
    for name, count in value.items():
        if isinstance(count, dict):
            count = ", ".join(f"{key} {number}" for key, number in count.items())
            parts.append(f"{name} ({count})")
        else:
            parts.append(f"{name} {count}")
    return ", ".join(parts)
