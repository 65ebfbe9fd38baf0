"""An evidence bundle by the auditor's script and by the kernel, beside SHA-256 of its bytes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from gateway import _kernel
from gateway.auditor import verify
from gateway.sessionlog import SessionLog

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "tampering"))

from bundles import export, intent, opened, release, result

#: Statements of the session: a decade apart, about 2.5 kB of records each.
SIZES = (100, 1_000, 10_000)
FLIGHT = 200  # statements written at once; the log keeps their order


async def _bundle(folder: Path, statements: int) -> tuple[bytes, dict[str, Any]]:
    log = SessionLog.open(folder, origin="log.example.org/bench", version="0")
    session = str(uuid.uuid4())
    about = opened()
    about["grant"]["max_rows"] = 5 * statements
    await log.open_session(session, about)
    for start in range(1, statements + 1, FLIGHT):
        waiting = []
        for number in range(start, min(start + FLIGHT, statements + 1)):
            waiting += [
                log.append(session, "intent", intent(number)),
                log.append(session, "result", result(number, 0, 5, 5)),
                log.append(session, "release", release(number, 5, b"rows")),
            ]
        await asyncio.gather(*waiting)
    await log.close_session(session, {"reason": "done", "statements": statements})
    bundle = export(log, await log.session_bytes(session))
    trust = log.trust_file()
    await log.aclose()
    return bundle, trust


@pytest.fixture(scope="module", params=SIZES)
def bundle(request: Any, tmp_path_factory: Any) -> tuple[int, Path, Path]:
    """Statements, the bundle's file, the trust file."""
    folder = tmp_path_factory.mktemp("chain")
    made, trust = asyncio.run(_bundle(folder / "log", request.param))
    (folder / "bundle.zip").write_bytes(made)
    (folder / "trust.json").write_text(json.dumps(trust))
    return request.param, folder / "bundle.zip", folder / "trust.json"


def test_chain_verified(bundle: tuple[int, Path, Path], timed: Any) -> None:
    statements, file, trust = bundle

    def run() -> int:
        with contextlib.redirect_stdout(io.StringIO()):
            return verify.main([str(file), "--trust", str(trust)])

    verdict = timed(
        "chain", "maskgate, verify.py with its wheels", run, amount=file.stat().st_size, unit="B",
        size=statements, rounds=3, note="statements, all of the procedure",
    )  # fmt: skip
    assert verdict == verify.VERIFIED


def test_chain_verified_fast(bundle: tuple[int, Path, Path], timed: Any) -> None:
    """The same steps by `maskgate verify --fast`, beside the same SHA-256."""
    statements, file, trust = bundle
    verdict, sentence = timed(
        "chain", "maskgate, verify --fast",
        lambda: _kernel.verify_bundle(file, trust, listing=False, say=lambda line: None),
        amount=file.stat().st_size, unit="B", size=statements,
        note="statements, all of the procedure",
    )  # fmt: skip
    assert verdict == verify.VERIFIED, sentence


def test_chain_links(bundle: tuple[int, Path, Path], timed: Any) -> None:
    """The hash chain alone, record by record, without reading what the records say."""
    statements, file, _ = bundle
    session = verify.read_container(memoryview(file.read_bytes()))["session.jsonl"]
    engine = verify.Engine()

    def run() -> int:
        head, index = bytes(32), -1
        for index, raw in enumerate(verify.lines(session)):
            head = verify.link(engine, head, index, raw)
        return index + 1

    records = timed(
        "chain", "maskgate, the chain alone", run, amount=len(session), unit="B", size=statements
    )
    assert records == 3 * statements + 2


def test_chain_sha256(bundle: tuple[int, Path, Path], timed: Any) -> None:
    statements, file, _ = bundle
    data = file.read_bytes()
    timed(
        "chain", "sha256 of the same bytes", lambda: hashlib.sha256(data).digest(),
        amount=len(data), unit="B", size=statements,
    )  # fmt: skip
