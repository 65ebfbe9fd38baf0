"""Honest sessions verify, however rudely they were used, and the door keeps its bounds."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from world import AGENT, World, verify

SLOW = "select count(*) from encounter a, encounter b, encounter c"


def raw_request(world: World, path: str, body: bytes, extra: str = "") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.token(AGENT)}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    )
    return head.encode() + body


def connect(world: World) -> socket.socket:
    address = urlsplit(world.url)
    return socket.create_connection((address.hostname, address.port), 10)


def verdict(world: World, session: str, folder: Path) -> tuple[int, str]:
    bundle = folder / f"{session}.zip"
    bundle.write_bytes(world.evidence(session))
    done = verify(bundle, "--trust", str(world.trust))
    return done.returncode, done.stdout + done.stderr


def test_clients_that_leave_at_once_leave_no_gap(world: World, tmp_path: Path) -> None:
    session = world.session(grant=world.grant()["id"])
    body = json.dumps({"sql": "select id, full_name from patient"}).encode()
    for delay in range(24):
        with connect(world) as rude:
            rude.sendall(raw_request(world, f"/v1/sessions/{session}/query", body))
            time.sleep(delay / 1000)
    world.close(session)
    code, words = verdict(world, session, tmp_path)
    assert code == 0, words


def test_closing_while_statements_start_leaves_no_gap(world: World, tmp_path: Path) -> None:
    def ask(session: str) -> None:
        with contextlib.suppress(httpx.TransportError):  # the close may break the stream
            world.query(session, "select 1 as one")

    grant = world.grant()["id"]
    for pause in (0.002, 0.01, 0.03):
        session = world.session(grant=grant)
        threads = [threading.Thread(target=ask, args=(session,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        time.sleep(pause)
        world.close(session)
        for thread in threads:
            thread.join()
        code, words = verdict(world, session, tmp_path)
        assert code == 0, words


def test_leaving_and_closing_together_loses_no_record(world: World, tmp_path: Path) -> None:
    for pause in (0.0, 0.005, 0.02, 0.04):
        session = world.session(grant=world.grant(max_rows=4000)["id"])
        body = json.dumps({"sql": "select id, notes from patient"}).encode()
        with connect(world) as rude:
            rude.sendall(raw_request(world, f"/v1/sessions/{session}/query", body))
            rude.recv(10)
        time.sleep(pause)
        world.close(session)
        code, words = verdict(world, session, tmp_path)
        assert code == 0, words


def test_a_stopped_gateway_closes_its_sessions(fragile: World, tmp_path: Path) -> None:
    session = fragile.session(grant=fragile.grant()["id"])
    fragile.rows(session, "select id from patient limit 3")
    fragile.gateway.child.send_signal(signal.SIGTERM)
    assert fragile.gateway.child.wait(15) == 0
    fragile.gateway.end()
    fragile.start()
    code, words = verdict(fragile, session, tmp_path)
    assert code == 0, words
    shown = fragile.call(AGENT, "GET", f"/v1/sessions/{session}").json()
    assert shown["closed_at"] is not None


def test_a_refused_one_statement_session_is_closed(world: World) -> None:
    world.grant()
    body = {"connection": "clinic", "sql": "delete from patient"}
    assert world.call(AGENT, "POST", "/v1/query", body).status_code == 422
    newest = world.call(AGENT, "GET", "/v1/sessions").json()["items"][0]
    assert newest["closed_at"] is not None


def test_a_pipelined_request_does_not_hide_that_the_client_left(world: World) -> None:
    session = world.session(grant=world.grant()["id"])
    body = json.dumps({"sql": SLOW}).encode()
    with connect(world) as rude:
        rude.sendall(raw_request(world, f"/v1/sessions/{session}/query", body))
        time.sleep(0.3)
        rude.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        rude.settimeout(5)
        assert rude.recv(100) == b""
    limit = time.monotonic() + 30  # for a gateway that has not noticed
    while (last := world.records(session)[-1])["type"] == "intent" and time.monotonic() < limit:
        time.sleep(0.05)
    assert (last["type"], last.get("reason")) == (
        "cancel",
        "the client went away or the gateway is stopping",
    )


def test_heads_and_bodies_have_a_size(world: World) -> None:
    with connect(world) as rude:
        rude.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: ")
        answer = b""
        try:
            for _ in range(200):
                rude.sendall(b"x" * 4096)
            answer = rude.recv(1000)
        except OSError:
            pass
        assert b"200 OK" not in answer
    large = {"connection": "clinic", "tables": ["*"], "purpose": "x" * 100_000, "duration_s": 60}
    assert world.call(None, "POST", "/v1/grants", large).status_code == 413
    assert world.call(None, "GET", "/healthz").status_code == 200
    assert world.call(None, "GET", "/openapi.json").status_code == 404


def test_problems_carry_the_status_they_are_sent_with(world: World) -> None:
    for method, path in (("PATCH", "/v1/grants"), ("POST", "/v1/whoami"), ("GET", "/nowhere")):
        answer = world.call(AGENT, method, path)
        assert answer.json()["status"] == answer.status_code
        assert answer.headers["content-type"] == "application/problem+json"
    with world.http(AGENT) as http:
        answer = http.post("/v1/grants", content=b"\xff\xfe")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
