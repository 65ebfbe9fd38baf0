"""What a catalog function writes of a definition is shown only where it holds no literal.

PostgreSQL's pg_get_expr, pg_get_constraintdef and their like write defaults, checks, predicates,
bounds and policies as SQL. No row changes that text, but somebody typed it, and what was typed may
be a value: a partition is named by its patients' numbers, an index leaves one person out. So each
call in the statement is put inside a sub-select that shows the text if it holds no quoted literal
and no number of more than two digits, and says that it is not shown otherwise. What is left are
names, operators and functions, which is what a client asks for.

It refuses such calls where they cannot be seen in the text, in a view somebody made.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gateway.errors import StatementRefused
from gateway.sql.scanner import Kind
from gateway.sql.statement import Statement, read

#: Each writes one definition as text, from the catalog alone, whatever its arguments.
NAMES = frozenset(
    {
        "pg_get_constraintdef",
        "pg_get_expr",
        "pg_get_function_arguments",
        "pg_get_indexdef",
        "pg_get_partkeydef",
        "pg_get_statisticsobjdef_columns",
        "pg_get_triggerdef",
    }
)
NOTE = "definitions that hold literals are not shown"

_HIDDEN = "NULL /* holds a literal: not shown */"
# A quoted literal, or a number of three digits or more; \m is the beginning of a word.
_LITERAL = r"'''|\m[0-9][0-9a-zA-Z_.]{2,}'"
# These hold names only, whatever storage options with quotes follow. The sequence of a serial
# column is a name in quotes.
_OF_NAMES = r"'^(PRIMARY KEY|UNIQUE|FOREIGN KEY|NOT NULL) |^nextval\(''[^'']*''::regclass\)$'"
_SHOWN = f"""CASE
 WHEN g.d OPERATOR(pg_catalog.~) {_OF_NAMES} THEN g.d
 WHEN g.d OPERATOR(pg_catalog.!~) {_LITERAL} THEN g.d
 WHEN g.d OPERATOR(pg_catalog.~) '^CHECK ' THEN 'CHECK ({_HIDDEN})'
 WHEN g.d IS NOT NULL THEN '{_HIDDEN}' END"""

_LEXEME = re.compile(r"[A-Za-z_][A-Za-z_0-9$]*|[0-9][0-9A-Za-z_]*|[ \t\n\r\f]+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Lexeme:
    name: str | None  # of an identifier, folded as the server folds it
    start: int
    end: int
    text: str


def guarded(statement: Statement, *, max_bytes: int) -> Statement:
    """`statement` with every call of NAMES guarded; itself if there is none."""
    folded = statement.text.lower()
    if not any(name in folded for name in NAMES):
        return statement
    lexemes = list(_lexemes(statement))
    opened: list[int] = []  # indices of parentheses
    calls: dict[int, int] = {}  # where the name of a call is, by the index of its parenthesis
    before: dict[int, list[str]] = {}
    after: dict[int, list[str]] = {}
    for index, lexeme in enumerate(lexemes):
        if lexeme.text == "(":
            opened.append(index)
            if index and lexemes[index - 1].name in NAMES:
                calls[index] = index - 1
        elif lexeme.text == ")" and opened and (named := calls.get(opened.pop())) is not None:
            name = lexemes[named].name
            head = f"(SELECT {_SHOWN} AS {name} FROM (SELECT "
            before.setdefault(lexemes[_beginning(lexemes, named)].start, []).append(head)
            after.setdefault(lexeme.end, []).append(" AS d) AS g)")
    return read(_filled(statement.text, before, after), max_bytes=max_bytes * 2)


def check(called: Collection[str], views: Collection[str]) -> None:
    """Refuse NAMES in a statement that reads a user's view: the call may be the view's own."""
    if views and (found := NAMES.intersection(called)):
        raise StatementRefused(
            f"the function {min(found)} is not called along with the view {min(views)}, which may "
            "call it, too",
            hint="ask the catalog in a statement of its own",
        )


def _lexemes(statement: Statement) -> Iterator[_Lexeme]:
    """Identifiers, signs and literals, without space and comments."""
    text = statement.text
    for token in statement.tokens:
        piece = text[token.start : token.end]
        match token.kind:
            case Kind.PLAIN | Kind.WORD:
                for found in _LEXEME.finditer(piece):
                    if not found[0].isspace():
                        start, end = token.start + found.start(), token.start + found.end()
                        name = found[0].lower() if found[0][0].isidentifier() else None
                        yield _Lexeme(name, start, end, found[0])
            case Kind.NAME:
                yield _Lexeme(piece[1:-1].replace('""', '"'), token.start, token.end, piece)
            case Kind.SPACE | Kind.COMMENT:
                pass
            case _:
                yield _Lexeme(None, token.start, token.end, piece)


def _beginning(lexemes: list[_Lexeme], at: int) -> int:
    """Where the qualified name begins whose last part is at `at`."""
    while at >= 2 and lexemes[at - 1].text == "." and lexemes[at - 2].name is not None:
        at -= 2
    return at


def _filled(text: str, before: dict[int, list[str]], after: dict[int, list[str]]) -> str:
    """`text` with the pieces put in; of those at one place the outer call's is the later found."""
    pieces, at = [], 0
    for place in sorted({*before, *after}):
        pieces += [text[at:place], *after.get(place, ()), *reversed(before.get(place, ()))]
        at = place
    return "".join([*pieces, text[at:]])
