"""A gateway whose log's key is in a token of SoftHSM, from its making to a token that goes away."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from softhsm import PIN, SoftHsm

sys.path.insert(0, str(Path(__file__).parents[1] / "endpoints"))

import world as worlds

import commands
import servers

SQL = "select id, city, mrn from patient order by id limit 3"


class Kept(worlds.World):
    """A world whose gateway is told of the token before its first start."""

    hsm: SoftHsm

    def write_config(self, *arguments: str, **more: str) -> None:
        super().write_config(*arguments, **more)
        self.in_token(self.hsm.uri("clinic", "log"))

    def in_token(self, uri: str) -> None:
        parts = self.config.read_text().split("[masking]")
        before = parts[0].partition("[log]")[0]
        self.config.write_text(f'{before}[log]\nkey = "{uri}"\n[masking]{parts[1]}')

    def start(self) -> None:
        if not (self.home / "made").exists():
            code, out, said = commands.run("keygen", "log", "-c", str(self.config))
            assert code == 0, said
            (self.home / "made").write_text(out)
        super().start()


@pytest.fixture
def world(
    newest: servers.Server, tmp_path: Path, hsm: SoftHsm, request: pytest.FixtureRequest
) -> Iterator[Kept]:
    Kept.hsm = hsm
    name = f"hsm_{request.node.name[:40]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds, "World", Kept)
        with worlds.built(tmp_path, newest, name) as built:
            assert isinstance(built, Kept)
            yield built


def exported(world: Kept, session: str) -> Path:
    bundle = world.home / f"{session}.zip"
    bundle.write_bytes(world.evidence(session))
    return bundle


def test_recorded_exported_verified_and_gone_on_with(world: Kept) -> None:
    world.grant()
    first = world.session()
    assert len(world.rows(first, SQL)) == 3
    receipt = world.call(worlds.AGENT, "GET", f"/v1/sessions/{first}/statements/1").json()
    world.close(first)
    receipts = world.home / "receipts"
    receipts.mkdir()
    (receipts / "1.json").write_text(json.dumps(receipt))
    trust, kept = world.trust, world.home / "trust.json"
    shutil.copy(trust, kept)
    arguments = ("--trust", str(kept), "--receipts", str(receipts))
    judged = worlds.verify(exported(world, first), *arguments)
    assert judged.returncode == 0, judged.stdout
    # The key that was made is the one that auditors trust, and no file has it.
    assert json.loads(kept.read_text())["keys"][0] in (world.home / "made").read_text()
    assert not (world.home / "log" / "key").exists()

    world.restart()
    second = world.session()
    assert len(world.rows(second, SQL)) == 3
    world.close(second)
    for session in (first, second):
        assert worlds.verify(exported(world, session), *arguments[:2]).returncode == 0
    assert json.loads(trust.read_text())["keys"] == json.loads(kept.read_text())["keys"]

    for words in (("show",), ("verify",), ("checkpoint",), ("prove", "0"), ("timestamps",)):
        code, out, said = commands.run("ledger", *words, "-c", str(world.config))
        assert code == 0, (words, said)
        assert PIN not in out + said
    code, _, said = commands.run("check", "-c", str(world.config))
    assert code == 0, said
    world.gateway.end()
    code, out, said = commands.run(
        "ledger", "prune", "--days", "1", "--yes", "-c", str(world.config)
    )
    assert (code, "0 sessions ended" in out) == (0, True), said
    world.start()
    assert PIN not in (world.home / "gateway.err").read_text()
    assert PIN.encode() not in b"".join(
        path.read_bytes() for path in (world.home / "log").rglob("*") if path.is_file()
    )


def test_another_key_in_the_token_is_refused(world: Kept) -> None:
    world.grant()
    world.close(world.session())
    world.gateway.end()
    world.hsm.make("clinic", "other", id=b"\7")
    world.in_token(world.hsm.uri("clinic", "other"))
    with pytest.raises(RuntimeError, match=r"session log .*: no known key has signed"):
        world.start()
    code, _, said = commands.run("ledger", "verify", "-c", str(world.config))
    assert (code, "no known key has signed" in said) == (2, True)
    # Nor does the log begin a file of its own.
    world.config.write_text(world.config.read_text().replace("[log]\nkey =", "[log]\n# key ="))
    with pytest.raises(RuntimeError, match=r"key: missing beside a log; .* log\.key"):
        world.start()
    world.in_token(world.hsm.uri("clinic", "log"))
    world.start()
    world.close(world.session())


def test_a_token_that_goes_away_lets_nothing_out(world: Kept, tmp_path: Path) -> None:
    world.grant()
    session = world.session()
    assert world.query(session, SQL).status_code == 200
    before = (world.home / "log" / "ledger" / "checkpoint").read_bytes()
    world.hsm.lose(tmp_path / "pulled")
    # At the latest the next commit finds it out, a second after the last record.
    worlds.wait_until(lambda: world.query(session, SQL).status_code == 503)
    refused = world.query(session, SQL).json()
    assert refused["code"] == "log_unavailable", refused
    answer = world.call(None, "GET", "/readyz")
    assert answer.status_code == 503
    assert "does not sign" in answer.text and PIN not in answer.text
    assert world.call(worlds.AUDITOR, "GET", f"/v1/sessions/{session}/evidence").status_code == 503
    kept = (world.home / "log" / "ledger" / "checkpoint").read_bytes()
    assert int(kept.split(b"\n")[1]) - int(before.split(b"\n")[1]) < 10
    with pytest.raises(RuntimeError, match="no such token is there"):
        world.restart()

    world.hsm.restore(tmp_path / "pulled")
    world.start()
    code, _, said = commands.run("ledger", "verify", "-c", str(world.config))
    assert code == 0, said
    trust = ("--trust", str(world.trust))
    judged = worlds.verify(exported(world, session), *trust)
    assert judged.returncode == 2, judged.stdout
    assert "the gateway stopped before the session was closed" in judged.stdout
    after = world.session()
    assert len(world.rows(after, SQL)) == 3
    world.close(after)
    assert worlds.verify(exported(world, after), *trust).returncode == 0


def test_a_wrong_pin_starts_nothing(world: Kept) -> None:
    world.gateway.end()
    world.hsm.pin.write_text("another-pin")
    with pytest.raises(RuntimeError, match=r"maskgate\.toml:\d+: .*refuses the PIN") as told:
        world.start()
    assert "another-pin" not in str(told.value)
    world.hsm.pin.write_text(PIN)
    world.start()
