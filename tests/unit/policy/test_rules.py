"""Rules: reach, disagreement, closure, and the canonical wording."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import ConfigurationError
from gateway.model import Column
from gateway.policy import Policy
from gateway.policy.rules import parse_pattern


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
