"""A statement without a word that somebody could have put a patient into.

Built from PostgreSQL's own kinds of tokens by an allow-list: key words, operators, punctuation and
names that the catalog has stay; everything else becomes a placeholder. In clear it would be a
literal in one of its spellings, a number, a comment, an alias, the name of a cursor, of a prepared
statement or of an argument, a parameter's number. What the scanner does not know ends the template.

    {s} a string   {d} a number   {p} a parameter   {n1} a name; the same one has the same number
    {op} an operator that is not PostgreSQL's       {…} cut here

Braces stand in no SQL outside literals, so a placeholder cannot be mistaken for a token.
"""

from __future__ import annotations

import re
from collections.abc import Container
from itertools import islice

from gateway.errors import Refusal
from gateway.sql.scanner import Kind, scan
from gateway.sql.vocabulary import KEYWORDS, OPERATORS

CUT = "{…}"
LONGEST = 16 * 1024  # characters of a template
_MOST_TOKENS = 10_000

# What a plain run of the scanner is made of. Digits are always the number's, whatever follows them.
_PARTS = re.compile(
    r"""
      (?P<space> [ \t\n\r\f]+ )
    | (?P<number> (?: [0-9][0-9a-zA-Z_]* (?: \.[0-9a-zA-Z_]* )? | \.[0-9][0-9a-zA-Z_]* )
                  (?: (?<=[eE]) [+-][0-9_]+ )? )
    | (?P<word> [A-Za-z_][A-Za-z_0-9$]* )
    | (?P<punctuation> [(),.\[\]] )
    | (?P<operator> [^ \t\n\r\f0-9A-Za-z_(),.\[\]]+ )
    """,
    re.VERBOSE,
)
_LONGEST_OPERATOR = max(map(len, OPERATORS))
_LITERALS = {Kind.STRING: "{s}", Kind.PARAMETER: "{p}", Kind.SEMICOLON: ";"}


def template(text: str, known: Container[str]) -> str:
    """The template of one statement, or of what was to be one; any text has one. `known` holds the
    names of the catalog."""
    made, end = _Template(known), 0
    try:
        for token in islice(scan(text), _MOST_TOKENS):
            made.take(token.kind, text[token.start : token.end])
            if made.size > LONGEST:
                return made.text() + CUT
            end = token.end
    except Refusal:
        return made.text() + CUT
    return made.text() + ("" if end == len(text) else CUT)


class _Template:
    def __init__(self, known: Container[str]) -> None:
        self._known = known
        self._parts: list[str] = []
        self._numbers: dict[str, int] = {}
        self.size = 0

    def text(self) -> str:
        return "".join(self._parts).strip()

    def take(self, kind: Kind, text: str) -> None:
        if kind in (Kind.SPACE, Kind.COMMENT):
            self._space()
        elif kind is Kind.NAME:
            self._put(self._name(text[1:-1].replace('""', '"'), quoted=True))
        elif kind is Kind.WORD:
            self._word(text)
        elif kind is Kind.PLAIN:
            self._plain(text)
        else:
            self._put(_LITERALS.get(kind, CUT))

    def _plain(self, text: str) -> None:
        for part in _PARTS.finditer(text):
            if self.size > LONGEST:
                return
            match part.lastgroup:
                case "space":
                    self._space()
                case "number":
                    self._put("{d}")
                case "word":
                    self._word(part[0])
                case "punctuation":
                    self._put(part[0])
                case _:
                    self._operators(part[0])

    def _word(self, text: str) -> None:
        # As the server folds it: ASCII alone.
        word = "".join(chr(ord(c) | 32) if "A" <= c <= "Z" else c for c in text)
        self._put(word if word in KEYWORDS else self._name(word, quoted=False))

    def _name(self, name: str, *, quoted: bool) -> str:
        if name in self._known and name.isprintable() and not set(name) & set("{}"):
            return '"' + name.replace('"', '""') + '"' if quoted else name
        return f"{{n{self._numbers.setdefault(name, len(self._numbers) + 1)}}}"

    def _operators(self, run: str) -> None:
        """The longest that PostgreSQL has, again and again; a run without any is told as one."""
        at = 0
        while at < len(run) and self.size <= LONGEST:
            for length in range(_LONGEST_OPERATOR, 0, -1):
                if run[at : at + length] in OPERATORS:
                    self._put(run[at : at + length])
                    at += length
                    break
            else:
                self._put("{op}")
                return

    def _space(self) -> None:
        if self._parts and self._parts[-1] != " ":
            self._put(" ")

    def _put(self, part: str) -> None:
        self._parts.append(part)
        self.size += len(part)
