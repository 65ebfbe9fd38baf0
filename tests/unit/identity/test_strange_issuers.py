"""An issuer that answers with bytes of its own making: the token cannot be checked, and no more."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from provider import ISSUER, Provider, published, refused, unchecked

import mint
from gateway.identity import IssuerConfig, Verifier

REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The address of a server that answers each connection with these bytes and hangs up."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        REDIRECT % b"http://[",
        REDIRECT % b"http://[::1",
        REDIRECT % b"http://host:port/",
        REDIRECT % b"http://host:99999999/",
        REDIRECT % b"http://xn--/",
        REDIRECT % (b"http://" + b"a" * 70 + b".example.org/"),
        REDIRECT % "http://\u00ad.example.org/".encode(),
        REDIRECT % b"http://\xff\xfe/",
        REDIRECT % (b"http://example.org/" + b"a" * 70_000),
        REDIRECT % b"\x00",
        REDIRECT % b"mailto:nobody@example.org",
        b"HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: \xff=\xff; expires=\xff\r\nContent-Length: 1\r\n\r\n{",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"",
    ],
    ids=lambda answer: repr(answer[:48]),
)
async def test_it_cannot_be_reached_and_nothing_fails(answer: bytes) -> None:
    with answering(answer) as url:
        config = IssuerConfig(url, mint.AUDIENCE, development=True)
        async with Verifier([config]) as verifier:
            assert "cannot be reached" in await unchecked(verifier, mint.new_mint(url))
            assert len(await verifier.unreachable()) == 1


@pytest.mark.parametrize("value", [5, None, True, "verify", {"verify": 1}, [["verify"]]])
async def test_a_key_with_operations_of_no_shape_is_passed_over(value: object) -> None:
    """One malformed entry is no key; the others of the set go on."""
    good, other = mint.new_mint(ISSUER), mint.new_mint(ISSUER, "k2")
    entry = {**published(other)[0], "key_ops": value}
    async with Provider([entry, *published(good)]).verifier() as verifier:
        assert (await verifier.establish(good.authorization())).subject == "agent-reporting"
        assert "does not publish" in await refused(verifier, other.authorization())
