"""PostgreSQL's lexical rules, as far as a statement's text is cut, filled in or checked by them.

The tokens cover the text without a gap. Refuses what the server's own scanner would refuse or what
its versions read differently; it decides nothing else: each text that runs is parsed by the server
and analysed as it is then. `standard_conforming_strings` is on in every transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gateway.errors import InvalidRequest, StatementRefused


class Kind(StrEnum):
    PLAIN = (
        "plain"  # a run of short ASCII words, numbers, operators and space: nothing to look into
    )
    SPACE = "space"
    COMMENT = "comment"
    WORD = "word"  # an unquoted identifier or key word with something to look at
    NAME = "name"  # a "quoted" identifier
    STRING = "string"
    PARAMETER = "parameter"  # $1
    SEMICOLON = "semicolon"


@dataclass(frozen=True, slots=True)
class Token:
    """`text[start:end]`."""

    kind: Kind
    start: int
    end: int


# Every character beyond ASCII is part of a word for the server, whatever Unicode thinks of it. A
# short word before a quote may be a string's prefix, so it is no part of a plain run. The run is
# possessive: a way back for each of a million commas would take half a gigabyte.
_HIGH = r"\u0080-\U0010ffff"
_TOKEN = re.compile(
    rf"""
      (?P<space> [ \t\n\r\f]+ )
    | (?P<comment> --[^\n\r]* )
    | (?P<open> /\* )
    | (?P<escaped> [eE]' )
    | (?P<string> (?: [bBxXnN] | [uU]& )? ' )
    | (?P<unicode_name> [uU]&" )
    | (?P<name> " )
    | (?P<dollar> \$ (?: [A-Za-z_{_HIGH}] [A-Za-z_0-9{_HIGH}]* )? \$ )
    | (?P<parameter> \$[0-9]+ )
    | (?P<semicolon> ; )
    | (?P<plain> (?: [!\#%&()*+,:<=>?@\[\]^`{{|}}~\\. \t\n\r\f] | -(?!-) | /(?!\*)
                   | [0-9] [0-9a-zA-Z_]* (?![{_HIGH}])
                   | [A-Za-z_] [A-Za-z_0-9$]{{0,62}} (?! [A-Za-z_0-9$'"&{_HIGH}] ) )++ )
    | (?P<word> [A-Za-z_{_HIGH}] [A-Za-z_0-9${_HIGH}]* )
    """,
    re.VERBOSE,
)
# 'a' <newline> 'b' is one literal; comments of one line may stand between, those of C may not.
# Possessive throughout: a run of comments has one reading, and is read once.
_CONTINUED = re.compile(r"(?:[ \t\f]++|--[^\n\r]*+)*+[\n\r](?:[ \t\n\r\f]++|--[^\n\r]*+[\n\r])*+'")
_STANDARD_EDGE = re.compile(r"''|'")
_ESCAPED_EDGE = re.compile(r"\\.|''|'", re.DOTALL)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_MAX_NESTED_COMMENTS = 1000


def scan(text: str) -> Iterator[Token]:
    """The tokens of `text`, in order. Raises InvalidRequest where the server would stop, too."""
    at = 0
    while at < len(text):
        kind, end = _next(text, at)
        yield Token(kind, at, end)
        at = end


def place(text: str, at: int) -> str:
    """Where `at` is, for a person."""
    before = text[:at]
    return f" at line {before.count(chr(10)) + 1}, column {at - before.rfind(chr(10))}"


def _next(text: str, at: int) -> tuple[Kind, int]:
    """The kind and end of the token at `at`."""
    found = _TOKEN.match(text, at)
    if found is None:
        raise InvalidRequest(
            f"the character U+{ord(text[at]):04X}{place(text, at)} begins nothing known to SQL"
        )
    match found.lastgroup:
        case "open":
            return Kind.COMMENT, _block_comment(text, at)
        case "escaped":
            return Kind.STRING, _string(text, found.end(), at, _ESCAPED_EDGE)
        case "string":
            return Kind.STRING, _string(text, found.end(), at, _STANDARD_EDGE)
        case "unicode_name":
            raise StatementRefused(
                f'a name in Unicode escapes (U&"…"){place(text, at)} is not accepted',
                hint='write the name itself, in "double quotes" where it needs them',
            )
        case "name":
            return Kind.NAME, _name(text, found.end(), at)
        case "dollar":
            end = text.find(found[0], found.end())
            if end < 0:
                raise _unfinished("a dollar-quoted string", text, at)
            return Kind.STRING, end + len(found[0])
        case "parameter":
            if (after := _TOKEN.match(text, found.end())) and after[0][0].isidentifier():
                raise InvalidRequest(f"letters follow a parameter{place(text, at)}")
            return Kind.PARAMETER, found.end()
        case kind:
            return Kind(str(kind)), found.end()


def _unfinished(what: str, text: str, at: int) -> InvalidRequest:
    return InvalidRequest(f"{what} that begins{place(text, at)} is not finished")


def _block_comment(text: str, start: int) -> int:
    """Comments of this kind nest."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
        if depth > _MAX_NESTED_COMMENTS:
            raise StatementRefused("comments are nested too deeply")
    raise _unfinished("a comment", text, start)


def _string(text: str, at: int, start: int, edges: re.Pattern[str]) -> int:
    """The end of a string whose first character is at `at`; a doubled quote stands for one."""
    while True:
        found = edges.search(text, at)
        if found is None:
            raise _unfinished("a string", text, start)
        at = found.end()
        if found[0] == "'":
            again = _CONTINUED.match(text, at)
            if again is None:
                return at
            at = again.end()


def _name(text: str, at: int, start: int) -> int:
    while True:
        end = text.find('"', at)
        if end < 0:
            raise _unfinished("a quoted name", text, start)
        if not text.startswith('""', end):
            return end + 1
        at = end + 2
