"""The text of one statement, fit to be shown to the server.

Refuses what is too long, empty, not Unicode text, or names things in characters that the tree's
form, or a reader of the log, could be deceived by. A semicolon at the end is taken off; two
statements are refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from gateway.errors import InvalidRequest, StatementRefused
from gateway.sql.scanner import Kind, Token, place, scan

MAX_BYTES = 1024 * 1024
MAX_NAME_BYTES = 63
MAX_TOKENS = 400_000  # a run of plain words is one of them
_PLAIN = re.compile(rf"(?a:[A-Za-z_][\w$ ]{{0,{MAX_NAME_BYTES - 1}}})")  # most names are
# Beside letters, what headings of reports hold; never a sign of the tree's own form: : { } \\ ".
_HEADING_FIRST = "_%#($€£"
_HEADING_SIGNS = frozenset("_$ %#&'()*+,./;<=>?!@|~^[]€£°–—-")
_DATED = re.compile("yy|mon|mm|dd|day|dy", re.IGNORECASE)
_LONGEST_FORM = 40
_MOST_FORMS = 8
_BLANK = (Kind.SPACE, Kind.COMMENT)


@dataclass(frozen=True, slots=True)
class Statement:
    """A text without a closing semicolon, and the tokens that cover it."""

    text: str
    tokens: tuple[Token, ...]

    def parameters(self) -> Iterator[tuple[int, Token]]:
        """Each $n with its number."""
        for token in self.tokens:
            if token.kind is Kind.PARAMETER:
                yield int(self.text[token.start + 1 : token.end]), token


def read(text: str, *, max_bytes: int = MAX_BYTES) -> Statement:
    """Check `text` and cut it to one statement."""
    if "\0" in text:
        raise InvalidRequest(
            f"the statement holds a NUL character{place(text, text.index(chr(0)))}"
        )
    try:
        size = len(text.encode())
    except UnicodeEncodeError as broken:
        raise InvalidRequest(
            "the statement is not Unicode text: it holds a lone surrogate "
            f"(U+{ord(text[broken.start]):04X}){place(text, broken.start)}"
        ) from None
    if size > max_bytes:
        raise InvalidRequest(
            f"the statement has {size:,} bytes; at most {max_bytes:,} are taken",
            hint="send long lists of values as an array parameter",
        )
    tokens = list(islice(scan(text), MAX_TOKENS + 1))
    if len(tokens) > MAX_TOKENS:
        raise InvalidRequest(
            f"the statement has more than {MAX_TOKENS:,} names, strings and signs",
            hint="send long lists of values as an array parameter",
        )
    _drop_blank_end(tokens)
    if tokens and tokens[-1].kind is Kind.SEMICOLON:
        tokens.pop()
        _drop_blank_end(tokens)
    if not tokens:
        raise InvalidRequest("the statement is empty")
    for token in tokens:
        if token.kind is Kind.SEMICOLON:
            raise StatementRefused(
                f"a semicolon{place(text, token.start)} would end the statement early: one request "
                "runs one statement",
                hint="send each statement on its own",
            )
        if token.kind in (Kind.WORD, Kind.NAME):
            _check_name(text, token)
    return Statement(text[: tokens[-1].end], tuple(tokens))


def acceptable_name(name: str) -> bool:
    """A letter or underscore, then letters, digits, underscores, dollars and spaces; 63 bytes.

    Nothing in such a name can end a token of the tree, or pass for another name unseen: combining
    and invisible characters are outside. The server's own name of a column without one is let in.
    """
    if name == "?column?" or _PLAIN.fullmatch(name):
        return True
    if not name or len(name.encode(errors="replace")) > MAX_NAME_BYTES:
        return False
    return _letter(name[0]) and all(
        _letter(c) or c in "$ " or unicodedata.category(c)[0] == "N" for c in name
    )


def acceptable_heading(name: str) -> bool:
    """What a column may be called: an acceptable name, or one with the signs of report headings.

    It begins with a letter, a digit or one of a few signs, and ends in no space: `Total %`, `2024`.
    """
    if acceptable_name(name):
        return True
    if not name or len(name.encode(errors="replace")) > MAX_NAME_BYTES or name[-1] == " ":
        return False
    first = name[0]
    return (
        _letter(first) or unicodedata.category(first) == "Nd" or first in _HEADING_FIRST
    ) and all(_letter(c) or c in _HEADING_SIGNS or unicodedata.category(c)[0] == "N" for c in name)


def date_forms(text: str) -> tuple[str, ...]:
    """What may be forms of dates for to_char among the strings of a text that calls it."""
    if "to_char" not in text.lower():
        return ()
    strings = (text[t.start + 1 : t.end - 1] for t in scan(text) if t.kind is Kind.STRING)
    found = (string for string in strings if len(string) <= _LONGEST_FORM and "'" not in string)
    return tuple(
        islice((form for form in dict.fromkeys(found) if _DATED.search(form)), _MOST_FORMS)
    )


def _drop_blank_end(tokens: list[Token]) -> None:
    while tokens and tokens[-1].kind in _BLANK:
        tokens.pop()


def _letter(character: str) -> bool:
    return character == "_" or unicodedata.category(character)[0] == "L"


def _check_name(text: str, token: Token) -> None:
    name = text[token.start : token.end]
    if token.kind is Kind.NAME:
        name = name[1:-1].replace('""', '"')
    elif name.isascii() and len(name) <= MAX_NAME_BYTES:
        return
    # Whether a quoted name is a column's is the server's to say: the tree's reader asks again.
    if not (acceptable_heading(name) if token.kind is Kind.NAME else acceptable_name(name)):
        raise StatementRefused(
            f"the name{place(text, token.start)} is longer than {MAX_NAME_BYTES} bytes or holds a "
            "character that no name may hold: a colon, brace, backslash, double quote, line end or "
            "invisible character",
            hint="use a plain name",
        )
