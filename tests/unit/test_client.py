"""The client of the command line and the demo: only a stream that ended as promised is a result."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest

from gateway import arguments, cli
from gateway.client import Answer, BrokenStreamError, Client, RefusedError, UnreachableError

TABLE = pa.table({"n": list(range(1000))})


def arrow() -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=300)
    return sink.getvalue()


def chunked(body: bytes, *, terminated: bool = True) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nMaskgate-Statement: 7\r\n\r\n"
    cuts = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(cut), cut) for cut in cuts)
    return head + chunks + (b"0\r\n\r\n" if terminated else b"")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@contextmanager
def answering(listener: socket.socket, response: bytes) -> Iterator[Client]:
    """A Client of a server that answers one request with these bytes and hangs up."""

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            received = b""
            while not (received.endswith(b"}" if b"POST" in received else b"\r\n\r\n")):
                received += client.recv(65536)
            client.sendall(response)
            client.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with Client(f"http://127.0.0.1:{listener.getsockname()[1]}", "token") as client:
            yield client
    finally:
        thread.join()


def ask(listener: socket.socket, response: bytes, **options: Any) -> Answer:
    """One query against such a server."""
    with answering(listener, response) as client:
        return client.query("session", "select n", **options)


def test_a_complete_stream_is_the_result(listener: socket.socket) -> None:
    seen: list[int] = []
    answer = ask(listener, chunked(arrow()), watch=seen.append, keep_wire=True)
    assert answer.table.equals(TABLE)
    assert answer.wire == arrow()
    assert answer.wire_bytes == len(arrow())
    assert answer.statement == "7"
    assert seen == [300, 600, 900, 1000]


def test_rows_need_not_be_kept(listener: socket.socket) -> None:
    seen: list[int] = []
    answer = ask(listener, chunked(arrow()), watch=seen.append, keep_rows=False)
    assert answer.table.num_rows == 0
    assert seen[-1] == 1000


BROKEN = {
    "no chunked terminator": chunked(arrow(), terminated=False),
    "no end-of-stream marker": chunked(arrow()[:-8]),
    "cut inside a batch": chunked(arrow()[:-3000]),
    "cut inside a batch, no terminator": chunked(arrow()[:-3000], terminated=False),
    "cut inside the schema": chunked(arrow()[:40]),
    "nothing at all": chunked(b""),
    "something after the end": chunked(arrow() + b"more"),
    "not Arrow": chunked(b"n\n1\n2\n"),
}


@pytest.mark.parametrize("response", BROKEN.values(), ids=BROKEN.keys())
def test_anything_less_is_no_result(listener: socket.socket, response: bytes) -> None:
    with pytest.raises(BrokenStreamError):
        ask(listener, response)


def test_a_refusal_keeps_its_code_and_hint(listener: socket.socket) -> None:
    body = json.dumps(
        {"code": "protected_use", "title": "t", "detail": "mrn is protected", "hint": "select it"}
    ).encode()
    head = b"HTTP/1.1 422 Unprocessable\r\nContent-Length: %d\r\n\r\n" % len(body)
    with pytest.raises(RefusedError) as refused:
        ask(listener, head + body)
    assert (refused.value.status, refused.value.code) == (422, "protected_use")
    assert (refused.value.detail, refused.value.hint) == ("mrn is protected", "select it")


def test_a_refusal_that_is_no_problem_document_is_still_a_refusal(listener: socket.socket) -> None:
    with pytest.raises(RefusedError) as refused:
        ask(listener, b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops")
    assert (refused.value.status, refused.value.detail) == (502, "oops")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_token_for_this_machine_goes_by_no_proxy(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for one in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    with answering(listener, head) as client:
        try:
            assert client.get("/v1/whoami") == {}
        finally:  # else its server would wait for somebody for ever
            with socket.create_connection(listener.getsockname()) as somebody:
                somebody.sendall(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("status", "coding", "body", "failure"),
    [
        (200, b"identity", b"[" * 100_000, UnreachableError),
        (403, b"identity", b"[" * 100_000, RefusedError),
        (200, b"gzip", b"not packed", UnreachableError),
        (403, b"gzip", b"not packed", UnreachableError),
    ],
)
def test_what_no_gateway_answers_is_told_as_such(
    listener: socket.socket, status: int, coding: bytes, body: bytes, failure: type[Exception]
) -> None:
    head = b"HTTP/1.1 %d X\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n"
    answer = head % (status, coding, len(body)) + body
    with answering(listener, answer) as client, pytest.raises(failure):
        client.get("/v1/whoami")


@pytest.mark.parametrize("location", [b"mailto:x", b"http://xn--a/", b"http://[::1"])
def test_a_redirect_that_cannot_be_read_is_no_answer(
    listener: socket.socket, location: bytes
) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % location
    with answering(listener, answer) as client, pytest.raises(UnreachableError):
        client.get("/v1/whoami")


def test_a_stream_that_cannot_be_unpacked_broke(listener: socket.socket) -> None:
    head = b"HTTP/1.1 200 OK\r\nMaskgate-Sessions: 1\r\nContent-Encoding: gzip\r\n"
    head += b"Content-Length: 10\r\n\r\n"
    with (
        answering(listener, head + b"not packed") as client,
        client.collected({}) as (_, parts),
        pytest.raises(BrokenStreamError),
    ):
        list(parts)


@pytest.mark.parametrize("told", [b"many", b"-1", b"9" * 5000])
def test_an_export_of_no_number_is_no_export(listener: socket.socket, told: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nMaskgate-Sessions: %b\r\nContent-Length: 0\r\n\r\n" % told
    with answering(listener, head) as client, pytest.raises(UnreachableError):
        client.collected({}).__enter__()


def test_a_refusal_that_repeats_the_token_does_not_tell_it(listener: socket.socket) -> None:
    body = json.dumps({"code": "c", "detail": ["Bearer token!"], "hint": "not token"}).encode()
    head = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n" % len(body)
    with (
        answering(listener, head + body) as client,
        pytest.raises(RefusedError) as refused,
    ):
        client.get("/v1/whoami")
    assert (refused.value.detail, refused.value.hint) == ("['Bearer …!']", "not …")


@pytest.mark.parametrize(
    "value", ["\x1b[2J", "a\nstate: active", "\u202etxt", ["\x07"], {"a\x1b": "\x9b1m"}, "\ud800"]
)
def test_what_others_worded_commands_no_terminal(
    value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments.show([{"purpose\x1b": value}], as_json=False)
    told = capsys.readouterr().out
    assert told.removesuffix("\n").isprintable()
    assert cli._failed(f"no: {value}", 1, str(value)) == 1
    assert all(line.isprintable() for line in capsys.readouterr().err.split("\n"))


@pytest.mark.parametrize("token", ["", "tökén", "two words", "line\nbreak", "nul\x00", "\udcff"])
def test_a_token_that_no_header_can_carry_is_named_without_its_text(token: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as wrong:
        Client("http://127.0.0.1:1", token)
    assert not token or token not in str(wrong.value)


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "ftp://x", "http://", "http://[::1", "http://u:SECRET@h", "http://h/?SECRET"],
)
def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(ValueError, match="address") as wrong:
        Client(url, "token")
    assert "SECRET" not in str(wrong.value)


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'{"items": 3}'])
def test_an_answer_that_no_gateway_gives_is_no_list(listener: socket.socket, body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    with answering(listener, head + body) as client, pytest.raises(UnreachableError, match="gatew"):
        client.items("/v1/grants")


def test_nobody_there_is_a_sentence(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    with Client(f"http://127.0.0.1:{port}", "token") as client, pytest.raises(UnreachableError):
        client.get("/v1/whoami")


def test_a_text_answer_that_breaks_off_raises_after_its_parts(listener: socket.socket) -> None:
    cut = chunked(b'{"n":1}\n' * 300, terminated=False)
    seen = b""
    with answering(listener, cut) as client, pytest.raises(BrokenStreamError):
        for part in client.parts("session", "select n", [], None, "application/x-ndjson"):
            seen += part
    assert seen.startswith(b'{"n":1}\n')
