"""Step 4 with options: which uses are let through, and what takes the leave back."""

from __future__ import annotations

from typing import Any

import analysed
import pytest

from gateway.errors import ProtectedUse
from gateway.model import (
    Analysis,
    Column,
    Equality,
    Output,
    Reference,
    Shape,
    Source,
    Use,
)
from gateway.policy import Policy, decide, to_hide

GRANT = analysed.grant()
NUMBERS = {"id": 1, "mrn": 2, "other": 3, "weight": 4, "name": 5}
COLUMNS: dict[str, Any] = {
    "public.*.id": "clear",
    "public.patient.mrn": {"treatment": "token", "lookup": {"per_hour": 7}, "join": "mrn"},
    "public.patient.other": {"treatment": "token", "join": "mrn"},
    "public.patient.weight": {"treatment": "deny", "aggregate": 8},
    "public.patient.name": {"treatment": "redact", "show": ["group:c"]},
    "public.claim.mrn": {"treatment": "token", "join": "mrn"},
    "public.claim.name": "redact",
}
POLICY = Policy("clinic", COLUMNS)
REFUSE = Policy("clinic", COLUMNS, expressions="refuse")


def column(name: str, table: str = "patient") -> Column:
    return Column({"patient": 1, "claim": 2}[table], NUMBERS[name], "public", table, name, 25)


def through(alias: str, table: str = "patient") -> Reference:
    return Reference({"patient": 1, "claim": 2}[table], "public", table, alias, False, frozenset())


P, C = through("p"), through("c", "claim")


def source(name: str, table: str = "patient", values: int | None = None) -> Source:
    return Source(column(name, table), P if table == "patient" else C, values)


def output(*sources: Source, shape: Shape = Shape.BARE) -> Output:
    columns = tuple(one.column for one in sources)
    return Output("c", {"kind": "text"}, shape, columns, sources)


def use(one: Source, where: str = "WHERE", equality: int | None = None) -> Use:
    return Use(one.column, where, (one.reference,), equality, one.values)


def analysis(*outputs: Output, control: Any = (), equalities: Any = ()) -> Analysis:
    tables = ("public.claim", "public.patient")
    return analysed.analysis(
        *outputs, control=tuple(control), tables=tables, equalities=tuple(equalities)
    )


def compared(*sources: Source | None, parameter: int | None = None) -> Equality:
    return Equality(sources, parameter, len(sources) == 1)


MRN, OTHER, CLAIM = source("mrn"), source("other"), source("mrn", "claim")
ID, NAME, WEIGHT = source("id"), source("name"), source("weight", values=8)
LOOKUP = {"control": [use(MRN, equality=0)], "equalities": [compared(MRN, parameter=1)]}


@pytest.mark.parametrize("policy", [POLICY, REFUSE])
def test_a_lookup_is_let_through_and_said(policy: Policy) -> None:
    found = analysis(output(ID), output(MRN), **LOOKUP)
    assert to_hide(GRANT, found, policy) == ()
    decision = decide(GRANT, found, policy)
    (one,) = decision.permitted
    assert (one.option, one.columns, one.parameter) == ("lookup", ("public.patient.mrn",), 1)
    assert (one.rule, one.per_hour) == ("public.patient.mrn", 7)
    assert decision.notes == (
        "public.patient.mrn was looked up by $1; rule public.patient.mrn answers 7 lookups an hour",
    )
    assert [c.treatment.name for c in decision.columns] == ["clear", "token"]


@pytest.mark.parametrize(
    ("control", "equalities"),
    [
        ([use(MRN)], []),  # in WHERE, and not as an equality
        ([use(MRN, equality=0)], [compared(MRN)]),  # with a literal
        ([use(MRN, equality=0)], [compared(None, parameter=1)]),  # not one bare column
        ([use(OTHER, equality=0)], [compared(OTHER, parameter=1)]),  # no such option
        (
            [use(MRN, equality=0), use(MRN, equality=1)],
            [compared(MRN, parameter=1), compared(MRN, parameter=2)],
        ),
        ([use(MRN, equality=0), use(MRN)], [compared(MRN, parameter=1)]),
        ([use(MRN, equality=0), use(ID, equality=0)], [compared(MRN, ID)]),
        ([use(MRN, equality=0), use(NAME, equality=0)], [compared(MRN, NAME)]),
        ([use(MRN, equality=0)], [compared(MRN, None)]),
        ([use(MRN, equality=0)], [compared(MRN, None, parameter=1)]),
        ([use(source("weight", values=8), "WHERE")], []),
        ([use(source("weight", values=8), "HAVING")], []),
        ([use(source("weight", values=8), "DISTINCT")], []),
        ([use(source("weight", values=8), "LIMIT")], []),
        ([use(source("weight", values=8), "HAVING count of the view public.v")], []),
        ([use(source("weight", values=7), "HAVING count")], []),
        ([use(source("weight"), "HAVING count")], []),
        ([use(source("mrn", values=99), "HAVING count")], []),
    ],
)
def test_what_is_none_of_the_options_is_refused(control: Any, equalities: Any) -> None:
    found = analysis(output(ID), control=control, equalities=equalities)
    with pytest.raises(ProtectedUse):
        decide(GRANT, found, POLICY)
    with pytest.raises(ProtectedUse):
        decide(GRANT, found, REFUSE)


def test_a_join_inside_the_domain() -> None:
    control = [use(MRN, "JOIN", 0), use(CLAIM, "JOIN", 0)]
    found = analysis(output(ID), control=control, equalities=[compared(MRN, CLAIM)])
    (one,) = decide(GRANT, found, POLICY).permitted
    assert (one.option, one.columns) == ("join", ("public.patient.mrn", "public.claim.mrn"))


def test_a_side_that_is_hidden_takes_the_join_with_it() -> None:
    control = [use(MRN, "JOIN", 0), use(CLAIM, "JOIN", 0), use(CLAIM, "ORDER BY")]
    found = analysis(output(ID), control=control, equalities=[compared(MRN, CLAIM)])
    hidden = {(one.reference.alias, one.column.name): one for one in to_hide(GRANT, found, POLICY)}
    assert set(hidden) == {("p", "mrn"), ("c", "mrn")}
    assert hidden["p", "mrn"].uses == ("JOIN",)


def test_a_side_that_is_shown_is_no_side_of_a_domain() -> None:
    columns = {
        **COLUMNS,
        "public.claim.mrn": {"treatment": "token", "join": "mrn", "show": ["group:c"]},
    }
    policy = Policy("clinic", columns)
    control = [use(MRN, "JOIN", 0), use(CLAIM, "JOIN", 0)]
    found = analysis(output(ID), control=control, equalities=[compared(MRN, CLAIM)])
    assert decide(GRANT, found, policy).permitted
    with pytest.raises(ProtectedUse, match=r"patient\.mrn"):
        decide(GRANT, found, policy.for_groups({"c"}))


def test_an_aggregate_over_enough_values_comes_clear_and_says_why() -> None:
    control = [use(WEIGHT, "HAVING count"), use(WEIGHT, "ORDER BY")]
    found = analysis(output(WEIGHT, shape=Shape.COMPUTED), control=control)
    assert to_hide(GRANT, found, POLICY) == ()
    decision = decide(GRANT, found, POLICY)
    assert decision.columns[0].treatment.name == "clear"
    assert decision.columns[0].reason.startswith(
        "an aggregate over at least 8 values of public.patient.weight (rule"
    )
    assert [one.option for one in decision.permitted] == ["aggregate"]


@pytest.mark.parametrize(
    "sources",
    [
        (source("weight", values=7),),
        (source("weight", values=0),),
        (source("weight"),),
        (source("weight", values=8), source("weight")),
        (source("weight", values=8), NAME),
    ],
)
def test_an_output_that_is_not_only_that_is_refused(sources: tuple[Source, ...]) -> None:
    found = analysis(output(*sources, shape=Shape.COMPUTED))
    with pytest.raises(ProtectedUse):
        decide(GRANT, found, POLICY)


def test_no_aggregate_over_rows_that_a_lookup_chose() -> None:
    found = analysis(output(WEIGHT, shape=Shape.COMPUTED), **LOOKUP)
    with pytest.raises(ProtectedUse, match="weight"):
        decide(GRANT, found, POLICY)


def test_more_than_four_aggregates_are_no_repetition() -> None:
    found = analysis(*[output(WEIGHT, shape=Shape.COMPUTED)] * 6)
    assert len(decide(GRANT, found, POLICY).columns) == 6
    with pytest.raises(ProtectedUse, match="selected 5 times"):
        decide(GRANT, analysis(*[output(MRN)] * 5), POLICY)


def test_the_refusal_says_what_the_options_allow() -> None:
    with pytest.raises(ProtectedUse) as caught:
        decide(GRANT, analysis(output(MRN, shape=Shape.COMPUTED)), POLICY)
    assert caught.value.hint is not None
    assert "WHERE mrn = $1" in caught.value.hint
    assert "domain mrn" in caught.value.hint
    with pytest.raises(ProtectedUse) as caught:
        decide(GRANT, analysis(output(ID), control=[use(source("weight", values=0))]), POLICY)
    assert caught.value.hint is not None
    assert "HAVING count(weight) >= 8" in caught.value.hint


def test_text_that_is_shown_is_not_scanned_and_text_beside_it_is() -> None:
    policy = POLICY.for_groups({"c"})
    shown = decide(GRANT, analysis(output(NAME), control=[use(NAME, "ORDER BY")]), policy)
    (one,) = shown.columns
    assert (one.treatment.name, one.treatment.options["scan"]) == ("clear", False)
    assert one.reason == "rule public.patient.name = redact, shown to group:c"
    mixed = decide(GRANT, analysis(output(NAME, ID, shape=Shape.COMPUTED)), policy)
    assert mixed.columns[0].treatment.options["scan"]
    assert "shown to group:c" in mixed.columns[0].reason
