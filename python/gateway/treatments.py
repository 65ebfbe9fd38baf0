"""A treatment as people write it: `"redact"`, or a table with options.

Every place that names treatments reads them here, so that a word means the same in a gateway's
configuration, in a policy for files and in a program. Refuses treatments and options it does not
know, and options that make no sense.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

from gateway._kernel import DETECTORS
from gateway.model import Treatment

#: Options each treatment takes, with their types: an unknown option is an error at load.
OPTIONS: Mapping[str, Mapping[str, type]] = {
    "clear": {},
    "redact": {"label": str},
    "null": {},
    "partial": {"first": int, "last": int, "char": str},
    "token": {"domain": str},
    "fpe": {"radix": int, "letters": str, "separators": str, "domain": str},
    "year": {},
    "shift": {"subject": str, "days": int, "domain": str},
    "zip3": {"census": int},
    "bucket": {"width": int, "origin": int, "edges": list},
    "scan": {"row": list, "detectors": list, "without": list, "patterns": list},
    "deny": {},
}

#: Treatments that are made with the token key, inside a domain.
KEYED = frozenset({"token", "fpe", "shift"})

#: Whose counts `zip3` may follow; the last is the one it follows unless a rule says otherwise.
_CENSUSES = (2000, 2010, 2020)

#: What may stand between the symbols of `fpe`.
_SEPARATORS = frozenset(string.punctuation + " ")

#: What ranges of `bucket` may be, as the kernel has it too.
_NARROWEST = 5
_FARTHEST = 10**15
_MOST_EDGES = 1000

#: Columns whose values one `scan` may look for.
_MOST_BESIDE = 16

#: How far `shift` moves at most, in days, as the kernel has it too.
_DAYS = 365
_LEAST_DAYS = 7
_MOST_DAYS = 3650


def parse_treatment(value: str | Mapping[str, Any], patterns: Collection[str] = ()) -> Treatment:
    """A treatment from `"redact"` or `{ treatment = "partial", last = 4 }`. Raises ValueError.

    `patterns`: the names of the policy's own."""
    given: dict[str, Any] = {"treatment": value} if isinstance(value, str) else dict(value)
    name = given.pop("treatment", None)
    if not isinstance(name, str) or name not in OPTIONS:
        raise ValueError(f"no treatment {name!r}; there are {', '.join(OPTIONS)}")
    for option, kind in ((key, OPTIONS[name].get(key)) for key in given):
        if kind is None:
            raise ValueError(f"{name} takes no option {option!r}")
        if type(given[option]) is not kind:
            raise ValueError(f"{option} must be a {kind.__name__}")
    if name == "zip3" and given.setdefault("census", _CENSUSES[-1]) not in _CENSUSES:
        raise ValueError(f"census is one of {', '.join(map(str, _CENSUSES))}")
    if name == "fpe":
        _check_fpe(given)
    if name == "bucket":
        _check_bucket(given)
    if name == "scan" and "row" in given:
        _check_row(given["row"])
    if name == "scan":
        _check_detectors(given, patterns)
    if name == "shift":
        _check_shift(given)
    if name == "partial":
        first, last = given.setdefault("first", 0), given.setdefault("last", 0)
        if not (0 <= first <= 8 and 0 <= last <= 8 and first + last >= 1):
            raise ValueError("partial keeps 1 to 8 characters at each end: set first or last")
        if len(given.setdefault("char", "*")) != 1:
            raise ValueError("char is one character")
    return Treatment(name, given)


def companions(treatment: Treatment) -> tuple[str, ...]:
    """The names of the columns of its row that a treatment needs beside the value."""
    if treatment.name == "shift":
        return (treatment.options["subject"],)
    return tuple(treatment.options.get("row", ()))


def asked(treatment: Treatment) -> tuple[str, ...]:
    """The detectors that a scan asks, in the kernel's order."""
    options = treatment.options
    named = options.get("detectors", DETECTORS)
    return tuple(name for name in named if name not in options.get("without", ()))


def left_out(treatment: Treatment, patterns: Collection[str] = ()) -> tuple[str, ...]:
    """The detectors, and the policy's own `patterns`, that a scan does not ask: what they would
    find comes through."""
    if treatment.name != "scan":
        return ()
    chosen = (*asked(treatment), *treatment.options.get("patterns", patterns))
    return tuple(name for name in (*DETECTORS, *patterns) if name not in chosen)


def _check_detectors(given: dict[str, Any], patterns: Collection[str]) -> None:
    """Puts names into the kernel's order. Raises ValueError for what names no choice of them."""
    if "detectors" in given and "without" in given:
        raise ValueError("scan takes detectors or without, not both")
    for option, known, thing in (
        ("detectors", DETECTORS, "detector"),
        ("without", DETECTORS, "detector"),
        ("patterns", patterns, "pattern or dictionary"),
    ):
        names = given.get(option)
        if names is None:
            continue
        for name in names:
            if name not in known:
                listed = ", ".join(known) or "none"
                raise ValueError(f"no {thing} {name!r}; there are {listed}")
        if len(set(names)) != len(names):
            raise ValueError(f"{option} names each {thing} once")
        given[option] = [name for name in known if name in names]
    if not given.get("without", DETECTORS):
        raise ValueError("without names at least one detector")
    nothing = not given.get("detectors", DETECTORS) or len(given.get("without", ())) == len(
        DETECTORS
    )
    if nothing and not given.get("patterns", patterns) and "row" not in given:
        raise ValueError("this looks for nothing: clear says so")


def _check_fpe(given: dict[str, Any]) -> None:
    """Puts in what is left out. Raises ValueError for forms that the cipher is not for."""
    if given.setdefault("radix", 10) not in (10, 36):
        raise ValueError("radix is 10 (digits) or 36 (digits and letters)")
    if given["radix"] == 10 and "letters" in given:
        raise ValueError("letters are for radix 36")
    if given["radix"] == 36 and given.setdefault("letters", "upper") not in ("upper", "lower"):
        raise ValueError("letters is upper or lower")
    if not set(given.setdefault("separators", "")) <= _SEPARATORS:
        raise ValueError("separators are blanks and ASCII punctuation")
    if given.get("domain") == "":
        raise ValueError("domain must not be empty")


def _check_row(names: Sequence[object]) -> None:
    """Raises ValueError for what are no names of columns."""
    texts = [name for name in names if isinstance(name, str) and name]
    if not 1 <= len(set(texts)) == len(names) <= _MOST_BESIDE:
        raise ValueError(f"row is a list of 1 to {_MOST_BESIDE} columns of the same table")


def _check_shift(given: dict[str, Any]) -> None:
    """Puts in what is left out. Raises ValueError for offsets that are none."""
    if not given.get("subject"):
        raise ValueError(
            "shift takes the subject: a column of the same table that tells whose it is"
        )
    if not _LEAST_DAYS <= given.setdefault("days", _DAYS) <= _MOST_DAYS:
        raise ValueError(f"days is {_LEAST_DAYS} to {_MOST_DAYS}")
    if given.get("domain") == "":
        raise ValueError("domain must not be empty")


def _check_bucket(given: Mapping[str, Any]) -> None:
    """Raises ValueError for ranges that are none, or so narrow that they would be the value."""
    edges = given.get("edges")
    if (edges is None) == ("width" not in given) or (edges is not None and "origin" in given):
        raise ValueError("bucket takes a width, with an origin if need be, or edges")
    far = f"no farther from 0 than {_FARTHEST}"
    if edges is None:
        if not _NARROWEST <= given["width"] <= _FARTHEST:
            raise ValueError(f"width is at least {_NARROWEST}, and {far}")
        if abs(given.get("origin", 0)) > _FARTHEST:
            raise ValueError(f"origin is {far}")
        return
    whole = all(type(edge) is int and abs(edge) <= _FARTHEST for edge in edges)
    if not whole or not 1 <= len(edges) <= _MOST_EDGES:
        raise ValueError(f"edges are 1 to {_MOST_EDGES} whole numbers {far}")
    if any(high - low < _NARROWEST for low, high in pairwise(edges)):
        raise ValueError(f"each edge is at least {_NARROWEST} above the one before")
