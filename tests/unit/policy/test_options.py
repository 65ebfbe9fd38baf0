"""The options of a rule: what loads, how they are worded, and how relatives limit them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import ConfigurationError
from gateway.model import Column
from gateway.policy import Policy
from gateway.policy.options import NONE, Options, split


def column(name: str, table: str = "patient") -> Column:
    return Column(relation=1, attnum=1, schema="public", table=table, name=name, type_oid=25)


def policy(columns: dict[str, Any]) -> Policy:
    return Policy("clinic", columns)


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({}, NONE),
        ({"show": ["group:a", "group:b c"]}, Options(show=frozenset({"a", "b c"}))),
        ({"lookup": True}, Options(lookup=20)),
        ({"lookup": False}, NONE),
        ({"lookup": {"per_hour": 3}}, Options(lookup=3)),
        ({"join": "mrn"}, Options(join="mrn")),
        ({"aggregate": 5}, Options(aggregate=5)),
    ],
)
def test_what_loads(given: dict[str, Any], options: Options) -> None:
    found, rest = split({"treatment": "token", "domain": "d", **given})
    assert (found, rest) == (options, {"treatment": "token", "domain": "d"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"show": []}, "list of groups"),
        ({"show": "group:a"}, "list of groups"),
        ({"show": ["a"]}, "list of groups"),
        ({"show": ["group:"]}, "list of groups"),
        ({"show": ["https://idp.example.org#dana"]}, "list of groups"),
        ({"lookup": 5}, "lookup is true"),
        ({"lookup": "yes"}, "lookup is true"),
        ({"lookup": {}}, "lookup is true"),
        ({"lookup": {"per_hour": 0}}, "lookup is true"),
        ({"lookup": {"per_hour": True}}, "lookup is true"),
        ({"lookup": {"per_hour": 5, "per_day": 9}}, "lookup is true"),
        ({"join": ""}, "name of a domain"),
        ({"join": True}, "name of a domain"),
        ({"join": "a b"}, "name of a domain"),
        ({"aggregate": 4}, "5 or more"),
        ({"aggregate": True}, "5 or more"),
        ({"aggregate": 5.5}, "5 or more"),
        ({"aggregate": "10"}, "5 or more"),
        ({"lookups": True}, "takes no option 'lookups'"),
        ({"treatment": "clear", "lookup": True}, "clear takes no lookup"),
        ({"treatment": "clear", "show": ["group:a"]}, "clear takes no show"),
    ],
)
def test_what_does_not_load_names_the_rule(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        policy({"public.patient.mrn": {"treatment": "token", **given}})
    assert "public.patient.mrn" in caught.value.detail


def test_rules_of_equal_reach_that_differ_in_options_disagree() -> None:
    rules = {"public.*.mrn": "token", "*.patient.mrn": {"treatment": "token", "lookup": True}}
    with pytest.raises(ConfigurationError, match="equal reach and disagree"):
        policy(rules)


def test_the_canonical_text_holds_them_and_so_does_its_hash() -> None:
    import tomllib

    given = {
        "treatment": "partial", "last": 2, "show": ["group:b", "group:a"], "lookup": True,
        "join": "mrn", "aggregate": 7,
    }  # fmt: skip
    made = policy({"public.patient.mrn": given})
    line = made.text.splitlines()[-1]
    assert line == (
        '"public.patient.mrn" = { treatment = "partial", last = 2, first = 0, char = "*", '
        'show = ["group:a", "group:b"], lookup = { per_hour = 20 }, join = "mrn", aggregate = 7 }'
    )
    columns = tomllib.loads(made.text)["connections"]["clinic"]["columns"]
    again = policy(columns)
    assert (again.text, again.hash) == (made.text, made.hash)
    for less in ("show", "lookup", "join", "aggregate"):
        other = policy({"public.patient.mrn": {k: v for k, v in given.items() if k != less}})
        assert other.hash != made.hash
    assert made.for_groups({"a"}).hash == made.hash
    assert made.with_options() == {
        "public.patient.mrn": '{ show = ["group:a", "group:b"], lookup = { per_hour = 20 }, '
        'join = "mrn", aggregate = 7 }'
    }


def test_a_group_is_shown_the_column_and_the_reason_says_which() -> None:
    made = policy(
        {"public.patient.name": {"treatment": "deny", "show": ["group:clinicians", "group:a"]}}
    )
    name = column("name")
    assert made.treatment_of(name)[0].name == "deny"
    assert not made.shows(name)
    treatment, reason = made.for_groups({"clinicians", "z"}).treatment_of(name)
    assert treatment.name == "clear"
    assert reason == "rule public.patient.name = deny, shown to group:clinicians"
    assert made.for_groups({"clinicians"}).shows(name)
    for others in ({"clinician"}, {"group:clinicians"}, set()):
        assert made.for_groups(others).treatment_of(name)[0].name == "deny"


def test_what_is_shown_is_no_wall_for_what_is_made_of_it_and_no_door_to_relatives() -> None:
    shown = {"treatment": "redact", "show": ["group:c"]}
    made = policy({"public.*.*": "clear", "public.patient.name": shown}).for_groups({"c"})
    assert made.treatment_of(column("label"), [column("name")])[0].name == "clear"
    # A child of its own rule stays protected, and so does what reads both.
    child = column("name", "child")
    made = policy({"public.patient.name": shown, "public.child.name": "redact"}).for_groups({"c"})
    assert made.treatment_of(column("name"), [child], {child})[0].protects
    assert not made.shows(column("name"), [child], {child})
    # One that no rule names follows its parent.
    made = policy({"public.patient.name": shown}).for_groups({"c"})
    parent = column("name")
    assert made.treatment_of(child, [parent], {parent})[0].name == "clear"
    assert made.shows(child, [parent], {parent})
    # With two parents of which one is not shown, it is not.
    other = column("name", "other")
    both = {"public.patient.name": shown, "public.other.name": "redact"}
    made = policy(both).for_groups({"c"})
    assert made.treatment_of(child, [parent, other], {parent, other})[0].protects


def test_only_what_every_relative_allows_is_allowed() -> None:
    parent, child = column("mrn"), column("mrn", "child")
    asked = {"treatment": "token", "lookup": {"per_hour": 9}, "join": "mrn", "aggregate": 5}
    alone = policy({"public.patient.mrn": asked})
    assert alone.options_of(parent)[0] == Options(lookup=9, join="mrn", aggregate=5)
    # No rule names the child: its parent's speaks for it, and counts for both.
    assert alone.options_of(parent, [child], {child})[0].lookup == 9
    assert alone.options_of(child, [parent], {parent}) == (
        Options(lookup=9, join="mrn", aggregate=5),
        "public.patient.mrn",
    )
    stricter = {"treatment": "token", "lookup": {"per_hour": 2}, "join": "other", "aggregate": 8}
    both = policy({"public.patient.mrn": asked, "public.child.mrn": stricter})
    assert both.options_of(parent, [child], {child})[0] == Options(lookup=2, aggregate=8)
    none = policy({"public.patient.mrn": asked, "public.child.mrn": "token"})
    assert none.options_of(parent, [child], {child})[0] == NONE
    clear = policy({"public.patient.mrn": asked, "public.child.mrn": "clear"})
    assert clear.options_of(parent, [child], {child})[0].lookup == 9


def test_a_wide_rule_gives_nothing_on_what_is_made_of_another_column() -> None:
    wide = {"treatment": "redact", "lookup": True}
    made, source = column("label"), column("name")
    rules = policy({"public.patient.*": wide, "public.patient.name": "redact"})
    assert rules.options_of(made)[0].lookup == 20
    assert rules.options_of(made, [source])[0] == NONE
    unnamed = policy({"public.patient.*": wide})
    assert unnamed.options_of(made, [column("name", "elsewhere")])[0] == NONE
    exact = policy({"public.patient.label": wide, "public.patient.name": "redact"})
    assert exact.options_of(made, [source])[0].lookup == 20
    clear = policy({"public.patient.*": "clear", "public.patient.name": wide})
    assert clear.options_of(made, [source])[0] == NONE
