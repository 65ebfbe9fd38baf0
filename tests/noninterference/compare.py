"""What tells two answers apart, when nothing but protected values tells the databases apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from noninterference.corridor import Answer, Corridor

_TOKEN = re.compile(rb"tok_k1_[a-z2-7]{26}")
#: Everything that carries tokens; a row's key beside its tokens says which is which.
_TOKENED = (
    "select id, mrn, account, key from person order by id",
    "select id, aliases from person order by id",
    "select id, licence from doctor order by id",
)


@dataclass(frozen=True)
class Difference:
    """`kind` is status, words, text, order, rows, count, chunks or decision."""

    kind: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.kind}:\n    {self.first}\n    {self.second}"


class Names:
    """Tokens by the value they stand for, so that equal ones are equal on both sides.

    A token that is not of a value in a column stays as it is, and so becomes a difference.
    """

    def __init__(self, names: dict[bytes, bytes]) -> None:
        self._names = names

    @classmethod
    async def of(cls, corridor: Corridor) -> Names:
        names: dict[bytes, bytes] = {}
        for sql in _TOKENED:
            for token in _TOKEN.findall((await corridor.ask(sql)).data):
                names.setdefault(token, b"tok_k1_%026d" % len(names))
        if not names:
            raise AssertionError("no column is tokened: the sides cannot be compared")
        return cls(names)

    def settle(self, data: bytes) -> bytes:
        return _TOKEN.sub(lambda found: self._names.get(found[0], found[0]), data)


def difference(one: Answer, two: Answer, names: tuple[Names, Names]) -> Difference | None:
    """The first thing that differs, the plainest first. `order` means: the same rows otherwise."""
    if one.code != two.code:
        return Difference("status", f"{one.code}: {one.detail}", f"{two.code}: {two.detail}")
    for a, b in ((one.detail, two.detail), (one.hint, two.hint),
                 (one.sqlstate_class, two.sqlstate_class)):  # fmt: skip
        if a != b:
            return Difference("words", a, b)
    if one.ran != two.ran:
        return Difference("text", one.ran, two.ran)
    first, second = names[0].settle(one.data), names[1].settle(two.data)
    if first != second:
        return _of_rows(first, second)
    sizes = [[len(chunk) for chunk in answer.chunks] for answer in (one, two)]
    if sizes[0] != sizes[1]:
        return Difference("chunks", str(sizes[0]), str(sizes[1]))
    if one.decision != two.decision:
        for a, b in zip(one.decision, two.decision, strict=False):
            if a != b:
                return Difference("decision", a, b)
        return Difference("decision", str(len(one.decision)), str(len(two.decision)))
    return None


def _of_rows(first: bytes, second: bytes) -> Difference:
    rows = [data.splitlines() for data in (first, second)]
    if sorted(rows[0]) == sorted(rows[1]):
        kind = "order"
    else:
        kind = "rows" if len(rows[0]) == len(rows[1]) else "count"
    for a, b in zip(*rows, strict=False):
        if a != b:
            return Difference(
                kind, a[:300].decode("utf-8", "replace"), b[:300].decode("utf-8", "replace")
            )
    return Difference(kind, f"{len(rows[0])} lines", f"{len(rows[1])} lines")
