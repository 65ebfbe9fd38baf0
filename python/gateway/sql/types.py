"""What the decoder is told of each output column's type, and which types are not touched at all.

A type whose binary form the decoder knows is sent as it is; the others of PostgreSQL's own types,
and rows, ranges and nested arrays of them, are cast to text by the server. A type whose functions a
user made is refused: reading or comparing its values would run them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import NotUnderstood

FIRST_USER_OID = 16384

# The decoder's kinds by OID. "char" and int2vector are not here: their binary forms are special.
_KINDS = {
    16: "bool", 17: "bytea", 19: "text", 20: "int8", 21: "int2", 23: "int4", 25: "text", 26: "oid",
    114: "json", 142: "text", 650: "cidr", 700: "float4", 701: "float8", 774: "macaddr8",
    829: "macaddr", 869: "inet", 1042: "text", 1043: "text", 1082: "date", 1083: "time",
    1114: "timestamp", 1184: "timestamptz", 1186: "interval", 1266: "timetz", 1560: "bit",
    1562: "bit", 1700: "numeric", 2950: "uuid", 3802: "jsonb",
}  # fmt: skip
_NUMERIC = 1700
# record, record[], and unknown: a literal that no context has given a type yet.
_PSEUDO = frozenset({2249, 2287, 705})

# Types of the server that are not for strangers: trees, access lists, statistics, roles, cursors,
# and the pseudo-types but those above.
_REFUSED = frozenset(
    {
        194, 1033, 1790, 3361, 3402, 3642, 4096, 4600, 4601, 5017,
        # their arrays
        1034, 2201, 3644, 4097,
    }
)  # fmt: skip

# Numbers, truth values, times and uuids: nothing that somebody wrote is in them.
_TEXTLESS = frozenset(
    {16, 20, 21, 23, 26, 700, 701, 790, 1082, 1083, 1114, 1184, 1186, 1266, 1700, 2950}
)

# Of those: days and moments, and numbers. And what holds one text and nothing else.
_TIMES = frozenset({1082, 1114, 1184})
_NUMBERS = frozenset({20, 21, 23, 26, 700, 701, 790, 1700})
_TEXTS = frozenset({18, 19, 25, 1042, 1043})

TEXT: Mapping[str, Any] = {"kind": "text"}
_MOST_WRITTEN = 1000  # sets of types of which it is remembered what is written


@dataclass(frozen=True, slots=True)
class TypeFact:
    """A row of pg_type with what hangs on it."""

    oid: int
    name: str  # "schema.type", for people
    typtype: str  # b c d e m p r
    element: int  # of an array; else 0
    base: int  # of a domain; else 0
    base_typmod: int
    parts: tuple[int, ...]  # a composite's column types, a range's subtype
    labels: tuple[str, ...]  # an enum's, in sort order
    own_functions: bool  # input, output, send or order that a user made
    own_checks: bool  # a domain's, by a user's functions
    text_form: bool  # its binary form is its UTF-8 text, by the server's own function


class Types:
    """The facts of every type that a statement can show, by OID."""

    def __init__(self, facts: Mapping[int, TypeFact]) -> None:
        self._facts = facts
        # What many outputs of a statement ask alike.
        self._without_text: dict[int, bool] = {}
        self._written: dict[frozenset[int], frozenset[str]] = {}

    def joined(self, facts: Mapping[int, TypeFact]) -> Types:
        """These, and others beside them."""
        return Types({**self._facts, **facts})

    def check(self, oid: int, *, called: bool) -> None:
        """Refuse a type that is unknown, for the server's own use, or run by a user's functions.

        `called`: the statement converts to or from it or compares its values, and does not only
        send them.
        """
        self._check(oid, called, set())

    def _check(self, oid: int, called: bool, seen: set[int]) -> None:
        if oid in seen:
            return
        seen.add(oid)
        fact = self._fact(oid)
        inside = fact.typtype == "p" and oid not in _PSEUDO
        if oid in _REFUSED or inside:
            raise NotUnderstood(f"the type {fact.name} is for the database's own use")
        runs = fact.own_functions and (called or not fact.text_form)
        if runs or (called and fact.own_checks):
            raise NotUnderstood(
                f"the type {fact.name} is read by functions that did not come with PostgreSQL",
                hint="leave the column out",
            )
        for part in (fact.element, fact.base, *fact.parts):
            if part:
                self._check(part, called, seen)

    def textless(self, oid: int) -> bool:
        """Whether no value of the type can hold what somebody wrote, arrays and ranges included."""
        known = self._without_text.get(oid)
        if known is None:
            base, _ = self.resolved(oid, -1)
            fact = self._fact(base)
            parts = (fact.element,) if fact.element else fact.parts if fact.typtype in "rm" else ()
            inside = bool(parts) and all(self.textless(part) for part in parts)
            known = self._without_text[oid] = base in _TEXTLESS or inside
        return known

    def written(self, oids: frozenset[int]) -> frozenset[str]:
        """What the server writes into a text that it makes of columns of these types: "times",
        "numbers". Nothing where one may be a document, with dates and numbers of its own."""
        found = self._written.get(oids)
        if found is None:
            if len(self._written) >= _MOST_WRITTEN:
                self._written.clear()
            found = self._written[oids] = self._kinds(oids)
        return found

    def _kinds(self, oids: Collection[int]) -> frozenset[str]:
        bases = {self._innermost(oid) for oid in oids}
        documents = {
            oid
            for oid in bases
            if not (oid in _TEXTS or self.textless(oid) or self._fact(oid).typtype == "e")
        }
        if documents:
            return frozenset()
        kinds = {"times": _TIMES, "numbers": _NUMBERS}
        return frozenset(kind for kind, of in kinds.items() if bases & of)

    def _innermost(self, oid: int) -> int:
        """An array's element, without domains."""
        oid, _ = self.resolved(oid, -1)
        element = self._fact(oid).element
        return self.resolved(element, -1)[0] if element else oid

    def resolved(self, oid: int, typmod: int) -> tuple[int, int]:
        """A domain's base type and its modifier; any other type as it is."""
        for _ in range(64):
            fact = self._fact(oid)
            if fact.typtype != "d":
                return oid, typmod
            oid, typmod = fact.base, fact.base_typmod
        raise NotUnderstood("a domain is built on too many others")

    def native(self, oid: int, typmod: int) -> Mapping[str, Any] | None:
        """The decoder's type, or None where the server has to make text of it."""
        oid, typmod = self.resolved(oid, typmod)
        fact = self._fact(oid)
        if fact.element:
            element = self._scalar(*self.resolved(fact.element, typmod))
            return None if element is None else {"kind": "array", "element": element}
        return self._scalar(oid, typmod)

    def _scalar(self, oid: int, typmod: int) -> Mapping[str, Any] | None:
        fact = self._fact(oid)
        if fact.typtype == "e":
            return {"kind": "enum", "labels": list(fact.labels)}
        if fact.text_form:
            return TEXT
        kind = _KINDS.get(oid)
        if kind is None:
            return None
        if oid == _NUMERIC and typmod >= 4:
            # As numeric_typmod_precision and numeric_typmod_scale: the scale has a sign, 11 bits.
            precision, scale = ((typmod - 4) >> 16) & 0xFFFF, (typmod - 4) & 0x7FF
            return {"kind": kind, "precision": precision, "scale": (scale ^ 1024) - 1024}
        return {"kind": kind}

    def _fact(self, oid: int) -> TypeFact:
        fact = self._facts.get(oid)
        if fact is None:
            raise NotUnderstood(f"the type with OID {oid} is not known")
        return fact
