"""The generator's own tree of a statement: rendered to SQL, and made smaller without parsing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from noninterference.rules import TYPES


@dataclass(frozen=True)
class Node:
    """One piece of a statement. `kind` says what may stand in its place: a type's name for an
    expression, else query, from, item, list, clause, word."""

    kind: str
    parts: tuple[str | Node, ...]
    between: str = ""  # written between the parts of a list
    optional: bool = False  # the statement stands without it

    def __str__(self) -> str:
        out: list[str] = []
        self._write(out)
        return "".join(out)

    def _write(self, out: list[str]) -> None:
        for number, part in enumerate(self.parts):
            if number and self.between:
                out.append(self.between)
            if isinstance(part, str):
                out.append(part)
            else:
                part._write(out)

    def nodes(self) -> Iterator[tuple[tuple[int, ...], Node]]:
        """Every node below with its path, the largest first within each branch."""
        for number, part in enumerate(self.parts):
            if isinstance(part, Node):
                yield (number,), part
                for path, node in part.nodes():
                    yield (number, *path), node

    def at(self, path: Sequence[int], node: Node) -> Node:
        """This tree with `node` in that place."""
        if not path:
            return node
        parts = list(self.parts)
        part = parts[path[0]]
        if isinstance(part, str):
            raise TypeError("a path leads to nodes only")
        parts[path[0]] = part.at(path[1:], node)
        return replace(self, parts=tuple(parts))

    def smaller(self) -> Iterator[Node]:
        """Trees with one thing less, the boldest cuts first; not all of them are valid."""
        places = sorted(self.nodes(), key=lambda entry: len(str(entry[1])), reverse=True)
        for _, node in places:
            if node.kind == self.kind:
                yield node
        for path, node in places:
            if node.optional and node.parts:
                yield self.at(path, replace(node, parts=()))
        for path, node in places:
            if node.kind == "list" and len(node.parts) > 1:
                for number in range(len(node.parts)):
                    kept = (*node.parts[:number], *node.parts[number + 1 :])
                    yield self.at(path, replace(node, parts=kept))
        for path, node in places:
            simplest = TYPES.get(node.kind, (None, None))[1]
            if simplest is not None and str(node) != simplest:
                yield self.at(path, Node(node.kind, (simplest,)))
            for _, inner in node.nodes():
                if inner.kind == node.kind and node.kind not in ("list", "item", "word"):
                    yield self.at(path, inner)


def listed(parts: Sequence[str | Node], between: str = ", ") -> Node:
    """A list of which any element but the last one may be taken out."""
    return Node("list", tuple(parts), between)


def clause(*parts: str | Node) -> Node:
    """Something the statement stands without."""
    return Node("clause", parts, optional=True)
