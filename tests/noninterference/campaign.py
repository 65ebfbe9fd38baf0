"""Many statements on both sides of a pair, each difference judged, shrunk and told.

On a still pair every difference counts. On a stirred pair the planner knows lengths and statistics
of protected values and may read tables in another order; so what depends on an order that the
statement does not settle is counted apart (SECURITY.md names it), and only that.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, get_args

import servers
from gateway.config import ConnectionSettings
from noninterference import corridor, grammar, twins
from noninterference.compare import Difference, Names, difference
from noninterference.corridor import Corridor
from noninterference.grammar import Statement
from noninterference.tree import Node

#: Statistics are gathered where a pair says so, not by the server on its own; and workers share out
#: rows as chance has it.
SETTINGS = {"autovacuum": "off", "max_parallel_workers_per_gather": "0"}
#: Statements tried to make one difference smaller.
_TRIES = 400
#: Differences after which a campaign ends: one cause shows itself many times.
_ENOUGH = 5
_ENCODINGS = ("ndjson",) * 6 + ("arrow", "csv")
#: Answers that tell of the machine's load, not of values.
_BY_CHANCE = frozenset({"limit_exceeded"})


@dataclass(frozen=True)
class Found:
    statement: Statement
    sql: str  # shrunk
    difference: Difference

    def __str__(self) -> str:
        return (
            f"seed {self.statement.seed} ({self.statement.flavour}) differs in "
            f"{self.difference}\n  shrunk: {self.sql}\n  first:  {self.statement.sql}"
        )


@dataclass
class Report:
    """What happened to the statements."""

    codes: Counter[str] = field(default_factory=Counter)
    flavours: Counter[str] = field(default_factory=Counter)
    by_order: int = 0  # answers that differ in an order that the statement leaves open
    by_chance: int = 0
    ordered: int = 0
    admitted: list[str] = field(default_factory=list)  # as the server was sent them
    slowest: tuple[float, str] = (0.0, "")  # seconds for both sides; told, never judged
    found: list[Found] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.codes.values())

    @property
    def parsed(self) -> float:
        """The share that the server's own Parse accepted."""
        return 1 - self.codes["invalid_request"] / max(1, self.total)

    @property
    def answered(self) -> int:
        return self.codes["ok"] + self.codes["upstream_failed"]

    def __str__(self) -> str:
        codes = ", ".join(f"{code} {count}" for code, count in self.codes.most_common())
        return (
            f"{self.total} statements, {self.parsed:.1%} valid: {codes}; {self.ordered} with a "
            f"settled order, {self.by_order} differ in an order left open, "
            f"{self.by_chance} in load; slowest {self.slowest[0]:.2f} s; "
            f"{len(self.found)} differences"
        )


class Pair:
    """The corridors of both sides, and the names of their tokens."""

    def __init__(
        self, sides: tuple[Corridor, Corridor], names: tuple[Names, Names], still: bool
    ) -> None:
        self._sides = sides
        self._names = names
        self._still = still

    async def ask(
        self, sql: str, encoding: str = "ndjson", most: int | None = corridor.MOST_ROWS
    ) -> tuple[corridor.Answer, corridor.Answer]:
        first, second = await asyncio.gather(
            *(side.ask(sql, encoding, most) for side in self._sides)
        )
        return first, second

    async def differ(self, sql: str, encoding: str = "ndjson") -> tuple[str, Difference | None]:
        """The first side's code, and what tells the answers apart."""
        first, second = await self.ask(sql, encoding)
        return first.code, difference(first, second, self._names)

    async def run(
        self,
        seeds: range,
        major: int,
        *,
        enough: int = _ENOUGH,
        told: Callable[[Report], None] | None = None,
    ) -> Report:
        """The statements of these seeds; ends early after enough differences. `told` hears of the
        report after every thousand statements."""
        report = Report()
        for number, seed in enumerate(seeds, 1):
            statement = grammar.write(seed, major)
            await self._one(statement, _ENCODINGS[seed % len(_ENCODINGS)], report)
            if told is not None and number % 1000 == 0:
                told(report)
            if len(report.found) >= enough:
                break
        return report

    async def kinds(
        self, seeds: range, major: int, wanted: Set[str], flavour: str | None = None
    ) -> dict[str, str]:
        """For each kind of difference the first statement that shows it; ends when all of `wanted`
        have come."""
        seen: dict[str, str] = {}
        for seed in seeds:
            statement = grammar.write(seed, major, flavour)
            _, found = await self.differ(statement.sql)
            if found is not None and not self._open(statement, found):
                seen.setdefault(found.kind, statement.sql)
                if wanted <= seen.keys():
                    break
        return seen

    async def _one(self, statement: Statement, encoding: str, report: Report) -> None:
        began = time.monotonic()
        first, second = await self.ask(statement.sql, encoding)
        report.slowest = max(report.slowest, (time.monotonic() - began, statement.sql))
        report.codes[first.code] += 1
        report.flavours[statement.flavour] += 1
        report.ordered += statement.ordered
        if first.code == "ok":
            report.admitted.append(first.ran)
        found = difference(first, second, self._names)
        if found is None:
            return
        if _BY_CHANCE.intersection((first.code, second.code)):
            report.by_chance += 1
        elif self._open(statement, found):
            report.by_order += 1
        else:
            small, left = await self._shrunk(statement.tree, found)
            report.found.append(Found(statement, str(small), left))

    def _open(self, statement: Statement, found: Difference) -> bool:
        """Whether the difference lies in an order that the statement leaves to the planner."""
        if self._still:
            return False
        return statement.sensitive or (found.kind == "order" and not statement.ordered)

    async def _shrunk(self, tree: Node, found: Difference) -> tuple[Node, Difference]:
        """The smallest tree met that still differs in the same way."""
        tries = 0
        progressed = True
        while progressed:
            progressed = False
            for smaller in tree.smaller():
                if tries >= _TRIES:
                    return tree, found
                if len(str(smaller)) >= len(str(tree)):
                    continue
                tries += 1
                _, again = await self.differ(str(smaller))
                if again is not None and again.kind == found.kind:
                    tree, found, progressed = smaller, again, True
                    break
        return tree, found


@contextlib.asynccontextmanager
async def opened(
    server: servers.Server,
    kind: str,
    expressions: str,
    rules: Mapping[str, Any] | None = None,
) -> AsyncIterator[Pair]:
    """A pair that `build` has made, behind two corridors."""
    async with contextlib.AsyncExitStack() as stack:

        async def side(name: str, under: Mapping[str, Any]) -> Corridor:
            dsn = server.dsn(twins.LOGIN, name)
            return await stack.enter_async_context(
                corridor.opened(dsn, twins.READER, under, expressions)
            )

        one, two = (side.name for side in twins.pair(kind))
        names = [await Names.of(await side(name, twins.RULES)) for name in (one, two)]
        under = twins.RULES if rules is None else rules
        sides = await side(one, under), await side(two, under)
        yield Pair(sides, (names[0], names[1]), kind == "still")


def modes() -> tuple[str, ...]:
    """What `expressions` of a policy may be, as the configuration has it."""
    return get_args(ConnectionSettings.model_fields["expressions"].annotation)


async def build(server: servers.Server) -> None:
    """Both pairs on one server, which must not gather statistics by itself."""
    sides = [side for kind in ("still", "stirred") for side in twins.pair(kind)]
    await twins.build(server.dsn(), sides, lambda name: server.dsn(database=name))
