"""The command line against a running gateway, as a person types it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from world import AGENT, AUDITOR, STEWARD, World

import servers

# What a person types and reads is the same over each version of the server.
on_newest = pytest.mark.parametrize(
    "server", [servers.majors()[-1]], ids=lambda major: f"pg{major}", indirect=True, scope="session"
)


def run(world: World, who: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words, "--url", world.url, "--token", world.token(who)],
        capture_output=True,
        text=True,
        check=False,
    )


@on_newest
def test_from_request_to_verified_evidence(world: World, tmp_path: Path) -> None:
    words = ("clinic", "patient", "encounter", "--purpose", "totals differ", "--json")
    asked = run(world, AGENT, "grants", "request", *words)
    assert asked.returncode == 0, asked.stderr
    grant = json.loads(asked.stdout)[0]["id"]
    approved = run(world, STEWARD, "grants", "approve", grant, "--reason", "ok")
    assert "active" in approved.stdout, approved.stderr
    sql = "select id, full_name, mrn from patient where id < 4 order by id"
    table = run(world, AGENT, "query", "clinic", sql)
    assert table.returncode == 0, table.stderr
    assert table.stdout.count("[REDACTED]") == 3
    kept = tmp_path / "receipts"
    words = ("query", "clinic", sql, "--format", "ndjson", "--grant", grant)
    lines = run(world, AGENT, *words, "--receipts", str(kept))
    assert f"under grant {grant}" in lines.stderr
    assert [json.loads(line)["id"] for line in lines.stdout.splitlines()] == [1, 2, 3]
    found = re.search(r"session (\S+): 3 rows", lines.stderr)
    assert found is not None, lines.stderr
    bundle = tmp_path / "session.zip"
    exported = run(world, AUDITOR, "sessions", "export", found[1], "-o", str(bundle))
    assert exported.returncode == 0, exported.stderr
    (receipt,) = kept.iterdir()
    assert receipt.name == f"{found[1]}-1.json"
    anchors = ("--receipts", str(kept), "--remember", str(tmp_path / "seen"))
    (tmp_path / "seen").write_text("")
    words = ("verify", str(bundle), "--trust", str(world.trust), *anchors)
    verified = subprocess.run(
        [sys.executable, "-m", "gateway", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout
    assert "11. receipts: 1 are of records in this bundle" in verified.stdout
    words = ("sessions", "export", found[1], "-o", str(bundle), "--since", "1")
    exported = run(world, AUDITOR, *words)
    assert exported.returncode == 0, exported.stderr
    with zipfile.ZipFile(bundle) as archive:
        assert json.loads(archive.read("ledger/consistency.json"))["since"]["from"] == 1
    words = ("sessions", "export", found[1], "--since", "99999999")
    assert "never had 99999999" in run(world, AUDITOR, *words).stderr


@on_newest
def test_a_list_shows_every_id_whole_however_narrow_the_terminal(world: World) -> None:
    grants = {world.grant()["id"] for _ in range(2)}
    sessions = {world.session() for _ in range(2)}
    listed = run(world, AGENT, "grants", "list").stdout
    lines = [line.split()[0] for line in listed.splitlines()]
    assert lines[0] == "id"
    assert grants <= set(lines), listed
    listed = run(world, AUDITOR, "sessions", "list").stdout
    assert all(f"id: {session}\n" in listed for session in sessions), listed
    long = run(world, AGENT, "query", "clinic", f"select '{'w' * 200}' as v").stdout
    assert (long.count("w"), "…" in long) == (200, False)
    schema = run(world, AGENT, "schema", "clinic").stdout
    assert "full_name" in schema


def test_what_was_null_at_source_is_told_beside_the_rows(world: World) -> None:
    world.grant()
    sql = "select id, upper(full_name) as loud from patient where id = 1"
    shown = run(world, AGENT, "query", "clinic", sql, "--format", "ndjson")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout) == {"id": 1, "loud": None}
    assert (
        "note: inside public.patient these protected columns were NULL: full_name" in shown.stderr
    )


def test_a_refusal_is_a_sentence_and_exit_code_1(world: World) -> None:
    world.grant()
    refused = run(world, AGENT, "query", "clinic", "delete from patient")
    assert refused.returncode == 1
    assert "statement_refused" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("whoami", "--token", "tökén"), "printable ASCII"),
        (("whoami", "--token", b"\xff\xfe"), "UTF-8"),
        (("whoami", "--token", "t", "--url", "nonsense"), "http://"),
        (("schema", "../grants", "--token", "t"), "letters, digits"),
        (("grants", "show", "g-1?x", "--token", "t"), "letters, digits"),
        (("grants", "revoke", "g/1", "--reason", "r", "--token", "t"), "letters, digits"),
        (("sessions", "export", "..", "--token", "t"), "letters, digits"),
    ],
)
def test_what_no_header_and_no_path_can_carry_is_exit_code_2(
    words: tuple[str | bytes, ...], said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_gateway_that_is_not_there_is_exit_code_1() -> None:
    words = ("whoami", "--token", "t", "--url", "http://127.0.0.1:1")
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "127.0.0.1" in done.stderr


def test_a_wrong_configuration_is_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "maskgate.toml"
    path.write_text("[server]\nlisten = 3\n")
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "-c", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "server.listen" in done.stderr
