"""What each output column is: its type for the decoder, its shape, the columns that reach it.

Follows from its arguments and nothing else. Refuses types that are not admitted, and outputs of
which the tree and the server's description say different things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gateway.errors import NotUnderstood
from gateway.model import Output, Shape
from gateway.sql.lineage import OutputFlow
from gateway.sql.relations import Reading
from gateway.sql.types import TEXT, Types


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The outputs, and which of them the server has to make text of; equal to itself alone."""

    outputs: tuple[Output, ...]
    as_text: tuple[bool, ...]


def of(
    reading: Reading,
    types: Types,
    names: tuple[str, ...],
    type_oids: tuple[int, ...],
    forms: tuple[str, ...],
    *,
    told: bool,
) -> Shown:
    """The outputs.

    `names` and `type_oids` are the server's description. `told`: a text among them may come from
    the catalog; `forms`: what dates in it may look like.
    """
    flows = reading.found.outputs
    for oid in sorted({*type_oids, *reading.types}):
        types.check(oid, called=oid in reading.found.types)
    for described, flow in zip(type_oids, flows, strict=True):
        if types.resolved(flow.type_oid, flow.typmod)[0] != described:
            raise NotUnderstood("the tree and the server's description differ in a column's type")
    native = [_native(flow, types, reading) for flow in flows]
    shown = tuple(
        Output(
            name,
            kind or TEXT,
            _shape(flow, kind),
            columns,
            sources,
            free_text=told or not all(types.textless(column.type_oid) for column in columns),
            written=frozenset() if told else types.written(frozenset(c.type_oid for c in columns)),
            forms=forms,
        )
        for name, flow, kind, columns, sources in zip(
            names, flows, native, reading.shown, reading.sources, strict=True
        )
    )
    return Shown(shown, tuple(kind is None for kind in native))


#: The same, of the arguments that came last. Readings and types are told apart by identity.
known = lru_cache(maxsize=256)(of)


def _native(flow: OutputFlow, types: Types, reading: Reading) -> Mapping[str, Any] | None:
    """The decoder's type of an output, or None where the server has to make text of it."""
    if flow.shape == "bare" and any(
        number and reading.relations[relation].attribute(number).dimensions > 1
        for relation, number in flow.columns
    ):
        return None
    return types.native(flow.type_oid, flow.typmod)


def _shape(flow: OutputFlow, native: Mapping[str, Any] | None) -> Shape:
    """A bare column that the server makes text of is in its text form."""
    shape = Shape(flow.shape)
    return Shape.TEXT if native is None and shape is Shape.BARE else shape
