"""The database floor of one connection: a role for the columns of each grant in force, no other.

Which roles there are to be is worked out anew each time, from the control store and the catalog, by
whoever holds the database's lock: so several gateways agree, and what a crash left or somebody
changed by hand is put right. Refuses a statement whose role is not there as its grant says: nothing
runs without the floor.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from gateway.errors import (
    LimitExceeded,
    MaskgateError,
    StoreUnavailable,
    UpstreamFailed,
)
from gateway.flows.covered import Covered
from gateway.flows.scope import check_database
from gateway.grants import Needed, Needs
from gateway.model import Grant
from gateway.upstream import (
    ColumnSet,
    Database,
    Denied,
    Desk,
    Role,
    RoleRefused,
    Roles,
    Transaction,
)

_LOG = logging.getLogger("maskgate")

#: Of one connection. PostgreSQL keeps them in each column's row, which has room for some 2,400.
MOST_ROLES = 1000
#: Made in one go; then another gateway has the lock if it waits.
AT_ONCE = 100
#: Seconds after which one looks though nothing was heard, and for which a look is believed.
PERIOD_S = 30.0
BELIEVED_S = 300.0
_TOGETHER_S = 0.05  # changes that are heard within it are one
_AFTER_DENIAL_S = 1.0
_RELISTEN_S = 0.25


@dataclass(frozen=True, slots=True)
class Found:
    """What a look has found and done."""

    roles: Mapping[str, str]  # of each grant in force, by its id
    problems: Mapping[str, MaskgateError]  # why another has none
    made: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    stuck: Mapping[str, str] = field(default_factory=dict)  # why one could not be dropped or made
    more: bool = False  # there are others to make


class Provisioned:
    """One gateway's part in it. `settle` makes it true; `run` keeps it so."""

    def __init__(
        self,
        connection: str,
        database: Database,
        roles: Roles,
        needs: Needs,
        covered: Covered,
        clock: Callable[[], datetime],
    ) -> None:
        self._connection = connection
        self._database = database
        self._roles = roles
        self._needs = needs
        self._covered = covered
        self._clock = clock
        self._found = Found({}, {})
        self._looked_at = float("-inf")  # monotonic
        self._denied_at = float("-inf")
        self._again: datetime | None = None
        self._wake = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._settling: asyncio.Task[None] | None = None
        self.trouble = ""  # why the last look came to nothing

    # -- of a statement --------------------------------------------------------------------------

    @asynccontextmanager
    async def transaction(self, session_id: str, grant: Grant) -> AsyncIterator[Transaction]:
        """As `Database.transaction`, under the role of the grant. A role that somebody has dropped
        is made again, once. Raises UpstreamFailed when there is none all the same."""
        role = await self._role(grant)
        try:
            async with AsyncExitStack() as stack:
                try:
                    opened = self._database.transaction(session_id, role)
                    transaction = await stack.enter_async_context(opened)
                except RoleRefused:
                    await self.settle()
                    role = await self._role(grant)
                    opened = self._database.transaction(session_id, role)
                    transaction = await stack.enter_async_context(opened)
                yield transaction
        except Denied as denied:
            if await self._has_changed(grant, role):
                raise UpstreamFailed(
                    "the tables, or the rights on them, were changed since the role of this grant "
                    "was made; it has been made anew",
                    hint="send the statement again",
                    sqlstate_class="42",
                ) from denied
            raise

    async def _role(self, grant: Grant) -> str:
        """The grant's role as the last look found it. A grant that the look did not see is none."""
        if grant.id not in self._found.roles or self._age() > BELIEVED_S:
            if grant.id in self._found.problems and self._age() < _AFTER_DENIAL_S:
                raise _again(self._found.problems[grant.id])
            await self.settle()
        role = self._found.roles.get(grant.id)
        if role is not None:
            return role
        problem = self._found.problems.get(grant.id)
        if problem is not None:
            raise _again(problem)
        raise UpstreamFailed(f"the grant {grant.id} has no role in the database", hint="try again")

    async def _has_changed(self, grant: Grant, role: str) -> bool:
        """Look again, if nobody has just done so: an agent may ask for what the role cannot."""
        if time.monotonic() - self._denied_at < _AFTER_DENIAL_S:
            return False
        self._denied_at = time.monotonic()
        self._covered.forget(grant)
        await self.settle()
        return self._found.roles.get(grant.id) != role or role in self._found.made

    def _age(self) -> float:
        return time.monotonic() - self._looked_at

    # -- of the gateway --------------------------------------------------------------------------

    async def run(self) -> None:
        """For ever: look when a grant changes, when time changes one, and now and then."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            pause = 0.0  # after a failure, longer after each
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause or self._until_next()):
                        await self._wake.wait()
                        await asyncio.sleep(_TOGETHER_S)
                self._wake.clear()
                try:
                    await self.settle()
                    pause = 0.0
                except MaskgateError as error:
                    if not pause:
                        _LOG.warning("%s: %s", self._connection, error.detail)
                    pause = min(PERIOD_S, 2 * pause or 1.0)

    def _until_next(self) -> float:
        if self._again is None:
            return PERIOD_S
        # A little later, so that it has happened by then.
        seconds = (self._again - self._clock()).total_seconds() + 0.01
        return min(PERIOD_S, max(0.05, seconds))

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(StoreUnavailable):
                async with self._needs.changes(self._heard) as line:
                    self._wake.set()
                    await line.until_lost()
            await asyncio.sleep(_RELISTEN_S)

    def _heard(self, told: str) -> None:
        # What never was in force has no role: an agent may ask and withdraw as often as he likes.
        if not told.endswith((" pending", " denied")):
            self._wake.set()

    @property
    def left(self) -> tuple[str, ...]:
        """Of roles that are not as they should be and could not be dropped: why."""
        return tuple(self._found.stuck.values())

    async def settle(self) -> Found:
        """Return when a look that began after this call has ended. Raises what ended it."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle_all())
        await done
        return self._found

    async def _settle_all(self) -> None:
        """Nobody who waits is left without an answer."""
        batch: list[asyncio.Future[None]] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                error: MaskgateError | None = None
                try:
                    await self._look()
                except MaskgateError as failed:
                    error = failed
                self.trouble = error.detail if error is not None else ""
                _answer(batch, error)
        finally:
            self._settling = None
            lost = UpstreamFailed("the roles of the database floor were not looked after")
            _answer([*batch, *self._waiting], lost)
            self._waiting = []

    async def _look(self) -> None:
        failed: dict[str, str] = {}
        made: frozenset[str] = frozenset()
        for _ in range(MOST_ROLES // AT_ONCE + 1):
            async with self._roles.locked() as desk:
                # Asked behind the lock: whoever had it before may have seen other grants.
                needed = await self._needs.read(self._clock())
                found = await self._made_true(desk, needed, failed)
            made |= found.made
            if not found.more:
                break
        found = replace(found, made=made)
        for name in found.stuck.keys() - self._found.stuck.keys():
            _LOG.warning("%s: %s", self._connection, found.stuck[name])
        self._found = found
        self._again = needed.again
        self._looked_at = time.monotonic()

    async def _made_true(self, desk: Desk, needed: Needed, failed: dict[str, str]) -> Found:
        """`failed` are roles that could not be made since somebody asked, and why."""
        own = [grant for grant in needed.grants if grant.connection == self._connection]
        columns, problems = await self._columns(desk, own)
        standing = await desk.standing()
        names = {one: desk.owner.name(one) for one in set(columns.values())}
        wanted = _fitting({names[one]: one for one in columns.values()}, standing)
        dropped, stuck = await _drop(desk, wanted, _connections(needed), standing)
        missing = wanted.keys() - (standing.keys() - dropped) - failed.keys()
        made = set()
        for name in sorted(missing)[:AT_ONCE]:
            try:
                await desk.make(wanted[name])
            except UpstreamFailed as error:
                failed[name] = error.detail
                continue
            made.add(name)
            missing.discard(name)
        stuck |= {name: why for name, why in failed.items() if name in wanted}
        # Whatever else bears such a name is nobody's role.
        ready = made | {n for n, role in standing.items() if _good(role, desk) and n not in dropped}
        roles = {}
        for grant, covered in columns.items():
            name = names[covered]
            if name in stuck:
                problems[grant] = UpstreamFailed(stuck[name])
            elif name in missing:
                problems[grant] = UpstreamFailed(f"the role {name} is not made yet")
            elif name in ready:
                roles[grant] = name
            elif name in wanted:
                problems[grant] = UpstreamFailed(f"the role {name} bears another's mark")
            else:
                problems[grant] = LimitExceeded(
                    f"{MOST_ROLES} roles with different columns are in use on this connection",
                    hint="wait for a grant to end, or ask for one whose columns another has, too",
                )
        more = bool(missing - failed.keys())
        return Found(roles, problems, frozenset(made), frozenset(dropped), stuck, more)

    async def _columns(
        self, desk: Desk, grants: Collection[Grant]
    ) -> tuple[dict[str, ColumnSet], dict[str, MaskgateError]]:
        """What each grant covers, by its id, and why another can have no role."""
        named = {table for grant in grants for table in grant.tables}
        tables = await desk.tables(None if "*" in named else named)
        schemas = await desk.schemas()
        found: dict[tuple[object, ...], ColumnSet | MaskgateError] = {}
        columns: dict[str, ColumnSet] = {}
        problems: dict[str, MaskgateError] = {}
        which = await self._database.which()
        for grant in grants:
            try:
                check_database(grant, which)
            except MaskgateError as error:
                problems[grant.id] = error
                continue
            scope = (grant.tables, grant.columns, grant.filters)
            if scope not in found:
                try:
                    found[scope] = ColumnSet.of(await self._covered.by(grant, tables), schemas)
                except MaskgateError as error:
                    found[scope] = error
            covered = found[scope]
            if isinstance(covered, ColumnSet):
                columns[grant.id] = covered
            else:
                problems[grant.id] = covered
        return columns, problems


def _good(role: Role, desk: Desk) -> bool:
    return role.sound and role.mark == desk.owner.mark


def _fitting(wanted: Mapping[str, ColumnSet], standing: Collection[str]) -> dict[str, ColumnSet]:
    """As many as there may be: those that stand, then the others in their order."""
    order = sorted(wanted, key=lambda name: name not in standing)
    return {name: wanted[name] for name in order[:MOST_ROLES]}


def _connections(needed: Needed) -> set[str]:
    return {grant.connection for grant in needed.grants}


async def _drop(
    desk: Desk, wanted: Collection[str], connections: Collection[str], standing: Mapping[str, Role]
) -> tuple[set[str], dict[str, str]]:
    """What nobody needs, and what is not as its name says; of other connections only where no grant
    is in force on them. Which were dropped, and why others could not be."""
    dropped, stuck = set(), {}
    for role in standing.values():
        own = role.mark == desk.owner.mark
        if _good(role, desk) and role.name in wanted:
            continue
        if not own and role.mark.removeprefix(desk.owner.marks) in connections:
            continue
        try:
            await desk.drop(role.name)
        except UpstreamFailed as error:
            stuck[role.name] = error.detail
            continue
        dropped.add(role.name)
    return dropped, stuck


def _answer(waiting: Collection[asyncio.Future[None]], error: MaskgateError | None) -> None:
    for one in waiting:
        if one.done():
            continue
        if error is None:
            one.set_result(None)
        else:
            one.set_exception(_again(error))


def _again(error: MaskgateError) -> MaskgateError:
    """The same for another caller: an exception carries its own trace."""
    return type(error)(error.detail, hint=error.hint)
