"""The whole corpus through HTTP: each format, both query calls, each way of treating expressions.

Everyday statements give, cell by cell, what a direct connection gives. No byte of any answer to an
attack, in whatever format, holds a protected value; and what is refused does not depend on how the
rows were to be sent.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args
from uuid import UUID

import asyncpg
import httpx
import pyarrow as pa
import pytest
from world import AGENT, ARROW, World

import servers
from corpus import clinic as corpus
from gateway.config import ConnectionSettings
from gateway.sql import analyse
from gateway.upstream import Database, UpstreamSettings

EVERYDAY = corpus.load("everyday.toml", "statement")
ATTACKS = corpus.load("attacks.toml", "attack")
MODES = get_args(ConnectionSettings.model_fields["expressions"].annotation)
FORMATS = {"arrow": ARROW, "ndjson": "application/x-ndjson", "csv": "text/csv"}
CALLS = ("session", "connection")
_RULES = "".join(
    f'"{name}" = "{treatment}"\n'
    for name, treatment in {
        "*.*.*": "clear",
        **dict.fromkeys(sorted(corpus.PROTECTED), "redact"),
    }.items()
)


#: Every format and call in the first mode; the other modes differ behind the doors only.
DOORS = [
    pytest.param(mode, form, call, id=f"{mode}-{form}-{call}")
    for mode in MODES
    for form in FORMATS
    for call in CALLS
    if mode == MODES[0] or (form, call) == ("ndjson", "session")
]
each_door = pytest.mark.parametrize(
    ("gateway", "form", "call"), DOORS, indirect=["gateway"], scope="module"
)


class Clinic(World):
    """A gateway over the corpus' clinic. No detector looks at clear text: what a detector would
    catch must not have come so far, and what it would take for an identifier is to be seen."""

    expressions = ""

    def write_config(self, *_: Any, **__: Any) -> None:
        self.config.write_text(f"""\
{self.gateway_config()}[access]
approvers = ["group:data-stewards"]
[connections.clinic]
dsn = "{self.server.dsn(corpus.LOGIN, "clinic")}"
role = "{corpus.READER}"
expressions = "{self.expressions}"
text = "clear"
[connections.clinic.columns]
{_RULES}
""")

    def ask(self, http: httpx.Client, call: str, accept: str, entry: dict[str, Any]) -> Reply:
        """One statement through one of the two calls; a stream that breaks keeps what came."""
        body: dict[str, Any] = {"sql": entry["sql"], "params": entry["params"]}
        path = "/v1/query"
        if call == "session":
            path = f"/v1/sessions/{self.opened}/query"
        else:
            body["connection"] = "clinic"
        content, whole = b"", True
        try:
            # Surrogates that JSON can write and UTF-8 cannot are part of the corpus.
            raw = json.dumps(body).encode()
            with http.stream("POST", path, content=raw, headers={"Accept": accept}) as answer:
                for piece in answer.iter_raw():
                    content += piece
        except httpx.RemoteProtocolError:
            whole = False
        code = "ok"
        if answer.headers.get("content-type") == "application/problem+json":
            code = json.loads(content)["code"]
        return Reply(answer.status_code, code, whole, content, str(answer.headers).encode())


@dataclass(frozen=True)
class Reply:
    status: int
    code: str
    whole: bool
    content: bytes
    headers: bytes

    @property
    def outcome(self) -> tuple[int, str, bool]:
        return self.status, self.code, self.whole


@pytest.fixture(scope="module")
async def corpus_server() -> AsyncIterator[servers.Server]:
    with servers.running(servers.majors()[-1]) as server:
        await corpus.build(server.dsn(), server.dsn(database="clinic"))
        yield server


@pytest.fixture(scope="module")
async def gateway(
    corpus_server: servers.Server,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Clinic]:
    name = f"doors_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(corpus_server.dsn())
    await admin.execute(f"CREATE DATABASE {name}_control")
    await admin.close()
    Clinic.expressions = request.param
    world = Clinic(tmp_path_factory.mktemp("doors"), corpus_server, name)
    try:
        world.opened = world.session(grant=world.grant()["id"])
        yield world
    finally:
        world.end()


@pytest.fixture
def http(gateway: Clinic) -> Iterator[httpx.Client]:
    with gateway.http(AGENT) as client:
        yield client


@dataclass(frozen=True)
class Cell:
    """One value as the server says it to a direct connection."""

    native: Any
    text: str | None
    iso: str | None  # with intervals as ISO 8601
    json: str | None
    interval: list[int] | None
    type: str
    hidden: bool


_SAID = """
CASE WHEN q.{0} IS NOT NULL THEN format('%s', q.{0}) END,
to_json(q.{0})::text
"""
_INTERVAL = """
CASE WHEN q.{0} IS NOT NULL THEN ARRAY[
  extract(year from q.{0}) * 12 + extract(month from q.{0}), extract(day from q.{0}),
  (extract(hour from q.{0}) * 3600 + extract(minute from q.{0}) * 60) * 1000000000
  + extract(microseconds from q.{0}) * 1000]::int8[] END
"""


@pytest.fixture(scope="module")
async def expected(corpus_server: servers.Server) -> dict[str, list[list[Cell]]]:
    """Every cell of every everyday statement, from a connection without a gateway."""
    dsn = corpus_server.dsn(corpus.LOGIN, "clinic")
    database = Database(UpstreamSettings(dsn, role=corpus.READER))
    await database.open()
    direct = await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})
    try:
        await direct.execute(f"SET ROLE {corpus.READER}")
        found = {}
        for entry in EVERYDAY:
            async with database.transaction("expected") as transaction:
                analysis = await analyse(entry["sql"], entry["params"], transaction)
            hidden = corpus.hidden(analysis)
            found[entry["name"]] = await _cells(direct, analysis.server_text, hidden)
        return found
    finally:
        await direct.close()
        await database.close()


async def _cells(direct: Any, text: str, hidden: list[bool]) -> list[list[Cell]]:
    names = [f'"c{number}"' for number in range(len(hidden))]
    source = f"FROM (\n{text}\n) AS q({', '.join(names)})"
    plain = await direct.prepare(f"SELECT {', '.join(names)} {source}")
    types = [attribute.type.name for attribute in plain.get_attributes()]
    native = await plain.fetch()
    said = f"SELECT {', '.join(_SAID.format(name) for name in names)} {source}"
    texts = await direct.fetch(said)
    await direct.execute("SET IntervalStyle = iso_8601")
    iso = await direct.fetch(said)
    await direct.execute("RESET IntervalStyle")
    spans = [
        _INTERVAL.format(n) if t == "interval" else "NULL"
        for n, t in zip(names, types, strict=True)
    ]
    parts = await direct.fetch(f"SELECT {', '.join(spans)} {source}")
    return [
        [
            Cell(native[r][c], texts[r][2 * c], iso[r][2 * c], texts[r][2 * c + 1], parts[r][c],
                 types[c], hidden[c])
            for c in range(len(names))
        ]
        for r in range(len(native))
    ]  # fmt: skip


def _arrow(data: bytes) -> list[list[Any]]:
    table = pa.ipc.open_stream(data).read_all()
    columns = [column.to_pylist() for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _ndjson(data: bytes) -> list[list[Any]]:
    lines = data.decode().split("\n")
    assert lines.pop() == ""
    return [list(json.loads(line).values()) for line in lines]


def _csv(data: bytes) -> list[list[Any]]:
    """Rows, NULL told from the empty text by its quotes."""
    rows = []
    for record in data.decode().split("\r\n")[1:-1]:
        marked = io.StringIO(_marked(record), newline="")
        (cells,) = csv.reader(marked, strict=True) if record else [["~null~"]]
        rows.append([None if cell == "~null~" else cell for cell in cells])
    return rows


def _marked(record: str) -> str:
    """A record with a word where a field is empty and not quoted."""
    out, quoted, start = [], False, True
    for sign in record:
        if sign == '"':
            quoted = not quoted
        if sign == "," and not quoted:
            out.append("~null~" if start else "")
            start = True
        else:
            start = False
        out.append(sign)
    return "".join(out) + ("~null~" if start else "")


def _as_arrow(cell: Cell, got: Any) -> bool:
    if isinstance(got, tuple):
        return list(got) == cell.interval
    if isinstance(cell.native, UUID):
        return got in (cell.native.bytes, str(cell.native), cell.native)
    if isinstance(got, list) and isinstance(cell.native, list):
        pairs = zip(got, cell.native, strict=True)
        return all(a == b or str(a) == str(b) for a, b in pairs)
    return bool(got == cell.native) or got == cell.text


def _as_ndjson(cell: Cell, got: Any) -> bool:
    text = cell.iso
    if cell.type.endswith("[]") and isinstance(got, list):
        return bool(got == json.loads(cell.json or ""))
    if cell.type in ("json", "jsonb"):
        return bool(got == json.loads(cell.text or ""))
    if cell.type in ("timestamp", "timestamptz"):
        text = (text or "").replace(" ", "T").replace("+00", "Z")
    if cell.type == "bytea":
        text = base64.b64encode(cell.native).decode()
    return bool(got == cell.native) or got == text


def _as_csv(cell: Cell, got: Any) -> bool:
    if cell.type == "bool":
        return got == ("true" if cell.native else "false")
    if cell.type == "bytea":
        return got == base64.b64encode(cell.native).decode()
    if cell.type.endswith("[]") and str(got).startswith("["):
        return bool(json.loads(got) == json.loads(cell.json or ""))
    return got == cell.text


READERS: dict[str, tuple[Callable[[bytes], list[list[Any]]], Callable[[Cell, Any], bool]]] = {
    "arrow": (_arrow, _as_arrow),
    "ndjson": (_ndjson, _as_ndjson),
    "csv": (_csv, _as_csv),
}


def _same(form: str, cell: Cell, got: Any) -> bool:
    if cell.hidden:
        return got is None or (got == "[REDACTED]" and cell.native is not None)
    if cell.native is None or got is None:
        return cell.native is None and got is None
    return READERS[form][1](cell, got)


@each_door
def test_everyday_statements_give_the_cells_of_a_direct_connection(
    gateway: Clinic,
    http: httpx.Client,
    expected: dict[str, list[list[Cell]]],
    form: str,
    call: str,
) -> None:
    wrong = []
    for entry in EVERYDAY:
        reply = gateway.ask(http, call, FORMATS[form], entry)
        if reply.outcome != (200, "ok", True):
            wrong.append((entry["name"], reply.content[:300]))
            continue
        rows = READERS[form][0](reply.content)
        wanted = expected[entry["name"]]
        shape = [len(row) for row in rows] == [len(row) for row in wanted]
        cells = [
            (cell, got)
            for row, wanted_row in zip(rows, wanted, strict=False)
            for cell, got in zip(wanted_row, row, strict=False)
            if not _same(form, cell, got)
        ]
        if not shape or cells:
            wrong.append((entry["name"], cells or rows))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[str, str], tuple[str, Any]]:
    """What each attack came to the first time, by mode and name."""
    return {}


@each_door
def test_no_answer_to_an_attack_holds_a_protected_value(
    gateway: Clinic,
    http: httpx.Client,
    outcomes: dict[tuple[str, str], tuple[str, Any]],
    form: str,
    call: str,
) -> None:
    leaks, unequal = [], []
    for attack in ATTACKS:
        reply = gateway.ask(http, call, FORMATS[form], attack)
        said = (attack["sql"] + repr(attack["params"])).casefold()
        everything = (reply.content + reply.headers).lower()
        for planted in corpus.PLANTED:
            # What the attacker wrote himself tells him nothing.
            if planted.casefold() not in said and planted.lower().encode() in everything:
                leaks.append((attack["name"], planted, reply.content[:300]))
        key = gateway.expressions, attack["name"]
        first = outcomes.setdefault(key, (f"{form} by {call}", reply.outcome))
        if first[1] != reply.outcome:
            unequal.append((attack["name"], first, f"{form} by {call}", reply.outcome))
    assert not leaks, "\n".join(map(str, leaks))
    assert not unequal, "\n".join(map(str, unequal))


@pytest.mark.parametrize("gateway", MODES[:1], indirect=True)
def test_the_search_finds_what_is_in_an_answer(gateway: Clinic, http: httpx.Client) -> None:
    """Neither an encoding nor a compression hides a planted value from it, in any format."""
    for planted in corpus.PLANTED:
        shown = {"sql": f"select '{planted} and more' as shown, city from patient", "params": []}
        for accept in FORMATS.values():
            reply = gateway.ask(http, "session", accept, shown)
            assert reply.outcome == (200, "ok", True)
            assert planted.encode() in reply.content
