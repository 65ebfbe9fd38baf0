"""Functions of the catalog that are answered in part: each call is put inside what limits it.

Definitions: pg_get_expr, pg_get_constraintdef and their like write defaults, checks, predicates,
bounds and policies as SQL. No row changes that text, but somebody typed it, and what was typed may
be a value: a partition is named by its patients' numbers, an index leaves one person out. The text
is shown if it holds no quoted literal and no number of more than two digits; otherwise it says that
it is not shown. What is left are names, operators and functions, which is what a client asks for.

Columns of the catalog that hold such texts are guarded like a call: column_default and
generation_expression of information_schema.columns, domain_default, and the typdefault of pg_type.

Settings: current_setting is answered for the few that tell how to write SQL for this server.

Sizes: repeat writes its text at most ten thousand times.

The text it gives back is analysed like any other, and two things are asked of its tree. Every call
of a guarded function stands at one of the places that a guard was put around: no other notation,
cast, operator or view somebody made has brought one in (`check`). And where the text reads a stored
tree of the catalog, a second one with NULL in place of each guarded reading is analysed, too, so
that no tree is read by other ways: whole rows, casts, comparisons.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from gateway.errors import StatementRefused
from gateway.sql.scanner import Kind
from gateway.sql.statement import Statement, read

_DEFINITIONS = frozenset(
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
_SETTING = "current_setting"
_REPEAT = "repeat"
_MOST_REPEATED = 10_000
# Of views of the information schema, and of the catalog.
_DEFAULTS = frozenset({"column_default", "domain_default", "generation_expression"})
_DEFAULT_OF_TYPE = "typdefault"
#: The guarded functions that answer from the catalog or the settings alone.
NAMES = _DEFINITIONS | {_SETTING}
#: All of them.
GUARDED = NAMES | {_REPEAT}

#: Columns of the catalog that hold stored trees, which pg_get_expr makes a definition of.
TREES = frozenset({"adbin", "indpred", "polqual", "polwithcheck", "prqual", "relpartbound"})
#: What no statement reads but inside a guard: those, and text that somebody typed.
TYPED = TREES | {_DEFAULT_OF_TYPE}
NOTE = "definitions that hold literals are not shown"

SETTINGS = (
    "bytea_output", "client_encoding", "datestyle", "default_table_access_method",
    "default_transaction_isolation", "default_transaction_read_only", "integer_datetimes",
    "intervalstyle", "max_identifier_length", "max_index_keys", "search_path", "server_encoding",
    "server_version", "server_version_num", "standard_conforming_strings", "timezone",
    "transaction_isolation", "transaction_read_only",
)  # fmt: skip

_HIDDEN = "NULL /* holds a literal: not shown */"
# A quoted literal, or a number of three digits or more; \m is the beginning of a word.
_LITERAL = r"'''|\m[0-9][0-9a-zA-Z_.]{2,}'"
# These hold names only, whatever storage options with quotes follow. The sequence of a serial
# column is a name in quotes.
_OF_NAMES = r"'^(PRIMARY KEY|UNIQUE|FOREIGN KEY|NOT NULL) |^nextval\(''[^'']*''::regclass\)$'"
# The call stays as it was written, inside the inner sub-select; what it gives has no other name.
_SHOWN = f"""(SELECT CASE
 WHEN g.d OPERATOR(pg_catalog.~) {_OF_NAMES} THEN g.d
 WHEN g.d OPERATOR(pg_catalog.!~) {_LITERAL} THEN g.d
 WHEN g.d OPERATOR(pg_catalog.~) '^CHECK ' THEN 'CHECK ({_HIDDEN})'
 WHEN g.d IS NOT NULL THEN '{_HIDDEN}' END AS """
# Here only the arguments stay: what is called is called with a name from the list.
_ANSWERED = "".join(
    f" WHEN '{name}' THEN pg_catalog.current_setting('{name}')" for name in SETTINGS
)
_NAMED_SETTING = f"(SELECT CASE pg_catalog.lower(g.d){_ANSWERED} END AS current_setting FROM "  # noqa: S608 made of constants

_ANSWER = re.compile(r"pg_catalog\.current_setting\(")
_LEXEME = re.compile(r"[A-Za-z_][A-Za-z_0-9$]*|[0-9][0-9A-Za-z_]*|[ \t\n\r\f]+|.", re.DOTALL)


_STORED = -1  # the place of a call in a view's body, as the kernel gives it

_Piece = tuple[int, int, str]  # start, end, what stands there instead


@dataclass(frozen=True, slots=True)
class _Lexeme:
    name: str | None  # of an identifier, folded as the server folds it
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class _Call:
    name: str
    start: int  # of the qualified name
    opened: int  # the parenthesis
    closed: int
    comma: int | None  # the last one between its arguments


@dataclass(frozen=True, slots=True)
class Guarded:
    """What is run, and what else has to be admitted before: the same without stored trees."""

    statement: Statement
    without_trees: Statement | None = None
    places: frozenset[int] = frozenset()  # bytes of `statement` where guarded calls begin


def guarded(statement: Statement, *, max_bytes: int) -> Guarded:
    """`statement` with every call of NAMES guarded; itself if there is none.

    Raises StatementRefused for a setting that is not on the list, and for (x).name in place of
    name(x), which the server takes for the same call.
    """
    if not holds(statement.text) and _REPEAT not in statement.text.lower():
        return Guarded(statement)
    lexemes = list(_lexemes(statement))
    _check_notation(lexemes)
    columns = list(_defaults(lexemes, _typed_columns(statement.text.lower())))
    absent = [(start, end, "NULL") for start, end in _trees(lexemes)]
    absent += [(start, end, "NULL::pg_catalog.text") for start, end, _ in columns]
    pieces: list[_Piece] = []
    for start, end, name in columns:
        pieces.append((start, start, f"{_SHOWN}{name} FROM (SELECT "))
        pieces.append((end, end, " AS d) AS g)"))
    calls = list(_calls(lexemes))
    for call in calls:
        if call.name == _REPEAT:
            pieces += _limited(statement.text, call)
        elif call.name == _SETTING:
            _check_setting(statement.text[call.opened + 1 : call.closed].strip())
            pieces.append((call.start, call.opened + 1, f"{_NAMED_SETTING}(SELECT "))
            pieces.append((call.closed, call.closed, ") AS g(d)"))
        else:
            head = f"{_SHOWN}{call.name} FROM (SELECT "
            pieces.append((call.start, call.start, head))
            pieces.append((call.closed + 1, call.closed + 1, " AS d) AS g)"))
    text = _replaced(statement.text, pieces)
    return Guarded(
        read(text, max_bytes=max_bytes * 2),
        read(_replaced(statement.text, absent), max_bytes=max_bytes * 2) if absent else None,
        frozenset(_places(text, calls, pieces)),
    )


def kept(statement: Statement) -> Guarded:
    """A text that was made of a guarded one, and in which every call is as it was there."""
    if _REPEAT not in statement.text.lower():
        return Guarded(statement)
    calls = _calls(list(_lexemes(statement)))
    return Guarded(statement, places=frozenset(_places(statement.text, calls, ())))


def holds(text: str) -> bool:
    """Whether `text` may hold something that is guarded: its letters are enough for yes."""
    folded = text.lower()
    return bool(_typed_columns(folded)) or any(name in folded for name in NAMES)


def _typed_columns(folded: str) -> frozenset[str]:
    """The columns of the catalog with definitions in them that a text may read by name."""
    found = {_DEFAULT_OF_TYPE} if _DEFAULT_OF_TYPE in folded else set()
    if "information_schema" in folded:
        found |= {name for name in _DEFAULTS if name in folded}
    return frozenset(found)


def notes(statement: Statement) -> tuple[str, ...]:
    """What is said with the answer of a guarded statement."""
    return (NOTE,) if _HIDDEN in statement.text else ()


def check(
    calls: Iterable[tuple[str, int]],
    places: Collection[int],
    views: Collection[str],
    *,
    listed: bool,
) -> None:
    """Refuse every call of a guarded function, by name and place, but those inside their guards.

    A place of -1 is in what the catalog stores: right in policies and in the catalog's own views,
    whose columns are on a list (`listed`), and refused beside `views` that users made.
    """
    for name, place in calls:
        if place in places:
            continue
        if place == _STORED and name == _REPEAT:
            continue  # of the view's owner
        if place == _STORED and views:
            raise StatementRefused(
                f"the function {name} is not called along with the view {min(views)}, which may "
                "call it, too",
                hint="ask the catalog in a statement of its own",
            )
        if place != _STORED or not listed:
            raise StatementRefused(
                f"{name} is called by another notation than {name}(…)",
                hint=f"write the call as {name}(…)",
            )


def _check_notation(lexemes: list[_Lexeme]) -> None:
    """Behind a dot and without parentheses such a name is a call that the guards do not see."""
    for at, lexeme in enumerate(lexemes):
        if lexeme.name in NAMES and at and lexemes[at - 1].text == ".":
            if at + 1 < len(lexemes) and lexemes[at + 1].text == "(":
                continue
            raise StatementRefused(
                f"{lexeme.name} stands behind a dot without its arguments",
                hint=f"write the call as {lexeme.name}(…)",
            )


def _check_setting(argument: str) -> None:
    """A name that is written out and not on the list is refused; any other gives NULL."""
    if re.fullmatch(r"'[^']*'", argument) and argument[1:-1].lower() not in SETTINGS:
        raise StatementRefused(
            f"the setting {argument} is not shown", hint=f"these are: {', '.join(SETTINGS)}"
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


def _limited(text: str, call: _Call) -> list[_Piece]:
    """The last argument, not more than the limit; a number written out is refused above it."""
    if call.comma is None:
        return []
    times = text[call.comma + 1 : call.closed]
    if re.fullmatch(r"\s*[0-9]+\s*", times):
        if int(times) > _MOST_REPEATED:
            raise StatementRefused(f"repeat writes its text at most {_MOST_REPEATED:,} times")
        return []
    return [
        (call.comma + 1, call.comma + 1, " pg_catalog.int4smaller("),
        (call.closed, call.closed, f"\n, {_MOST_REPEATED})"),
    ]


def _calls(lexemes: list[_Lexeme]) -> Iterator[_Call]:
    """The calls of NAMES, however they are qualified: whose they are is the server's to say."""
    opened: list[tuple[int, int | None]] = []
    for index, lexeme in enumerate(lexemes):
        if lexeme.text in ("(", "["):
            opened.append((index, None))
        elif lexeme.text == "," and opened:
            opened[-1] = (opened[-1][0], lexeme.start)
        elif lexeme.text in (")", "]") and opened:
            at, comma = opened.pop()
            name = lexemes[at - 1].name if at else None
            if name in NAMES or name == _REPEAT:
                start = lexemes[_beginning(lexemes, at - 1)].start
                yield _Call(name, start, lexemes[at].start, lexeme.start, comma)


def _beginning(lexemes: list[_Lexeme], at: int) -> int:
    """Where the qualified name begins whose last part is at `at`."""
    while at >= 2 and lexemes[at - 1].text == "." and lexemes[at - 2].name:
        at -= 2
    return at


def _defaults(lexemes: list[_Lexeme], columns: Collection[str]) -> Iterator[tuple[int, int, str]]:
    """Where one of `columns` is read, with its qualification, and its name; nothing is told where
    it is a label."""
    for at, lexeme in enumerate(lexemes):
        if (
            lexeme.name is not None
            and lexeme.name in columns
            and not (at and lexemes[at - 1].name == "as")
        ):
            yield lexemes[_beginning(lexemes, at)].start, lexeme.end, lexeme.name


def _trees(lexemes: list[_Lexeme]) -> Iterator[tuple[int, int]]:
    """Where a stored tree may be read: alone as the first argument of pg_get_expr, as a column's
    name; or by such a name in a test for NULL, which says no more than whether there is one."""
    names = [lexeme.name for lexeme in lexemes] + [None] * 3
    for at, lexeme in enumerate(lexemes):
        if lexeme.name is None or (at and lexemes[at - 1].text == "."):
            continue
        end = at
        while end + 2 < len(lexemes) and lexemes[end + 1].text == "." and names[end + 2]:
            end += 2
        argument = (
            at >= 2
            and lexemes[at - 1].text == "("
            and names[at - 2] == "pg_get_expr"
            and end + 1 < len(lexemes)
            and lexemes[end + 1].text == ","
        )
        tested = (
            names[end] in TREES
            and names[end + 1] == "is"
            and "null" in (names[end + 2], names[end + 3])
            and names[end + 2] in ("null", "not")
        )
        if argument or tested:
            yield lexeme.start, lexemes[end].end


def _places(text: str, calls: Iterable[_Call], pieces: Iterable[_Piece]) -> Iterator[int]:
    """Where the guarded calls begin in `text`, in bytes, once the pieces are in their places."""
    for call in calls:
        moved = [(start, end, new) for start, end, new in pieces if start <= call.start]
        if call.name == _SETTING:
            # The call itself was replaced by those of its guard.
            start = call.start + sum(
                len(new) - (end - start) for start, end, new in moved if end <= call.start
            )
            guard = text[start : start + len(_NAMED_SETTING)]
            begins = [start + found.start() for found in _ANSWER.finditer(guard)]
        else:
            begins = [call.start + sum(len(new) - (end - start) for start, end, new in moved)]
        for begin in begins:
            yield len(text[:begin].encode())


def _replaced(text: str, pieces: list[_Piece]) -> str:
    """`text` with its pieces replaced; of insertions at one place the order is that of `pieces`."""
    result, at = [], 0
    for start, end, instead in sorted(pieces, key=lambda piece: piece[0]):
        result += [text[at:start], instead]
        at = end
    return "".join([*result, text[at:]])
