"""`maskgate grants` against a gateway that is played: what it sends, shows, and how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gateway import grants_command
from gateway.client import RefusedError, UnreachableError
from gateway.oauth import SignInError

GRANT = {
    "id": "g-1", "state": "pending", "identity": "https://idp#agent", "connection": "clinic",
    "tables": ["public.patient"], "expires_at": None, "purpose": "totals", "approvals": [],
    "approvals_needed": 2, "break_glass": False, "renews": None,
}  # fmt: skip


class Gateway:
    """Answers each question with the next of `states`; the last one stays."""

    states: tuple[Any, ...] = ("pending",)

    renewals: Any = ()  # what comes of each; none: always another token

    def __init__(self, *_: object) -> None:
        self.left = list(self.states)
        Gateway.sent: list[tuple[str, Any]] = []
        Gateway.renewed = 0

    def renew(self) -> None:
        Gateway.renewed += 1
        if self.renewals:
            raise self.renewals

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def post(self, path: str, body: dict[str, Any]) -> Any:
        Gateway.sent.append((path, body))
        return GRANT

    def get(self, path: str) -> Any:
        Gateway.sent.append((path, None))
        state = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(state, Exception):
            raise state
        return {**GRANT, "state": state}

    def items(self, _: str) -> list[Any]:
        return [GRANT, {**GRANT, "id": "g-22", "state": "active", "break_glass": True}]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command; time passes only when it waits."""
    clock = [0.0]
    monkeypatch.setattr(grants_command, "Client", Gateway)
    monkeypatch.setattr(grants_command.time, "monotonic", lambda: clock[0])

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(grants_command.time, "sleep", sleep)

    def run(*words: str, states: tuple[Any, ...] = ("pending",)) -> Result:
        monkeypatch.setattr(Gateway, "states", states)
        return CliRunner().invoke(grants_command.app, [*words, "--token", "t"])

    return run


REQUEST = ("request", "clinic", "patient", "--purpose", "totals")


def test_it_waits_until_somebody_decides(asked: Any) -> None:
    done = asked(*REQUEST, "--wait", "--json", states=("pending", "pending", "active"))
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["state"] == "active"
    assert "g-1: pending, 0 of 2 approvals" in done.stderr


def test_a_no_ends_it_with_1(asked: Any) -> None:
    done = asked(*REQUEST, "--wait", states=("denied",))
    assert done.exit_code == 1
    assert "state: denied" in done.stdout


def test_its_time_is_over(asked: Any) -> None:
    done = asked("renew", "g-0", "--wait", "--timeout", "5")
    assert done.exit_code == 1
    assert "nobody decided within 5 s; the request g-1 still waits" in done.stderr
    assert Gateway.sent[0][0] == "/v1/grants/g-0/renew"
    assert len(Gateway.sent) == 6


def test_ctrl_c_ends_it_with_a_sentence(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(grants_command.time, "sleep", interrupted)
    done = asked(*REQUEST, "--wait")
    assert done.exit_code == 1
    assert "stopped waiting; the request g-1 still waits for a decision" in done.stderr


def test_the_token_is_renewed_while_it_waits(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    states = ("pending", "pending", "active")
    assert asked(*REQUEST, "--wait", states=states).exit_code == 0
    assert Gateway.renewed == 3
    monkeypatch.setattr(Gateway, "renewals", SignInError("the issuer is away"))
    done = asked(*REQUEST, "--wait", states=states)
    assert (done.exit_code, "the issuer is away" in done.stderr) == (0, True)
    gone = RefusedError(401, {"code": "unauthenticated", "detail": "the token is over"})
    assert asked(*REQUEST, "--wait", states=(gone, "active")).exit_code != 0


def test_a_gateway_that_is_away_is_asked_again(asked: Any) -> None:
    done = asked(*REQUEST, "--wait", states=(UnreachableError("gone"), "active"))
    assert done.exit_code == 0
    assert "gone; asking again" in done.stderr


def test_a_gateway_that_cannot_answer_now_is_asked_again(asked: Any) -> None:
    away = RefusedError(503, {"code": "store_unavailable", "detail": "the store is away"})
    busy = RefusedError(429, {"code": "limit_exceeded", "detail": "too many"})
    done = asked(*REQUEST, "--wait", "--json", states=(away, busy, "active"))
    assert (done.exit_code, json.loads(done.stdout)[0]["state"]) == (0, "active")
    assert "the store is away; asking again" in done.stderr
    gone = RefusedError(401, {"code": "unauthenticated", "detail": "the token is over"})
    done = asked(*REQUEST, "--wait", states=(gone, "active"))
    assert done.exit_code != 0
    assert len(Gateway.sent) == 2


def test_what_is_asked_for_is_sent(asked: Any) -> None:
    words = ("--minutes", "5", "--ticket", "T-1", "--hours", "mon 08:00-09:00", "--filter")
    words = (*words, "patient: city = 'a:b'", "--statement", "select $1", "--param", "x")
    words = (*words, "--max-bytes", "9", "--max-per-minute", "2", "--max-concurrent", "1")
    assert asked(*REQUEST, *words).exit_code == 0
    ((path, body),) = Gateway.sent
    assert path == "/v1/grants"
    assert {key: value for key, value in body.items() if value} == {
        "connection": "clinic",
        "tables": ["patient"],
        "purpose": "totals",
        "duration_s": 300,
        "max_bytes": 9,
        "max_concurrent": 1,
        "max_per_minute": 2,
        "filters": {"patient": "city = 'a:b'"},
        "statement": "select $1",
        "params": ["x"],
        "ticket": "T-1",
        "hours": ["mon 08:00-09:00"],
    }


def test_an_approval_takes_filters_along(asked: Any) -> None:
    words = ("approve", "g-1", "--reason", "ok", "--filter", "patient: n > 1")
    assert asked(*words).exit_code == 0
    body = {"reason": "ok", "filters": {"patient": "n > 1"}}
    assert Gateway.sent == [("/v1/grants/g-1/approve", body)]
    assert asked("approve", "g-1", "--reason", "ok", "--filter", "patient").exit_code == 2
    assert asked(*words, "--filter", "patient : n < 9").exit_code == 2  # which one would count?


def test_a_list_is_columns_for_people_and_json_for_programs(asked: Any) -> None:
    lines = asked("list").stdout.splitlines()
    assert lines[0].split() == [
        "id", "state", "identity", "connection", "tables", "until", "purpose",
    ]  # fmt: skip
    assert lines[1].startswith("g-1   pending, 0 of 2 approvals  https://idp#agent  clinic")
    assert lines[2].startswith("g-22  active, break-glass")
    assert json.loads(asked("list", "--json").stdout)[1]["id"] == "g-22"
