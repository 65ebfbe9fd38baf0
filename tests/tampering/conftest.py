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
        remembered = None
        if "--remember" in arguments:
            remembered = Path(arguments[arguments.index("--remember") + 1])
        before = copied(remembered, tmp_path / "before")
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = verify.main(argv)
        text = said.getvalue()
        assert "Traceback" not in text
        flags = {argument for argument in arguments if argument.startswith("--")}
        if flags <= {"--list", "--remember", "--receipts"} and str(tmp_path) not in arguments:
            lines: list[str] = []
            receipts = "--receipts" in flags and arguments[arguments.index("--receipts") + 1]
            second, sentence = _kernel.verify_bundle(
                path, trust, listing="--list" in flags, say=lines.append,
                remember=before, receipts=receipts or None,
            )  # fmt: skip
            assert second == code, f"verify.py: {text}\nthe kernel: {sentence}"
            assert code in (1, 3) or sentence == text.splitlines()[-1]
            listed = "\n".join(lines)
            assert all(c.isprintable() or c == "\n" for c in listed + sentence)
            assert content(before) == content(remembered), "they remember otherwise"
        return code, text

    return run


def copied(file: Path | None, to: Path) -> Path | None:
    """A copy of what an auditor remembers, for the second verifier."""
    if file is None:
        return None
    to.unlink(missing_ok=True)
    if file.exists():
        to.write_bytes(file.read_bytes())
    return to


def content(file: Path | None) -> bytes | None:
    return file.read_bytes() if file is not None and file.exists() else None
