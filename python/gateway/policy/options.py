"""What a rule allows beside its treatment: uses of a protected column that are else refused.

Everything is off unless the rule asks for it. Refuses options it does not know, values out of
range, and options on a column that is clear. Where columns share protection, only what the rules of
all of them allow is allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAMES = ("show", "lookup", "join", "aggregate")

LOOKUPS_PER_HOUR = 20
LEAST_VALUES = 5
_MOST_PER_HOUR = 100_000
_MOST_VALUES = 1_000_000
_DOMAIN = re.compile(r"[A-Za-z0-9_.-]{1,63}")


@dataclass(frozen=True, slots=True)
class Options:
    """`show`: groups that see the column as if it were clear. `lookup`: how often an hour one
    identity may compare the column with a parameter. `join`: the domain inside which it may be
    compared for equality. `aggregate`: how many of its values an aggregate must be over."""

    show: frozenset[str] = frozenset()
    lookup: int | None = None
    join: str | None = None
    aggregate: int | None = None

    def agreed(self, other: Options) -> Options:
        """What both allow."""
        both = self.lookup is not None and other.lookup is not None
        sizes = (self.aggregate, other.aggregate)
        return Options(
            self.show & other.show,
            min(self.lookup or 0, other.lookup or 0) if both else None,
            self.join if self.join == other.join else None,
            None if None in sizes else max(size or 0 for size in sizes),
        )

    def worded(self) -> dict[str, Any]:
        """As the configuration words them, in a fixed order."""
        given = {
            "show": [f"group:{group}" for group in sorted(self.show)] or None,
            "lookup": None if self.lookup is None else {"per_hour": self.lookup},
            "join": self.join,
            "aggregate": self.aggregate,
        }
        return {name: value for name, value in given.items() if value is not None}


NONE = Options()


def split(value: str | Mapping[str, Any]) -> tuple[Options, str | Mapping[str, Any]]:
    """A rule's options, and the rest of it. Raises ValueError."""
    if isinstance(value, str):
        return NONE, value
    rest = {name: given for name, given in value.items() if name not in NAMES}
    asked = [name for name in NAMES if name in value]
    if asked and rest.get("treatment") == "clear":
        raise ValueError(f"clear takes no {asked[0]}: every use of a clear column is allowed")
    options = Options(
        show=_groups(value["show"]) if "show" in value else frozenset(),
        lookup=_per_hour(value["lookup"]) if "lookup" in value else None,
        join=_domain(value["join"]) if "join" in value else None,
        aggregate=_values(value["aggregate"]) if "aggregate" in value else None,
    )
    return options, rest


def toml(value: object) -> str:
    """A value of the options or of a treatment, as TOML has it on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def _groups(given: object) -> frozenset[str]:
    sentence = 'show is a list of groups: ["group:NAME", …]'
    if not isinstance(given, list) or not given:
        raise ValueError(sentence)
    names = [name for name in given if isinstance(name, str) and name.startswith("group:")]
    if len(names) != len(given) or "group:" in names:
        raise ValueError(sentence)
    return frozenset(name.removeprefix("group:") for name in names)


def _per_hour(given: object) -> int | None:
    if isinstance(given, bool):
        return LOOKUPS_PER_HOUR if given else None
    if isinstance(given, Mapping) and set(given) == {"per_hour"}:
        times = given["per_hour"]
        if type(times) is int and 1 <= times <= _MOST_PER_HOUR:
            return times
    raise ValueError(
        f"lookup is true ({LOOKUPS_PER_HOUR} an hour), false, or {{ per_hour = 1 to "
        f"{_MOST_PER_HOUR} }}"
    )


def _domain(given: object) -> str:
    if isinstance(given, str) and _DOMAIN.fullmatch(given):
        return given
    raise ValueError("join is the name of a domain: letters, digits, _ . and -")


def _values(given: object) -> int:
    if type(given) is int and LEAST_VALUES <= given <= _MOST_VALUES:
        return given
    raise ValueError(f"aggregate is the least number of values, {LEAST_VALUES} or more")
