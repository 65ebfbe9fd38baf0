"""A receiver of events for tests: a real HTTP server that can fail in every way one does."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """`mode`: ok, or how the next requests fail. `events`: what was acknowledged with 200."""

    def __init__(self) -> None:
        self.mode = "ok"
        self.events: list[dict[str, Any]] = []
        self.requests = 0
        self.headers: dict[str, str] = {}
        self.location = ""  # of a redirect
        self.fail_after = -1  # so many more requests are taken, then the mode is 500
        self.largest = 0  # most events that one request may hold; 0: any number
        self.release = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"

    def start(self, tls: ssl.SSLContext | None = None) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._take(self)

            def log_message(self, *_: Any) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        ThreadingHTTPServer.block_on_close = False
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        data = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.requests += 1
        self.headers = dict(handler.headers)
        lines = [json.loads(line) for line in data.splitlines()]
        mode, status = self.mode, 200
        if mode == "hang":
            self.release.wait(60)
            handler.close_connection = True
            return
        if mode == "drop":
            handler.close_connection = True
            return
        if mode == "lost answer":  # taken, and nobody says so
            self.events += lines
            handler.close_connection = True
            return
        if mode.isdigit():
            status = int(mode)
        elif self.largest and len(lines) > self.largest:
            status = 413
        else:
            self.events += lines
            self.fail_after -= 1
            if self.fail_after == 0:
                self.mode = "500"
        handler.send_response(status)
        if self.location:
            handler.send_header("Location", self.location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def uids(self) -> list[str]:
        return [event["metadata"]["uid"] for event in list(self.events)]


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.release.set()
        receiver.stop()


def until(condition: Any, seconds: float = 20.0) -> None:
    """Wait for a condition; fails when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)
