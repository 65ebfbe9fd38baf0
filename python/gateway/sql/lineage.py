"""The kernel's account of one tree, as values.

Refuses a tree that could not be read, or planned, in a moment. The tree itself goes no further than
the kernel; the account of one that was read before is found by its hash.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from blake3 import blake3

from gateway import _kernel
from gateway.errors import MaskgateError
from gateway.latest import Latest
from gateway.sql import size

Key = tuple[int, int]  # relation OID, attribute number; number 0 is every column
SourceFlow = tuple[Key, int | None, int | None]  # with a reference's number; values, if aggregated

_DIGEST = ',"digest":"'  # the last field of an answer
_LONG = 128 * 1024  # longer trees are read off the event loop


@dataclass(frozen=True, slots=True)
class OutputFlow:
    type_oid: int
    typmod: int
    shape: str
    columns: tuple[Key, ...]
    sources: tuple[SourceFlow, ...]


@dataclass(frozen=True, slots=True)
class ReferenceFlow:
    relation: int
    alias: str
    selected: frozenset[int]


@dataclass(frozen=True, slots=True)
class EqualityFlow:
    columns: tuple[SourceFlow | None, ...]
    parameter: int | None
    constant: bool


@dataclass(frozen=True, slots=True)
class ControlFlow:
    key: Key
    use: str
    view: int | None  # in whose body it stands
    references: tuple[int | None, ...]
    equality: int | None
    values: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Lineage:
    """See `_kernel.lineage`."""

    account: str  # the kernel's, without the digest: all that the rest says but that

    outputs: tuple[OutputFlow, ...]
    control: tuple[ControlFlow, ...]
    mentions: tuple[tuple[Key, str, tuple[int | None, ...]], ...]
    idle: tuple[SourceFlow, ...]  # named there to no end, and used elsewhere
    relations: tuple[tuple[int, str, bool], ...]  # OID, relkind, named directly
    references: tuple[ReferenceFlow, ...]
    equalities: tuple[EqualityFlow, ...]
    functions: tuple[int, ...]
    calls: tuple[tuple[int, int], ...]  # function, place in bytes; -1 stored, -2 not written
    operators: tuple[int, ...]
    types: tuple[int, ...]
    params: tuple[tuple[int, int], ...]  # number, location in bytes
    row_security: bool
    digest: str

    def used(self) -> set[Key]:
        """Every column that the statement names or shows."""
        keys = {use.key for use in self.control} | {key for key, *_ in self.mentions}
        return keys.union(*(output.columns for output in self.outputs))


_MOST_KNOWN = 256
#: Accounts of trees. An account follows from the tree's text and nothing else, so it cannot be
#: stale; what its numbers mean is asked for anew.
_known: Latest[tuple[bytes, int], Lineage] = Latest(_MOST_KNOWN)


async def of(tree: str, server_major: int) -> Lineage:
    """Read `tree`. Raises StatementRefused and NotUnderstood as the kernel does."""
    if len(tree) > _LONG:
        return _lineage(await asyncio.to_thread(_read, tree, server_major), _values)
    return _remembered(tree, server_major)


def _remembered(tree: str, server_major: int) -> Lineage:
    key = (blake3(tree.encode()).digest(), server_major)
    return _known.get(key) or _known.put(key, _lineage(_read(tree, server_major), _shape))


class Early:
    """Reads a short tree as soon as it has come, while the server answers what else was asked."""

    def __init__(self, server_major: int) -> None:
        self._server_major = server_major
        self._tree: str | None = None
        self._found: Lineage | None = None

    def read(self, tree: str) -> None:
        """What is wrong with `tree` is told by `of`."""
        if len(tree) <= _LONG:
            with contextlib.suppress(MaskgateError):
                self._tree, self._found = tree, _remembered(tree, self._server_major)

    async def of(self, tree: str) -> Lineage:
        """As `lineage.of`."""
        if self._found is not None and tree is self._tree:
            return self._found
        return await of(tree, self._server_major)


def _lineage(answer: str, values: Callable[[str], Lineage]) -> Lineage:
    """`values` of the account, under the digest, which stands at its end."""
    account, _, digest = answer.rpartition(_DIGEST)
    return replace(values(account + "}"), digest=digest.removesuffix('"}'))


def _values(account: str) -> Lineage:
    found = json.loads(account)
    return Lineage(
        account=account,
        outputs=tuple(
            OutputFlow(
                o["type_oid"],
                o["typmod"],
                o["shape"],
                tuple((r, n) for r, n in o["columns"]),
                _sources(o["sources"]),
            )
            for o in found["outputs"]
        ),
        control=tuple(
            ControlFlow(
                _key(use),
                use["use"],
                use["through_view"],
                tuple(use["references"]),
                use["equality"],
                use["values"],
            )
            for use in found["control"]
        ),
        mentions=tuple(
            (_key(use), use["use"], tuple(use["references"])) for use in found["mentions"]
        ),
        relations=tuple((r["oid"], r["kind"], r["direct"]) for r in found["relations"]),
        idle=_sources(found["idle"]),
        references=tuple(
            ReferenceFlow(r["relation"], r["alias"], frozenset(r["selected"]))
            for r in found["references"]
        ),
        equalities=tuple(
            EqualityFlow(
                tuple(None if c is None else _source(c) for c in e["columns"]),
                e["parameter"],
                e["constant"],
            )
            for e in found["equalities"]
        ),
        functions=tuple(found["functions"]),
        calls=tuple((function, place) for function, place in found["calls"]),
        operators=tuple(found["operators"]),
        types=tuple(found["types"]),
        params=tuple((p["number"], p["location"]) for p in found["params"]),
        row_security=found["row_security"],
        digest="",
    )


#: Statements that differ in their literals only have trees of their own and one account.
_shape = lru_cache(maxsize=_MOST_KNOWN)(_values)


def _sources(found: Iterable[Any]) -> tuple[SourceFlow, ...]:
    return tuple(map(_source, found))


def _source(found: Sequence[Any]) -> SourceFlow:
    (relation, number), reference, values = found
    return (relation, number), reference, values


def _read(tree: str, server_major: int) -> str:
    size.check(tree)
    return _kernel.lineage(tree, server_major)


def _key(use: Mapping[str, Any]) -> Key:
    relation, number = use["column"]
    return relation, number
