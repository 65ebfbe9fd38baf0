"""Each statement through the gateway's own corridor, in process, on both sides.

`gateway.flows.query.walk` is run as it is: analysis, decision, kernel, database. Around it stand an
identity and a grant that are always good, and a record that is kept in memory instead of on disk.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from gateway.errors import MaskgateError
from gateway.flows.house import Connection, House
from gateway.flows.query import Ask, Head, walk
from gateway.grants import Usage
from gateway.model import Analysis, Call, Credential, Decision, Grant, GrantState, Identity
from gateway.policy import Policy
from gateway.sql import Settings
from gateway.upstream import Database, UpstreamSettings
from noninterference.relations import TABLES
from noninterference.twins import KEY

FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
#: Rows one statement may give; more tells nothing that these do not.
MOST_ROWS = 400
IDENTITY = Identity("https://idp", "fuzz", "fuzz", frozenset(), None, "00" * 32, FOREVER)
CREDENTIAL = Credential("token", Call("POST", "/v1/query"))
GRANT = Grant(
    "g", IDENTITY.key, "twin", tuple(f"public.{name}" for name in TABLES), "test",
    GrantState.ACTIVE, FOREVER, 60,
    FOREVER - timedelta(days=99999), FOREVER, None,
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """All that a client, or a reader of the record, can tell apart."""

    code: str  # "ok", or that of the problem
    detail: str = ""
    hint: str = ""
    chunks: tuple[bytes, ...] = ()
    decision: tuple[str, ...] = ()
    ran: str = ""  # what the server was sent; the same on both sides or a difference
    sqlstate_class: str = ""

    @property
    def data(self) -> bytes:
        return b"".join(self.chunks)


@dataclass
class _Record:
    """What `flows.statement.Statement` is to the corridor, in memory."""

    connection: Connection
    bounds: Any = ()
    session: str = "fuzz"
    number: int = 1
    grant_id: str = "g"
    stopped_by: Any = None
    ran: str = ""
    decided: list[str] = field(default_factory=list)

    async def intent(
        self, _: Grant, analysis: Analysis, decision: Decision, role: str | None
    ) -> None:
        self.ran = analysis.server_text
        self.decided = [repr(column) for column in decision.columns]
        self.decided += [*decision.notes, *analysis.notes]

    async def result(self, chunk: Any) -> None:
        self.decided.append(f"{chunk.rows} rows in {len(chunk.data)} bytes")

    async def finish(self, last: Any, report: str, *, truncated: bool) -> None:
        self.decided += [report, f"truncated {truncated}"]

    def stop(self, because: Any) -> None:
        raise because


class Corridor:
    """The gateway of one database under one policy."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(
        self,
        sql: str,
        encoding: str = "ndjson",
        most: int | None = MOST_ROWS,
        grant: Grant = GRANT,
    ) -> Answer:
        """The statement's answer, whatever it is; an error that is not the gateway's is raised."""
        record = _Record(self._connection)
        ask = Ask(CREDENTIAL, "fuzz", encoding, session="fuzz", sql=sql, max_rows=most)
        chunks: list[bytes] = []
        code, detail, hint, state = "ok", "", "", ""
        try:
            async with contextlib.aclosing(walk(_house(record, grant), ask)) as pieces:
                async for piece in pieces:
                    if not isinstance(piece, Head):
                        chunks.append(piece)
        except MaskgateError as error:
            code, detail, hint = error.code, error.detail, error.hint or ""
            state = getattr(error, "sqlstate_class", "")
        decided = tuple(record.decided)
        return Answer(code, detail, hint, tuple(chunks), decided, record.ran, state)


@contextlib.asynccontextmanager
async def opened(
    dsn: str, role: str, rules: Mapping[str, Any], expressions: str
) -> AsyncIterator[Corridor]:
    """The corridor to one database. `expressions` is the policy's."""
    database = Database(UpstreamSettings(dsn, role=role, statement_timeout=10, max_connections=2))
    await database.open()
    try:
        policy = Policy("twin", rules, expressions=expressions)
        # No role of clear columns stands behind: what the decision lets through is what counts.
        yield Corridor(
            Connection("twin", database, role, None, Settings(), policy, "error", "twin")
        )
    finally:
        await database.close()


def _house(record: _Record, grant: Grant) -> House:
    """What the corridor asks of the house; all that decides about a value is the real one."""

    async def establish(*_: object) -> Identity:
        return IDENTITY

    @contextlib.asynccontextmanager
    async def hold(*_: object) -> AsyncIterator[Grant]:
        yield grant

    @contextlib.asynccontextmanager
    async def statement(*_: object) -> AsyncIterator[_Record]:
        yield record

    async def charge(_: Identity, __: str, permitted: Sequence[Any]) -> None:
        if permitted:
            raise AssertionError("the policy allows nothing beside its treatments")

    return cast(
        House,
        SimpleNamespace(
            lookups=SimpleNamespace(charge=charge),
            identity=SimpleNamespace(establish=establish),
            saml={},
            standing=SimpleNamespace(hold=hold),
            desk=SimpleNamespace(statement=statement),
            limits=SimpleNamespace(statement_seconds=60.0, client_stall_seconds=60.0, quotas=()),
            usage=Usage(cast(Any, None), 60.0),  # asked nothing, as there is no quota
            token_key=KEY,
            now=lambda: datetime.now(UTC),
        ),
    )
