"""One log with one closed session, its bundle, and the judge every attack stands before."""

from __future__ import annotations

import contextlib
import io
import json
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import bundles
import pytest
from bundles import STAND_IN, Case, Judge

from gateway.auditor import verify
from gateway.evidence import fast
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
        script = judged_by(verify.main, argv, tmp_path / "script")
        if not {"--pure", "--self", "--no-such-option"}.isdisjoint(arguments):
            return script[:2]
        kernel = judged_by(fast.main, argv, tmp_path / "kernel")
        assert kernel[0] == script[0], f"verify.py: {script[1]}\nthe kernel: {kernel[1]}"
        if script[0] in (0, 2) and "--help" not in arguments:
            assert kernel[1].splitlines()[-1] == script[1].splitlines()[-1]
        assert all(c.isprintable() or c == "\n" for c in kernel[1])
        assert kernel[2] == script[2], "they remember otherwise"
        if "--remember" in arguments and script[2] is not None:
            Path(arguments[arguments.index("--remember") + 1]).write_bytes(script[2])
        return script[:2]

    return run


def judged_by(
    main: Callable[[list[str]], int], argv: list[str], memory: Path
) -> tuple[int, str, bytes | None]:
    """The exit code, what was printed, and the auditor's memory, of which `memory` is a copy."""
    argv = list(argv)
    if "--remember" in argv:
        at = argv.index("--remember") + 1
        kept, argv[at] = Path(argv[at]), str(memory)
        memory.unlink(missing_ok=True)
        if kept.exists():
            memory.write_bytes(kept.read_bytes())
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(argv)
    text = said.getvalue()
    assert "Traceback" not in text
    return code, text, memory.read_bytes() if memory.exists() else None
