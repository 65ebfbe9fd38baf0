"""`maskgate witness` as a process: over HTTP, killed under load, started again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from test_witness_protocol import KEY, NAME, TREE, grown

from gateway.sessionlog import cosignature
from gateway.sessionlog.cosignature import parse_witness
from gateway.sessionlog.note import Note, Signature

MASKGATE = str(Path(sys.executable).parent / "maskgate")


@contextmanager
def started(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str, str]]:
    """The process, its address and its verifier key."""
    command = [MASKGATE, "witness", str(home), "--name", NAME, "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, env={**os.environ, "NO_COLOR": "1"}
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield process, told["url"], told["witness"]
    finally:
        process.kill()
        process.communicate()


def test_a_witness_killed_at_any_time_forgets_nothing(tmp_path: Path) -> None:
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps({"keys": [KEY.vkey], "origin": KEY.origin, "type": "trust"}))
    home = tmp_path / "witness"
    size = 0
    with started(home, "--log", str(trust)) as (process, url, vkey):
        key = parse_witness(vkey)
        with httpx.Client(base_url=url) as client:
            for new in (3, 8):
                answer = client.post("/add-checkpoint", content=grown(size, new))
                assert answer.status_code == 200
                cosignature.verify(
                    Note.parse(TREE.note(new)).text, Signature.parse(answer.text[:-1]), key
                )
                size = new
            assert client.post("/add-checkpoint", content=grown(0, 3)).status_code == 409
            assert client.get("/add-checkpoint").status_code == 405
            assert client.post("/elsewhere", content=b"").status_code == 404
            assert client.post("/add-checkpoint", content=b"x" * 70_000).status_code == 413
        process.send_signal(signal.SIGKILL)
    with started(home, "--log", KEY.vkey) as (process, url, again):
        assert again == vkey
        answer = httpx.post(f"{url}/add-checkpoint", content=grown(0, 9))
        assert (answer.status_code, answer.text) == (409, "8\n")
        assert answer.headers["content-type"] == "text/x.tlog.size"
        second = subprocess.run(
            [MASKGATE, "witness", str(home), "--name", NAME, "--log", KEY.vkey],
            capture_output=True,
            text=True,
        )
        assert second.returncode == 2
        assert "another process is writing it" in re.sub(r"\s+", " ", second.stderr)
        process.terminate()
        assert process.wait(10) in (0, -signal.SIGTERM)
    shown = subprocess.run(
        [MASKGATE, "witness", str(home), "--name", NAME, "--show-key"],
        capture_output=True,
        text=True,
    )
    assert (shown.returncode, shown.stdout) == (0, vkey + "\n")
