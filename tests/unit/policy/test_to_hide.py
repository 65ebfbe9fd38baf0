"""Which columns are asked to be NULL at source, and what cannot be helped by that."""

from __future__ import annotations

import pytest
from analysed import analysis, grant

from gateway.errors import OutOfScope, ProtectedUse
from gateway.model import (
    Analysis,
    Column,
    Output,
    Reference,
    Shape,
    Source,
    Use,
)
from gateway.policy import Policy, decide, foreseen, to_hide

NUMBERS = {"id": 1, "city": 2, "name": 3, "mrn": 4, "photo": 5}
COLUMNS = {
    "public.patient.id": "clear",
    "public.patient.city": "clear",
    "public.patient.name": "redact",
    "public.patient.mrn": "token",
    "public.patient.photo": "deny",
}
POLICY = Policy("clinic", COLUMNS)
P = Reference(1, "public", "patient", "p", False, frozenset({1, 2, 3, 4}))
Q = Reference(1, "public", "patient", "q", False, frozenset({3}))


def column(name: str) -> Column:
    return Column(1, NUMBERS[name], "public", "patient", name, 25)


def output(*names: str, shape: Shape = Shape.BARE, through: Reference | None = P) -> Output:
    columns = tuple(column(name) for name in names)
    sources = tuple(Source(one, through) for one in columns)
    return Output("c", {"kind": "text"}, shape, columns, sources)


def use(name: str, where: str, *through: Reference | None) -> Use:
    return Use(column(name), where, through)


def hidden(found: Analysis, policy: Policy = POLICY) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (one.reference.alias, one.column.name, one.uses) for one in to_hide(grant(), found, policy)
    ]


def test_bare_columns_and_clear_ones_are_left_alone() -> None:
    found = analysis(
        output("name"),
        output("mrn", shape=Shape.TEXT),
        output("city", shape=Shape.COMPUTED),
        control=(use("id", "WHERE", P),),
    )
    assert hidden(found) == []


def test_every_other_use_is_hidden_where_it_is_made() -> None:
    found = analysis(
        output("name"),
        output("id", "mrn", shape=Shape.COMPUTED, through=Q),
        control=(use("name", "WHERE", P), use("name", "ORDER BY", P, Q)),
        mentions=(use("mrn", "unused mention", P),),
    )
    assert hidden(found) == [
        ("p", "name", ("WHERE", "ORDER BY")),
        ("q", "name", ("ORDER BY",)),
        ("p", "mrn", ("unused mention",)),
        ("q", "mrn", ("an expression (output column 'c')",)),
    ]


def test_what_stays_bare_in_a_rewritten_reference_is_named_without_a_use() -> None:
    found = analysis(
        output("name"), output("id"), output("mrn", through=Q), control=(use("mrn", "WHERE", P),)
    )
    assert hidden(found) == [("p", "mrn", ("WHERE",)), ("p", "name", ()), ("q", "mrn", ())]


def test_the_other_arms_of_an_output_go_with_one() -> None:
    first, second = Source(column("name"), P), Source(column("name"), Q)
    arms = Output("c", {}, Shape.BARE, (column("name"),), (first, second))
    found = analysis(arms, control=(use("name", "ORDER BY", P),))
    where = "output column 'c', in another arm of which it is NULL"
    assert hidden(found) == [("p", "name", ("ORDER BY",)), ("q", "name", (where,))]


@pytest.mark.parametrize("names", [("name", "mrn"), ("city", "name")])
def test_arms_of_different_treatment_are_hidden(names: tuple[str, str]) -> None:
    protected = [name for name in names if name != "city"]
    where = "output column 'c', which mixes columns of different treatments"
    assert hidden(analysis(output(*names))) == [("p", name, (where,)) for name in protected]


def test_a_column_that_is_only_named_elsewhere_is_hidden_there_too() -> None:
    idle = (Source(column("name"), Q), Source(column("mrn"), Q))
    found = analysis(output("name", shape=Shape.COMPUTED), idle=idle)
    assert [(alias, name) for alias, name, _ in hidden(found)] == [("p", "name"), ("q", "name")]
    assert hidden(analysis(output("name"), idle=idle)) == []


def test_the_reason_is_kept() -> None:
    (one,) = to_hide(grant(), analysis(output("name", shape=Shape.COMPUTED)), POLICY)
    assert one.reason == "rule public.patient.name = redact"


def test_a_related_protected_column_hides_the_clear_one() -> None:
    clear = column("city")
    found = analysis(
        output("id"), control=(use("city", "WHERE", P),), related={clear: (column("name"),)}
    )
    assert hidden(found) == [("p", "city", ("WHERE",))]


@pytest.mark.parametrize(
    "found",
    [
        analysis(output("photo")),
        analysis(output("photo", shape=Shape.COMPUTED)),
        analysis(output("id"), control=(use("photo", "WHERE", P),)),
        analysis(output("id"), mentions=(use("photo", "unused mention", P),)),
        analysis(output("id"), control=(use("name", "WHERE of the view public.v"),)),
        analysis(output("id"), control=(use("name", "row security", P, None),)),
        analysis(output("name", shape=Shape.COMPUTED, through=None)),
        analysis(Output("c", {}, Shape.COMPUTED, (column("name"),))),
    ],
)
def test_what_hiding_cannot_help_is_refused(found: Analysis) -> None:
    with pytest.raises(ProtectedUse):
        to_hide(grant(), found, POLICY)


def test_the_grant_s_scope_comes_first() -> None:
    with pytest.raises(OutOfScope):
        to_hide(grant("public.other"), analysis(output("photo")), POLICY)


def test_what_is_hidden_within_one_scope_is_not_looked_at_within_another() -> None:
    found = analysis(output("name", shape=Shape.COMPUTED))
    found.take_shape("one")
    policy = Policy("clinic", COLUMNS)
    for _ in range(2):
        assert to_hide(grant("public.patient"), found, policy)
        with pytest.raises(OutOfScope):
            to_hide(grant("public.other"), found, policy)


def test_refuse_hides_nothing() -> None:
    found = analysis(output("name", shape=Shape.COMPUTED), control=(use("mrn", "WHERE", P),))
    assert hidden(found, Policy("clinic", COLUMNS, expressions="refuse")) == []


@pytest.mark.parametrize("part", ["control", "mentions", "outputs"])
@pytest.mark.parametrize("name", ["name", "mrn"])
def test_whatever_is_to_be_hidden_is_refused_as_long_as_it_is_not(part: str, name: str) -> None:
    found = (
        analysis(output(name, shape=Shape.COMPUTED))
        if part == "outputs"
        else analysis(output("id"), **{part: (use(name, "WHERE", P),)})
    )
    assert hidden(found)
    with pytest.raises(ProtectedUse):
        decide(grant(), found, POLICY)


def test_a_listing_foresees_null() -> None:
    made = output("id", "mrn", shape=Shape.COMPUTED)
    decided = foreseen(made, analysis(made), POLICY)
    assert (decided.treatment.name, decided.reason) == (
        "null",
        "made of public.patient.mrn, NULL at source",
    )
    assert foreseen(output("mrn"), analysis(), POLICY).treatment.name == "token"
    with pytest.raises(ProtectedUse):
        foreseen(made, analysis(made), Policy("clinic", COLUMNS, expressions="refuse"))
    with pytest.raises(ProtectedUse):
        foreseen(output("photo"), analysis(), POLICY)


def test_an_output_tells_what_it_lost() -> None:
    blank = Output("c", {"kind": "text"}, Shape.COMPUTED, (), (), (column("name"),), True)
    decision = decide(grant(), analysis(blank), POLICY)
    assert not decision.raw
    decided = decision.columns[0]
    assert decided.treatment.name == "null"
    assert decided.masked_at_source == ("public.patient.name",)
    partly = Output("c", {"kind": "text"}, Shape.COMPUTED, (column("city"),), (), (column("name"),))
    decided = decide(grant(), analysis(partly), POLICY).columns[0]
    assert decided.treatment.name == "clear"
    assert decided.masked_at_source == ("public.patient.name",)
    assert decided.reason.startswith("public.patient.name NULL at source; clear")
