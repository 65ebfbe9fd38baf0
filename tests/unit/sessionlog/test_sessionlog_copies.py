"""Copies under an Object Lock: whole, resumed, refused without the lock, and a way back."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from earlier import without_epochs
from typer.testing import CliRunner

from gateway import cli, config, log_wiring
from gateway.errors import ConfigurationError
from gateway.sessionlog import SessionLog, copies, survey
from gateway.sessionlog.copies import Copies
from gateway.sessionlog.errand import FailedError
from gateway.sessionlog.note import LogKey
from gateway.sessionlog.objects import Bucket, Place, RefusedError
from gateway.sessionlog.tiles import tile_path
from locked_store import KEYS, Store, storing

ORIGIN = "log.example.org/copied"
PREFIX = "clinic/"
CONFIG = """
[server]
listen = "127.0.0.1:0"
[state]
log = "log"
origin = "{origin}"
[log.copies]
endpoint = "{url}"
bucket = "{bucket}"
prefix = "clinic/"
access_key = "env:COPY_ACCESS"
secret_key = "file:secret"
[[issuers]]
issuer = "https://login.example.org"
[connections.clinic]
dsn = "env:NO_SUCH_DSN"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Store]:
    with storing() as store:
        store.client.create_bucket(Bucket="plain")
        yield store


@pytest.fixture
def bucket(server: Store) -> str:
    server.mode = "ok"
    name = f"b-{uuid.uuid4()}"
    server.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def place(server: Store, bucket: str) -> Place:
    return Place(bucket, "us-east-1", server.url, PREFIX, "COMPLIANCE", 2196, *KEYS)


class Kept(dict[str, bytes]):
    """A store in memory that fails at one put: before it is there, or behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.puts = 0
        self.fails: int | None = None
        self.lost = False

    def claim(self, name: str, mark: bytes) -> bytes:
        return self.setdefault(name, mark)

    def put(self, name: str, source: bytes | Path) -> None:
        self.puts += 1
        data = source if isinstance(source, bytes) else source.read_bytes()
        failing = self.puts == self.fails
        if not failing or self.lost:
            assert name.startswith("pending/") or self.get(name, data) == data, name
            self[name] = data
        if failing:
            raise FailedError("the store was not reached")

    def again(self) -> Kept:
        """As it is now, with nothing counted."""
        made = Kept()
        made.update(self)
        return made

    def lay(self, folder: Path) -> None:
        for name, data in self.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


async def opened(directory: Path) -> SessionLog:
    return await asyncio.to_thread(lambda: SessionLog.open(directory, origin=ORIGIN, version="0"))


async def talk(log: SessionLog, count: int) -> list[str]:
    sids = [str(uuid.uuid4()) for _ in range(count)]
    await asyncio.gather(*(log.open_session(sid, {}) for sid in sids))
    await asyncio.gather(*(log.append(sid, "export", {"n": 1}) for sid in sids))
    done = {"reason": "done", "statements": 0}
    await asyncio.gather(*(log.close_session(sid, done) for sid in sids))
    return sids


def trust(log: SessionLog, folder: Path) -> Path:
    path = folder / "trust.json"
    path.write_text(json.dumps(log.trust_file()))
    return path


def looked(folder: Path, trust: Path) -> survey.Survey:
    return survey.survey_copy(folder, survey.trusted(trust))


async def test_there_and_back(
    tmp_path: Path, server: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two batches, downloaded and verified without the log."""
    monkeypatch.setenv("COPY_ACCESS", KEYS[0])
    (tmp_path / "secret").write_text(KEYS[1])
    path = tmp_path / "maskgate.toml"
    path.write_text(CONFIG.format(origin=ORIGIN, url=server.url, bucket=bucket))
    found = log_wiring.bucket(path, config.load(path))
    assert found is not None
    log_wiring.refuse_unlocked(path, found)
    log = await opened(tmp_path / "log")
    work = Copies(tmp_path / "log", found, found.place.name, log.newest, log.vkey)
    sids = await talk(log, 6)
    await asyncio.to_thread(work.copy)
    sids += await talk(log, 2)
    newest = log.newest()
    await asyncio.to_thread(work.copy)
    assert newest is not None
    puts = server.puts
    await asyncio.to_thread(work.copy)
    assert server.puts == puts  # nothing is new
    trusted = trust(log, tmp_path)
    shown = await asyncio.to_thread(asked, "copies", "-c", str(path), "--json")
    await log.aclose()
    assert shown[0] == 0
    assert json.loads(shown[1])["copied"] == newest.size
    copy = tmp_path / "copy"
    await asyncio.to_thread(server.fetch, bucket, PREFIX, copy)
    shutil.rmtree(tmp_path / "log")
    words = ["verify", "--copy", str(copy), "--trust", str(trusted)]
    code, said = await asyncio.to_thread(asked, *words)
    assert code == 0, said
    assert {file.stem for file in (copy / "sessions").glob("*.jsonl")} == set(sids)
    assert looked(copy, trusted).files == 8
    # What is there cannot be taken back, as far as this store is one that holds to its word.
    some = await asyncio.to_thread(server.versions, bucket)
    for key, version in some[::7]:
        with pytest.raises(server.client.exceptions.ClientError, match="AccessDenied"):
            server.client.delete_object(
                Bucket=bucket, Key=key, VersionId=version, BypassGovernanceRetention=True
            )


def asked(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["ledger", *words])
    return result.exit_code, result.output


async def test_time_stamps_come_when_they_are_there(tmp_path: Path) -> None:
    """Each once, also one that an authority gave for a checkpoint that another had before."""
    directory, store = tmp_path / "log", Kept()
    log = await opened(directory)
    await talk(log, 1)
    work = Copies(directory, store, "x", log.newest, log.vkey)
    folder = directory / "timestamps"
    folder.mkdir()

    def stamped(size: int, authority: str) -> None:
        (folder / f"{size:016d}.checkpoint").write_bytes(b"note %d" % size)
        (folder / f"{size:016d}.{authority}.tsr").write_bytes(b"token %d" % size)

    (folder / "notes.txt").write_bytes(b"an operator's")
    for size, authority in ((3, "b" * 8), (3, "a" * 8), (7, "a" * 8), (7, "b" * 8)):
        stamped(size, authority)
        puts = store.puts
        await asyncio.to_thread(work.copy)
        await asyncio.to_thread(work.copy)
        assert {name for name in store if name.startswith("timestamps/")} == {
            f"timestamps/{path.name}" for path in folder.iterdir() if path.suffix != ".txt"
        }
        assert size == 3 or store.puts == puts + 2
    # Told from what is kept, another start puts none of them again.
    await asyncio.to_thread(Copies(directory, store, "x", log.newest, log.vkey).copy)
    assert store.puts == puts + 2
    await log.aclose()


async def test_two_logs_under_one_prefix(tmp_path: Path, server: Store, bucket: str) -> None:
    """Each would put its checkpoints over the other's; the second one copies nothing."""
    place_of_both = place(server, bucket)
    for name in ("one", "other"):
        log = await opened(tmp_path / name)
        await talk(log, 1)
        work = Copies(tmp_path / name, Bucket(place_of_both), "x", log.newest, log.vkey)
        if name == "one":
            await asyncio.to_thread(work.copy)
            puts = server.puts
        else:
            with pytest.raises(FailedError, match="prefix of its own"):
                await asyncio.to_thread(work.copy)
            assert server.puts == puts
        await log.aclose()


async def test_a_ledger_of_several_tiles(tmp_path: Path) -> None:
    """Batches end anywhere: each is whole by itself, and every tile is there under its name."""
    log = await opened(tmp_path / "log")
    store = Kept()
    work = Copies(tmp_path / "log", store, "x", log.newest, log.vkey)
    trusted = trust(log, tmp_path)
    for number, count in enumerate((40, 60, 170)):
        await talk(log, count)
        await asyncio.to_thread(work.copy)
        folder = tmp_path / f"copy-{number}"
        store.lay(folder)
        found = await asyncio.to_thread(looked, folder, trusted)
        assert (found.wrong, found.pending) == ([], 0)
    await log.aclose()
    assert found.size > 512
    assert f"ledger/tile/0/{tile_path(1)}" in store
    assert f"ledger/tile/1/{tile_path(0)}.p/2" in store
    assert f"ledger/tile/entries/{tile_path(2)}.p/{found.size % 256}" in store


async def test_a_copy_whose_checkpoint_names_another_log(tmp_path: Path) -> None:
    """Who holds the key can have it sign anything, another log's name too."""
    log = await opened(tmp_path / "log")
    await talk(log, 1)
    trusted = trust(log, tmp_path)
    await log.aclose()
    key = LogKey.load(tmp_path / "log" / "key", ORIGIN)
    text = b"log.example.org/another\n1\n" + base64.b64encode(bytes(32)) + b"\n"
    folder = tmp_path / "copy" / "checkpoints"
    folder.mkdir(parents=True)
    signed = key._signature(key._private.sign(text)).line
    (folder / f"{1:016d}").write_bytes(text + b"\n" + signed)
    with pytest.raises(ConfigurationError, match="names another log"):
        looked(folder.parent, trusted)


async def test_a_copy_without_epochs_where_the_trust_file_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds the long-term key alone cannot pass his ledger off as one from before epochs."""
    without_epochs(monkeypatch)
    log = await opened(tmp_path / "log")
    store = Kept()
    await talk(log, 3)
    await asyncio.to_thread(Copies(tmp_path / "log", store, "x", log.newest, log.vkey).copy)
    trusted = trust(log, tmp_path)
    newest = log.newest()
    await log.aclose()
    store.lay(tmp_path / "copy")
    assert newest is not None
    assert looked(tmp_path / "copy", trusted).wrong == []
    stated = json.loads(trusted.read_text())
    trusted.write_text(json.dumps(stated | {"epochs": newest.size}))
    (wrong,) = looked(tmp_path / "copy", trusted).wrong
    assert "no epoch is certified" in wrong
    trusted.write_text(json.dumps(stated | {"epochs": newest.size + 1}))
    assert looked(tmp_path / "copy", trusted).wrong == []
    trusted.write_text(json.dumps(stated | {"epochs": "1"}))
    with pytest.raises(ConfigurationError, match="not a trust file"):
        looked(tmp_path / "copy", trusted)


@pytest.mark.parametrize("lost", [False, True], ids=["not there", "lost answer"])
async def test_a_batch_that_is_cut_off_anywhere_goes_on(tmp_path: Path, lost: bool) -> None:
    """Each put of a second batch fails once and the process ends there; the next goes on. No
    checkpoint comes before what is under it."""
    directory = tmp_path / "log"
    log = await opened(directory)
    trusted = trust(log, tmp_path)
    await talk(log, 3)
    first = Kept()
    Copies(directory, first, "x", log.newest, log.vkey).copy()
    state = (directory / "copies" / "state.json").read_bytes()
    await talk(log, 2)
    whole = first.again()
    Copies(directory, whole, "x", log.newest, log.vkey).copy()
    assert whole.puts == 2 * 2 + 2 + 2  # files, tiles, then pending and the checkpoint
    for at in range(1, whole.puts + 1):
        (directory / "copies" / "state.json").write_bytes(state)
        store = first.again()
        store.fails, store.lost = at, lost
        with pytest.raises(FailedError):
            Copies(directory, store, "x", log.newest, log.vkey).copy()
        store.lay(tmp_path / f"{at}-cut")
        assert looked(tmp_path / f"{at}-cut", trusted).wrong == []
        Copies(directory, store, "x", log.newest, log.vkey).copy()
        assert dict(store) == dict(whole)
        store.lay(tmp_path / f"{at}-end")
        found = looked(tmp_path / f"{at}-end", trusted)
        assert (found.wrong, found.pending, found.files) == ([], 0, 5)
    await log.aclose()


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("503", "answered .* .503"),
        ("endless", "answer is too long"),
        ("lost answer", "not reached: ConnectionClosedError"),
        ("forgets the lock", "does not show .* as locked"),
        ("shorter lock", "does not show .* as locked for so long"),
    ],
)
async def test_what_a_store_does_wrong_is_no_copy(
    tmp_path: Path, server: Store, bucket: str, mode: str, said: str
) -> None:
    log = await opened(tmp_path / "log")
    await talk(log, 1)
    found = Bucket(place(server, bucket))
    work = Copies(tmp_path / "log", found, "x", log.newest, log.vkey)
    server.mode = mode
    with pytest.raises(FailedError, match=said):
        await asyncio.to_thread(work.copy)
    server.mode = "ok"
    there = [key for key, _ in await asyncio.to_thread(server.versions, bucket)]
    assert not [key for key in there if "/checkpoints/" in key]
    assert copies.state(tmp_path / "log") is None
    await asyncio.to_thread(work.copy)
    await asyncio.to_thread(server.fetch, bucket, PREFIX, tmp_path / "copy")
    assert looked(tmp_path / "copy", trust(log, tmp_path)).wrong == []
    await log.aclose()


@pytest.mark.parametrize(
    ("name", "said"),
    [("plain", "ObjectLockConfigurationNotFoundError"), ("no-such", "NoSuchBucket")],
)
def test_a_bucket_without_a_lock_is_refused(
    tmp_path: Path, server: Store, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    server.mode = "ok"
    monkeypatch.setenv("COPY_ACCESS", KEYS[0])
    (tmp_path / "secret").write_text(KEYS[1])
    path = tmp_path / "maskgate.toml"
    path.write_text(CONFIG.format(origin=ORIGIN, url=server.url, bucket=name))
    found = log_wiring.bucket(path, config.load(path))
    with pytest.raises(ConfigurationError, match=rf"maskgate\.toml:9: .*{said}"):
        log_wiring.refuse_unlocked(path, found)
    assert found is not None
    with pytest.raises(RefusedError):
        found.put("x", b"x")


def test_a_store_that_is_away_stops_no_start(
    tmp_path: Path, server: Store, caplog: pytest.LogCaptureFixture
) -> None:
    found = Bucket(replace(place(server, "away"), endpoint="http://127.0.0.1:9"))
    with caplog.at_level(logging.DEBUG):
        said = log_wiring.refuse_unlocked(tmp_path / "x", found)
    assert "not reached: EndpointConnectionError" in said
    assert KEYS[1] not in said + caplog.text + repr(found.place)
    with pytest.raises(FailedError, match="not reached"):
        found.put("x", b"x")


async def test_an_ended_session_without_a_file_is_pending_and_then_there(tmp_path: Path) -> None:
    """The gateway's own: its file is cut at the next start."""
    directory, store = tmp_path / "log", Kept()
    log = await opened(directory)
    trusted = trust(log, tmp_path)
    (sid,) = await talk(log, 1)
    own = log._gateway.sid
    await log.aclose()
    Copies(directory, store, "x", log.newest, log.vkey).copy()
    store.lay(tmp_path / "one")
    found = looked(tmp_path / "one", trusted)
    assert (found.wrong, found.pending, found.files) == ([], 1, 1)
    log = await opened(directory)
    Copies(directory, store, "x", log.newest, log.vkey).copy()
    await log.aclose()
    assert f"sessions/{own}.jsonl" in store and f"sessions/{sid}.jsonl" in store
    store.lay(tmp_path / "two")
    found = looked(tmp_path / "two", trusted)
    assert (found.wrong, found.pending, found.files) == ([], 0, 2)


async def test_a_changed_copy_is_found_out(tmp_path: Path) -> None:
    directory, store = tmp_path / "log", Kept()
    log = await opened(directory)
    (sid, *_) = await talk(log, 3)
    Copies(directory, store, "x", log.newest, log.vkey).copy()
    trusted = trust(log, tmp_path)
    await log.aclose()
    names = [name for name in store if not name.endswith(".json") and "pending" not in name]
    assert len(names) == 7
    for number, name in enumerate(names):
        for change in ("gone", "bit"):
            folder = tmp_path / f"{number}-{change}"
            store.lay(folder)
            data = bytearray(store[name])
            data[len(data) // 2] ^= 1
            (folder / name).write_bytes(data)
            if change == "gone":
                (folder / name).unlink()
            try:
                wrong = looked(folder, trusted).wrong
            except ConfigurationError:
                continue
            # The first versions wrote no `log`.
            assert wrong or (name, change) == ("log", "gone"), name
    # The long-term key alone, where an epoch must have signed too.
    store.lay(tmp_path / "alone")
    (newest,) = (tmp_path / "alone" / "checkpoints").iterdir()
    lines = newest.read_text().splitlines(keepends=True)
    newest.write_text("".join(lines[:-1]))
    assert ["has not signed" in said for said in looked(tmp_path / "alone", trusted).wrong] == [
        True
    ]
    # Another log's key: nothing of it counts.
    other = await opened(tmp_path / "other")
    store.lay(tmp_path / "copy")
    await other.aclose()
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(ConfigurationError, match="no known key"):
        looked(tmp_path / "copy", trust(other, tmp_path / "elsewhere"))
    # To call a session pending that was copied does not hide it: what is there is looked at.
    (tmp_path / "copy" / "sessions" / f"{sid}.jsonl").write_bytes(b"forged")
    (pending,) = (tmp_path / "copy" / "pending").iterdir()
    pending.write_text(json.dumps([sid]))
    assert looked(tmp_path / "copy", trusted).wrong != []


async def test_a_log_that_was_put_back_is_not_copied_over_the_newer_one(tmp_path: Path) -> None:
    directory, store = tmp_path / "log", Kept()
    log = await opened(directory)
    await talk(log, 1)
    await log.aclose()
    shutil.copytree(directory, tmp_path / "old")
    log = await opened(directory)
    await talk(log, 2)
    Copies(directory, store, "x", log.newest, log.vkey).copy()
    await log.aclose()
    shutil.copytree(directory / "copies", tmp_path / "old" / "copies")
    log = await opened(tmp_path / "old")
    for _ in range(3):
        with pytest.raises(FailedError, match="does not continue"):
            Copies(tmp_path / "old", store, "x", log.newest, log.vkey).copy()
        await talk(log, 2)
    await log.aclose()


async def test_another_place_or_a_lost_state_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "log"
    log = await opened(directory)
    await talk(log, 2)
    stores = [Kept() for _ in range(3)]
    Copies(directory, stores[0], "one", log.newest, log.vkey).copy()
    Copies(directory, stores[1], "two", log.newest, log.vkey).copy()
    for damage in (b"", b"{}", b"[1]", b'{"size":-1}'):
        (directory / "copies" / "state.json").write_bytes(damage)
        stores[2] = Kept()
        Copies(directory, stores[2], "two", log.newest, log.vkey).copy()
        assert "everything is copied once more" in caplog.text
    assert dict(stores[0]) == dict(stores[1]) == dict(stores[2])
    await log.aclose()
