"""Step 4: bare columns pass masked, every other use of a protected column is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from analysed import analysis, grant

from gateway.errors import OutOfScope, ProtectedUse
from gateway.model import Column, Output, Shape, Use
from gateway.policy import Policy, decide

TEXT = {"kind": "text"}
POLICY = Policy(
    "clinic",
    {
        "public.patient.id": "clear",
        "public.patient.city": "clear",
        "public.patient.name": "redact",
        "public.patient.mrn": "token",
        "public.patient.photo": "deny",
    },
)


def column(name: str) -> Column:
    return Column(1, 1, "public", "patient", name, 25)


def output(*names: str, shape: Shape = Shape.BARE, kind: dict[str, Any] = TEXT) -> Output:
    return Output("c", kind, shape, tuple(column(name) for name in names))


def test_a_bare_protected_column_is_masked_with_its_reason() -> None:
    decision = decide(grant(), analysis(output("name"), output("mrn"), output("id")), POLICY)
    assert [entry.treatment.name for entry in decision.columns] == ["redact", "token", "clear"]
    assert "public.patient.name" in decision.columns[0].reason


def test_clear_text_is_scanned_and_numbers_are_not() -> None:
    shown = decide(grant(), analysis(output("city"), output("id", kind={"kind": "int4"})), POLICY)
    assert [entry.treatment.options["scan"] for entry in shown.columns] == [True, False]
    listed = output("city", kind={"kind": "array", "element": TEXT})
    assert decide(grant(), analysis(listed), POLICY).columns[0].treatment.options["scan"]


def test_text_that_nobody_else_wrote_is_not_scanned() -> None:
    made = replace(output("id", shape=Shape.COMPUTED), free_text=False)
    shown = decide(grant(), analysis(made, output("id", shape=Shape.COMPUTED)), POLICY)
    assert [entry.treatment.options["scan"] for entry in shown.columns] == [False, True]


def test_what_the_server_wrote_into_a_text_is_not_scanned_for() -> None:
    made = replace(
        output("city", "id", shape=Shape.COMPUTED),
        written=frozenset({"times", "numbers"}),
        forms=("YYYY",),
    )
    bare = replace(made, shape=Shape.BARE)
    plain = replace(made, written=frozenset())
    shown = decide(grant(), analysis(made, bare, plain), POLICY).columns
    assert [entry.treatment.options for entry in shown] == [
        {"scan": True, "numbers": True, "times": True, "forms": ["YYYY"]},
        {"scan": True},
        {"scan": True},
    ]


def test_the_text_of_a_date_that_shows_its_year_is_refused() -> None:
    policy = Policy("clinic", {"public.patient.*": "year"})
    born = Column(1, 1, "public", "patient", "dob", 1082)
    text = Output("c", TEXT, Shape.TEXT, (born,))
    with pytest.raises(ProtectedUse, match=r"patient\.dob"):
        decide(grant(), analysis(text), policy)
    assert decide(grant(), analysis(replace(text, shape=Shape.BARE)), policy).columns
    for oid in (1182, 70_000):  # an array of dates; what could be a domain over them
        other = replace(text, columns=(replace(born, type_oid=oid),))
        with pytest.raises(ProtectedUse, match=r"patient\.dob"):
            decide(grant(), analysis(other), policy)


def test_a_computed_protected_column_is_refused_and_names_the_column() -> None:
    with pytest.raises(ProtectedUse, match=r"public\.patient\.name") as caught:
        decide(grant(), analysis(output("name", shape=Shape.COMPUTED)), POLICY)
    assert caught.value.hint is not None
    assert "plain column" in caught.value.hint


@pytest.mark.parametrize("part", ["control", "mentions"])
def test_a_protected_column_in_control_or_merely_mentioned_is_refused(part: str) -> None:
    use = Use(column("mrn"), "WHERE" if part == "control" else "unused mention")
    with pytest.raises(ProtectedUse, match=r"public\.patient\.mrn"):
        decide(grant(), analysis(output("id"), **{part: (use,)}), POLICY)


def test_clear_columns_may_control() -> None:
    use = Use(column("city"), "WHERE")
    assert decide(grant(), analysis(output("name"), control=(use,)), POLICY).columns


def test_a_related_protected_column_in_control_is_refused() -> None:
    clear, secret = column("city"), column("name")
    use = Use(clear, "WHERE")
    with pytest.raises(ProtectedUse):
        decide(grant(), analysis(output("id"), control=(use,), related={clear: (secret,)}), POLICY)


def test_arms_of_different_treatment_are_refused() -> None:
    with pytest.raises(ProtectedUse, match="treatments differ"):
        decide(grant(), analysis(output("name", "mrn")), POLICY)
    with pytest.raises(ProtectedUse, match="treatments differ"):
        decide(grant(), analysis(output("id", "mrn")), POLICY)


def test_a_denied_column_is_refused() -> None:
    with pytest.raises(ProtectedUse, match="may not be selected"):
        decide(grant(), analysis(output("photo")), POLICY)


def test_an_unclassified_column_is_masked() -> None:
    assert decide(grant(), analysis(output("new")), POLICY).columns[0].treatment.name == "redact"


def test_tables_outside_the_grant_are_refused() -> None:
    with pytest.raises(OutOfScope, match=r"public\.patient"):
        decide(grant("public.encounter"), analysis(output("id")), POLICY)
    with pytest.raises(OutOfScope, match=r"other\.table"):
        decide(grant("*"), analysis(tables=("other.table",)), POLICY)
    assert decide(grant("public.patient"), analysis(output("id")), POLICY).columns


def test_what_was_decided_within_one_scope_is_not_decided_within_another() -> None:
    """Whoever may read a table has it decided; the same statement of somebody else is refused."""
    found = analysis(output("id"))
    found.take_shape("one")
    policy = Policy("clinic", {"public.patient.*": "clear"})
    wide, narrow = grant("public.patient"), grant("public.encounter")
    for _ in range(2):
        assert decide(wide, found, policy).columns
        with pytest.raises(OutOfScope):
            decide(narrow, found, policy)


def test_a_protected_column_many_times_over_is_refused() -> None:
    assert decide(grant(), analysis(*[output("name")] * 4), POLICY).columns
    with pytest.raises(ProtectedUse, match="selected 5 times"):
        decide(grant(), analysis(*[output("name")] * 5), POLICY)
    assert decide(grant(), analysis(*[output("id")] * 50), POLICY).columns
