"""Time stamps: kept only when they verify, and what an auditor makes of them without us."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from bundles import ORIGIN, VERIFIER, closed_session, export
from typer.testing import CliRunner

from authority import Authority, answering, needs_openssl
from gateway import cli, config, log_wiring
from gateway.errors import ConfigurationError
from gateway.sessionlog import SessionLog, survey, timestamps
from gateway.sessionlog.errand import Errand, FailedError
from gateway.sessionlog.note import LogKey
from gateway.sessionlog.timestamps import Stamper

pytestmark = needs_openssl

CONFIG = """
[server]
listen = "127.0.0.1:0"
[state]
log = "log"
origin = "{origin}"
[[log.timestamps]]
url = "{url}"
roots = "authority/ours.roots.pem"
[[issuers]]
issuer = "https://login.example.org"
[connections.clinic]
dsn = "env:NO_SUCH_DSN"
"""


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    with answering(tmp_path / "authority") as one:
        (tmp_path / "maskgate.toml").write_text(CONFIG.format(origin=ORIGIN, url=one.url))
        yield one


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SessionLog]:
    log = SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    try:
        yield log
    finally:
        await log.aclose()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come; the bound only ends a test that has failed."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a thread tells of no event
            await asyncio.sleep(0.01)


def directory(authority: Authority) -> Path:
    """Of the log beside it."""
    return authority.home.parent / "log"


def stamper(authority: Authority, log: SessionLog) -> Stamper:
    known = timestamps.Authority.parse(authority.url, authority.roots)
    return Stamper(directory(authority), known, log.newest)


def kept(authority: Authority) -> tuple[list[int], list[str]]:
    trusted = timestamps.roots(authority.roots)
    place = directory(authority)
    good, bad = timestamps.kept(place, ORIGIN, survey.verifier(place, ORIGIN), trusted)
    return [one.size for one in good], [one.why for one in bad]


def listed(home: Path, *words: str) -> tuple[int, str]:
    command = ["ledger", "timestamps", "-c", str(home / "maskgate.toml"), *words]
    result = CliRunner().invoke(cli.app, command)
    return result.exit_code, result.output


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, shell=True, cwd=folder, capture_output=True, text=True, check=False
    )


async def test_an_auditor_needs_nothing_of_ours(
    tmp_path: Path, authority: Authority, log: SessionLog
) -> None:
    """The commands of the README, as they stand there."""
    early = stamper(authority, log)
    await asyncio.to_thread(early.stamp)
    sid = await closed_session(log)
    code, said = await asyncio.to_thread(listed, tmp_path, "--session", sid)
    assert (code, "no time stamp covers" in said) == (1, True)
    await asyncio.to_thread(early.stamp)
    covered = log.newest()
    await closed_session(log)
    await asyncio.to_thread(early.stamp)
    asked = len(authority.requests)
    await asyncio.to_thread(early.stamp)
    assert len(authority.requests) == asked == 3  # nothing is asked for what has one
    folder = tmp_path / "out"
    words = ["--session", sid, "--export", str(folder), "--json"]
    code, said = await asyncio.to_thread(listed, tmp_path, *words)
    (first,) = json.loads(said)["timestamps"]
    assert covered is not None
    assert (code, first["size"], first["root"]) == (0, covered.size, covered.root.hex())

    (folder,) = folder.iterdir()
    readme = (folder / "README.txt").read_text()
    shutil.copy(authority.roots, folder / "ROOTS.pem")
    (folder / "verify.py").write_bytes(VERIFIER)
    (folder / "trust.json").write_text(json.dumps(log.trust_file()))
    commands = re.findall(r"^     (\S.*)$", readme, re.M)
    assert len(commands) == 5
    for command in commands:
        if command.startswith("maskgate"):
            since = int(re.findall(r"--since (\d+) ", command)[0])
            assert since == covered.size
            files = await log.session_bytes(sid, since)
            (folder / "session.zip").write_bytes(export(log, files))
            continue
        command = command.replace("python3", shlex.quote(sys.executable))
        done = await asyncio.to_thread(run, command, folder)
        assert done.returncode == 0, (command, done.stderr, done.stdout)
        if "ts -verify" in command:
            assert "Verification: OK" in done.stdout
        if "ts -reply" in command:
            assert "Time stamp:" in done.stdout


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("another imprint", "Mismatch between messages"),
        ("an old nonce", "nonce is not the one"),
        ("an answer of before", "nonce is not the one"),
        ("another authority", "does not verify"),
        ("another certificate of one number", "one signer with one certificate"),
        ("refused", "did not grant it"),
        ("noise", "is no time stamp"),
        ("too long", "too long"),
        ("unfolds", "is no time stamp"),
        ("500", "answered 500"),
        ("307", "answered 307"),
    ],
)
async def test_an_answer_that_does_not_verify_is_not_kept(
    authority: Authority, log: SessionLog, mode: str, said: str
) -> None:
    one = stamper(authority, log)
    await asyncio.to_thread(one.stamp)
    first = kept(authority)
    if mode != "an old nonce":
        await closed_session(log)
    one._last = 0
    authority.mode = mode
    with pytest.raises(FailedError, match=said):
        await asyncio.to_thread(one.stamp)
    assert kept(authority) == first
    authority.mode = "well"
    await asyncio.to_thread(one.stamp)
    newest = log.newest()
    assert newest is not None
    sizes, bad = kept(authority)
    assert (sizes[-1], bad) == (newest.size, [])


async def test_an_authority_holds_nobody_longer_than_that(
    authority: Authority, log: SessionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line of its answer comes in time, and the answer never does."""
    monkeypatch.setattr(timestamps, "ANSWER_SECONDS", 0.3)
    authority.mode = "line by line"
    with pytest.raises(FailedError, match="takes too long"):
        await asyncio.to_thread(stamper(authority, log).stamp)


async def test_certificates_in_any_order(authority: Authority, log: SessionLog) -> None:
    """An authority sends its chain along as CMS allows; the answer is kept as it came."""
    authority.mode = "certificates in any order"
    await asyncio.to_thread(stamper(authority, log).stamp)
    sizes, bad = kept(authority)
    assert (len(sizes), bad) == (1, [])
    (token,) = (directory(authority) / "timestamps").glob("*.tsr")
    assert token.read_bytes() == authority.before
    assert timestamps._ordered(authority.before) != authority.before


async def test_what_somebody_put_there_counts_for_nothing(
    tmp_path: Path, authority: Authority, log: SessionLog
) -> None:
    one = stamper(authority, log)
    await asyncio.to_thread(one.stamp)
    sid = await closed_session(log)
    await asyncio.to_thread(one.stamp)
    folder = tmp_path / "log" / "timestamps"
    early, late = sorted(folder.glob("*.tsr"))
    good = {path: path.read_bytes() for path in folder.iterdir()}
    # An earlier authority's token over the wrong checkpoint; one by another root; a changed byte.
    for forged in (good[early], good[late][:-5] + b"00000", b"", good[late] + b"0"):
        late.write_bytes(forged)
        assert (await asyncio.to_thread(kept, authority))[1] != []
        code, said = await asyncio.to_thread(listed, tmp_path, "--session", sid)
        assert (code, "no time stamp covers" in said) == (1, True)
    authority.mode = "another authority"
    query = authority.requests[1]
    late.write_bytes(await asyncio.to_thread(authority.reply, query))
    assert kept(authority)[0] == [int(early.name[:16])]
    late.write_bytes(good[late])
    assert (await asyncio.to_thread(listed, tmp_path, "--session", sid))[0] == 0
    # A checkpoint of another history: signed by the key, stamped, and not of this ledger.
    checkpoint = late.with_name(f"{late.name[:16]}.checkpoint")
    newest = log.newest()
    assert newest is not None
    other = LogKey.load(folder.parent / "key", ORIGIN).sign_checkpoint(newest.size, bytes(32)).note
    checkpoint.write_bytes(other)
    authority.mode = "well"
    request = timestamps.tsp.TimestampRequestBuilder().data(other)
    built = request.hash_algorithm(timestamps.tsp.HashAlgorithm.SHA256).build()
    late.write_bytes(await asyncio.to_thread(authority.reply, built.as_bytes()))
    assert (await asyncio.to_thread(kept, authority))[1] == []
    code, said = await asyncio.to_thread(listed, tmp_path)
    assert (code, "does not continue its checkpoint" in said) == (1, True)


async def test_the_errand_tries_again_and_stamps_the_last_checkpoint(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.sessionlog.errand.FIRST_WAIT", 0.02)
    log = SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    authority.mode = "500"
    errand = Errand("timestamps", stamper(authority, log).stamp, 3600)
    errand.start()
    await until(lambda: "answered 500" in errand.trouble)
    authority.mode = "well"
    await until(lambda: not errand.trouble)
    await closed_session(log)
    await log.aclose()
    await asyncio.to_thread(errand.stop)
    newest = log.newest()
    assert newest is not None
    assert kept(authority)[0][-1] == newest.size


def test_roots_that_are_none_are_named_with_their_line(
    tmp_path: Path, authority: Authority
) -> None:
    path = tmp_path / "maskgate.toml"
    assert len(log_wiring.authorities(path, config.load(path))) == 1
    authority.roots.write_text("no PEM")
    with pytest.raises(ConfigurationError, match=r"maskgate\.toml:9: .*not a file of certificates"):
        log_wiring.authorities(path, config.load(path))
