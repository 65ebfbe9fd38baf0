"""Who may decide: rules are names of groups or identities, and nothing else is accepted."""

from __future__ import annotations

import pytest

from control import AGENT, AMIR, DANA, ISSUER, identity
from gateway.errors import ConfigurationError
from gateway.grants import AccessRules, AutoApprove
from gateway.grants.access import parties


def test_nobody_decides_without_a_rule() -> None:
    rules = AccessRules()
    assert not rules.approves(DANA)
    assert not rules.audits(AMIR)
    assert rules.automatic(AGENT, "clinic", 1) is None


def test_groups_and_identities() -> None:
    rules = AccessRules(approvers=("group:data-stewards", AGENT.key), auditors=("group:auditors",))
    assert rules.approves(DANA)
    assert rules.approves(AGENT)
    assert not rules.approves(AMIR)
    assert rules.audits(AMIR)
    assert rules.sees_all(AMIR)
    assert not rules.approves(identity("agent-reporting", issuer="https://other"))


def test_a_subject_is_no_group_and_a_group_no_subject() -> None:
    rules = AccessRules(approvers=("group:data-stewards",))
    assert not rules.approves(identity("group:data-stewards"))
    assert not rules.approves(identity("data-stewards", "group:data-stewards"))
    named = AccessRules(approvers=(f"{ISSUER}#dana",))
    assert not named.approves(identity("x", f"{ISSUER}#dana"))


@pytest.mark.parametrize("wrong", ["", "dana", "group:", "https://idp.example.org", "#x", "*"])
def test_other_names_are_errors_at_load(wrong: str) -> None:
    for build in (
        lambda: AccessRules(approvers=(wrong,)),
        lambda: AccessRules(auditors=(wrong,)),
        lambda: AutoApprove("r", (wrong,), "clinic", 60),
    ):
        with pytest.raises(ConfigurationError, match="neither"):
            build()


@pytest.mark.parametrize("seconds", [0, -1, 10**9])
def test_durations_are_bounded(seconds: int) -> None:
    with pytest.raises(ConfigurationError, match="expected 1 to"):
        AccessRules(max_duration_s=seconds)


def test_rules_have_names_of_their_own() -> None:
    rule = AutoApprove("night", (AGENT.key,), "clinic", 60)
    with pytest.raises(ConfigurationError, match="same name"):
        AccessRules(auto_approve=(rule, rule))
    with pytest.raises(ConfigurationError, match="needs a name"):
        AutoApprove("", (AGENT.key,), "clinic", 60)


def test_a_rule_matches_who_where_and_how_long() -> None:
    rules = AccessRules(auto_approve=(AutoApprove("night", ("group:bots",), "clinic", 60),))
    bot = identity("bot", "bots")
    assert rules.automatic(bot, "clinic", 60) is rules.auto_approve[0]
    assert rules.automatic(bot, "clinic", 61) is None
    assert rules.automatic(bot, "clinic2", 60) is None
    assert rules.automatic(AGENT, "clinic", 60) is None


def test_parties_are_the_identity_and_whom_it_acts_for() -> None:
    assert parties(AGENT) == {AGENT.key}
    assert parties(identity("a", actor="pat")) == {f"{ISSUER}#a", f"{ISSUER}#pat"}
    assert parties(identity("a", actor="https://o#pat")) == {f"{ISSUER}#a", "https://o#pat"}
