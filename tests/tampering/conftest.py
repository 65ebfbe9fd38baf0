"""One log with one closed session, its bundle, and the judge every attack stands before."""

from __future__ import annotations

import contextlib
import io
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import bundles
import pytest
from bundles import STAND_IN, Case, Judge

from gateway import _kernel
from gateway.auditor import verify
from gateway.sessionlog import SessionLog


@pytest.fixture(scope="session")
async def case(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Case]:
    home = tmp_path_factory.mktemp("case")
    log = SessionLog.open(home / "log", origin=bundles.ORIGIN, version="0.1.0")
    for _ in range(3):
        await bundles.closed_session(log)
    sid = await bundles.closed_session(log)
    files = await log.session_bytes(sid)
    still_open = str(uuid.uuid4())
    await bundles.converse(log, still_open)
    open_files = await log.session_bytes(still_open)
    trust = home / "trust.json"
    trust.write_text(json.dumps(log.trust_file()))
    small = bundles.export(log, files, STAND_IN)
    yield Case(log, files, bundles.export(log, files), small, trust, open_files)
    await log.aclose()


@pytest.fixture
def judge(case: Case, tmp_path: Path) -> Judge:
    """The real command line, in process: (exit code, all it printed).

    Every attack stands before the second verifier too, which must say the same."""

    def run(data: bytes, *arguments: str, trust: Path | None = case.trust) -> tuple[int, str]:
        path = tmp_path / "bundle.zip"
        path.write_bytes(data)
        argv = [str(path), *arguments]
        if trust is not None:
            argv += ["--trust", str(trust)]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = verify.main(argv)
        text = said.getvalue()
        assert "Traceback" not in text
        if set(arguments) <= {"--list"}:
            lines: list[str] = []
            second, sentence = _kernel.verify_bundle(
                path, trust, listing="--list" in arguments, say=lines.append
            )
            assert second == code, f"verify.py: {text}\nthe kernel: {sentence}"
            listed = "\n".join(lines)
            assert all(c.isprintable() or c == "\n" for c in listed + sentence)
        return code, text

    return run
