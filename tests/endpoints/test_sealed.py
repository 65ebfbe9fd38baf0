"""Planted identifiers of all eighteen kinds, by every channel: what is left behind holds none."""

from __future__ import annotations

import asyncio
import json
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import canaries
import httpx
import pytest
import world as worlds
from typer.testing import CliRunner
from world import AGENT, STEWARD, World

from gateway.cli import app
from gateway.sessionlog import sealing

NAMES = (
    "statement", "params", "purpose", "reason", "header", "result", "error", "path", "alias",
    "comment",
)  # fmt: skip
CHANNELS = {name: canaries.of(20 + number) for number, name in enumerate(NAMES)}


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def plant_results(world: World) -> None:
    """Rows whose clear columns hold canaries; the agent is to get them, and nothing else is."""

    async def insert() -> None:
        admin = await asyncpg.connect(world.server.dsn(database=world.database))
        await admin.executemany(
            "insert into patient (id, full_name, mrn, notes, city) values ($1, $2, $2, $2, $2)",
            [(70000 + n, text) for n, text in enumerate(CHANNELS["result"].values())],
        )
        await admin.close()

    asyncio.run(insert())


def run_all(world: World) -> dict[str, str]:
    """Every channel with every canary. Gives the session, and what /metrics and /readyz said."""
    plant_results(world)
    granted = world.call(
        AGENT, "POST", "/v1/grants",
        {"connection": "clinic", "tables": ["*"], "duration_s": 600,
         "purpose": "; ".join(CHANNELS["purpose"].values())},
    ).json()  # fmt: skip
    approved = world.call(
        STEWARD, "POST", f"/v1/grants/{granted['id']}/approve",
        {"reason": "; ".join(CHANNELS["reason"].values())},
    )  # fmt: skip
    assert approved.status_code == 200, approved.text
    session = world.session()
    with world.http(AGENT) as http, world.http(None) as stranger:
        _run(http, session)
        _send_headers(http, stranger, session)
        said = http.get("/metrics").text + http.get("/readyz").text
    world.close(session)
    return {"session": session, "said": said}


def _run(http: httpx.Client, session: str) -> None:
    def query(sql: str, params: list[str] | None = None) -> httpx.Response:
        body = {"sql": sql, "params": params or []}
        return http.post(f"/v1/sessions/{session}/query", json=body)

    spelled = []
    for number, text in enumerate(CHANNELS["statement"].values()):
        forms = (quoted(text), "E" + quoted(text), f"$q${text}$q$", f"$t${text}$t$")
        spelled.append(forms[number % 4])
    assert query(f"select {', '.join(spelled)}, city from patient limit 3").status_code == 200
    params = list(CHANNELS["params"].values())
    listed = ", ".join(f"${number}::text" for number in range(1, 19))
    assert query(f"select {listed} from patient limit 3", params).status_code == 200
    answer = query("select id, city, notes, full_name from patient where id >= 70000")
    assert answer.status_code == 200
    for text in CHANNELS["alias"].values():
        name = text[:60]
        query(
            f'select full_name as "{name}", upper(mrn) as "u {name}" from patient "{name}" limit 1'
        )
        query(f'select q."{name}" from (select upper(mrn) "{name}" from patient) q')
        query(f'select "{name}".id from patient "{name}" where "{name}".mrn > \'\'')
        query(f'select id from "{name}"')
    comments = " ".join(CHANNELS["comment"].values())
    query(f"select id /* {comments} */ from patient -- {comments}\n limit 1")
    query(f"prepare x as select 1 -- {comments}")
    for text in CHANNELS["error"].values():
        query(f"select {quoted(text)}::int from patient")
        query(f"select nosuch({quoted(text)}) from patient")
        query(f"select 1 from patient where mrn = {quoted(text)} and dob = {quoted(text)}")
        query(f"select {quoted(text)[:-1]} from patient")
        query(f"select cast(city || {quoted(text)} as int) from patient")
        query("select $1::int", [text])
        http.post(f"/v1/sessions/{session}/query", content=json.dumps({"sq": text}))
        http.post(f"/v1/sessions/{session}/query", content=b'{"sql": "select ' + text.encode())
        http.post("/v1/sessions", json={"connection": text})
        http.post("/v1/query", json={"connection": text, "sql": f"select {quoted(text)}"})
        body = {"connection": "clinic", "tables": [text], "purpose": text, "duration_s": 60}
        http.post("/v1/grants", json=body)
    query("select 1" + quoted(", ".join(CHANNELS["error"].values())) + " " * (1 << 20))
    for text in CHANNELS["path"].values():
        safe = quote(text, safe="")
        for path in (
            "/v1/sessions/{}/query",
            "/v1/grants/{}",
            "/v1/{}",
            "/v1/sessions/{}/evidence",
        ):
            http.post(path.format(safe), json={"sql": "select 1"})
            http.get(path.format(safe) + f"?q={safe}")


HEADERS = (
    b"User-Agent", b"X-Request-Id", b"Traceparent", b"X-Forwarded-For", b"X-Forwarded-Proto",
    b"X-Real-IP", b"Forwarded", b"Cookie", b"Referer", b"Content-Type", b"Host",
)  # fmt: skip


def _send_headers(http: httpx.Client, stranger: httpx.Client, session: str) -> None:
    for text in CHANNELS["header"].values():
        value = text.encode("latin-1")
        many = [(name, value) for name in HEADERS]
        content = b'{"sql": "select id from patient limit 1"}'
        url = f"/v1/sessions/{session}/query"
        http.post(url, headers=many, content=content)
        http.post(url, headers=[(b"Accept", value)], content=content)
        for scheme in (b"Bearer ", b"Basic ", b""):
            stranger.get("/v1/whoami", headers=[*many, (b"Authorization", scheme + value)])
    # Into a session's opening, in the form that a proxy's word would have.
    opened = http.post(
        "/v1/sessions",
        json={"connection": "clinic"},
        headers=[(b"X-Forwarded-For", CHANNELS["header"]["ip"].encode())],
    )
    assert opened.status_code == 201


def with_siem(text: str) -> str:
    return text.replace("[masking]", '[siem]\ntarget = "file:siem.ndjson"\n[masking]')


def siem_has(world: World, session: str) -> list[dict[str, Any]]:
    """The session's events, once its close has arrived."""
    path = world.home / "siem.ndjson"

    def closed() -> list[dict[str, Any]]:
        lines = path.read_text().splitlines() if path.exists() else []
        events = [json.loads(line) for line in lines]
        mine = [event for event in events if event["unmapped"]["session"] == session]
        return mine if mine and mine[-1]["metadata"]["event_code"] == "close" else []

    return list(worlds.wait_until(closed))


@pytest.fixture
def sealed(fragile: World) -> Iterator[World]:
    sealing.generate(fragile.home / "key.auditor", fragile.home / "pem.auditor")
    text = fragile.config.read_text().replace(
        "[masking]", '[log]\nstatements = "sealed"\nauditor_key = "pem.auditor"\n[masking]'
    )
    fragile.config.write_text(with_siem(text))
    fragile.gateway.end()
    for name in ("gateway.err",):
        (fragile.home / name).unlink()
    fragile.start()
    yield fragile


def everywhere(home: Path, *, but: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Channel: where its canaries were found."""
    files = canaries.left_behind(home)
    leaks: dict[str, list[str]] = {}
    for channel, planted in CHANNELS.items():
        for name, data in files.items():
            if channel not in but and (seen := canaries.found(planted.values(), data)):
                leaks.setdefault(channel, []).append(f"{name}: {seen}")
    return leaks


def test_sealed_nothing_is_left_behind_and_the_auditor_reads_all(sealed: World) -> None:
    told = run_all(sealed)
    session = told["session"]
    bundle = sealed.home / "bundle.zip"
    bundle.write_bytes(sealed.evidence(session))
    events = siem_has(sealed, session)
    assert [event["unmapped"]["record"] for event in events] == list(range(len(events)))
    assert len(events) == len(sealed.records(session))
    # The auditor's script takes it as it is, without a key.
    verdict = worlds.verify(bundle, "--trust", str(sealed.trust), "--list")
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    (sealed.home / "listing").write_text(verdict.stdout)
    with zipfile.ZipFile(bundle) as opened:
        (sealed.home / "report.html").write_bytes(opened.read("report.html"))
    assert everywhere(sealed.home) == {}
    sealed.restart()  # recovery folds the log into files
    assert everywhere(sealed.home) == {}
    assert not [
        c for p in CHANNELS.values() for c in canaries.found(p.values(), told["said"].encode())
    ]

    shown = CliRunner().invoke(
        app,
        ["sessions", "unseal", str(bundle), "--key", str(sealed.home / "key.auditor"),
         "--trust", str(sealed.trust), "--json"],
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    check_refusals(sealed, bundle)
    for channel in ("statement", "params", "purpose", "reason", "alias", "comment", "error"):
        planted = CHANNELS[channel].values()
        lost = [one for one in planted if one not in shown.stdout]
        assert not lost, channel
    assert not canaries.found(CHANNELS["result"].values(), shown.stdout.encode())
    assert not canaries.found(CHANNELS["header"].values(), shown.stdout.encode())


def check_refusals(world: World, bundle: Path) -> None:
    """A bundle that was changed is not shown, nor one to somebody else's key."""

    def unseal(path: Path, key: str) -> tuple[int, str, str]:
        shown = CliRunner().invoke(
            app,
            ["sessions", "unseal", str(path), "--key", str(world.home / key),
             "--trust", str(world.trust)],
        )  # fmt: skip
        said = shown.stdout + str(shown.exception)
        assert not canaries.found(CHANNELS["params"].values(), said.encode())
        return shown.exit_code, said, shown.stderr

    changed = bytearray(bundle.read_bytes())
    changed[changed.index(b'"box":"') + 20] ^= 1
    tampered = world.home / "tampered.zip"
    tampered.write_bytes(changed)
    assert unseal(tampered, "key.auditor")[0] == 1
    tampered.unlink()
    sealing.generate(world.home / "other.auditor", world.home / "other.pem.auditor")
    code, said, _ = unseal(bundle, "other.auditor")
    assert code == 1
    assert "sealed to key" in said


def test_verbatim_only_what_is_promised_is_in_the_log_alone(fragile: World) -> None:
    fragile.config.write_text(with_siem(fragile.config.read_text()))
    fragile.restart()
    told = run_all(fragile)
    siem_has(fragile, told["session"])
    promised = ("statement", "params", "purpose", "reason", "alias", "comment", "error", "path")
    assert everywhere(fragile.home, but=promised) == {}
    kept = b"".join(
        data for name, data in canaries.left_behind(fragile.home).items() if "log/" in name
    )
    for channel in ("statement", "params", "purpose", "reason", "alias", "comment"):
        planted = list(CHANNELS[channel].values())
        assert canaries.found(planted, kept) == planted, channel
    outside = {
        name: data
        for name, data in canaries.left_behind(fragile.home).items()
        if not name.startswith("log/")
    }
    for channel, planted in CHANNELS.items():
        for name, data in {**outside, "said": told["said"].encode()}.items():
            assert not canaries.found(planted.values(), data), (channel, name)


def test_a_sealed_record_keeps_what_a_verifier_and_a_reader_need(sealed: World) -> None:
    sealed.grant()
    session = sealed.session()
    sealed.rows(
        session,
        "select full_name, upper(city) as nadia, id from patient where id < 5 and city <> 'Zed'",
    )
    refused = sealed.query(session, "select upper(mrn) as nadia from nowhere")
    assert refused.status_code == 422
    sealed.close(session)
    records = sealed.records(session)
    intent = next(one for one in records if one["type"] == "intent")
    assert intent["statement"] == (
        "select full_name, upper(city) as {n1}, id from patient where id < {d} and city <> {s}"
    )
    assert (intent["params"], intent["server_text"], intent["notes"]) == (None, None, [])
    assert [one["name"] for one in intent["analysis"]["outputs"]] == ["full_name", "column 2", "id"]
    assert [one["column"] for one in intent["decision"]] == ["full_name", "column 2", "id"]
    assert intent["decision"][0]["treatment"] == "redact"
    assert intent["analysis"]["tables"] == ["public.patient"]
    assert "tree" not in intent["analysis"]
    release = next(one for one in records if one["type"] == "release")
    assert release["cells_masked"]["full_name"]
    no = next(one for one in records if one["type"] == "refused")
    assert no["statement"] == "select upper(mrn) as {n1} from {n2}"
    assert no["code"] == "invalid_request"
    assert no["detail"] == "The request is malformed"
    assert records[0]["purpose"] == records[0]["grant"]["purpose"] == "sealed"
    check_own_session(sealed)


def check_own_session(world: World) -> None:
    """What belongs to no session is in the gateway's own, and is unsealed from its file."""
    wanted = str(uuid.uuid4())
    world.call(AGENT, "POST", f"/v1/sessions/{wanted}/query", {"sql": "select 'Nadia'"})
    world.restart()
    told = ""
    for path in (world.home / "log" / "sessions").glob("*.jsonl"):
        shown = CliRunner().invoke(
            app,
            ["sessions", "unseal", str(path), "--key", str(world.home / "key.auditor")],
        )
        assert shown.exit_code == 0, shown.output
        assert "not verified" in shown.stderr
        told += shown.stdout
    assert "select 'Nadia'" in told


def test_the_pair_of_keys_is_made_by_a_command(tmp_path: Path) -> None:
    private, public = tmp_path / "a.key", tmp_path / "a.pem"
    asked = ["keygen", "auditor", "--private", str(private), "--public", str(public)]
    made = CliRunner().invoke(app, asked)
    assert made.exit_code == 0, made.output
    assert sealing.AuditorKey.load(public).id in made.stdout
    assert sealing.AuditorPrivateKey.load(private).id in made.stdout
    again = CliRunner().invoke(app, asked)
    assert again.exit_code == 1
    assert "never written over" in str(again.exception)
