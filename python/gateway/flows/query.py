"""The corridor: one query from its credential to its last byte, in nine numbered steps.

Whoever wants to know whether something can leak reads this file. The same steps, with the same
numbers, are told in docs/life-of-a-query.md; a test compares them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from gateway.errors import InvalidRequest, LimitExceeded
from gateway.flows.entrance import establish
from gateway.flows.house import House
from gateway.flows.scope import check_columns, check_database, check_statement, with_filters_told
from gateway.flows.watch import watched
from gateway.masking import masked, open_stream
from gateway.model import Credential, Grant
from gateway.policy import decide, to_bring, to_hide
from gateway.sql import (
    analyse,
    bring_along,
    check_kept,
    keep_order_untold,
    keep_to_rows,
    mask_at_source,
    without_dependents,
)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a door read from its client. `session` or `connection` is set, not both.

    `malformed` is the sentence about a body that was no statement at all; `raw` then holds its
    bytes, so that the refusal is recorded like any other.
    """

    credential: Credential
    client: str
    encoding: str  # arrow, ndjson or csv
    session: str | None = None
    connection: str | None = None
    sql: str = ""
    params: tuple[Any, ...] = ()
    max_rows: int | None = None
    malformed: str | None = None
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Head:
    """Sent before the first byte: the door puts it into its headers."""

    session: str
    statement: int


async def walk(house: House, ask: Ask) -> AsyncGenerator[Head | bytes, None]:
    """Yield one Head, then the bytes that were recorded, and nothing else.

    An error before the Head is an answer; an error after it breaks the stream, so that a failure
    never looks like a short result. Must be driven and closed by one task: revocation, expiry, the
    statement's deadline and a stalled client cancel that task.
    """
    # (1) identity.establish(credential) → Identity | refused
    identity = await establish(house, ask.credential, ask.client)

    async with (
        house.desk.statement(house, identity, ask) as statement,
        # (2) grants.in_force(identity, connection, now) → Grant | refused
        watched(house, identity, statement) as watch,
    ):
        grant, connection = watch.grant, statement.connection
        if ask.malformed is not None:
            raise InvalidRequest(ask.malformed)
        check_statement(grant, ask)
        limit_rows, limited_by_grant = _row_limit(grant, ask.max_rows)
        async with connection.transaction(statement.session, grant) as transaction:
            check_database(grant, await transaction.database())
            # (3) sql.analyse(text, params, upstream) → Analysis (lineage) | refused
            analysis = await analyse(ask.sql, ask.params, transaction, connection.analysis)

            # (4) policy.decide(identity, grant, analysis) → Decision | refused
            check_columns(grant, analysis)
            if grant.filters:
                # Only the granted rows: the text with its fences goes through (3) as a whole.
                settings = connection.analysis
                analysis = await keep_to_rows(analysis, grant.filters, transaction, settings)
            fenced = analysis
            policy = connection.policy.for_groups(identity.groups)
            if wanted := to_bring(analysis, policy):
                # Free text comes with the columns of its row that it is read with, or not at all.
                analysis = await bring_along(analysis, wanted, transaction, connection.analysis)
            if hidden := to_hide(grant, analysis, policy):
                # What a statement computes with or chooses rows by is NULL at its source. The text
                # that says so goes through (3) again; nothing is taken on trust, for what it still
                # does with a protected column `decide` refuses.
                settings = connection.analysis
                analysis = await without_dependents(analysis, hidden, transaction, settings)
                if hidden := to_hide(grant, analysis, policy):
                    analysis = await mask_at_source(analysis, hidden, transaction, settings)
            check_kept(fenced, analysis, grant.predicates)
            analysis = with_filters_told(grant, analysis)
            decision = decide(grant, analysis, policy)
            if decision.raw:
                joined = any(use.option == "join" for use in decision.permitted)
                keep_order_untold(transaction, joined=joined)
            await house.lookups.charge(identity, connection.name, decision.permitted)
            kernel = open_stream(
                analysis,
                decision,
                house.token_key,
                encoding=ask.encoding,
                metadata={
                    "maskgate.session": statement.session,
                    "maskgate.statement": str(statement.number),
                },
                limit_rows=limit_rows,
                infinity=connection.infinity,
                token_domain=connection.token_domain,
                patterns=policy.definitions.kernel,
            )

            # (5) sessionlog: the intent is durable BEFORE the database is asked for a row
            role = transaction.role(raw=decision.raw)
            await statement.intent(grant, analysis, decision, role)

            # (6) upstream.stream(decision) → COPY BINARY bytes
            head = Head(statement.session, statement.number)
            prelude = [kernel.head()]
            async with (
                aclosing(
                    transaction.stream(
                        analysis.server_text,
                        analysis.server_tree,
                        analysis.relations,
                        raw=decision.raw,
                        lend=True,
                    )
                ) as copy,
                # (7) kernel: bytes → masked Arrow batch → the door's encoding;
                #     raw values exist only inside the kernel
                aclosing(masked(kernel, copy)) as chunks,
            ):
                async for chunk in chunks:
                    if prelude:
                        yield head
                    for ready in (*prelude, chunk):
                        # (8) sessionlog: the result record is durable BEFORE its bytes leave
                        await statement.result(ready)
                        # (9) the door yields the bytes that were recorded
                        with watch.waiting_for_client():
                            yield ready.data
                    prelude = []
            if kernel.truncated and limited_by_grant:
                raise LimitExceeded(
                    f"the grant's limit of {grant.max_rows} rows is used up",
                    hint="ask for a new grant, or for fewer rows with max_rows",
                )
            # The end-of-stream marker is the last thing to leave, after the whole statement's
            # record: who holds it can ask for the receipt at once.
            last = prelude + kernel.finish()
            await statement.finish(last, kernel.report(), truncated=kernel.truncated)
        # The database is free by now, whatever time the client takes.
        if prelude:
            yield head
        for chunk in last:
            with watch.waiting_for_client():
                yield chunk.data
    # finally: `desk.statement` has closed the statement's record, also on a panic, a timeout, a
    # vanished client


def _row_limit(grant: Grant, asked: int | None) -> tuple[int | None, bool]:
    """The rows this statement may give, and whether it is the grant that says so."""
    if grant.max_rows is None:
        return asked, False
    left = grant.max_rows - grant.rows_released
    if left <= 0:
        raise LimitExceeded(
            f"the grant's limit of {grant.max_rows} rows is used up", hint="ask for a new grant"
        )
    if asked is not None and asked <= left:
        return asked, False
    return left, True
