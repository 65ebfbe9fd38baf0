"""Rules: `schema.table.column` patterns to treatments; the most specific one wins.

Reach, narrowest first: an exact column; `schema.table.*`; other patterns with one `*`; with two;
`*.*.*`. `*` stands for a whole part. A part may be written in double quotes when it holds a dot.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from blake3 import blake3

from gateway.errors import ConfigurationError
from gateway.model import Column, Treatment
from gateway.patterns import NONE as NO_PATTERNS
from gateway.patterns import Definitions
from gateway.policy.options import NONE, Options, split, toml
from gateway.treatments import left_out, parse_treatment

_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')

K = TypeVar("K")
V = TypeVar("V")
_MOST_KEPT = 16_384  # answers of one kind
_MOST_JUDGED = 1024  # answers about whole statements

#: Treatments that let nothing of a value through, whatever was made of it.
_WHOLE = frozenset({"redact", "null", "deny"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the policy."""

    pattern: str
    parts: tuple[str, str, str]
    treatment: Treatment
    options: Options = NONE

    @property
    def reach(self) -> int:
        wild = [part == "*" for part in self.parts]
        if sum(wild) == 1:
            return 1 if wild[2] else 2
        return {0: 0, 2: 3, 3: 4}[sum(wild)]

    def matches(self, schema: str, table: str, column: str) -> bool:
        return all(
            mine in ("*", theirs)
            for mine, theirs in zip(self.parts, (schema, table, column), strict=True)
        )

    def meets(self, other: Rule) -> bool:
        """Whether some column could match both."""
        return all("*" in (a, b) or a == b for a, b in zip(self.parts, other.parts, strict=True))


def parse_pattern(pattern: str) -> tuple[str, str, str]:
    """Three parts of `schema.table.column`. Raises ValueError."""
    parts: list[str] = []
    position = 0
    while True:
        found = _PART.match(pattern, position)
        if found is None:
            raise ValueError("write schema.table.column, with * for a whole part")
        parts.append(found[1].replace('""', '"') if found[1] else found[2])
        position = found.end()
        if position == len(pattern):
            break
        if pattern[position] != ".":
            raise ValueError("write schema.table.column, with * for a whole part")
        position += 1
    if len(parts) != 3:
        raise ValueError("write schema.table.column, with * for a whole part")
    return parts[0], parts[1], parts[2]


def _keep(answers: dict[K, V], question: K, answer: V, most: int = _MOST_KEPT) -> V:
    """Remember an answer that follows from its question; of many, the last ones."""
    if len(answers) >= most:
        answers.clear()
    answers[question] = answer
    return answer


class Policy:
    """The classification of one connection.

    `text` is the canonical wording that goes into evidence and `hash` its BLAKE3; neither holds an
    address or a secret.
    """

    def __init__(
        self,
        connection: str,
        columns: Mapping[str, str | Mapping[str, Any]],
        *,
        unclassified: str = "redact",
        expressions: str = "mask-at-source",
        text: str = "scan",
        definitions: Definitions = NO_PATTERNS,
    ) -> None:
        self.connection = connection
        self.scan_clear_text = text == "scan"
        self.expressions = expressions
        self.definitions = definitions
        self._unclassified = Treatment(unclassified)
        self._groups: frozenset[str] = frozenset()
        self._seen_by: dict[frozenset[str], Policy] = {}
        self._named: dict[tuple[str, str, str], Rule | None] = {}
        self._treated: dict[Column, tuple[Treatment, str]] = {}
        self._judged: dict[tuple[object, object, tuple[str, ...]], Any] = {}
        self._rules = sorted(self._parse(columns), key=lambda rule: rule.reach)
        self._shown_to = frozenset().union(*(rule.options.show for rule in self._rules))
        self._check_disagreement()
        self.text = self._canonical(unclassified, expressions, text)
        self.hash = blake3(self.text.encode()).hexdigest()

    def for_groups(self, groups: Collection[str]) -> Policy:
        """The same policy as somebody in these groups meets it: what is shown to them is clear."""
        # The others of his groups say nothing here.
        some = self._shown_to.intersection(groups)
        seen = self._seen_by.get(some)
        if seen is None:
            seen = copy.copy(self)
            seen._groups = some
            seen._treated, seen._judged = {}, {}
            _keep(self._seen_by, some, seen)
        return seen

    def once(
        self, judge: Callable[[], V], about: object, shape: object, tables: tuple[str, ...] = ()
    ) -> V:
        """What `judge` says, asked once for all statements of one shape within one scope.

        It may look at the policy, at `tables` and, of an analysis of that shape, at what the shape
        says. `about` tells judges apart; a statement without a shape is always judged.
        """
        if shape is None:
            return judge()
        key = (about, shape, tables)
        if key not in self._judged:
            _keep(self._judged, key, judge(), _MOST_JUDGED)
        return cast(V, self._judged[key])

    def treatment_of(
        self,
        column: Column,
        related: Iterable[Column] = (),
        inherited: Collection[Column] = (),
    ) -> tuple[Treatment, str]:
        """The treatment of a base column and the reason, closed over its relatives.

        `related` are the columns whose values it holds or is made from. Those of them that are
        `inherited` (parents, children, partitions) hold the very same values: a partition that no
        rule names takes its parent's treatment. What a generated column or a materialised view
        makes of a protected value is another value, which a treatment made for the original could
        let through: it is redacted.
        """
        related = tuple(related)
        if related:
            return self._closed(column, related, inherited)
        # Follows from the rules and the column, which do not change: most columns are met often.
        known = self._treated.get(column)
        if known is None:
            known = _keep(self._treated, column, self._closed(column, (), ()))
        return known

    def _closed(
        self, column: Column, related: tuple[Column, ...], inherited: Collection[Column]
    ) -> tuple[Treatment, str]:
        rule = self._governing(column, related, inherited)
        own, reason = self._worded(rule, column)
        if own.name in _WHOLE or (own.protects and rule is not None and rule.reach == 0):
            return own, reason
        theirs = [
            (other, self._seen(found) if found is not None else self._unclassified)
            for other, found in ((other, self._rule(other)) for other in related)
            # A partition made tomorrow is named by no rule: its parent's rule speaks for it.
            if found is not None or rule is None or other not in inherited
        ]
        protecting = [(other, treatment) for other, treatment in theirs if treatment.protects]
        if not protecting or all(treatment == own for _, treatment in protecting):
            return own, reason
        other, chosen = protecting[0]
        unequal = any(treatment != chosen for _, treatment in protecting)
        made = any(other not in inherited for other, _ in protecting)
        if any(treatment.name == "deny" for _, treatment in protecting):
            chosen = Treatment("deny")
        elif unequal or (chosen.name not in _WHOLE and (made or own.protects)):
            chosen = Treatment("redact")
        reason = f"{column} holds or is made from {other}, which is protected"
        return chosen, reason + self._narrowed(chosen)

    def shows(
        self,
        column: Column,
        related: Iterable[Column] = (),
        inherited: Collection[Column] = (),
    ) -> bool:
        """Whether it is only a group of the caller's that makes the column clear."""
        related = tuple(related)
        return (
            bool(self._groups)
            and not self.treatment_of(column, related, inherited)[0].protects
            and self.for_groups(()).treatment_of(column, related, inherited)[0].protects
        )

    def options_of(
        self,
        column: Column,
        related: Iterable[Column] = (),
        inherited: Collection[Column] = (),
    ) -> tuple[Options, str]:
        """The options of a base column and the pattern of the rule that gives them.

        Closed over its relatives as treatments are: only what every protected one of them allows,
        but a rule that names the column exactly speaks for what is made of others.
        """
        related = tuple(related)
        rule = self._governing(column, related, inherited)
        if rule is None or rule.options == NONE:
            return NONE, ""
        options = rule.options
        for other in related:
            same = other in inherited
            found = self._rule(other)
            if found is None:
                # A partition that no rule names is spoken for by its parent's.
                options = options if same or rule.reach == 0 else NONE
            elif found.treatment.protects and (same or rule.reach > 0):
                options = options.agreed(found.options)
        return options, rule.pattern

    def classifies(self, schema: str, table: str) -> bool:
        """Whether some rule names columns of this table."""
        return any(
            rule.parts[0] in ("*", schema) and rule.parts[1] in ("*", table) for rule in self._rules
        )

    def with_options(self) -> dict[str, str]:
        """What rules allow beside their treatments, by pattern, as the configuration words it."""
        return {
            rule.pattern: toml(rule.options.worded())
            for rule in sorted(self._rules, key=lambda rule: rule.pattern)
            if rule.options != NONE
        }

    def with_detectors_left_out(self) -> dict[str, str]:
        """The detectors that rules of `scan` do not ask, by pattern."""
        return {
            rule.pattern: ", ".join(silent)
            for rule in sorted(self._rules, key=lambda rule: rule.pattern)
            if (silent := left_out(rule.treatment, self.definitions.names))
        }

    def names(self, column: Column) -> bool:
        """Whether some rule names this column."""
        return self._rule(column) is not None

    def _rule(self, column: Column) -> Rule | None:
        """The narrowest rule that names the column itself."""
        name = (column.schema, column.table, column.name)
        if name not in self._named:
            found = next((rule for rule in self._rules if rule.matches(*name)), None)
            return _keep(self._named, name, found)
        return self._named[name]

    def _governing(
        self, column: Column, related: Iterable[Column], inherited: Collection[Column]
    ) -> Rule | None:
        """The rule of a column, or of the parents of one that no rule names, if they agree."""
        rule = self._rule(column)
        if rule is not None:
            return rule
        same = [self._rule(other) for other in related if other in inherited]
        parents = {self._seen(one).name: one for one in same if one is not None}
        return next(iter(parents.values())) if len(parents) == 1 else None

    def _seen(self, rule: Rule) -> Treatment:
        return Treatment("clear") if rule.options.show & self._groups else rule.treatment

    def _worded(self, rule: Rule | None, column: Column) -> tuple[Treatment, str]:
        if rule is not None:
            reason = f"rule {rule.pattern} = {rule.treatment.name}{self._narrowed(rule.treatment)}"
            if shown := sorted(rule.options.show & self._groups):
                reason += f", shown to group:{shown[0]}"
            return self._seen(rule), reason
        name = self._unclassified.name
        return self._unclassified, f"no rule names {column}: unclassified = {name}"

    def _parse(self, columns: Mapping[str, str | Mapping[str, Any]]) -> list[Rule]:
        rules = []
        for pattern, value in columns.items():
            try:
                options, rest = split(value)
                treatment = parse_treatment(rest, self.definitions.names)
                rules.append(Rule(pattern, parse_pattern(pattern), treatment, options))
            except ValueError as error:
                raise ConfigurationError(
                    f'connections.{self.connection}.columns."{pattern}" = {value!r}: {error}'
                ) from None
        return rules

    def _check_disagreement(self) -> None:
        for index, rule in enumerate(self._rules):
            for other in self._rules[index + 1 :]:
                if other.reach != rule.reach:
                    break
                same = (rule.treatment, rule.options) == (other.treatment, other.options)
                if rule.meets(other) and not same:
                    raise ConfigurationError(
                        f"connections.{self.connection}.columns: {rule.pattern!r} "
                        f"({rule.treatment.name}) and {other.pattern!r} "
                        f"({other.treatment.name}) have equal reach and disagree; "
                        "write a narrower rule"
                    )

    def _canonical(self, unclassified: str, expressions: str, text: str) -> str:
        lines = [
            f"[connections.{self.connection}]",
            f'unclassified = "{unclassified}"',
            f'expressions = "{expressions}"',
            f'text = "{text}"',
            "",
            f"[connections.{self.connection}.columns]",
        ]
        for rule in sorted(self._rules, key=lambda rule: rule.pattern):
            treatment = {"treatment": rule.treatment.name, **rule.treatment.options}
            options = {**treatment, **rule.options.worded()}
            pairs = ", ".join(f"{key} = {toml(value)}" for key, value in options.items())
            lines.append(f"{json.dumps(rule.pattern, ensure_ascii=False)} = {{ {pairs} }}")
        if self.definitions.text:
            lines += ["", self.definitions.text.rstrip("\n")]
        return "\n".join(lines) + "\n"

    def _narrowed(self, treatment: Treatment) -> str:
        """What a narrower scan does not look for, as part of a reason."""
        silent = left_out(treatment, self.definitions.names)
        return f" without {', '.join(silent)}" if silent else ""
