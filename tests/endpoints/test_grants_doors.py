"""Grants over HTTP and the command line: two approvers, renewal, waiting, a broken glass."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from world import AGENT, AUDITOR, OTHER, STEWARD, World, built, verify, wait_until

import servers

SECOND = AUDITOR  # named as an approver beside the group


@pytest.fixture(scope="module")
def ward(newest: servers.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with two stewards, both of whom must approve, and a glass to break."""
    home = tmp_path_factory.mktemp("ward")
    with built(home, newest, "grant_doors") as world:
        second = f"{world.issuer.ready['issuer']}#{SECOND}"
        agent = f"{world.issuer.ready['issuer']}#{AGENT}"
        text = world.config.read_text()
        text = text.replace(
            'approvers = ["group:data-stewards"]',
            f'approvers = ["group:data-stewards", "{second}"]\napprovals = 2\n'
            f'break_glass = [{{ who = "{agent}", connection = "clinic", max_duration = "15m" }}]',
        )
        world.config.write_text(text)
        world.restart()
        yield world


def ask(world: World, **more: Any) -> Any:
    body = {"connection": "clinic", "tables": ["patient"], "purpose": "totals", "duration_s": 600}
    return world.call(AGENT, "POST", "/v1/grants", {**body, **more})


def command(world: World, who: str, *words: str) -> list[str]:
    arguments = ["--url", world.url, "--token", world.token(who)]
    return [sys.executable, "-m", "gateway", "grants", *words, *arguments]


def run(world: World, who: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(world, who, *words), capture_output=True, text=True, check=False)


def test_two_approvals_over_http(ward: World) -> None:
    asked = ask(ward, ticket="OPS-4711", hours=["mon-sun 00:00-24:00"]).json()
    assert (asked["state"], asked["approvals_needed"], asked["ticket"]) == (
        "pending",
        2,
        "OPS-4711",
    )
    path = f"/v1/grants/{asked['id']}"
    first = ward.call(STEWARD, "POST", f"{path}/approve", {"reason": "ok"})
    assert (first.status_code, first.json()["state"]) == (200, "pending")
    again = ward.call(STEWARD, "POST", f"{path}/approve", {"reason": "ok"})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert ward.call(AGENT, "POST", "/v1/sessions", {"connection": "clinic"}).status_code == 403
    second = ward.call(SECOND, "POST", f"{path}/approve", {"reason": "ok"}).json()
    assert (second["state"], len(second["approvals"])) == ("active", 2)
    ward.close(ward.session(grant=asked["id"]))
    renewed = ward.call(AGENT, "POST", f"{path}/renew", {}).json()
    assert (renewed["state"], renewed["renews"]) == ("pending", asked["id"])
    assert ward.call(OTHER, "POST", f"{path}/renew", {}).status_code == 404


@pytest.mark.parametrize(
    "wrong", [{"not_before": "soon"}, {"hours": ["always"]}, {"ticket": ""}, {"hours": "mon"}]
)
def test_odd_requests_are_refused_with_a_sentence(ward: World, wrong: dict[str, Any]) -> None:
    answer = ask(ward, **wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    (key,) = wrong
    assert key in answer.json()["detail"]


def test_a_broken_glass_is_marked_wherever_it_is_seen(ward: World, tmp_path: Path) -> None:
    earlier = ward.session(grant=_approved(ward))
    ward.close(earlier)
    broken = ask(ward, break_glass="patient in the ER").json()
    assert (broken["state"], broken["break_glass"]) == ("active", True)
    assert "BREAK-GLASS" in (ward.home / "gateway.err").read_text()
    session = ward.session(grant=broken["id"])
    assert len(ward.rows(session, "select id from patient where id < 4")) == 3
    assert ward.query(session, "select 1 from nothing").status_code == 422
    ward.close(session)
    records = ward.records(session)
    assert {record["type"] for record in records} >= {"open", "intent", "release", "refused"}
    assert all(record["break_glass"] is True for record in records if record["type"] != "export")
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(ward.evidence(session))
    assert verify(bundle, "--trust", str(ward.trust)).returncode == 0
    due = ward.call(AUDITOR, "GET", "/v1/reviews").json()["items"]
    assert (due[0]["session"], due[0]["break_glass"]) == (session, True)
    assert earlier in {one["session"] for one in due[1:]}


def _approved(ward: World) -> str:
    grant = ask(ward).json()["id"]
    for who in (STEWARD, SECOND):
        ward.call(who, "POST", f"/v1/grants/{grant}/approve", {"reason": "ok"})
    return str(grant)


def test_nobody_else_breaks_the_glass(ward: World) -> None:
    body = {"connection": "clinic", "tables": ["*"], "purpose": "x", "duration_s": 60}
    answer = ward.call(OTHER, "POST", "/v1/grants", {**body, "break_glass": "me too"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_request_waits_until_the_last_approval(ward: World) -> None:
    words = ("request", "clinic", "patient", "--purpose", "totals", "--wait", "--json")
    with subprocess.Popen(
        command(ward, AGENT, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stderr is not None
        line = waiting.stderr.readline()
        found = re.match(r"(g-[0-9a-f]+): pending, 0 of 2 approvals", line)
        assert found is not None, line
        for who in (STEWARD, SECOND):
            path = f"/v1/grants/{found[1]}/approve"
            assert ward.call(who, "POST", path, {"reason": "ok"}).status_code == 200
        out, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 0
    (grant,) = json.loads(out)
    assert (grant["id"], grant["state"]) == (found[1], "active")
    listed = run(ward, STEWARD, "list")
    assert re.search(rf"^{found[1]}  active ", listed.stdout, re.M)
    renewed = run(ward, AGENT, "renew", found[1], "--wait", "--timeout", "1")
    assert renewed.returncode == 1
    assert "nobody decided within 1 s" in renewed.stderr
    assert f"renews: {found[1]}" in renewed.stdout


@pytest.mark.parametrize("how", ["denied", "interrupted"])
def test_waiting_ends_on_a_no_and_on_ctrl_c(ward: World, how: str) -> None:
    words = ("request", "clinic", "patient", "--purpose", how, "--wait")
    with subprocess.Popen(
        command(ward, AGENT, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stderr is not None
        grant = waiting.stderr.readline().partition(":")[0]
        if how == "denied":
            path = f"/v1/grants/{grant}/deny"
            assert ward.call(STEWARD, "POST", path, {"reason": "no"}).status_code == 200
        else:
            waiting.send_signal(signal.SIGINT)
        out, errors = waiting.communicate(timeout=30)
    assert waiting.returncode == 1
    if how == "denied":
        assert "state: denied" in out
    else:
        assert f"stopped waiting; the request {grant} still waits" in errors
    state = wait_until(lambda: ward.call(AGENT, "GET", f"/v1/grants/{grant}").json()["state"])
    assert state == ("denied" if how == "denied" else "pending")
