"""A gateway whose log is stamped and copied: no statement waits, and both catch up at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner
from world import World, wait_until

from authority import Authority, answering, needs_openssl
from gateway import cli
from locked_store import KEYS, Store, storing

pytestmark = needs_openssl

SECTION = """
[log]
timestamp_every = "1d"
[[log.timestamps]]
url = "{tsa}"
roots = "authority/ours.roots.pem"
[log.copies]
endpoint = "{store}"
bucket = "{bucket}"
access_key = "env:COPY_ACCESS"
secret_key = "env:COPY_SECRET"
every = "1d"
[masking]
"""

CAUGHT_UP = 90.0  # seconds: what fails is tried again after pauses that double


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Authority, Store]]:
    monkeypatch.setenv("COPY_ACCESS", KEYS[0])
    monkeypatch.setenv("COPY_SECRET", KEYS[1])
    with answering(tmp_path / "authority") as authority, storing() as store:
        store.client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
        store.client.create_bucket(Bucket="open")
        yield authority, store


def configured(world: World, authority: Authority, store: Store, bucket: str) -> None:
    section = SECTION.format(tsa=authority.url, store=store.url, bucket=bucket)
    world.write_config()
    world.config.write_text(world.config.read_text().replace("[masking]\n", section))


def behind(world: World) -> str:
    answer = world.call(None, "GET", "/readyz")
    assert answer.status_code == 200, answer.text
    return json.dumps(answer.json().get("behind", []))


def ledger(*words: str) -> str:
    done = CliRunner().invoke(cli.app, ["ledger", *words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_from_a_failing_start_to_the_last_checkpoint(
    fragile: World, sides: tuple[Authority, Store], tmp_path: Path
) -> None:
    authority, store = sides
    world = fragile
    world.grant()
    world.gateway.end()
    configured(world, authority, store, "open")
    with pytest.raises(RuntimeError, match="ObjectLockConfigurationNotFoundError"):
        world.start()

    configured(world, authority, store, "locked")
    authority.mode, store.mode = "another authority", "503"
    world.start()
    wait_until(lambda: "timestamps" in behind(world) and "copies" in behind(world), CAUGHT_UP)
    assert "does not verify" in behind(world)
    assert "answered" in behind(world)
    session = world.session()
    assert len(world.rows(session, "select id, full_name from patient order by id limit 3")) == 3
    world.close(session)

    authority.mode = store.mode = "ok"
    wait_until(lambda: json.loads(behind(world)) == [], CAUGHT_UP)
    world.gateway.end()
    newest = (world.home / "log" / "ledger" / "checkpoint").read_text()
    size = int(newest.split("\n")[1])
    place = ["-c", str(world.config)]
    stamped = json.loads(ledger("timestamps", "--session", session, "--json", *place))
    assert len(stamped["timestamps"]) == 1
    stamped = json.loads(ledger("timestamps", "--json", *place))
    assert stamped["timestamps"][-1]["size"] == size
    assert json.loads(ledger("copies", "--json", *place))["copied"] == size
    store.fetch("locked", "", tmp_path / "copy")
    trust = ["--trust", str(world.trust)]
    found = json.loads(ledger("verify", "--copy", str(tmp_path / "copy"), *trust, "--json"))
    assert (found["size"], found["pending"], found["wrong"]) == (size, 1, [])
    assert (tmp_path / "copy" / "sessions" / f"{session}.jsonl").exists()
    said = (world.home / "gateway.err").read_text()
    assert not any(key in said for key in KEYS)
    assert "Planted" not in said
