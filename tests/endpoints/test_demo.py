"""The worked example in a process of its own: everything happens as told, and nothing stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# A shell that runs the tests in the background has them inherit an ignored SIGINT.
DEMO = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from pathlib import Path; from gateway.demo import story;"
    "sys.exit(story.run(Path(sys.argv[1]), serve=True, patients=2000))"
)
LAST_LINE = "psql "
PATIENCE_S = 180


@dataclass(frozen=True, slots=True)
class Played:
    folder: Path
    output: str
    code: int


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    """One run with --serve, ended with Ctrl-C once it says that it is up."""
    command = [sys.executable, "-c", DEMO]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    lines: list[str] = []
    interrupted = False
    with (
        tempfile.TemporaryDirectory(prefix="mg-demo-") as name,
        subprocess.Popen(
            [*command, name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        late = threading.Timer(PATIENCE_S, process.terminate)
        late.start()
        for line in process.stdout or ():
            lines.append(line)
            # Once: an interrupted line is printed again.
            if line.startswith(LAST_LINE) and not interrupted:
                interrupted = True
                process.send_signal(signal.SIGINT)
        code = process.wait()
        late.cancel()
        yield Played(Path(name), "".join(lines), code)


def test_everything_happens_as_told(played: Played) -> None:
    assert played.code == 0, played.output
    assert "Everything happened as told" in played.output
    for scene in range(1, 9):
        assert f"\n{scene}. " in played.output


def test_the_bundle_verifies_with_the_script_alone_and_the_flipped_one_does_not(
    played: Played,
) -> None:
    for bundle, verdict in (("evidence.zip", 0), ("tampered.zip", 1)):
        done = subprocess.run(
            [sys.executable, "-I", "verify.py", bundle, "--trust", "trust.json"],
            cwd=played.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == verdict, done.stdout + done.stderr


def test_what_is_left_can_be_opened(played: Played) -> None:
    with zipfile.ZipFile(played.folder / "evidence.zip") as bundle:
        assert (played.folder / "report.html").read_bytes() == bundle.read("report.html")
    config = tomllib.loads((played.folder / "maskgate.toml").read_text(encoding="utf-8"))
    assert config["connections"]["clinic"]["role"] == "clinic_reader"
    assert config["connections"]["clinic"]["quiet_server_log"] is True


def test_the_records_say_that_the_server_s_log_is_quiet(played: Played) -> None:
    with zipfile.ZipFile(played.folder / "evidence.zip") as bundle:
        records = [json.loads(line) for line in bundle.read("session.jsonl").splitlines()]
    told = [r["body"]["database_floor"] for r in records if r["type"] in ("open", "intent")]
    assert told
    assert all("logs nothing of these sessions" in floor for floor in told)


def test_no_secret_of_a_client_reaches_the_logs(played: Played) -> None:
    secrets = (played.folder / "issuer" / "clients.json").read_text(encoding="utf-8")
    words = [word for word in secrets.split('"') if len(word) == 32]
    assert len(words) == 4
    for log in ("gateway.log", "issuer.log", "maskgate.toml"):
        text = (played.folder / log).read_text(encoding="utf-8")
        assert [word for word in words if word in text] == []


def test_nothing_stays_behind(played: Played) -> None:
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:  # it ended while we looked
            continue
        if str(played.folder).encode() in command:
            left.append(command)
    assert left == []
