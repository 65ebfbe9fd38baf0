"""What an auditor does with a running gateway: exports by selection, reviews, what is due."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import world as worlds
from world import AGENT, AUDITOR, STEWARD, World

import gateway.auditor
import servers


@pytest.fixture(scope="module")
def world(
    newest: servers.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[worlds.World]:
    """A gateway of these tests' own, because they go through all of its log."""
    with worlds.built(tmp_path_factory.mktemp("auditing"), newest, "auditing") as built:
        yield built


def run(world: World, who: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words, "--url", world.url, "--token", world.token(who)],
        capture_output=True,
        text=True,
        check=False,
    )


def verified(world: World, path: Path) -> subprocess.CompletedProcess[str]:
    """As the auditor would: isolated, with the scripts alone."""
    script = Path(gateway.auditor.__file__).parent / "collection.py"
    return subprocess.run(
        [sys.executable, "-I", str(script), str(path), "--trust", str(world.trust)],
        capture_output=True,
        text=True,
        check=False,
    )


def worked(world: World, sql: str) -> str:
    session = world.session(grant=world.grant()["id"])
    world.query(session, sql)
    world.close(session)
    return session


def test_from_a_table_to_verified_evidence(world: World, tmp_path: Path) -> None:
    meant = worked(world, "select id, full_name from patient where id < 5")
    through_a_view = worked(world, "select full_name from visits where id < 5")
    other = worked(world, "select id from labelled")
    path = tmp_path / "patient.tar"
    done = run(world, AUDITOR, "evidence", "export", "--table", "public.patient", "-o", str(path))
    assert done.returncode == 0, done.stderr
    with tarfile.open(path) as file:
        names = file.getnames()
        page = file.extractfile("report.html")
        assert page is not None
        overview = page.read().decode()
    bundles = {name[20:56] for name in names if name.startswith("sessions/")}
    assert {meant, through_a_view} <= bundles
    assert other not in bundles
    assert f"{len(bundles)} sessions" in done.stdout
    assert "no statement names the table" in overview
    assert "Nadia" not in overview
    checked = verified(world, path)
    # Other tests leave sessions open, whose bundles say so.
    assert checked.returncode in (0, 2), checked.stdout + checked.stderr
    assert "without a gap, each as named here" in checked.stdout
    path.write_bytes(path.read_bytes().replace(b"full_name", b"full_nome", 1))
    assert verified(world, path).returncode == 1


def test_by_grant_a_closed_session_is_verdict_0(world: World, tmp_path: Path) -> None:
    grant = world.grant()["id"]
    session = world.session(grant=grant)
    world.query(session, "select mrn from patient where id = $1", params=[7])
    world.close(session)
    path = tmp_path / "grant.tar"
    words = ("evidence", "export", "--grant", grant, "--since", "2020-01-01", "-o", str(path))
    done = run(world, AUDITOR, *words)
    assert done.returncode == 0, done.stderr
    verify = [sys.executable, "-m", "gateway", "evidence", "verify", str(path)]
    checked = subprocess.run(
        [*verify, "--trust", str(world.trust)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert re.search(r"7\. sessions: 1 taken, .* under another grant", checked.stdout)


def test_only_auditors_and_nothing_half_written(world: World, tmp_path: Path) -> None:
    path = tmp_path / "all.tar"
    refused = run(world, AGENT, "evidence", "export", "-o", str(path))
    assert (refused.returncode, "forbidden" in refused.stderr) == (1, True), refused.stderr
    wrong = run(world, AUDITOR, "evidence", "export", "--table", "patient", "-o", str(path))
    assert (wrong.returncode, "schema.table" in wrong.stderr) == (1, True), wrong.stderr
    nowhere = tmp_path / "missing" / "all.tar"
    lost = run(world, AUDITOR, "evidence", "export", "-o", str(nowhere))
    assert (lost.returncode, "cannot be written" in lost.stderr) == (1, True), lost.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "body", [{"tables": ["x"]}, {"table": 3}, {"since": "soon"}, {"patient_token": "a b"}]
)
def test_what_is_no_selection_is_a_problem_document(world: World, body: object) -> None:
    answer = world.call(AUDITOR, "POST", "/v1/evidence", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text


def test_a_review_is_recorded_shown_and_no_longer_due(world: World, tmp_path: Path) -> None:
    session = worked(world, "select id from patient where id = 1")
    due = json.loads(run(world, AUDITOR, "review", "--list", "--json").stdout)
    assert session in [one["session"] for one in due]
    note = "Looked through: as the ticket says. <b>\u05e9"
    done = run(world, AUDITOR, "review", session, "--note", note, "--json")
    assert done.returncode == 0, done.stderr
    (said,) = json.loads(done.stdout)
    assert said["session"] == session
    assert said["reviewed_by"].endswith("#auditor-amir")
    assert session not in run(world, AUDITOR, "review", "--list").stdout
    reviewed = json.loads(run(world, AUDITOR, "review", "--list", "--done", "--json").stdout)
    (mine,) = [one for one in reviewed if one["session"] == session]
    assert [(one["note"], one["leaf"]) for one in mine["reviews"]] == [(note, said["leaf"])]
    path = tmp_path / "one.zip"
    path.write_bytes(world.evidence(session))
    import zipfile

    with zipfile.ZipFile(path) as bundle:
        page = bundle.read("report.html").decode()
        lines = bundle.read("session.jsonl").splitlines()
    assert f"(ledger leaf {said['leaf']})" in page
    assert "as the ticket says. &lt;b&gt;" in page
    assert said["records"] == len(lines)
    world.restart()
    page_of_later = world.evidence(session)
    assert f"(ledger leaf {said['leaf']})".encode() in page_of_later
    again = world.call(AUDITOR, "POST", f"/v1/sessions/{session}/reviews", {"note": "once more"})
    assert again.status_code == 201, again.text
    assert again.json()["head"] == said["head"]


def test_who_may_not_review(world: World) -> None:
    session = world.session(grant=world.grant()["id"])
    path, body = f"/v1/sessions/{session}/reviews", {"note": "fine"}
    for who in (AGENT, STEWARD):
        answer = world.call(who, "POST", path, body)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), answer.text
        assert world.call(who, "GET", "/v1/reviews").status_code == 403
    still_open = world.call(AUDITOR, "POST", path, body)
    assert (still_open.status_code, still_open.json()["code"]) == (409, "conflict")
    world.close(session)
    for note in ("", "  ", "x" * 4001, "a\u202eb", "a\x00b"):
        wrong = world.call(AUDITOR, "POST", path, {"note": note})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_request"), note
    nobody = world.call(AUDITOR, "POST", "/v1/sessions/none/reviews", body)
    assert nobody.status_code == 404
    assert world.call(AUDITOR, "GET", "/v1/reviews?state=all").status_code == 422
    assert world.call(AUDITOR, "POST", path, body).status_code == 201


@pytest.mark.parametrize("words", [(), ("--note", "x"), ("SID",), ("SID", "--note", "x", "--list")])
def test_review_needs_a_session_and_a_note_or_list(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "review", *words, "--token", "t"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "--list" in done.stderr) == (2, True), done.stderr


def test_a_look_at_anothers_session_is_recorded(world: World) -> None:
    session = world.session(grant=world.grant()["id"])
    world.query(session, "select id from patient where id = 1")
    world.call(AGENT, "GET", f"/v1/sessions/{session}")
    assert world.call(AUDITOR, "GET", f"/v1/sessions/{session}").status_code == 200
    assert world.call(AUDITOR, "GET", f"/v1/sessions/{session}/statements/1").status_code == 200
    world.gateway.end()  # its own session is cut into a file at the next start
    world.start()
    looks = []
    for path in (world.home / "log" / "sessions").glob("*.jsonl"):
        bodies = [json.loads(line)["body"] for line in path.read_bytes().splitlines()]
        looks += [body for body in bodies if body.get("kind") == "sessions.shown"]
    mine = [(one["identity"], one["what"]) for one in looks if one["session"] == session]
    assert [(who.rpartition("#")[2], what) for who, what in mine] == [
        (AUDITOR, "session"), (AUDITOR, "receipt"),
    ]  # fmt: skip
