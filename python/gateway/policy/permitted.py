"""Step 4: which uses of protected columns the options of their rules allow, by the final tree.

A lookup is an equality with one parameter of the request, and each rule answers one a statement. A
join is an equality inside one domain. An aggregate is over at least as many values as the rule
says, in a place that is computed after small groups are gone. What is none of these is judged as if
there were no options.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gateway.model import Analysis, Column, Equality, Permitted, Reference, Source, Treatment, Use
from gateway.policy.options import Options
from gateway.policy.rules import Policy

#: Where a column that is read through an aggregate may decide over rows: in the very count that
#: makes the groups large enough, and in the order of the groups that are left. Never in another
#: condition: the server evaluates it for small groups, too, and an error tells.
_AFTER_HAVING = ("HAVING count", "ORDER BY")
_FLOOR = "HAVING count"


@dataclass(frozen=True, slots=True)
class Leave:
    """What the options allow of one statement."""

    analysis: Analysis
    policy: Policy
    equalities: dict[int, Permitted]
    compared: frozenset[int]  # relations with an equality among those

    def admits(self, use: Use) -> bool:
        """Whether this use of a protected column is one of those."""
        if use.equality is not None:
            return use.equality in self.equalities
        return use.where in _AFTER_HAVING and self._aggregated(use.column, use.values)

    def admits_source(self, source: Source) -> bool:
        """Whether this protected column may reach an output in the way it does."""
        return self._aggregated(source.column, source.values)

    def admits_output(self, column: Column, sources: Collection[Source]) -> bool:
        """Whether every way by which this column reaches an output is allowed."""
        ways = [source for source in sources if source.column == column]
        return bool(ways) and all(self.admits_source(way) for way in ways)

    def used(self) -> tuple[Permitted, ...]:
        """Every use that options allowed, once."""
        found = list(self.equalities.values())
        for use in self.analysis.control:
            treatment, _ = treatment_of(use.column, self.analysis, self.policy)
            if use.where == _FLOOR and treatment.protects and self.admits(use):
                _, rule = options_of(use.column, self.analysis, self.policy)
                found.append(Permitted("aggregate", (str(use.column),), rule))
        return tuple(dict.fromkeys(found))

    def _aggregated(self, column: Column, values: int | None) -> bool:
        least = options_of(column, self.analysis, self.policy)[0].aggregate
        if values is None or least is None or values < least:
            return False
        return column.relation not in self.compared


def leave(
    analysis: Analysis,
    policy: Policy,
    hidden: Collection[tuple[Reference, Column]] = (),
) -> Leave:
    """What the options allow; nothing of what compares with a column of `hidden`."""
    found: dict[int, Permitted] = {}
    lookups: dict[str, list[int]] = {}
    for number, equality in enumerate(analysis.equalities):
        permitted = _permitted(equality, analysis, policy)
        if permitted is None:
            continue
        found[number] = permitted
        if permitted.option == "lookup":
            lookups.setdefault(permitted.rule, []).append(number)
    for numbers in lookups.values():
        if len(numbers) > 1:  # two questions
            for number in numbers:
                del found[number]
    for number in list(found):
        sources = [source for source in analysis.equalities[number].columns if source is not None]
        if any((source.reference, source.column) in hidden for source in sources):
            del found[number]
    compared = {
        source.column.relation
        for number in found
        for source in analysis.equalities[number].columns
        if source is not None
    }
    return Leave(analysis, policy, found, frozenset(compared))


def _permitted(equality: Equality, analysis: Analysis, policy: Policy) -> Permitted | None:
    sources = [source for source in equality.columns if source is not None]
    if len(sources) != len(equality.columns):
        return None
    columns = [source.column for source in sources]
    if not all(treatment_of(column, analysis, policy)[0].protects for column in columns):
        return None
    (first, rule), *others = [options_of(column, analysis, policy) for column in columns]
    names = tuple(str(column) for column in columns)
    if others:
        ((second, _),) = others
        inside = first.join is not None and first.join == second.join
        return Permitted("join", names, rule) if inside else None
    if equality.parameter is None or first.lookup is None:
        return None
    return Permitted("lookup", names, rule, equality.parameter, first.lookup)


def advice(column: Column, analysis: Analysis, policy: Policy) -> str:
    """What the column's options allow, as a sentence without a full stop; empty if nothing."""
    options, _ = options_of(column, analysis, policy)
    name = column.name
    ways = []
    if options.lookup is not None:
        ways.append(
            f"WHERE {name} = $1, a parameter of the request, joined to other conditions by AND, "
            "once a statement"
        )
    if options.join is not None:
        ways.append(
            f"the equality of {name} in an inner join with another column of the domain "
            f"{options.join}"
        )
    if options.aggregate is not None:
        ways.append(
            f"count, sum, avg, stddev or variance of {name} over one table, with "
            f"HAVING count({name}) >= {options.aggregate}"
        )
    return f"Allowed for {name}: {'; '.join(ways)}" if ways else ""


def treatment_of(column: Column, analysis: Analysis, policy: Policy) -> tuple[Treatment, str]:
    """The treatment of a column of the statement, closed over what it shares protection with."""
    return policy.treatment_of(column, analysis.related.get(column, ()), analysis.inherited)


def options_of(column: Column, analysis: Analysis, policy: Policy) -> tuple[Options, str]:
    """The options of a column of the statement and the pattern of their rule, closed likewise."""
    return policy.options_of(column, analysis.related.get(column, ()), analysis.inherited)
