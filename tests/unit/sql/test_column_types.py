"""Types as the decoder is told of them."""

from __future__ import annotations

import pytest

from gateway.errors import NotUnderstood
from gateway.sql.types import TypeFact, Types


def fact(oid: int, typtype: str = "b", **changes: object) -> TypeFact:
    given: dict[str, object] = {
        "name": f"public.t{oid}", "element": 0, "base": 0, "base_typmod": -1, "parts": (),
        "labels": (), "own_functions": False, "own_checks": False, "text_form": False, **changes,
    }  # fmt: skip
    return TypeFact(oid=oid, typtype=typtype, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("oid", "textless"),
    [
        (23, True), (25, False), (18, False), (600, False), (1700, True), (194, False),
        (2249, False), (1231, True), (20001, True), (20002, True), (20003, False), (20004, False),
        (20005, True), (20006, False), (20009, False), (20012, True), (20013, False), (20014, True),
    ],
)  # fmt: skip
def test_types_that_hold_nothing_that_somebody_wrote(oid: int, textless: bool) -> None:
    assert TYPES.textless(oid) is textless


@pytest.mark.parametrize(
    ("oids", "written"),
    [
        ({25}, set()), ({25, 1082}, {"times"}), ({25, 23}, {"numbers"}),
        ({1082, 1700}, {"times", "numbers"}),
        ({20001, 25}, {"numbers"}), ({1231, 25}, {"numbers"}), ({3802, 1082, 25}, set()),
        ({2249, 1082}, set()), ({600, 23}, set()), ({20003, 1114}, {"times"}), (set(), set()),
    ],
)  # fmt: skip
def test_what_the_server_writes_into_a_text(oids: set[int], written: set[str]) -> None:
    assert TYPES.written(frozenset(oids)) == written


MONEY = {"kind": "numeric", "precision": 10, "scale": 2}
TYPES = Types(
    {
        f.oid: f
        for f in (
            fact(23), fact(25), fact(18), fact(600), fact(790), fact(1700), fact(2249, "p"),
            fact(2278, "p"), fact(194), fact(1082), fact(1114), fact(3802),
            fact(1231, element=1700),
            fact(20001, "d", base=1700, base_typmod=655366),
            fact(20002, "d", base=20001),
            fact(20003, "e", labels=("low", "high")),
            fact(20004, element=20003),
            fact(20005, element=20001),
            fact(20006, "c", parts=(25, 20007)),
            fact(20007, own_functions=True),
            fact(20008, own_functions=True, text_form=True),
            fact(20009, "d", base=25, own_checks=True),
            fact(20010, element=600),
            fact(20011, "d", base=20011),
            fact(20012, "r", parts=(1700,)),
            fact(20013, "r", parts=(25,)),
            fact(20014, "m", parts=(20001,)),
        )
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("oid", "typmod", "kind"),
    [
        (23, -1, {"kind": "int4"}),
        (25, -1, {"kind": "text"}),
        (1700, -1, {"kind": "numeric"}),
        (1700, 655366, {"kind": "numeric", "precision": 10, "scale": 2}),
        (1700, ((5 << 16) | (-3 & 0x7FF)) + 4, {"kind": "numeric", "precision": 5, "scale": -3}),
        (20001, -1, {"kind": "numeric", "precision": 10, "scale": 2}),
        (20002, -1, {"kind": "numeric", "precision": 10, "scale": 2}),
        (20003, -1, {"kind": "enum", "labels": ["low", "high"]}),
        (20004, -1, {"kind": "array", "element": {"kind": "enum", "labels": ["low", "high"]}}),
        (1231, 655366, {"kind": "array", "element": MONEY}),
        (20005, -1, {"kind": "array", "element": MONEY}),
        (20008, -1, {"kind": "text"}),
        (18, -1, None),
        (790, -1, None),
        (600, -1, None),
        (20006, -1, None),
        (20010, -1, None),
        (2249, -1, None),
    ],
)  # fmt: skip
def test_kinds(oid: int, typmod: int, kind: object) -> None:
    assert TYPES.native(oid, typmod) == kind


def test_types_that_are_sent_and_types_that_are_not() -> None:
    refused = []
    for oid in (23, 2249, 20001, 20004, 20008, 20009, 194, 2278, 20006, 20007, 4242):
        try:
            TYPES.check(oid, called=False)
        except NotUnderstood:
            refused.append(oid)
    assert refused == [194, 2278, 20006, 20007, 4242]


@pytest.mark.parametrize("oid", [20008, 20009])
def test_types_whose_functions_would_be_called(oid: int) -> None:
    with pytest.raises(NotUnderstood, match="did not come with PostgreSQL"):
        TYPES.check(oid, called=True)


def test_a_domain_of_itself_ends() -> None:
    with pytest.raises(NotUnderstood):
        TYPES.native(20011, -1)
