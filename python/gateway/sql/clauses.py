"""Which relations a statement's text names in its FROM clauses, and where; by tokens alone.

Read is as much of PostgreSQL's grammar as decides that: query levels, WITH and what it hides, the
items of FROM, where GROUP BY ends. Refuses to guess: what does not fit raises Unreadable. Nothing
rests on its being right: a text that is changed by it is analysed again like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.sql.scanner import Kind, scan

_MAX_DEPTH = 100  # parentheses one inside the other
_PIECE = re.compile(r"\s+|[A-Za-z_][A-Za-z_0-9$]*|[0-9][0-9A-Za-z_.]*|.", re.DOTALL)

_COMBINED = frozenset({"union", "intersect", "except"})
_AFTER_FROM = _COMBINED | {
    "where", "group", "having", "window", "order", "limit", "offset", "fetch", "for", "into",
}  # fmt: skip
_AFTER_GROUP = _COMBINED | {"having", "window", "order", "limit", "offset", "fetch", "for"}
# Words that follow an item of FROM and are no alias of it.
_NO_ALIAS = _AFTER_FROM | {
    "on", "using", "join", "natural", "left", "right", "full", "inner", "cross", "tablesample",
    "with",
}  # fmt: skip
# Functions in FROM that are written without parentheses.
_VALUE_FUNCTIONS = frozenset(
    {
        "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp",
        "current_role", "current_user", "user", "session_user", "system_user", "current_catalog",
        "current_schema",
    }
)  # fmt: skip


class Unreadable(Exception):
    """The text is not what this reader knows."""


class Lexeme(NamedTuple):
    """`text[start:end]`: a word (folded), a quoted name, one sign, or something else."""

    kind: str  # word, name, sign, other
    start: int
    end: int
    value: str

    @property
    def names(self) -> bool:
        return self.kind in ("word", "name")

    @property
    def number(self) -> bool:
        return self.kind == "other" and self.value.isdigit()


@dataclass(slots=True, eq=False)
class Block:
    """One SELECT with its clauses."""

    parent: Block | None
    start: int
    end: int = 0
    arm: bool = False  # it is the statement's own SELECT, or one of those that UNION joins to it
    bare: bool = True  # it has none of DISTINCT, GROUP BY and HAVING
    from_start: int | None = None  # where its word FROM stands
    group_start: int | None = None  # where its GROUP BY list begins, behind the words
    group_end: int | None = None  # where its GROUP BY list ends, if it has one
    names: set[str] = field(default_factory=set)  # by which its FROM items are known
    others: set[str] = field(default_factory=set)  # those of them that are no relations


@dataclass(frozen=True, slots=True)
class Item:
    """A relation in FROM. `text[start:end]` is its name, with ONLY and `*` if they are there."""

    block: Block | None
    start: int
    end: int
    schema: str | None
    table: str
    only: bool
    alias: str | None
    command: bool = False  # it is the T of TABLE T, and the span takes in the word TABLE

    @property
    def known_as(self) -> str:
        return self.table if self.alias is None else self.alias


@dataclass(slots=True)
class Clauses:
    """What `read` found."""

    lexemes: list[Lexeme] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    others: set[str] = field(default_factory=set)  # names of FROM items that are no relations

    def chain(self, at: int) -> tuple[list[Lexeme], int]:
        """The dotted name that begins with lexeme number `at`, and the number after it."""
        parts = [self.lexemes[at]]
        at += 1
        while at + 1 < len(self.lexemes) and self.lexemes[at].value == ".":
            following = self.lexemes[at + 1]
            if not (following.names or following.value == "*"):
                break
            parts.append(following)
            at += 2
        return parts, at


def read(text: str) -> Clauses:
    """Read one SELECT. Raises Unreadable."""
    found = Clauses(list(lexemes(text)))
    reader = _Reader(found)
    try:
        reader.query(frozenset(), None, 0)
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    if reader.at != len(found.lexemes):
        raise Unreadable("something stands behind the statement")
    return found


def lexemes(text: str) -> Iterator[Lexeme]:
    """The text's words, names and signs, without space and comments."""
    for token in scan(text):
        if token.kind in (Kind.SPACE, Kind.COMMENT):
            continue
        if token.kind is Kind.NAME:
            name = text[token.start + 1 : token.end - 1].replace('""', '"')
            yield Lexeme("name", token.start, token.end, name)
        elif token.kind in (Kind.PLAIN, Kind.WORD):
            yield from _pieces(text, token.start, token.end, whole=token.kind is Kind.WORD)
        else:
            yield Lexeme("other", token.start, token.end, "")


def _pieces(text: str, start: int, end: int, *, whole: bool) -> Iterator[Lexeme]:
    if whole:
        yield Lexeme("word", start, end, _fold(text[start:end]))
        return
    for piece in _PIECE.finditer(text, start, end):
        first = piece[0][0]
        if first.isspace():
            continue
        if first.isalpha() or first == "_":
            yield Lexeme("word", piece.start(), piece.end(), _fold(piece[0]))
        elif first.isdigit():
            yield Lexeme("other", piece.start(), piece.end(), piece[0])
        else:
            yield Lexeme("sign", piece.start(), piece.end(), first)


def _fold(word: str) -> str:
    """As the server does: letters of ASCII only."""
    if word.isascii():
        return word.lower()
    return "".join(c.lower() if c.isascii() else c for c in word)


class _Reader:
    """Recursive descent; each method leaves `at` behind what it has read."""

    def __init__(self, found: Clauses) -> None:
        self._found = found
        self._lexemes = found.lexemes
        self.at = 0

    # -- what stands here

    def _peek(self, ahead: int = 0) -> Lexeme | None:
        at = self.at + ahead
        return self._lexemes[at] if at < len(self._lexemes) else None

    def _sign(self, sign: str, ahead: int = 0) -> bool:
        lexeme = self._peek(ahead)
        return lexeme is not None and lexeme.kind == "sign" and lexeme.value == sign

    def _key(self, ahead: int = 0) -> str:
        """The key word here, or nothing: a word behind a dot or behind AS is a name."""
        at = self.at + ahead
        lexeme = self._lexemes[at] if at < len(self._lexemes) else None
        if lexeme is None or lexeme.kind != "word":
            return ""
        if at > 0:
            before = self._lexemes[at - 1]
            label = before.kind == "word" and before.value == "as"
            if before.value == "." or (label and self._key(ahead - 1) == "as"):
                return ""
        return lexeme.value

    def _expect(self, sign: str) -> None:
        if not self._sign(sign):
            raise Unreadable(f"no {sign} where one is expected")
        self.at += 1

    def _name(self) -> Lexeme:
        lexeme = self._peek()
        if lexeme is None or not lexeme.names:
            raise Unreadable("no name where one is expected")
        self.at += 1
        return lexeme

    def _closed(self) -> bool:
        return self._peek() is None or self._sign(")")

    def _begins_query(self, ahead: int) -> bool:
        word = self._peek(ahead)
        if word is None or word.kind != "word":
            return False
        return word.value in ("select", "with", "table") or (
            word.value == "values" and self._sign("(", ahead + 1)
        )

    # -- queries

    def query(self, hidden: frozenset[str], parent: Block | None, depth: int) -> None:
        """One query up to its closing parenthesis; `hidden` are the names that WITH took."""
        if depth > _MAX_DEPTH:
            raise Unreadable("nested too deeply")
        if self._key() == "with":
            hidden = self._with(hidden, parent, depth)
        self._arms(hidden, parent, depth)
        if not self._closed():
            raise Unreadable("a query that does not end")

    def _arms(self, hidden: frozenset[str], parent: Block | None, depth: int) -> None:
        while True:
            if self._sign("("):
                self.at += 1
                self.query(hidden, parent, depth + 1)
                self._expect(")")
                self._rest(hidden, parent, depth)
            elif self._key() == "select":
                self._select(hidden, parent, depth)
            elif self._key() == "values":
                self.at += 1
                self._rest(hidden, parent, depth)
            elif self._key() == "table":
                start = self._lexemes[self.at].start
                self.at += 1
                self._relation(hidden, parent, start)
                self._rest(hidden, parent, depth)
            else:
                raise Unreadable("no query where one is expected")
            if self._key() not in _COMBINED:
                return
            self.at += 1
            if self._key() in ("all", "distinct"):
                self.at += 1

    def _rest(self, hidden: frozenset[str], block: Block | None, depth: int) -> None:
        """Expressions up to the end of the query or to its next arm."""
        while not self._closed() and self._key() not in _COMBINED:
            self._step(hidden, block, depth)

    def _select(self, hidden: frozenset[str], parent: Block | None, depth: int) -> None:
        block = Block(parent, self._lexemes[self.at].start, arm=depth == 0)
        self._found.blocks.append(block)
        self.at += 1
        block.bare = self._key() != "distinct"
        grouped = False
        while not self._closed():
            word = self._key()
            if grouped and word in _AFTER_GROUP:
                block.group_end, grouped = self._lexemes[self.at - 1].end, False
            if word in _COMBINED:
                break
            block.bare = block.bare and word not in ("group", "having")
            if word == "from" and not self._compares():
                block.from_start = self._lexemes[self.at].start
                self.at += 1
                self._from(hidden, block, depth)
                continue
            if not grouped and word == "group" and self._key(1) == "by":
                grouped, block.group_start = True, self._lexemes[self.at + 1].end
            self._step(hidden, block, depth)
        block.end = self._lexemes[self.at - 1].end
        if grouped:
            block.group_end = block.end

    def _compares(self) -> bool:
        """Whether the FROM here is that of IS [NOT] DISTINCT FROM."""
        return (
            self._key(-1) == "distinct" and self.at > 1 and self._key(-2) in ("is", "not")
        )  # SELECT DISTINCT FROM is no SQL

    def _step(self, hidden: frozenset[str], block: Block | None, depth: int) -> None:
        """One lexeme of an expression, or everything in a pair of brackets."""
        if not (self._sign("(") or self._sign("[")):
            self.at += 1
            return
        if depth > _MAX_DEPTH:
            raise Unreadable("nested too deeply")
        square = self._sign("[")
        self.at += 1
        if not square and self._begins_query(0):
            self.query(hidden, block, depth + 1)
        while not self._sign("]" if square else ")"):
            if self._peek() is None:
                raise Unreadable("brackets do not match")
            self._step(hidden, block, depth + 1)
        self.at += 1

    # -- WITH

    def _with(self, hidden: frozenset[str], parent: Block | None, depth: int) -> frozenset[str]:
        self.at += 1
        recursive = self._key() == "recursive" and self._key(1) != "as" and not self._sign("(", 1)
        if recursive:
            self.at += 1
            start = self.at
            hidden = self._ctes(hidden, parent, depth, names_only=True)
            self.at = start
        return self._ctes(hidden, parent, depth, names_only=False)

    def _ctes(
        self, hidden: frozenset[str], parent: Block | None, depth: int, *, names_only: bool
    ) -> frozenset[str]:
        while True:
            name = self._name().value
            if self._sign("("):
                self._skip()
            if self._name().value != "as":
                raise Unreadable("a CTE without AS")
            while not self._sign("("):
                self._name()  # NOT MATERIALIZED
            if names_only:
                self._skip()
            else:
                self.at += 1
                self.query(hidden, parent, depth + 1)
                self._expect(")")
            hidden |= {name}
            for clause, last in (("search", "set"), ("cycle", "using")):
                if self._key() == clause:
                    while self._key() != last:
                        if self._closed():
                            raise Unreadable(f"{clause} without {last}")
                        self.at += 1
                    self.at += 2
            if not self._sign(","):
                return hidden
            self.at += 1

    def _skip(self) -> None:
        """Over what stands in parentheses."""
        depth = 0
        while True:
            if self._peek() is None:
                raise Unreadable("brackets do not match")
            depth += self._sign("(") - self._sign(")")
            self.at += 1
            if depth == 0:
                return

    # -- FROM

    def _from(self, hidden: frozenset[str], block: Block, depth: int) -> None:
        """The items of a FROM clause, or of parentheses in one, up to what ends them."""
        self._item(hidden, block, depth)
        while not self._closed():
            word = self._key()
            if word in _AFTER_FROM:
                return
            if self._sign(",") or word == "join":
                self.at += 1
                self._item(hidden, block, depth)
            elif word == "as":  # JOIN … USING (…) AS alias
                self.at += 1
                self._call(self._name().value, block)
            else:
                self._step(hidden, block, depth)

    def _item(self, hidden: frozenset[str], block: Block, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise Unreadable("nested too deeply")
        if self._key() == "lateral":
            self.at += 1
        if self._sign("("):
            self.at += 1
            if self._begins_query(0):
                self.query(hidden, block, depth + 1)
            else:
                self._from(hidden, block, depth + 1)
                if self._key() in _COMBINED:  # ((SELECT …) UNION (SELECT …))
                    self.at += 1 + (self._key(1) in ("all", "distinct"))
                    self._arms(hidden, block, depth + 1)
                self._rest(hidden, block, depth)
            self._expect(")")
            self._other(block)
        elif self._key() == "rows" and self._key(1) == "from" and self._sign("(", 2):
            self.at += 2
            self._function(hidden, block, depth)
        else:
            self._relation(hidden, block, None, depth)

    def _function(self, hidden: frozenset[str], block: Block | None, depth: int) -> None:
        if self._sign("("):
            self._step(hidden, block, depth)
        if self._key() == "with" and self._key(1) == "ordinality":
            self.at += 2
        self._other(block)

    def _other(self, block: Block | None) -> None:
        """The alias of an item that is no relation."""
        alias = self._alias()
        if alias is not None:
            self._call(alias, block)

    def _call(self, name: str, block: Block | None) -> None:
        """Something that is no relation is known by `name`."""
        self._found.others.add(name)
        if block is not None:
            block.names.add(name)
            block.others.add(name)

    def _relation(
        self, hidden: frozenset[str], block: Block | None, command: int | None, depth: int = 0
    ) -> None:
        """A relation, a CTE or a function; `command` is where the TABLE before it begins."""
        first = self.at
        only = self._key() == "only"
        self.at += only
        wrapped = only and self._sign("(")
        self.at += wrapped
        if self._peek() is None:
            raise Unreadable("no relation where one is expected")
        parts, self.at = self._found.chain(self.at)
        if not all(part.names for part in parts) or len(parts) > 3:
            raise Unreadable("no relation where one is expected")
        if wrapped:
            self._expect(")")
        word = parts[0].value if len(parts) == 1 and parts[0].kind == "word" else ""
        if command is None and not only and (self._sign("(") or word in _VALUE_FUNCTIONS):
            self._call(parts[-1].value, block)
            self._function(hidden, block, depth)
            return
        if self._sign("*"):
            self.at += 1
        start = self._lexemes[first].start if command is None else command
        end = self._lexemes[self.at - 1].end
        alias = None if command is not None else self._alias()
        if len(parts) == 1 and parts[0].value in hidden:
            self._call(parts[0].value if alias is None else alias, block)
            return
        schema = parts[-2].value if len(parts) > 1 else None
        item = Item(block, start, end, schema, parts[-1].value, only, alias, command is not None)
        self._found.items.append(item)
        if block is not None and command is None:
            block.names.add(item.known_as)

    def _alias(self) -> str | None:
        """The alias here, if there is one, with its list of columns."""
        found = None
        if self._key() == "as":
            self.at += 1
            if not self._sign("("):
                found = self._name().value
        else:
            lexeme = self._peek()
            if lexeme is not None and lexeme.names and self._key() not in _NO_ALIAS:
                found = self._name().value
        if self._sign("("):
            self._skip()
        return found
