"""How much a statement may ask of the server's planner, judged by its tree before it is planned.

The planner does not stop for a time limit or a cancellation while it pulls sub-selects up: twelve
hundred WITH queries, each reading the one before, kept it for a minute, and thirteen that are NOT
MATERIALIZED and read twice each took all the memory there was. Refuses such statements; what is
merely large is bounded by the length of the tree.
"""

from __future__ import annotations

import re

from gateway import _kernel
from gateway.errors import NotUnderstood, StatementRefused

#: Characters. A list of a hundred thousand numbers has about as many.
MAX_TREE = 16 * 1024 * 1024
MAX_TABLES = 600  # range table entries: tables, joins and sub-selects, those of views included
MAX_QUERIES = 300  # sub-selects, WITH queries and arms of a UNION, those of views included
MAX_WITH = 100
MAX_DEPTH = 40  # of sub-selects in sub-selects
MAX_COPIES = 128  # of what NOT MATERIALIZED has planned once for each place that reads it

_WITH = re.compile(r"\{COMMONTABLEEXPR\s")
_INLINED = re.compile(r":ctematerialized\s+2\b")
_READERS = re.compile(r":cterefcount\s+([0-9]+)")
# A brace in a name has a backslash before it.
_BRACE = re.compile(r"\\.|\{QUERY\b|[{}]", re.DOTALL)


def check(tree: str) -> None:
    """Refuse a tree that the server could be lost in. A name can only add to what is counted."""
    if len(tree) > MAX_TREE:
        raise NotUnderstood(
            f"the statement's tree has {len(tree):,} characters; at most {MAX_TREE:,} are read",
            hint="send long lists of values as an array parameter",
        )
    tables, queries = _kernel.parts(tree)
    if tables > MAX_TABLES:
        raise _too_many("tables, joins and sub-selects", tables, MAX_TABLES)
    if queries > MAX_QUERIES:
        raise _too_many("sub-selects and arms of UNION", queries, MAX_QUERIES)
    if queries == 1:
        return  # each part of the statement is in the one query
    if "{COMMONTABLEEXPR" in tree:
        _check_with(tree)
    if queries > MAX_DEPTH and (depth := _depth(tree)) > MAX_DEPTH:
        raise _too_many("sub-selects, one inside the other", depth, MAX_DEPTH)


def _check_with(tree: str) -> None:
    """WITH queries are planned inside one another where the tree has them side by side."""
    parts = _WITH.split(tree)[1:]
    if len(parts) > MAX_WITH:
        raise _too_many("WITH queries", len(parts), MAX_WITH)
    if not _INLINED.search(tree):
        return
    # The fields of an entry stand after its query, whose own entries are parts of their own: every
    # count is taken for one of an inlined query, which can only be more than there are.
    copies = 1
    for readers in _READERS.findall(tree):
        copies *= max(int(readers), 1)
        if copies > MAX_COPIES:
            raise StatementRefused(
                "WITH queries that are NOT MATERIALIZED would be planned too many times over",
                hint="leave NOT MATERIALIZED out",
            )


def _depth(tree: str) -> int:
    deepest = depth = 0
    open_: list[bool] = []
    for found in _BRACE.finditer(tree):
        mark = found[0]
        if mark == "}":
            depth -= open_.pop() if open_ else 0
        elif mark[0] == "{":
            is_query = mark != "{"
            open_.append(is_query)
            depth += is_query
            deepest = max(deepest, depth)
    return deepest


def _too_many(what: str, got: int, limit: int) -> StatementRefused:
    return StatementRefused(
        f"the statement has {got:,} {what}, views included; at most {limit:,} are planned",
        hint="write it in parts",
    )
