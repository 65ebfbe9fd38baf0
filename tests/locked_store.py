"""An S3 with Object Lock for tests: moto's server on a loopback port, which fails when told to."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

KEYS = ("ACCESSKEYOFTEST", "SECRETKEYOFTEST")


class Store:
    """`mode`: ok, or how the next puts fail."""

    def __init__(self) -> None:
        self.mode = "ok"
        self.puts = 0
        self.port = 0
        self._application = DomainDispatcherApplication(create_backend_app)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def client(self) -> Any:
        return boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1",
            aws_access_key_id=KEYS[0], aws_secret_access_key=KEYS[1],
        )  # fmt: skip

    def versions(self, bucket: str) -> list[tuple[str, str]]:
        """Each version of each object: its key and its id."""
        pages = self.client.get_paginator("list_object_versions").paginate(Bucket=bucket)
        return [
            (one["Key"], one["VersionId"]) for page in pages for one in page.get("Versions", [])
        ]

    def fetch(self, bucket: str, prefix: str, folder: Path) -> None:
        """What any tool that downloads a bucket does."""
        for key in {key for key, _ in self.versions(bucket) if key.startswith(prefix)}:
            path = folder / key.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def __call__(self, environ: dict[str, Any], respond: Any) -> Any:
        if self.mode == "endless":
            respond("403 Forbidden", [("Content-Type", "application/xml")])
            return itertools.repeat(b"<a>" * 20_000, 1000)
        if environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].count("/") > 1:
            self.puts += 1
            if self.mode == "503":
                respond("503 Slow Down", [("Content-Length", "0")])
                return [b""]
            if self.mode == "forgets the lock":
                for name in [name for name in environ if name.startswith("HTTP_X_AMZ_OBJECT_LOCK")]:
                    del environ[name]
            if self.mode == "shorter lock":
                environ["HTTP_X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE"] = "2030-01-01T00:00:00Z"
            if self.mode == "lost answer":
                b"".join(self._application(environ, lambda *_: None))
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
                return [b""]
        return self._application(environ, respond)


class _Silent(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def storing() -> Iterator[Store]:
    store = Store()
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=_Silent)
    store.port = server.port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
