"""`maskgate verify --fast` on the command line: the same arguments, lines and exit codes."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from agreement import SIGNER
from bundles import Case
from forger import Forger, Signer
from repack import members, pack
from test_tampering_agreement import forged, seed_of, with_params
from typer.testing import CliRunner

from gateway import _kernel
from gateway.auditor import verify
from gateway.cli import app
from gateway.evidence import fast

RUNNER = CliRunner()


@pytest.fixture
def bundle(case: Case, tmp_path: Path) -> Path:
    path = tmp_path / "bundle.zip"
    path.write_bytes(case.small)
    return path


def run(*arguments: object) -> tuple[int, str]:
    done = RUNNER.invoke(app, ["verify", *map(str, arguments)])
    return done.exit_code, done.output


def test_the_four_verdicts(case: Case, bundle: Path) -> None:
    code, text = run(bundle, "--trust", case.trust, "--fast")
    assert (code, text.splitlines()[-1]) == (0, "verdict 0: verified and anchored")
    assert [line[:3] for line in text.splitlines()[:-1]] == [f"{n:2d}." for n in range(11)]
    assert "the verifier in Rust" in text
    assert run("--fast", bundle)[0] == 2
    bundle.write_bytes(case.small.replace(b"mrn = '1'", b"mrn = '2'", 1))
    code, text = run("--fast", bundle, f"--trust={case.trust}")
    assert (code, "verdict 1: tampered: " in text) == (1, True)
    assert run("--fast", bundle.parent / "none.zip")[0] == 3


def test_its_lines_are_those_of_the_script(case: Case, bundle: Path) -> None:
    """But for the tools, and what each knows of the copy of verify.py in the bundle."""
    told = [run(bundle, "--trust", case.trust, "--list", *more)[1] for more in ([], ["--fast"])]
    script, kernel = (text.splitlines() for text in told)
    assert (script[1:10], script[11:]) == (kernel[1:10], kernel[11:])


def test_the_changed_record_is_named(case: Case, bundle: Path) -> None:
    parts = members(case.small)
    records = parts["session.jsonl"].replace(b"mrn = '1'", b"mrn = '2'", 1)
    bundle.write_bytes(pack({**parts, "session.jsonl": records}))
    code, text = run("--fast", bundle, "--trust", case.trust)
    assert (code, "record 5 (or the link of record 6), hash: expected" in text) == (1, True), text


@pytest.mark.parametrize(
    "arguments",
    [["--fast"], ["--fast", "--no-such-option"], ["--fast", "--pure", "x"], ["--fast", "a", "b"],
     ["--fast", "."], ["--fast", "/dev/null"], ["--fast", "x", "--trust"], ["--fast", "x\0y"]],
)  # fmt: skip
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert fast.main(arguments) == 3
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "trust",
    [b"", b"{", b"[]", b"[" * 60000, b" " * (1 << 17), b"\xff\xfe", b'{"type":"trust","v":1.0}',
     b'{"type":"trust","v":1,"origin":"o","keys":[]}',
     b'{"type":"trust","v":1,"origin":"o","keys":{}}',
     b'{"type":"trust","v":1,"origin":"o","keys":["a+b+c"]}'],
    ids=range(10),
)  # fmt: skip
def test_wrong_trust_files(bundle: Path, trust: bytes) -> None:
    path = bundle.with_name("trust.json")
    path.write_bytes(trust)
    script = run(bundle, "--trust", path)[0]
    assert (script, run(bundle, "--trust", path, "--fast")[0]) == (3, 3)


def test_a_trust_file_may_be_laid_out_and_hold_no_more(bundle: Path, case: Case) -> None:
    path = bundle.with_name("trust.json")
    stated = json.loads(case.trust.read_text())
    stated["keys"] = [Signer().vkey, *stated["keys"]]
    laid_out = json.dumps(stated, indent=2).encode()
    longest = laid_out.ljust(1 << 16)
    surrogate = laid_out.replace(b"log.example", b"log\\ud800.example")
    more = json.dumps(stated | {"note": "by post"}).encode()
    for raw, verdict in (
        (laid_out, 0), (longest, 0), (longest + b" ", 3), (longest + b"{", 3), (surrogate, 3),
        (more, 3),
    ):  # fmt: skip
        path.write_bytes(raw)
        found = [run(bundle, "--trust", path, *with_)[0] for with_ in ([], ["--fast"])]
        assert found == [verdict, verdict]


def test_help_and_self(bundle: Path) -> None:
    for arguments in (["--help"], ["-h"], ["--fast", "--help"]):
        code, text = run(*arguments)
        assert (code, "--fast" in text, "--trust FILE" in text) == (0, True, True)
    code, text = run("--fast", "--self")
    assert (code, len(text.strip())) == (0, 64)
    assert text != run("--self")[1]


def test_who_stops_it_or_does_not_listen_gets_no_verdict(bundle: Path) -> None:
    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _kernel.verify_bundle(bundle, None, listing=False, say=stop)

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", Closed())
        assert fast.main(["--fast", str(bundle)]) == 3


def test_what_cannot_be_read_is_usage(bundle: Path) -> None:
    link = bundle.with_name("link.zip")
    link.symlink_to(bundle)
    pipe = bundle.with_name("pipe.zip")
    os.mkfifo(pipe)
    dangling = bundle.with_name("dangling.zip")
    dangling.symlink_to("nowhere")
    found = {
        path.name: (verify.main([str(path)]), fast.main([str(path)]))
        for path in (link, pipe, dangling)
    }
    assert found == {"link.zip": (2, 2), "pipe.zip": (3, 3), "dangling.zip": (3, 3)}


_MEMORY = """
import resource, sys
from gateway import _kernel
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
verdict, sentence = _kernel.verify_bundle(sys.argv[1], None, listing=True, say=lambda line: None)
print(verdict, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, sentence)
"""


def memory(path: Path) -> tuple[int, int, str]:
    """The verdict, and the KiB that it took above what was there before."""
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(path)], capture_output=True, text=True, check=True
    )
    verdict, kib, sentence = done.stdout.split(" ", 2)
    return int(verdict), int(kib), sentence


class Padded(Forger):
    """With a report of a hundred MiB."""

    def signed(self, members: dict[str, bytes], sid: str, records: int) -> bytes:
        return super().signed({**members, "report.html": bytes(100 << 20)}, sid, records)


def test_memory_does_not_grow_with_the_bundle(tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(Padded(random.Random(seed_of("close")), SIGNER, {}).bundle())
    verdict, kib, sentence = memory(path)
    assert verdict == 2, sentence
    assert kib < 30 << 10


@pytest.mark.parametrize("value", [0, "", []], ids=["numbers", "strings", "lists"])
def test_memory_for_a_record_of_small_values_is_bounded(tmp_path: Path, value: Any) -> None:
    """The worst for whoever keeps something for each value: a record that is one list of them."""
    many = [value] * ((15 << 20) // (len(json.dumps(value)) + 1))
    path = tmp_path / "bundle.zip"
    path.write_bytes(forged({"records": lambda records: with_params(records, many)}))
    assert path.stat().st_size > 14 << 20
    verdict, kib, sentence = memory(path)
    assert verdict == 2, sentence
    assert kib < 400 << 10


def test_a_record_of_more_levels_than_are_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    for levels, verdict in ((62, 2), (63, 1), (100_000, 1)):
        # Record and body are two levels; the text is put in where no value of Python's could be.
        nested = b"[" * levels + b"]" * levels
        path.write_bytes(forged({"records": lambda records: with_params(records, "HERE"),
                                 "raw": lambda raw, nested=nested: raw.replace(b'"HERE"', nested)},
                                every=True))  # fmt: skip
        assert both(path) == (verdict, verdict), levels


def both(path: Path) -> tuple[int, int]:
    return verify.main([str(path)]), fast.main([str(path)])


@pytest.mark.parametrize(("length", "verdict"), [(16 << 20, 2), ((16 << 20) + 1, 1), (20 << 20, 1)])
def test_a_record_has_sixteen_mebibytes_at_most(tmp_path: Path, length: int, verdict: int) -> None:
    def pad(raw: bytes) -> bytes:
        return raw[:1] + b" " * (length - len(raw)) + raw[1:]

    path = tmp_path / "bundle.zip"
    path.write_bytes(forged({"raw": pad}))
    assert both(path) == (verdict, verdict)


MAINS = ("gateway.auditor.verify", "gateway.evidence.fast")


@pytest.mark.parametrize("module", MAINS)
def test_a_closed_or_full_output_is_usage_and_no_verdict(bundle: Path, module: str) -> None:
    """As a process, for the interpreter's own end has a say in its exit code."""
    script = f"import sys; from {module} import main; sys.exit(main(sys.argv[1:]))"
    damaged = bundle.with_name("damaged.zip")
    damaged.write_bytes(bundle.read_bytes()[:-1])
    for path in (bundle, damaged):
        for redirection in (">&-", ">/dev/full"):
            command = f'exec "$0" -c "$1" "$2" {redirection}'
            argv = ["sh", "-c", command, sys.executable, script, str(path)]
            assert subprocess.run(argv, capture_output=True, check=False).returncode == 3
        # A reader that is gone before the first line.
        reader, writer = os.pipe()
        os.close(reader)
        argv = [sys.executable, "-c", script, str(path)]
        with os.fdopen(writer, "wb") as gone:
            done = subprocess.run(argv, stdout=gone, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 3
        assert b"verdict" not in done.stderr.replace(b"hear the verdict", b"")


@pytest.mark.parametrize("main", [verify.main, fast.main])
def test_whoever_stops_it_gets_no_verdict(bundle: Path, main: Any) -> None:
    class Stopped(io.StringIO):
        def write(self, text: str) -> int:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", Stopped())
        assert main([str(bundle)]) == 3
