"""A gateway and its witness, each a process: from the statement to the auditor's verdict."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from world import AGENT, AUDITOR, Process, World, verify, wait_until

NAME = "witness.example.org/w1"


@pytest.fixture
def witnessed(fragile: World) -> Iterator[World]:
    """A world whose statements wait for the witness's first cosignature."""
    home = fragile.home / "witness"
    command = ["gateway", "witness", str(home), "--name", NAME, "--listen", "127.0.0.1:0"]
    process = Process(*command, "--log", str(fragile.trust), errors=fragile.home / "witness.err")
    section = (
        '[log]\nrequire_within = "1m"\n'
        f'[[log.witnesses]]\nurl = "{process.ready["url"]}"\nvkey = "{process.ready["witness"]}"\n'
    )
    fragile.config.write_text(
        fragile.config.read_text().replace("[masking]", f"{section}[masking]")
    )
    fragile.restart()
    ready(fragile)
    try:
        yield fragile
    finally:
        process.end()


def ready(world: World) -> None:
    wait_until(lambda: world.call(None, "GET", "/readyz").status_code == 200)


def asked(world: World) -> tuple[str, dict[str, object]]:
    """A closed session with one statement, and what its client keeps."""
    session = world.session()
    world.rows(session, "select id, full_name from patient order by id limit 3")
    receipt = world.call(AGENT, "GET", f"/v1/sessions/{session}/statements/1").json()
    world.close(session)
    assert world.call(AGENT, "GET", f"/v1/sessions/{session}/statements/1").json() == receipt
    return session, receipt


@pytest.fixture
def audit(witnessed: World, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    def run(session: str, *arguments: str, since: int | None = None) -> tuple[int, str]:
        query = "" if since is None else f"?since={since}"
        path = f"/v1/sessions/{session}/evidence{query}"
        answer = witnessed.call(AUDITOR, "GET", path)
        assert answer.status_code == 200, answer.text
        bundle = tmp_path / f"{session}.zip"
        bundle.write_bytes(answer.content)
        done = verify(bundle, "--trust", str(witnessed.trust), *arguments)
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout

    return run


def test_from_the_statement_to_the_verdict(
    witnessed: World, audit: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    stated = json.loads(witnessed.trust.read_text())
    assert (stated["quorum"], stated["witnesses"][0].split("+")[0]) == (1, NAME)
    witnessed.grant()
    session, receipt = asked(witnessed)
    kept = tmp_path / "receipt.json"
    kept.write_text(json.dumps(receipt))
    seen = tmp_path / "seen"
    arguments = "--receipts", str(kept), "--remember", str(seen)
    code, text = audit(session, *arguments)
    assert (code, f"cosigned by {NAME} at " in text) == (0, True), text
    assert "11. receipts: 1 are of records in this bundle" in text
    remembered = int(seen.read_text().split()[1])
    # Two sessions on: without the proof from what he remembers, the auditor is not sure.
    asked(witnessed)
    session, _ = asked(witnessed)
    assert audit(session, "--remember", str(seen))[0] == 2
    assert audit(session, "--remember", str(seen), since=remembered)[0] == 0
    far = witnessed.call(AUDITOR, "GET", f"/v1/sessions/{session}/evidence?since=99999")
    assert (far.status_code, far.json()["code"]) == (409, "conflict")
    for odd in ("-1", "x", "9" * 20):
        answer = witnessed.call(AUDITOR, "GET", f"/v1/sessions/{session}/evidence?since={odd}")
        assert answer.status_code == 422
    kept.write_text(json.dumps(receipt | {"rows": 4}))
    assert audit(session, "--receipts", str(kept))[0] == 2


def test_a_gateway_that_was_put_back_answers_nothing(witnessed: World) -> None:
    witnessed.grant()
    asked(witnessed)
    witnessed.gateway.end()
    log, copy = witnessed.home / "log", witnessed.home / "copy"
    shutil.copytree(log, copy)
    witnessed.start()
    ready(witnessed)
    for _ in range(3):
        asked(witnessed)
    witnessed.gateway.end()
    shutil.rmtree(log)
    shutil.copytree(copy, log)
    try:
        witnessed.start()
    except RuntimeError as ended:
        # The witness answered before the start had written what it writes.
        said = str(ended)
    else:
        refusal = wait_until(lambda: stopped(witnessed))
        assert (refusal["status"], refusal["code"]) == (503, "log_unavailable")
        said = witnessed.call(None, "GET", "/readyz").text
    assert f"witness {NAME} remembers" in said
    assert "the log was rolled back" in said


def stopped(world: World) -> dict[str, Any] | None:
    """The refusal to open a session, once there is one."""
    answer = world.call(AGENT, "POST", "/v1/sessions", {"connection": "clinic"})
    refused = answer.status_code == 503 and "rolled back" in answer.text
    return dict(answer.json()) if refused else None
