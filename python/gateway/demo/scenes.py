"""The worked example, scene by scene: each asks something of the boundary and checks the answer.

Refuses to pretend: every claim on the screen is an `expect` that ends the demo when it is not met.
What the gateway gave is compared with what the database holds, which the scenes ask directly, as
nobody behind the gateway can.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
import pyarrow as pa
import pyarrow.compute as pc

from gateway.client import Answer, BrokenStreamError, RefusedError
from gateway.demo import clinic, hunt
from gateway.demo.agent import Caller
from gateway.demo.backstage import Stage
from gateway.demo.screen import Screen, UnexpectedError, reached

AGENT = "agent-reporting"
OTHER_AGENT = "agent-billing"
STEWARD = "steward-dana"
AUDITOR = "auditor-amir"
CONNECTION = "clinic"
REDACTED = "[REDACTED]"

#: An agent forgets a join condition: every measurement is paired with every encounter.
RUNAWAY = """\
SELECT o.id, o.value, e.id AS encounter, e.department
FROM public.observation AS o, public.encounter AS e"""

#: Revocation acts within a second inside the gateway; the rest is what a busy machine may add to
#: the way from there to the reader.
REVOKED_WITHIN_S = 1.0
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays, each with a token of their own."""

    agent: Caller
    other: Caller
    steward: Caller
    auditor: Caller


def log_in(screen: Screen, cast: Cast, stage: Stage) -> None:
    screen.scene("An agent logs in")
    screen.tell(
        "Each agent has an identity of its own at an OpenID issuer: no shared account, no API key."
    )
    screen.asks(cast.agent.name, f"POST {stage.issuer}/token   client credentials")
    screen.answers("a token, signed, valid for an hour")
    screen.asks(cast.agent.name, "GET /v1/whoami")
    me = cast.agent.get("/v1/whoami")
    screen.answers(str(me["identity"]))
    screen.expect(AGENT in str(me["identity"]), f"the gateway knows the caller as {AGENT}")
    screen.asks(cast.agent.name, f"GET /v1/connections/{CONNECTION}/schema   (names only)")
    columns = _items(cast.agent.get(f"/v1/connections/{CONNECTION}/schema"))
    patient = [item for item in columns if item.get("table") == "public.patient"]
    screen.grid(
        ["column of public.patient", "type", "what the agent will see"],
        [[item["column"], item["type"], item["treatment"]] for item in patient],
    )
    treatments = {item["column"]: item["treatment"] for item in patient}
    screen.expect(
        treatments.get("full_name") == "redact" and treatments.get("mrn") == "token",
        "names and record numbers are classified before anybody asks for them",
    )


def ask_for_leave(screen: Screen, cast: Cast) -> str:
    """Returns the id of the grant."""
    screen.scene("It asks for leave, and a person decides")
    wanted = {
        "connection": CONNECTION,
        "tables": list(hunt.TABLES),
        "purpose": "monthly report shows more visits than took place, ticket 4711",
        "duration_s": 3600,
    }
    screen.asks(cast.agent.name, "POST /v1/grants")
    screen.text(f"tables    {', '.join(hunt.TABLES)}")
    screen.text(f"purpose   {wanted['purpose']}")
    screen.text("for       one hour")
    grant = cast.agent.post("/v1/grants", wanted)
    identifier = str(grant["id"])
    screen.answers(f"grant {identifier}: {grant['state']}")
    screen.expect(grant["state"] == "pending", "until somebody decides it is worth nothing")
    screen.asks(cast.steward.name, f"POST /v1/grants/{identifier}/approve")
    approved = cast.steward.post(
        f"/v1/grants/{identifier}/approve", {"reason": "ticket 4711 is real; an hour is enough"}
    )
    screen.answers(f"{approved['state']} until {approved['expires_at']}")
    screen.expect(
        approved["state"] == "active", "approved by another identity than the one that asked"
    )
    return identifier


def hunt_the_bug(screen: Screen, cast: Cast, stage: Stage, grant: str) -> str:
    """Returns the id of the session."""
    screen.scene("The bug hunt: three SELECTs")
    screen.tell(
        "The report for May 2022 shows more visits than the departments remember. The agent works "
        "with the rows themselves, and never sees who the patients are."
    )
    screen.asks(cast.agent.name, "POST /v1/sessions")
    session = str(cast.agent.post("/v1/sessions", {"connection": CONNECTION, "grant": grant})["id"])
    screen.answers(f"session {session}")

    screen.asks(cast.agent.name, "asks: what does the report say?")
    report = _select(screen, cast.agent, session, hunt.REPORT)
    screen.rows(report.table, 3)
    reported = hunt.reported(report.table)

    screen.asks(cast.agent.name, "asks: what was measured? Every measurement, with its patient.")
    measurements = _select(
        screen,
        cast.agent,
        session,
        hunt.MEASUREMENTS,
        total=clinic.OBSERVATIONS_PER_PATIENT * stage.clinic.patients,
    )
    screen.rows(measurements.table, 3, ["code", "value", "department", "mrn", "full_name", "dob"])
    _check_measurements(screen, stage, measurements.table)
    extra = hunt.surplus(reported, hunt.took_place(measurements.table))
    screen.expect(
        bool(extra) and all(count > 0 for count in extra.values()),
        f"counted from the rows, the report has {sum(extra.values()):,} visits too many",
    )

    screen.asks(cast.agent.name, "asks: are those the cancelled ones that were booked again?")
    suspects = _select(screen, cast.agent, session, hunt.SUSPECTS, keep_wire=True)
    screen.rows(
        suspects.table, 4, ["visit_no", "department", "status", "mrn", "full_name", "phone"]
    )
    _check_suspects(screen, stage, suspects)
    screen.expect(
        hunt.suspected(suspects.table) == extra,
        "in every department the surplus is exactly the cancelled visits that were booked again",
    )
    screen.tell(
        "Found: the view joins on visit_no, which a visit keeps when it is booked again, so the "
        "cancelled encounter is counted with the one that took its place. The fix is "
        "o.encounter_id = e.id."
    )
    return session


def attempts_that_must_fail(screen: Screen, cast: Cast, session: str) -> None:
    screen.scene("Three attempts that must fail")
    screen.asks(cast.other.name, "has no grant and queries all the same")
    sql = "SELECT id, mrn FROM public.patient"
    screen.sql(sql)
    no = _refused(screen, lambda: cast.other.query(None, sql, connection=CONNECTION))
    screen.expect(
        (no.status, no.code) == (403, "no_grant"), "without a grant there is no row", str(no)
    )
    screen.asks(cast.agent.name, "looks for a person: a protected column in a WHERE")
    sql = "SELECT id, dob FROM public.patient WHERE full_name = 'Mary Smith'"
    screen.sql(sql)
    no = _refused(screen, lambda: cast.agent.query(session, sql))
    screen.expect(
        (no.status, no.code) == (422, "protected_use"),
        "a masked value cannot be guessed by asking for it",
        str(no),
    )
    screen.asks(cast.other.name, f"tries the session of {cast.agent.name}")
    sql = "SELECT id FROM public.patient"
    screen.sql(sql)
    no = _refused(screen, lambda: cast.other.query(session, sql))
    screen.expect(
        no.status in (403, 404), "somebody else's session does not exist for this identity", str(no)
    )


def pull_the_plug(screen: Screen, cast: Cast, grant: str, session: str) -> None:
    screen.scene("The plug is pulled in mid-stream")
    screen.tell(
        "The agent forgets a join condition; the steward sees it run away and revokes the grant."
    )
    screen.asks(cast.agent.name, "asks for every measurement with every encounter")
    screen.sql(RUNAWAY)
    plug = _Plug(cast.steward, grant)
    with screen.counting("rows that arrive", 0) as progress:

        def watch(rows: int) -> None:
            reached(progress, rows)
            plug.pull_after(rows)

        try:
            cast.agent.query(session, RUNAWAY, watch=watch, keep_rows=False)
        except BrokenStreamError as broken:
            ended, rows, why = time.monotonic(), broken.rows, str(broken)
        else:
            raise UnexpectedError("the runaway statement came to an end of its own")
        finally:
            plug.wait()
    if plug.failure is not None:
        raise plug.failure
    if plug.pulled_at is None:
        raise UnexpectedError(f"the stream broke before the grant was revoked: {why}")
    took = ended - plug.pulled_at
    screen.asks(cast.steward.name, f"POST /v1/grants/{grant}/revoke")
    screen.answers(
        f"{plug.state}; the stream broke {took:.2f} s after the request, at {rows:,} rows"
    )
    screen.text(f"the client saw: {why}")
    screen.expect(plug.state == "revoked", "the grant is revoked", plug.state)
    screen.expect(
        took < _PATIENCE_S,
        "the running stream ended with it, as an error and not as a short result",
        f"{took:.1f} s",
    )
    if took > REVOKED_WITHIN_S:
        screen.text(f"this machine is busy: the promise is {REVOKED_WITHIN_S:g} s in the gateway")
    screen.asks(cast.agent.name, "tries once more")
    no = _refused(screen, lambda: cast.agent.query(session, hunt.REPORT))
    screen.expect(no.status in (403, 404), "after the revocation nothing runs", str(no))


class _Plug:
    """Revokes the grant from another thread once enough rows have come to call it mid-stream."""

    def __init__(self, steward: Caller, grant: str, after: int = 200_000) -> None:
        self._steward = steward
        self._grant = grant
        self._after = after
        self._thread: threading.Thread | None = None
        self.pulled_at: float | None = None
        self.state = ""
        self.failure: Exception | None = None

    def pull_after(self, rows: int) -> None:
        if rows >= self._after and self._thread is None:
            self._thread = threading.Thread(target=self._pull)
            self.pulled_at = time.monotonic()
            self._thread.start()
        if self.pulled_at is not None and time.monotonic() - self.pulled_at > 4 * _PATIENCE_S:
            raise UnexpectedError("the stream goes on although its grant was revoked")

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _pull(self) -> None:
        reason = {"reason": "runaway cross join"}
        try:
            self.state = str(
                self._steward.post(f"/v1/grants/{self._grant}/revoke", reason)["state"]
            )
        except Exception as failure:  # handed to the scene's own thread
            self.failure = failure


def _select(
    screen: Screen,
    caller: Caller,
    session: str,
    sql: str,
    *,
    total: int | None = None,
    keep_wire: bool = False,
) -> Answer:
    """One statement with its receipt."""
    screen.sql(sql)
    if total is None:
        answer = caller.query(session, sql, keep_wire=keep_wire)
    else:
        with screen.counting("streaming", total) as progress:
            answer = caller.query(session, sql, watch=lambda rows: reached(progress, rows))
    screen.answers(
        f"{answer.table.num_rows:,} rows × {answer.table.num_columns} columns, "
        f"{answer.wire_bytes / 1e6:,.1f} MB in {answer.seconds:.2f} s "
        f"(first batch after {answer.first_batch_s * 1000:.0f} ms)"
    )
    receipt = caller.get(f"/v1/sessions/{session}/statements/{answer.statement}")
    masked = {
        column: sum(counts.values()) if isinstance(counts, dict) else counts
        for column, counts in dict(receipt.get("cells_masked") or {}).items()
    }
    told = ", ".join(f"{column} {count:,}" for column, count in masked.items() if count) or "none"
    screen.text(f"receipt: record {str(receipt['record_hash'])[:16]}…, masked cells: {told}")
    if receipt["rows"] != answer.table.num_rows or receipt["truncated"]:
        raise UnexpectedError(f"the receipt does not describe the answer: {receipt}")
    if total is not None:
        screen.expect(
            answer.table.num_rows == total, f"all {total:,} rows came through the boundary"
        )
    return answer


def _check_measurements(screen: Screen, stage: Stage, table: pa.Table) -> None:
    screen.expect(_values(table["full_name"]) == {REDACTED}, "not one name among them")
    years = _values(table["dob"])
    screen.expect(
        all(re.fullmatch(r"[^-/]*\d{2,4}[^-/]*", year) for year in years),
        "of each date of birth the year remains",
        str(sorted(years)[:3]),
    )
    raw = _ask_directly(
        stage,
        "SELECT DISTINCT p.mrn FROM public.patient AS p JOIN public.encounter AS e "
        "ON e.patient_id = p.id JOIN public.observation AS o ON o.encounter_id = e.id",
    )
    numbers = {row["mrn"] for row in raw}
    tokens = _values(table["mrn"])
    screen.expect(
        not numbers & tokens and len(numbers) == len(tokens),
        f"{len(tokens):,} record numbers became as many tokens: equal stays equal, none is real",
        f"{len(numbers)} numbers, {len(tokens)} tokens, {len(numbers & tokens)} in both",
    )


def _check_suspects(screen: Screen, stage: Stage, suspects: Answer) -> None:
    raw = _ask_directly(stage, hunt.SUSPECTS)
    seen = suspects.table.to_pylist()
    telling = max(range(len(raw)), key=lambda n: _says(raw[n]))
    screen.tell("One of them, as the database holds it and as the agent got it:")
    screen.side_by_side(
        "database",
        "agent",
        [
            (name, raw[telling][name], seen[telling][name])
            for name in ("visit_no", "mrn", "full_name", "phone", "notes", "note")
        ],
    )
    planted = {str(row[name]) for row in raw for name in ("mrn", "full_name", "phone")}
    leaked = [value for value in planted if value.encode() in suspects.wire]
    screen.expect(
        not leaked,
        f"none of {len(planted):,} names, record and telephone numbers of these patients is "
        "anywhere in the bytes that arrived",
        f"{len(leaked)} of them",
    )


def _says(row: Mapping[str, Any]) -> int:
    """How much of a patient stands in the free text of a row."""
    family = row["full_name"].rsplit(" ", 1)[-1]
    return (
        (family in row["notes"])
        + (row["mrn"] in row["notes"])
        + ("telephone" in (row["note"] or ""))
    )


def _refused(screen: Screen, attempt: Callable[[], Answer]) -> RefusedError:
    try:
        answer = attempt()
    except RefusedError as no:
        screen.refuses(f"{no.status} {no.code}: {no.detail}", no.hint)
        return no
    raise UnexpectedError(f"it was answered: {answer.table.num_rows} rows")


def _ask_directly(stage: Stage, sql: str) -> list[asyncpg.Record]:
    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(stage.clinic.superuser_dsn)
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()

    return asyncio.run(ask())


def _values(column: pa.ChunkedArray) -> set[str]:
    return set(pc.unique(column.cast(pa.string())).to_pylist())


def _items(answer: Any) -> list[dict[str, Any]]:
    return list(answer["items"] if isinstance(answer, dict) else answer)
