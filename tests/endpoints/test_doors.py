"""What the door answers to all that is no good request: one form, one reading, never a guess."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from world import AGENT, World

CODES = {
    "unauthenticated", "invalid_request", "not_found", "not_acceptable", "issuer_unavailable",
}  # fmt: skip


def raw(world: World, data: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and problem of the answer to these bytes on a connection of their own."""
    place = urlsplit(world.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(data)
        received = b""
        while b"\r\n\r\n" not in received or len(received.partition(b"\r\n\r\n")[2]) < length(
            received
        ):
            part = connection.recv(65536)
            if not part:
                break
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, json.loads(body)


def length(received: bytes) -> int:
    for line in received.lower().split(b"\r\n"):
        if line.startswith(b"content-length: "):
            return int(line.removeprefix(b"content-length: "))
    return 1 << 30


MALFORMED = {
    "no HTTP": b"hello\r\n\r\n",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "a bad header": b"GET /healthz HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
    "two lengths": b"POST /v1/grants HTTP/1.1\r\nHost: x\r\n"
    b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "length and chunks": b"POST /v1/grants HTTP/1.1\r\nHost: x\r\n"
    b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bad target": b"GET \xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "a head without end": b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000,
    "a bad chunk": b"POST /v1/query HTTP/1.1\r\nHost: x\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_bytes_that_are_no_request_get_a_problem_document(world: World, data: bytes) -> None:
    status, headers, said = raw(world, data)
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert (said["code"], said["status"]) == ("invalid_request", 400)
    assert headers["connection"] == "close"
    assert world.call(None, "GET", "/healthz").status_code == 200


UPGRADE = b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"


@pytest.mark.parametrize(
    ("target", "status"), [("/v1/whoami", 401), ("/v1/query", 405), ("/chat", 404)]
)
@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_an_upgrade_is_answered_as_the_request_it_is(
    world: World, target: str, status: int, protocol: str
) -> None:
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: {protocol}\r\n".encode()
    answered, headers, said = raw(world, head + UPGRADE)
    assert (answered, headers["content-type"]) == (status, "application/problem+json")
    assert said["code"] in CODES


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("GET", "/v1/grants/", 404, "not_found"),
        ("PUT", "/v1/grants", 405, "invalid_request"),
        ("DELETE", "/healthz", 405, "invalid_request"),
        ("OPTIONS", "/v1/query", 405, "invalid_request"),
        ("BREW", "/v1/query", 400, "invalid_request"),
        ("GET", "/v1/sessions/x/statements/one", 422, "invalid_request"),
        ("GET", "/v1/sessions/%00/statements/1", 401, "unauthenticated"),
        ("POST", "/v1/grants", 422, "invalid_request"),
    ],
)
def test_no_such_thing_is_a_problem_document(
    world: World, method: str, path: str, status: int, code: str
) -> None:
    answer = world.call(None, method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    ), answer.text
    assert (answer.json()["code"], answer.json()["status"]) == (code, status)
    assert ("allow" in answer.headers) == (status == 405)


GRANT = '"connection":"clinic","tables":["encounter"],"purpose":"x","duration_s":60'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (f'{{"tables":["*"],{GRANT}}}', "'tables' stands twice"),
        (f'{{{GRANT},"purpose":"y"}}', "'purpose' stands twice"),
        (f'{{{GRANT},"max_rows":NaN}}', "not JSON"),
        (f"{{{GRANT}}}".encode("utf-16"), "not UTF-8"),
        (f"{{{GRANT}}}x", "not JSON"),
        ("[" * 60_000, "not JSON"),
        ("[]", "body"),
        ("", "body"),
        (f'{{{GRANT},"more":1}}', "more"),
        (f'{{{GRANT},"max_rows":1.5}}', "max_rows"),
        (f'{{{GRANT},"x":"{"y" * 70_000}"}}', "larger than 65536"),
    ],
)
def test_a_grant_has_one_reading(world: World, body: str | bytes, said: str) -> None:
    before = len(world.call(AGENT, "GET", "/v1/grants").json()["items"])
    with world.http(AGENT) as http:
        answer = http.post("/v1/grants", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == (413 if len(body) > 64 << 10 else 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid_request"
    assert said in answer.json()["detail"]
    assert len(world.call(AGENT, "GET", "/v1/grants").json()["items"]) == before


@pytest.mark.parametrize(
    "body",
    [
        '{"sql":"select 1 as one","sql":"select 2 as one"}',
        '{"sql":"select 1 as one","\\u0073ql":"select 2 as one"}',
        '{"sql":"select $1::text","params":[{"a":1,"a":2}]}',
    ],
)
def test_a_query_has_one_reading_and_its_refusal_is_recorded(world: World, body: str) -> None:
    session = world.session(grant=world.grant()["id"])
    with world.http(AGENT) as http:
        answer = http.post(f"/v1/sessions/{session}/query", content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "stands twice" in answer.json()["detail"]
    (refused,) = [one for one in world.records(session) if one["type"] == "refused"]
    assert refused["statement_head"] == body


def test_an_issuer_that_is_away_is_no_bad_token(fragile: World) -> None:
    fragile.token(AGENT)
    fragile.issuer.end()
    fragile.restart()
    answer = fragile.call(AGENT, "GET", "/v1/whoami")
    assert (answer.status_code, answer.json()["code"]) == (503, "issuer_unavailable"), answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert "www-authenticate" not in answer.headers
    query = fragile.call(AGENT, "POST", "/v1/query", {"connection": "clinic", "sql": "select 1"})
    assert (query.status_code, query.json()["code"]) == (503, "issuer_unavailable")
    assert fragile.call(None, "GET", "/v1/whoami").status_code == 401
    ready = fragile.call(None, "GET", "/readyz")
    assert ready.status_code == 503
    assert any(sentence.startswith("issuer: ") for sentence in ready.json()["missing"])


@pytest.mark.parametrize("size", [6 << 20, 70 << 20])
def test_a_statement_of_any_size_gets_its_answer_and_its_record(world: World, size: int) -> None:
    session = world.session(grant=world.grant()["id"])
    body = b'{"sql":"select 1 as one","x":"' + b"y" * size + b'"}'
    with world.http(AGENT) as http:
        answer = http.post(f"/v1/sessions/{session}/query", content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert "too large" in answer.json()["detail"]
        assert http.get("/v1/whoami").status_code == 200
    (refused,) = [one for one in world.records(session) if one["type"] == "refused"]
    assert refused["statement_bytes"] < 16 << 20


@pytest.mark.parametrize("target", ["GET /v1/whoami", "POST /v1/query"])
def test_two_credentials_are_none(world: World, target: str) -> None:
    """A program on the way might have looked at the other one."""
    mine = f"Authorization: Bearer {world.token(AGENT)}"
    body = '{"connection":"clinic","sql":"select 1"}'
    for fields in (f"{mine}\r\n{mine}", f"{mine}\r\nAuthorization: Bearer x", f"{mine}, Bearer x"):
        request = f"{target} HTTP/1.1\r\nHost: x\r\n{fields}\r\nContent-Length: {len(body)}\r\n\r\n"
        status, _, said = raw(world, (request + body).encode())
        assert (status, said["code"]) == (401, "unauthenticated"), said
        assert "exactly one token" in said["detail"]
