"""Expressions of every type, made at random out of the columns in reach and the rules."""

from __future__ import annotations

import contextlib
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator

from noninterference.relations import Column, Scope
from noninterference.rules import AGGREGATE, CONVERSION, SCALAR, TYPES, UNORDERED, Rule
from noninterference.tree import Node, clause, listed

#: How often an expression touches a protected column where one is at hand: in what is shown, and in
#: what decides over rows. Bare protected columns are shown in every flavour.
FLAVOURS = {
    "bare": (0.0, 0.0), "touched": (0.05, 0.05), "mixed": (0.5, 0.5), "shown": (0.7, 0.0),
    "chosen": (0.0, 0.7),
}  # fmt: skip
#: In which share of statements.
_SHARES = {"bare": 5, "touched": 3, "mixed": 3, "shown": 2, "chosen": 2}


class Expressions(ABC):
    """The half of the generator that writes expressions; the other half writes queries."""

    def __init__(self, seed: int, major: int, flavour: str | None) -> None:
        self._random = random.Random(seed)
        self._seed = seed
        self._major = major
        (drawn,) = self._random.choices([*_SHARES], weights=[*_SHARES.values()])
        self._flavour = flavour or drawn
        self._showing = False  # what is written now is shown, and decides over nothing
        self._names = 0
        self._fuel = self._random.choice([6, 12, 25, 40])
        self._ctes: list[tuple[str, tuple[Column, ...]]] = []
        self._sensitive = False
        self._touched = 0  # protected columns named so far

    @abstractmethod
    def _inner_query(self, types: list[str] | None, around: Scope) -> Node:
        """A query that stands inside an expression; no `types` leave its columns open."""

    @abstractmethod
    def _from(self, depth: int, own: Scope) -> Node:
        """A FROM clause, or nothing; what it brings is put into `own`."""

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _name(self, letter: str) -> str:
        self._names += 1
        return f"{letter}{self._names}"

    def _type(self, scope: Scope | None = None, *, ordered: bool = False) -> str:
        """A type; mostly one that the scope has a column of."""
        common = ("int", "int", "text", "text", "num", "date", "bool")
        known = [c.type for s in scope.own for c in s.columns] if scope else []
        chosen = known if known and self._chance(0.75) else [*common, *TYPES]
        if ordered:
            chosen = [kind for kind in chosen if kind not in UNORDERED] or ["int"]
        return self._random.choice(chosen)

    def _hit(self) -> bool:
        """Whether an expression may touch a protected column this time."""
        shown, chosen = FLAVOURS[self._flavour]
        hit = self._chance(shown if self._showing else chosen)
        self._touched += hit
        return hit

    @contextlib.contextmanager
    def _place_of(self, showing: bool) -> Iterator[None]:
        kept, self._showing = self._showing, showing
        try:
            yield
        finally:
            self._showing = kept

    def _key(self, own: Scope) -> Node:
        """An expression to order or group by; a bare number would be the place of a column."""
        kind = self._type(own, ordered=True)
        node = self._expression(kind, 2, own, 0.2)
        return Node(kind, (node, f"::{TYPES[kind][0]}"))

    def _expression(self, kind: str, depth: int, scope: Scope, leaf: float = 0.25) -> Node:
        self._fuel -= 1
        leaf = 0.05 if kind == "bool" else leaf + 0.1
        if depth <= 0 or self._fuel <= 0 or self._chance(leaf):
            return self._leaf(kind, scope)
        rule = self._rule(SCALAR, kind)
        return self._leaf(kind, scope) if rule is None else self._fill(rule, depth, scope)

    def _leaf(self, kind: str, scope: Scope) -> Node:
        sources = [] if scope.grouped else scope.own
        if scope.outer and (not sources or self._chance(0.15)):
            sources = scope.outer
        clear = [(s, c) for s in sources for c in s.columns if c.type == kind and not c.protected]
        hidden = [(s, c) for s in sources for c in s.columns if c.type == kind and c.protected]
        choice = clear
        if hidden and self._hit():
            choice = hidden
        if not choice and self._fuel > -20 and self._chance(0.7):
            known = {c.type for s in sources for c in s.columns if not c.protected or self._hit()}
            if rules := [r for r in CONVERSION[kind] if r.template[1] in known]:
                rule = self._random.choice(rules)
                return self._fill(rule, 0, scope)
        if not choice or self._chance(0.07):
            return Node(kind, (self._random.choice(TYPES[kind][1:]),))
        source, column = self._random.choice(choice)
        return Node(kind, (f"{source.alias}.{column.name}",))

    def _rule(self, rules: dict[str, list[Rule]], kind: str) -> Rule | None:
        found = [rule for rule in rules[kind] if rule.since <= self._major]
        return self._random.choice(found) if found else None

    def _fill(self, rule: Rule, depth: int, scope: Scope) -> Node:
        self._sensitive = self._sensitive or rule.sensitive
        parts: list[str | Node] = []
        for number, part in enumerate(rule.template):
            if part:
                parts.append(self._place(part, depth, scope) if number % 2 else part)
        return Node(rule.gives, tuple(parts))

    def _place(self, place: str, depth: int, scope: Scope) -> Node:
        form, _, names = place.rpartition(":")
        if form or names == "q":
            return self._sub_query(form, [] if names == "q" else names.split(","), scope)
        if names == "row":
            return self._row(scope)
        if names == "win":
            return self._window(scope)
        return self._expression(self._type(scope) if names == "any" else names, depth - 1, scope)

    def _sub_query(self, form: str, types: list[str], scope: Scope) -> Node:
        if self._fuel <= 0:
            return Node(
                "query", ("select " + ", ".join(TYPES[name][1] for name in types or ["int"]),)
            )
        around = Scope([] if scope.grouped else scope.own, scope.outer)
        if form != "s":
            return self._inner_query(types or None, around)
        inner = Scope([], around.own + around.outer)
        source = self._from(0, inner)
        rule = self._rule(AGGREGATE, types[0])
        if rule is not None and self._chance(0.6):
            where = clause(" where ", self._expression("bool", 1, inner))
            return Node("query", ("select ", self._fill(rule, 1, inner), source, where))
        self._sensitive = True
        item = self._expression(types[0], 1, inner, 0.5)
        tail = clause(" limit 1") if self._chance(0.8) else clause()
        return Node("query", ("select ", item, source, tail))

    def _row(self, scope: Scope) -> Node:
        """A whole row; of a table with protected columns when that may be."""
        sources = [] if scope.grouped else scope.own
        whole = [s for s in sources if not any(c.protected for c in s.columns) or self._hit()]
        if not whole:
            return Node("word", ("row(1, 'a')",))
        return Node("word", (self._random.choice(whole).alias,))

    def _window(self, scope: Scope) -> Node:
        parts: list[str | Node] = []
        if self._chance(0.5):
            parts.append(clause("partition by ", self._key(scope), " "))
        keys = [f"{s.alias}.{s.key}" for s in scope.own if s.key is not None]
        parts.append(clause("order by ", listed([self._key(scope), *keys])))
        return Node("word", tuple(parts))
