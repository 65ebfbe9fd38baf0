"""What the options of a rule allow, and nothing beside it, on real servers: corpus/options.toml.

Each statement runs on twins that differ in protected values only: the same values are equal to each
other, and the groups that may be aggregated have the same values in other rows.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

import servers
from corpus import clinic as corpus
from gateway.errors import MaskgateError, ProtectedUse
from gateway.model import Analysis, Column, Decision, Grant, GrantState
from gateway.policy import Policy, decide, to_hide
from gateway.sql import analyse, keep_order_untold, mask_at_source, without_dependents
from gateway.upstream import Database, UpstreamSettings

pytestmark = pytest.mark.pg15
CLEAR = "options_clear"  # has the right to columns that are clear, and to no other
STATEMENTS = corpus.load("options.toml", "statement")
LOOKUP = {"treatment": "token", "lookup": True}
COLUMNS: dict[str, Any] = {
    "public.*.*": "clear",
    "public.patient.full_name": {"treatment": "redact", "show": ["group:clinicians"]},
    "public.patient.mrn": {**LOOKUP, "join": "mrn", "show": ["group:registry"]},
    "public.patient.other_mrn": {**LOOKUP, "join": "mrn"},
    "public.patient.ssn": {"treatment": "deny", "lookup": {"per_hour": 5}},
    "public.patient.account": {**LOOKUP, "join": "account", "aggregate": 5},
    "public.patient.folded": LOOKUP,
    "public.patient.named": LOOKUP,
    "public.patient.badge": {**LOOKUP, "join": "badge", "show": ["group:clinicians"]},
    "public.patient.balance": {"treatment": "redact", "aggregate": 5},
    "public.patient.weight": {"treatment": "null", "aggregate": 5},
    "public.patient.notes": {"treatment": "scan", "show": ["group:clinicians"]},
    "public.claim.patient_mrn": {"treatment": "token", "join": "mrn"},
    "public.claim.account": {"treatment": "token", "join": "account"},
    "public.claim.amount": "redact",
    "public.guess.mrn": {"treatment": "redact", "join": "badge"},
    "public.event.mrn": LOOKUP,
}
POLICIES = {how: Policy("clinic", COLUMNS, expressions=how) for how in ("refuse", "mask-at-source")}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GRANT = Grant(
    "g", "i#a", "clinic", ("*",), "corpus", GrantState.ACTIVE, NOW, 60, NOW, NOW, None
)  # fmt: skip
#: Other values of the same length and in the other order, equal where the planted ones are; in each
#: city the balances and weights are those of other rows.
TWIN = {
    **{f"MRN-77100{n}": f"MRN-31000{9 - n}" for n in range(10)},
    **{f"5500{n}": f"6611{9 - n}" for n in range(10)},
    **{f"900-11-000{n}": f"812-47-000{9 - n}" for n in range(10)},
    "MRN-770000": "MRN-319999", "Quillfeather": "Stillwatered", "Vantongeren": "Wickerwaine",
    "Drakemoor": "Fallowmer", "Fold-": "Kept-", "Nick-": "Dick-", "B-": "A-",
    "'Aarhus', 10, 61": "'Aarhus', 30, 63", "'Aarhus', 30, 63": "'Aarhus', 10, 61",
    "'Bergen', 60, 66": "'Bergen', 90, 69", "'Bergen', 90, 69": "'Bergen', 60, 66",
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    analysis: Analysis
    decision: Decision
    rows: list[list[bytes | None]]
    text: list[list[str]]

    def uses(self) -> list[str]:
        return [
            " ".join([p.option, *p.columns, *([f"${p.parameter}"] if p.parameter else [])])
            for p in self.decision.permitted
        ]


@dataclass(frozen=True)
class Clinic:
    upstream: Database
    direct: Any

    async def answer(self, statement: dict[str, Any], how: str) -> Answer:
        """Steps 3, 4 and 6 of the corridor; rows as the kernel would leave them."""
        policy = POLICIES[how].for_groups(statement.get("groups", ()))
        async with self.upstream.transaction("options") as transaction:
            analysis = await analyse(statement["sql"], statement["params"], transaction)
            if gone := to_hide(GRANT, analysis, policy):
                analysis = await without_dependents(analysis, gone, transaction)
            if gone := to_hide(GRANT, analysis, policy):
                analysis = await mask_at_source(analysis, gone, transaction)
            decision = decide(GRANT, analysis, policy)
            if decision.raw:
                joined = any(use.option == "join" for use in decision.permitted)
                keep_order_untold(transaction, joined=joined)
            pieces = transaction.stream(
                analysis.server_text,
                analysis.server_tree,
                analysis.relations,
                raw=decision.raw,
            )
            rows = corpus.rows(b"".join([piece async for piece in pieces]))
        masked = [column.treatment.name != "clear" for column in decision.columns]
        names = [f'"c{n}"' for n in range(len(masked))]
        shown = await self.direct.fetch(
            f"SELECT {', '.join(f'q.{name}::text' for name in names)} "
            f"FROM (\n{analysis.server_text}\n) AS q({', '.join(names)})"
        )
        text = [
            ["~" if c is None else "***" if hit else c for c, hit in zip(row, masked, strict=True)]
            for row in shown
        ]
        return Answer(analysis, decision, rows, text)

    async def outcome(self, statement: dict[str, Any], how: str) -> tuple[str, Any]:
        """What leaves, in a form that can be compared: masked fields are told by NULL alone."""
        try:
            answer = await self.answer(statement, how)
        except MaskgateError as refusal:
            return refusal.code, (refusal.detail, refusal.hint)
        hits = [column.treatment.name != "clear" for column in answer.decision.columns]
        rows = [
            [f is None or "***" if hit else f for f, hit in zip(row, hits, strict=True)]
            for row in answer.rows
        ]
        hidden = [(h.reference.alias, str(h.column), h.uses) for h in answer.analysis.hidden]
        return "answered", (rows, answer.decision, hidden)


_COLUMNS = """
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND attnum > 0
"""
_DERIVED = ("event_2024", "event_2025", "patient_code", "patient_known", "patient_copy")
_DERIVED_GRANTS = f"""
GRANT USAGE ON SCHEMA public TO {CLEAR};
GRANT SELECT (id, city) ON public.patient_code TO {CLEAR};
GRANT SELECT (id) ON public.patient_copy TO {CLEAR};
GRANT SELECT (id, day) ON public.event_2024, public.event_2025 TO {CLEAR};
"""


_ALL_VISIBLE = "SELECT relallvisible = relpages FROM pg_class WHERE oid = 'public.wide'::regclass"


async def vacuumed(direct: asyncpg.Connection[Any]) -> None:
    """Its index alone can answer: an ANALYZE of the server's own beside ours would forbid that."""
    async with asyncio.timeout(30):
        while True:
            await direct.execute("VACUUM ANALYZE public.wide")
            if await direct.fetchval(_ALL_VISIBLE):
                return
            await asyncio.sleep(0.05)


async def built(server: servers.Server, name: str, script: str) -> Clinic:
    admin = await asyncpg.connect(server.dsn())
    await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    direct = await asyncpg.connect(
        server.dsn(database=name), server_settings={"search_path": "public"}
    )
    await direct.execute(script.replace("@database@", name))
    await vacuumed(direct)
    for table, column in await direct.fetch(_COLUMNS):
        found = Column(0, 0, "public", table, column, 0)
        if not POLICIES["refuse"].treatment_of(found)[0].protects and table not in _DERIVED:
            await direct.execute(f"GRANT SELECT ({column}) ON public.{table} TO {CLEAR}")
    await direct.execute(_DERIVED_GRANTS)
    upstream = Database(
        UpstreamSettings(
            server.dsn(user=corpus.LOGIN, database=name), role=corpus.READER, clear_role=CLEAR
        )
    )
    await upstream.open()
    return Clinic(upstream, direct)


@pytest.fixture(scope="module")
async def twins(server: servers.Server, clinic: Database) -> AsyncIterator[tuple[Clinic, Clinic]]:
    script = (corpus.HERE / "options.sql").read_text()
    admin = await asyncpg.connect(server.dsn())
    await admin.execute(f"DROP ROLE IF EXISTS {CLEAR}; CREATE ROLE {CLEAR}")
    await admin.execute(f"GRANT {CLEAR} TO {corpus.LOGIN}")
    await admin.close()
    pair = (
        await built(server, "options", script),
        await built(server, "options_twin", other(script)),
    )
    yield pair
    for one in pair:
        await one.direct.close()
        await one.upstream.close()


def other(text: str) -> str:
    """The text with the twin's values in place of the planted ones, all at once."""
    found = ""
    while text:
        planted = next((p for p in TWIN if text.startswith(p)), None)
        found += TWIN[planted] if planted else text[0]
        text = text[len(planted) if planted else 1 :]
    return found


def of_twin(value: Any) -> Any:
    """A parameter in the words of the twin."""
    if isinstance(value, list):
        return [of_twin(item) for item in value]
    return value if value is None else type(value)(other(str(value)))


def by_name(statement: dict[str, Any]) -> str:
    return str(statement["name"].split()[0])


def outcomes(statement: dict[str, Any]) -> list[str]:
    expected = statement["outcome"]
    return [expected] if isinstance(expected, str) else expected


@pytest.mark.parametrize("statement", STATEMENTS, ids=by_name)
async def test_with_mask_at_source(twins: tuple[Clinic, Clinic], statement: dict[str, Any]) -> None:
    expected = outcomes(statement)
    try:
        answer = await twins[0].answer(statement, "mask-at-source")
    except MaskgateError as refusal:
        assert refusal.code in expected, (refusal.detail, refusal.hint)
        return
    assert ("hidden" if answer.analysis.hidden else "allowed") in expected
    assert answer.text == statement["rows"]
    assert answer.uses() == statement.get("uses", [])


@pytest.mark.parametrize("statement", STATEMENTS, ids=by_name)
async def test_with_refuse(twins: tuple[Clinic, Clinic], statement: dict[str, Any]) -> None:
    expected = outcomes(statement)
    if expected == ["allowed"]:
        answer = await twins[0].answer(statement, "refuse")
        assert answer.text == statement["rows"]
        assert answer.uses() == statement.get("uses", [])
        return
    refusal = ProtectedUse if expected == ["hidden"] else MaskgateError
    with pytest.raises(refusal) as caught:
        await twins[0].answer(statement, "refuse")
    assert caught.value.hint
    for planted in corpus.PLANTED:
        assert planted not in caught.value.detail + caught.value.hint


@pytest.mark.parametrize("how", POLICIES)
@pytest.mark.parametrize("statement", STATEMENTS, ids=by_name)
async def test_twins_cannot_be_told_apart(
    twins: tuple[Clinic, Clinic], statement: dict[str, Any], how: str
) -> None:
    if statement.get("groups"):
        statement = {**statement, "groups": ()}  # who is shown the values may tell them apart
    translated = {**statement, "params": [of_twin(p) for p in statement["params"]]}
    mine, theirs = twins
    assert await mine.outcome(statement, how) == await theirs.outcome(translated, how)


@pytest.mark.parametrize("how", POLICIES)
@pytest.mark.parametrize("statement", [s for s in STATEMENTS if s["params"]], ids=by_name)
async def test_a_lookup_that_meets_nothing_tells_nothing(
    twins: tuple[Clinic, Clinic], statement: dict[str, Any], how: str
) -> None:
    nobody = {
        **statement,
        "groups": (),
        "params": ["nobody" if isinstance(p, str) else -1 for p in statement["params"]],
    }
    mine, theirs = twins
    assert await mine.outcome(nobody, how) == await theirs.outcome(nobody, how)


class Generator:
    """Statements made of pieces of which the options allow some, some of the time."""

    TOLD = ("p.id", "p.city", "p.mrn", "c.id", "c.kind", "count(*)", "upper(p.full_name)")
    ALLOWED = (
        "p.mrn = $1", "$1 = p.mrn", "p.ssn = $2", "p.mrn = c.patient_mrn", "c.account = p.account",
        "p.mrn = p.other_mrn", "p.id > 2", "p.city = 'Aarhus'", "c.kind = 'lab'", "p.id = c.id",
    )  # fmt: skip
    ASKED = (
        *ALLOWED,
        "p.mrn = 'MRN-771001'", "not (p.mrn = $1)", "(p.mrn = $1 or p.id = 2)", "p.account = 55003",
        "(p.mrn = $1) is not true", "p.mrn <> c.patient_mrn", "p.full_name = c.kind",
        "exists (select from claim d where d.patient_mrn = p.mrn)",
        "p.mrn in (select q.mrn from guess q)",
        "exists (select from patient q where q.mrn = $1 and q.id = p.id)",
        "exists (select from patient q, claim d where q.mrn = d.patient_mrn and q.id = p.id)",
    )  # fmt: skip
    OF_MANY = (
        "sum(p.balance)", "avg(p.weight)", "count(p.balance)", "max(p.balance)", "count(*)",
        "sum(p.balance) filter (where p.city = 'Aarhus')", "p.city", "stddev(p.weight) * 2",
        "max(p.id)",
    )  # fmt: skip
    LEAST = (
        "count(p.balance) >= 5", "count(p.weight) >= 5", "count(p.weight) >= 4", "count(*) >= 5",
        "sum(p.balance) > 100", "count(p.balance) >= 5 or true", "max(p.id) > 0",
    )  # fmt: skip

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def some(self, pieces: Sequence[str], most: int) -> list[str]:
        return self._random.sample(pieces, self._random.randint(1, most))

    def compared(self) -> str:
        chance = self._random.random
        told = self.some(self.TOLD[: 6 if chance() < 0.7 else 7], 3)
        asked = self.ALLOWED if chance() < 0.5 else self.ASKED
        kind = self._random.choice(["join", "join", "left join", "full join", "right join"])
        on = " and ".join(self.some(asked, 2))
        text = f"select {', '.join(told)} from patient p {kind} claim c on {on}"
        if chance() < 0.7:
            text += f" where {' and '.join(self.some(asked, 3))}"
        if "count(*)" in told:
            grouped = [one for one in told if one != "count(*)"]
            text += f" group by {', '.join(grouped)}" if grouped else ""
        if chance() < 0.3:
            text = f"with w as ({text}) select * from w"
        return text

    def aggregated(self) -> str:
        chance = self._random.random
        told = self.some(self.OF_MANY, 3)
        source = self._random.choice(
            ["patient p", "(select * from patient) p", "(select city, id, balance, weight from "
             "patient) p", "patient p join guess g on true", "patient p, claim c"]
        )  # fmt: skip
        text = f"select {', '.join(told)} from {source}"
        if chance() < 0.3:
            text += " where p.city = 'Aarhus'"
        if "p.city" in told:
            text += " group by p.city"
        if chance() < 0.8:
            text += f" having {' and '.join(self.some(self.LEAST, 2))}"
        if chance() < 0.3:
            text += f" order by {self._random.choice(['sum(p.balance)', 'max(p.id)', '1'])}"
        if chance() < 0.2:
            text = f"select * from ({text}) d({', '.join(f'c{n}' for n in range(len(told)))}) "
            text += self._random.choice(["where c0 is not null", "order by c0", ""])
        return text


@pytest.mark.parametrize("kind", ["compared", "aggregated"])
async def test_generated_statements_cannot_tell_twins_apart(
    twins: tuple[Clinic, Clinic], kind: str
) -> None:
    generator = Generator(20261122)
    mine, theirs = twins
    outcomes: Counter[str] = Counter()
    for _ in range(90):
        sql = getattr(generator, kind)()
        params = ["MRN-771001", "900-11-0001"]
        if "$2" not in sql:
            params.pop()
        if "$1" not in sql:
            sql, params = sql.replace("$2", "$1"), params[1:]
        statement = {"sql": sql, "params": params}
        for how in POLICIES:
            got = await mine.outcome(statement, how)
            meant = {"sql": sql, "params": [of_twin(p) for p in params]}
            assert got == await theirs.outcome(meant, how), sql
            said = got[1][1].permitted if got[0] == "answered" else ()
            outcomes.update({f"{how} {got[0]}", *(f"{how} {one.option}" for one in said)})
    wanted = {"compared": ("lookup", "join"), "aggregated": ("aggregate",)}[kind]
    for how in POLICIES:
        for outcome in ("answered", *wanted):
            assert outcomes[f"{how} {outcome}"] >= 3, outcomes


_JOIN = "select l.id from ledger l join entry e on l.mrn = e.mrn"


async def _order(clinic: Clinic, *settings: str, sql: str = _JOIN) -> list[int]:
    """The ids of tables whose rows lie in the order of ids, as they come."""
    async with clinic.upstream.transaction("order") as transaction:
        analysis = await analyse(sql, (), transaction)
        keep_order_untold(transaction, joined=True)
        transaction.before_rows(*settings)  # the last one counts
        pieces = transaction.stream(analysis.server_text, analysis.server_tree, analysis.relations)
        rows = corpus.rows(b"".join([piece async for piece in pieces]))
    return [int.from_bytes(row[0] or b"") for row in rows]


async def test_a_join_does_not_sort_by_what_it_compares(twins: tuple[Clinic, Clinic]) -> None:
    mine = twins[0]
    assert len(await _order(mine)) == 500
    assert await _order(mine) == sorted(await _order(mine))
    # Without a hash table the server would merge, were it not for those settings.
    assert await _order(mine, "enable_hashjoin = off") == sorted(await _order(mine))
    merging = ("enable_hashjoin = off", "enable_mergejoin = on", "enable_nestloop = off")
    assert await _order(mine, *merging) != sorted(await _order(mine))


async def test_a_column_does_not_come_in_the_order_of_its_index(
    twins: tuple[Clinic, Clinic],
) -> None:
    mine = twins[0]
    # In the order of the table the numbers are 1, 2, 3, …
    sql = "select substr(wide.number, 7)::int from wide"
    assert await _order(mine, sql=sql) == list(range(1, 2001))
    assert await _order(mine, "enable_indexonlyscan = on", sql=sql) != list(range(1, 2001))


def test_there_are_enough_attacks() -> None:
    names = [statement["name"] for statement in STATEMENTS]
    assert len(names) == len(set(names))
    assert sum(name[0] in "AKH" for name in names) >= 90
