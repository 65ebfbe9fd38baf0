"""Rules: reach, disagreement, closure, and the canonical wording."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import ConfigurationError
from gateway.model import Column
from gateway.policy import Policy
from gateway.policy.rules import _MOST_JUDGED, _MOST_KEPT, parse_pattern


def column(name: str, table: str = "patient", schema: str = "public") -> Column:
    return Column(relation=1, attnum=1, schema=schema, table=table, name=name, type_oid=25)


def policy(columns: dict[str, Any], **options: str) -> Policy:
    return Policy("clinic", columns, **options)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"public.patient.ssn": "null", "public.patient.*": "clear"}, "null"),
        ({"public.patient.*": "clear", "public.*.ssn": "redact"}, "clear"),
        ({"public.*.ssn": "redact", "public.*.*": "clear"}, "redact"),
        ({"*.*.ssn": "redact", "*.*.*": "clear"}, "redact"),
        ({"*.*.*": "clear"}, "clear"),
        ({"public.encounter.*": "clear"}, "redact"),
        ({}, "redact"),
    ],
)
def test_the_most_specific_rule_wins(rules: dict[str, str], expected: str) -> None:
    assert policy(rules).treatment_of(column("ssn"))[0].name == expected


@pytest.mark.parametrize(
    "rules",
    [
        {"public.*.ssn": "redact", "*.patient.ssn": "clear"},
        {"*.*.ssn": "redact", "public.*.*": "clear"},
        {"public.*.id": "clear", "*.patient.id": {"treatment": "token"}},
    ],
)
def test_rules_of_equal_reach_that_disagree_do_not_load(rules: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="equal reach and disagree"):
        policy(rules)


def test_rules_of_equal_reach_that_agree_or_cannot_meet_load() -> None:
    assert policy({"public.*.ssn": "redact", "*.patient.ssn": "redact"})
    assert policy({"public.*.ssn": "redact", "archive.*.ssn": "clear"})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("blur", "no treatment 'blur'"),
        ({"treatment": "redact", "color": "red"}, "takes no option 'color'"),
        ({"treatment": "partial"}, "set first or last"),
        ({"treatment": "partial", "last": 99}, "1 to 8"),
        ({"treatment": "partial", "last": "4"}, "last must be a int"),
        ({"treatment": "partial", "last": 2, "char": "xx"}, "one character"),
        ({"last": 2}, "no treatment None"),
    ],
)
def test_wrong_treatments_name_key_and_value(value: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        policy({"public.patient.ssn": value})
    assert "public.patient.ssn" in caught.value.detail


@pytest.mark.parametrize("pattern", ["ssn", "patient.ssn", "a.b.c.d", "a..c", "", "a.b.", 'a."b.c'])
def test_wrong_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match=r"schema\.table\.column"):
        policy({pattern: "clear"})


def test_a_part_with_a_dot_is_quoted() -> None:
    assert parse_pattern('public."a.b"."say ""x"""') == ("public", "a.b", 'say "x"')


def test_a_clear_column_takes_the_treatment_of_a_protected_relative() -> None:
    rules = policy({"public.child.name": "clear", "public.patient.name": "redact"})
    child = column("name", table="child")
    assert rules.treatment_of(child)[0].name == "clear"
    treatment, reason = rules.treatment_of(child, [column("name")])
    assert treatment.name == "redact"
    assert "public.patient.name" in reason


def test_an_unclassified_relative_protects_too() -> None:
    rules = policy({"public.child.name": "clear"})
    assert rules.treatment_of(column("name", table="child"), [column("name")])[0].protects


def test_the_canonical_wording_does_not_depend_on_order() -> None:
    one = policy({"public.a.b": "clear", "public.a.c": {"treatment": "token"}})
    two = policy({"public.a.c": "token", "public.a.b": "clear"})
    assert one.text == two.text
    assert one.hash == two.hash
    assert one.hash != policy({"public.a.b": "clear"}).hash


def test_what_is_made_of_protected_values_is_redacted_not_treated_like_the_original() -> None:
    rules = policy(
        {
            "public.mix.*": "clear",
            "public.mix.note": "scan",
            "public.mix.name": "redact",
            "public.mix.phone": {"treatment": "partial", "last": 2},
        }
    )
    label = column("label", table="mix")
    sources = {name: column(name, table="mix") for name in ("note", "name", "phone")}
    for made_of in (["note", "name"], ["note"], ["phone"], ["phone", "name"]):
        treatment, _ = rules.treatment_of(label, [sources[name] for name in made_of])
        assert treatment.name == "redact", made_of


def test_a_stricter_source_wins_over_a_wide_rule_and_not_over_an_exact_one() -> None:
    made = column("label", table="view")
    source = column("name", table="patient")
    wide = policy({"public.view.*": "scan", "public.patient.name": "redact"})
    assert wide.treatment_of(made, [source])[0].name == "redact"
    exact = policy({"public.view.label": "scan", "public.patient.name": "redact"})
    assert exact.treatment_of(made, [source])[0].name == "scan"
    clear = policy({"public.view.label": "clear", "public.patient.name": "redact"})
    assert clear.treatment_of(made, [source])[0].name == "redact"


def test_a_partition_without_a_rule_takes_its_parents() -> None:
    rules = policy(
        {"public.part.*": "clear", "public.part.ssn": {"treatment": "partial", "last": 2}}
    )
    parent, child = column("room", table="part"), column("room", table="part_a")
    assert rules.treatment_of(parent, [child], {child})[0].name == "clear"
    assert rules.treatment_of(child, [parent], {parent})[0].name == "clear"
    parent, child = column("ssn", table="part"), column("ssn", table="part_a")
    assert rules.treatment_of(parent, [child], {child})[0].name == "partial"
    assert rules.treatment_of(child, [parent], {parent})[0].name == "partial"
    # Without inheritance the same columns are another value's source.
    assert rules.treatment_of(child, [parent])[0].name == "redact"


def test_a_protected_child_protects_its_parent() -> None:
    rules = policy({"public.part.*": "clear", "public.part_a.*": "redact"})
    parent, child = column("room", table="part"), column("room", table="part_a")
    assert rules.treatment_of(parent, [child], {child})[0].name == "redact"


def test_a_deny_among_the_sources_denies() -> None:
    rules = policy({"public.mix.*": "clear", "public.mix.name": "deny", "public.mix.note": "scan"})
    sources = [column("note", table="mix"), column("name", table="mix")]
    assert rules.treatment_of(column("label", table="mix"), sources)[0].name == "deny"


def test_what_is_remembered_of_a_column_is_remembered_of_one_group_alone() -> None:
    policy = Policy(
        "c", {"a.b.name": {"treatment": "redact", "show": ["group:clinicians"]}, "a.b.*": "clear"}
    )
    name = Column(1, 1, "a", "b", "name", 25)
    for _ in range(2):
        assert policy.treatment_of(name)[0].name == "redact"
        assert policy.for_groups({"clinicians"}).treatment_of(name)[0].name == "clear"
        assert policy.for_groups({"others"}).treatment_of(name)[0].name == "redact"
    other = Column(1, 2, "a", "b", "name", 25)  # renamed: another column has its name
    parent = Column(2, 1, "a", "parent", "name", 25)
    assert policy.treatment_of(other, (parent,), {parent})[0].name == "redact"


def test_what_is_remembered_has_an_end() -> None:
    policy = Policy("c", {"a.b.*": "clear"})
    for number in range(_MOST_KEPT + 1):
        column = Column(1, number, "a", "b", f"c{number}", 25)
        assert policy.treatment_of(column)[0].name == "clear"
    assert 0 < len(policy._treated) <= _MOST_KEPT
    assert 0 < len(policy._named) <= _MOST_KEPT
    for number in range(_MOST_JUDGED + 1):
        assert policy.once(lambda said=number: said, "decide", number) == number  # type: ignore[misc]
    assert 0 < len(policy._judged) <= _MOST_JUDGED


def test_what_is_said_of_a_shape_is_said_of_its_scope_and_policy_alone() -> None:
    """Once; another scope, other groups, another shape and none at all are judged anew."""
    rules = {"a.b.name": {"treatment": "redact", "show": ["group:clinicians"]}}
    policy = Policy("c", rules)
    shown = policy.for_groups({"clinicians"})
    asked: list[int] = []

    def judge() -> int:
        asked.append(1)
        return len(asked)

    assert policy.once(judge, "decide", "one", ("a.b",)) == 1
    assert policy.once(judge, "decide", "one", ("a.b", "a.c")) == 2
    assert policy.once(judge, "decide", "another", ("a.b",)) == 3
    assert policy.once(judge, "to_hide", "one", ("a.b",)) == 4
    assert shown.once(judge, "decide", "one", ("a.b",)) == 5
    assert policy.once(judge, "decide", None, ("a.b",)) == 6
    assert policy.once(judge, "decide", None, ("a.b",)) == 7
    assert policy.once(judge, "decide", "one", ("a.b",)) == 1
