"""`maskgate mask` as a person meets it: exit codes, pipes, the bar, signals, a full disk."""

from __future__ import annotations

import os
import pty
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

from copybytes import TOKEN_KEY
from gateway import cli, mask_command
from gateway.masking import files

SECRET = "Zaphod Beeblebrox"
TABLE = pa.table({"id": range(1000), "name": [SECRET] * 1000, "mrn": ["MRN1", "MRN2"] * 500})
POLICY = """
[mask]
domain = "clinic"
key = "file:token.key"
[mask.columns]
id = "clear"
name = "redact"
mrn = "token"
"""
COMMAND = [sys.executable, "-m", "gateway", "mask"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pq.write_table(TABLE, tmp_path / "in.parquet")
    (tmp_path / "policy.toml").write_text(POLICY)
    (tmp_path / "token.key").write_text(TOKEN_KEY.hex())
    (tmp_path / "token.key").chmod(0o600)
    return tmp_path


def run(folder: Path, *words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, input=data, capture_output=True, check=False
    )


def test_a_file_with_a_policy_a_report_and_a_summary(folder: Path) -> None:
    words = ["in.parquet", "out.parquet", "--policy", "policy.toml", "--report", "report.json"]
    done = run(folder, *words)
    said = done.stderr.decode()
    assert done.returncode == 0, said
    assert pq.read_table(folder / "out.parquet")["name"].to_pylist() == ["[REDACTED]"] * 1000
    assert "1,000 rows" in said
    assert "MB/s" in said
    assert done.stdout == b""
    for text in (said, (folder / "report.json").read_text()):
        assert SECRET not in text
    again = run(folder, *words)
    assert again.returncode == 1
    assert b"out.parquet exists; --force replaces it" in again.stderr
    assert run(folder, *words, "--force", "--quiet").stderr == b""


def test_pipes_and_rules_on_the_command_line(folder: Path) -> None:
    done = run(
        folder,
        *("-", "-", "--from", "csv", "--format", "csv", "--quiet", "--default", "redact"),
        *("--column", 'a={ treatment = "partial", last = 2 }', "--column", "b=deny"),
        data=b"a,b,c\n0123456789,Zaphod,Beeblebrox\n",
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b'"a","c"\n"*89","[REDACTED]"\n'
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, TABLE.schema) as writer:
        writer.write_table(TABLE)
    done = run(
        folder,
        *("-", "-", "--format", "arrows", "--policy", "policy.toml", "--quiet"),
        data=stream.getvalue().to_pybytes(),
    )
    masked = pa.ipc.open_stream(done.stdout).read_all()
    assert masked["id"].to_pylist() == list(range(1000))
    assert set(masked["name"].to_pylist()) == {"[REDACTED]"}


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["in.parquet", "out.csv"], 1, "no rule names columns 'id', 'name', 'mrn'"),
        (["in.parquet", "out.csv", "--default", "hide"], 2, "no treatment 'hide'"),
        (["in.parquet", "out.csv", "--default", "token"], 2, "a key"),
        (["in.parquet", "out.csv", "--column", "id"], 2, "NAME="),
        (["in.parquet", "out.csv", "--column", "id={"], 2, "{ treatment ="),
        (["in.parquet", "out.csv", "--type", "id=x"], 2, "the type is"),
        (["in.parquet", "out.csv", "--format", "xml"], 2, "parquet, csv"),
        (["in.parquet", "out.foo", "--default", "redact"], 2, "--format"),
        (["nothing.csv", "out.csv", "--default", "redact"], 2, "there is no file"),
        (["in.parquet", "out.csv", "--policy", "nothing.toml"], 2, "no such policy"),
        (["in.parquet", "in.parquet", "--default", "redact", "--force"], 1, "is the input"),
        (["in.parquet", "out.csv", "--default", "redact", "--type", "id=date"], 1, "of CSV"),
        (["in.parquet", "out.csv", "--column", "id=scan", "--default", "redact"], 1, "possible:"),
    ],
)
def test_refusals(
    folder: Path,
    words: list[str],
    code: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["maskgate", "mask", *words])
    before = sorted(os.listdir(folder))
    with pytest.raises(SystemExit) as exited:
        cli.main()
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert (exited.value.code, sentence in said) == (code, True), said
    assert sorted(os.listdir(folder)) == before


def test_refusals_of_pipes(folder: Path) -> None:
    for more, sentence in (([], b"--from"), (["--from", "parquet"], b"from a pipe")):
        done = run(folder, "-", "out.csv", "--default", "redact", *more, data=b"a,b\n1,2\n")
        assert done.returncode == 1
        assert sentence in done.stderr


def stream_of(megabytes: int) -> bytes:
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, TABLE.schema) as writer:
        size = 0
        while size < megabytes << 20:
            writer.write_table(TABLE)
            size += TABLE.nbytes
    return stream.getvalue().to_pybytes()


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda n: n.name
)
def test_stopped_in_the_middle_it_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    before = sorted(os.listdir(folder))
    with subprocess.Popen(
        [*COMMAND, "-", "out.parquet", "--policy", "policy.toml", "--report", "report.json"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Who runs the tests behind nohup or & has some of them ignored, and his children too.
        preexec_fn=None
        if number == signal.SIGKILL
        else lambda: signal.signal(number, signal.SIG_DFL),
    ) as process:
        assert process.stdin is not None
        # A pipe holds far less: when all of it is written, the command is at work.
        process.stdin.write(stream_of(8)[:-8])
        process.stdin.flush()
        process.send_signal(number)
        assert process.stderr is not None
        said = process.stderr.read()
    if number != signal.SIGKILL:
        assert (process.returncode, said) == (1, b"stopped; no file was written\n")
    assert sorted(os.listdir(folder)) == before


def test_a_format_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(typer.BadParameter, match=", ".join(files.FORMATS)):
        mask_command._format("xml")
    assert [mask_command._format(one) for one in files.FORMATS] == [*files.FORMATS]
    assert mask_command._format(None) is None


def test_a_full_disk_leaves_nothing(folder: Path) -> None:
    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    before = sorted(os.listdir(folder))
    done = subprocess.run(
        [*COMMAND, "-", "out.arrows", "--policy", "policy.toml"],
        cwd=folder,
        input=stream_of(4),
        capture_output=True,
        check=False,
        preexec_fn=little_room,
    )
    assert (done.returncode, done.stderr) == (1, b"File too large; no file was written\n")
    assert sorted(os.listdir(folder)) == before


def test_a_reader_that_goes_away(folder: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "-", "-", "--format", "arrows", "--policy", "policy.toml"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdout.close()
        try:
            process.stdin.write(stream_of(4))
            process.stdin.close()
        except BrokenPipeError:
            process.stdin.raw.close()  # type: ignore[attr-defined]
        said = process.stderr.read()
    assert (process.returncode, said) == (1, b"whoever reads the output has gone\n")


def test_the_bar_is_drawn_on_a_terminal_alone(folder: Path) -> None:
    ours, theirs = pty.openpty()
    words = ["in.parquet", "out.csv", "--policy", "policy.toml"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        [*COMMAND, *words], cwd=folder, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        drawn = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            drawn += piece
    os.close(ours)
    assert process.returncode == 0
    assert b"masking" in drawn
    assert b"1,000 rows" in drawn
    assert b"masking" not in run(folder, *words, "--force").stderr
