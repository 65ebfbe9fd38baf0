"""From the durable log to a receiver that fails: every record at least once, in order."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigurationError
from gateway.sessionlog import SessionLog, chain, wal
from gateway.sessionlog.tail import Tail
from gateway.siem import FileSink, HttpSink, Shipper, Sink, shipper
from gateway.siem.sinks import RefusedError
from receiver import Receiver, receiving, until

ORIGIN = "log.example.org/siem"
OPEN = {
    "identity": "https://idp#a", "issuer": "https://idp", "subject": "a", "groups": ["g"],
    "client": "192.0.2.1", "connection": "clinic", "policy_hash": "00" * 32,
    "grant": {"id": "g-1"}, "purpose": "SECRETPURPOSE",
}  # fmt: skip


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipper, "POLL", 0.01)
    monkeypatch.setattr(shipper, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(shipper, "LONGEST_WAIT", 0.05)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


class Post:
    """A log, its tail, and a shipper to somewhere."""

    def __init__(self, directory: Path, sink: Sink) -> None:
        self.directory = directory
        self.tail = Tail(directory)
        self.tail.adopt()
        self.log = SessionLog.open(directory, origin=ORIGIN, version="0")
        self.shipper = Shipper(
            self.tail, sink, lambda: self.log.synced, lambda text, _: f"{len(text)}",
            connections={"clinic"}, origin=ORIGIN, version="0",
        )  # fmt: skip
        self.shipper.start()

    async def session(self, statements: int = 1) -> list[str]:
        """Gives the uids of the events it has."""
        sid = str(uuid.uuid4())
        await self.log.open_session(sid, OPEN)
        for number in range(1, statements + 1):
            body = {"statement_no": number, "statement": "select 'SECRET'", "code": "c"}
            await self.log.append(sid, "refused", body)
        await self.log.close_session(sid, {"reason": "done", "statements": statements})
        return [f"{sid}:{number}" for number in range(statements + 2)]

    def crash(self) -> None:
        """As if killed: nothing more is written, acknowledged or closed."""
        self.shipper.stop()
        self.log._commits.stop()
        self.log._journal.close()
        os.close(self.log._lock_fd)

    async def end(self) -> None:
        await self.log.aclose()
        await asyncio.to_thread(self.shipper.stop)


def http(receiver: Receiver) -> HttpSink:
    return HttpSink(receiver.url, "Bearer token-of-test", None)


async def arrived(receiver: Receiver, uids: list[str]) -> None:
    await asyncio.to_thread(until, lambda: set(uids) <= set(receiver.uids()))


async def failed_twice(post: Post) -> None:
    await asyncio.to_thread(until, lambda: post.shipper.standing.failures >= 2)


async def test_each_record_arrives_in_order_and_can_be_traced(
    tmp_path: Path, receiver: Receiver
) -> None:
    post = Post(tmp_path / "log", http(receiver))
    uids = await post.session(3)
    await arrived(receiver, uids)
    sid = uids[0].partition(":")[0]
    stored = (await post.log.session_bytes(sid)).records.splitlines()
    await post.end()
    events = [event for event in receiver.events if event["unmapped"]["session"] == sid]
    assert [event["metadata"]["uid"] for event in events] == uids
    head = bytes.fromhex(json.loads(stored[0])["prev"])
    for number, (raw, event) in enumerate(zip(stored, events, strict=True)):
        head = chain.link(head, number, raw)
        assert event["unmapped"]["record_hash"] == head.hex()
    assert len(events[0]["unmapped"]["leaf_hash"]) == 64
    assert receiver.headers["Content-Type"] == "application/x-ndjson"
    assert receiver.headers["Authorization"] == "Bearer token-of-test"
    assert "SECRET" not in json.dumps(receiver.events)


@pytest.mark.parametrize("mode", ["500", "404", "307", "429", "drop", "lost answer"])
async def test_a_failing_receiver_gets_all_once_it_recovers(
    tmp_path: Path, receiver: Receiver, mode: str
) -> None:
    receiver.mode = mode
    post = Post(tmp_path / "log", http(receiver))
    uids = await post.session(2)
    await asyncio.to_thread(until, lambda: receiver.requests >= 3)
    assert post.shipper.standing.failures >= 2
    assert post.shipper.standing.waiting_since is not None
    more = await post.session(2)  # the log goes on
    receiver.mode = "ok"
    await arrived(receiver, uids + more)
    await asyncio.to_thread(until, lambda: post.shipper.standing.waiting_since is None)
    await post.end()
    mine = [uid for uid in dict.fromkeys(receiver.uids()) if uid in uids + more]
    assert mine == uids + more


async def test_a_receiver_that_hangs_hinders_nobody(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.siem import sinks

    monkeypatch.setattr(sinks, "_ANSWER", 0.2)
    receiver.mode = "hang"
    post = Post(tmp_path / "log", http(receiver))
    uids = await post.session(1)
    await failed_twice(post)
    assert post.shipper.standing.error == "ReadTimeout"
    uids += await post.session(1)
    receiver.mode = "ok"
    await arrived(receiver, uids)
    await post.end()


async def test_a_receiver_that_is_away_and_comes_back(tmp_path: Path, receiver: Receiver) -> None:
    post = Post(tmp_path / "log", http(receiver))
    uids = await post.session(1)
    await arrived(receiver, uids)
    receiver.stop()
    uids += await post.session(2)
    await failed_twice(post)
    receiver.start()
    await arrived(receiver, uids)
    await post.end()


async def test_a_batch_that_is_too_large_is_cut(tmp_path: Path, receiver: Receiver) -> None:
    receiver.mode, receiver.largest = "500", 3
    post = Post(tmp_path / "log", http(receiver))
    uids = await post.session(40)
    receiver.mode = "ok"
    await arrived(receiver, uids)
    await post.end()


async def test_what_is_too_large_again_and_again_waits_no_longer_each_time(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Smaller batches arrive: nothing is wrong with the receiver, and nobody has to wait."""
    post = Post(tmp_path / "log", http(receiver))
    await arrived(receiver, await post.session(1))
    await asyncio.to_thread(post.shipper.stop)
    uids = await post.session(100)
    await post.log.aclose()
    monkeypatch.setattr(shipper, "FIRST_WAIT", 3600.0)
    receiver.largest = 3
    again = Post(tmp_path / "log", http(receiver))
    await arrived(receiver, uids)
    assert again.shipper.standing.failures < 50
    await again.end()


async def test_a_batch_that_ends_inside_a_frame_loses_nothing(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many records made durable by one sync, delivered a few at a time, with a crash between."""
    monkeypatch.setattr(shipper, "MOST_EVENTS", 7)
    receiver.mode = "500"
    post = Post(tmp_path / "log", http(receiver))
    sid = str(uuid.uuid4())
    await post.log.open_session(sid, OPEN)
    bodies = [{"statement_no": n, "statement": "x", "code": "c"} for n in range(1, 41)]
    await asyncio.gather(*[post.log.put(sid, "refused", body) for body in bodies])
    receiver.mode, receiver.fail_after = "ok", 2
    await asyncio.to_thread(until, lambda: receiver.mode == "500")
    post.crash()
    seen = len(receiver.events)
    assert 7 <= seen < 41
    receiver.mode = "ok"
    post = Post(tmp_path / "log", http(receiver))
    uids = [f"{sid}:{number}" for number in range(41)]
    await arrived(receiver, uids)
    await post.end()
    assert [uid for uid in receiver.uids() if uid in uids] == uids


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with receiving() as elsewhere:
        receiver.mode, receiver.location = "307", elsewhere.url
        sink = http(receiver)
        with pytest.raises(RefusedError) as refused:
            sink.send(b'{"metadata":{"uid":"s:0"}}\n')
        sink.close()
        assert refused.value.status == 307
        assert elsewhere.requests == 0


async def test_after_a_crash_it_goes_on_where_it_was(tmp_path: Path, receiver: Receiver) -> None:
    receiver.mode = "500"
    post = Post(tmp_path / "log", http(receiver))
    uids = await post.session(3)
    sid = str(uuid.uuid4())
    await post.log.open_session(sid, OPEN)  # stays open
    uids.append(f"{sid}:0")
    post.crash()
    assert receiver.events == []
    for _ in range(2):  # and once more without a delivery in between
        post = Post(tmp_path / "log", http(receiver))
        uids += await post.session(1)
        post.crash()
    receiver.mode = "ok"
    post = Post(tmp_path / "log", http(receiver))
    uids += await post.session(1)
    await arrived(receiver, uids)
    await post.end()
    assert len(list((tmp_path / "log" / "siem").glob("*.wal"))) <= 2
    # Nothing twice where every acknowledgement arrived.
    assert len(receiver.uids()) == len(set(receiver.uids()))


async def test_a_session_s_later_records_know_who_after_a_crash(
    tmp_path: Path, receiver: Receiver
) -> None:
    post = Post(tmp_path / "log", http(receiver))
    sid = str(uuid.uuid4())
    await post.log.open_session(sid, OPEN)
    await arrived(receiver, [f"{sid}:0"])
    receiver.mode = "500"
    await post.log.append(sid, "refused", {"statement_no": 1, "statement": "x", "code": "c"})
    post.crash()
    receiver.mode = "ok"
    post = Post(tmp_path / "log", http(receiver))
    await arrived(receiver, [f"{sid}:1"])
    await post.end()
    (event,) = [one for one in receiver.events if one["metadata"]["uid"] == f"{sid}:1"]
    assert event["actor"]["user"]["uid"] == OPEN["identity"]
    assert event["database"]["name"] == "clinic"


async def test_a_lost_acknowledgement_brings_a_duplicate_that_is_known_by_its_uid(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.mode = "lost answer"
    post = Post(tmp_path / "log", http(receiver))
    uids = await post.session(1)
    await asyncio.to_thread(until, lambda: receiver.uids().count(uids[0]) >= 2)
    receiver.mode = "ok"
    await post.end()
    twice = [event for event in receiver.events if event["metadata"]["uid"] == uids[0]]
    assert all(event == twice[0] for event in twice)


async def test_only_what_is_durable_is_told(tmp_path: Path, receiver: Receiver) -> None:
    """A record whose batch the log has not acknowledged may be gone after a crash."""
    post = Post(tmp_path / "log", http(receiver))
    await arrived(receiver, await post.session(1))
    await asyncio.to_thread(post.shipper.stop)
    durable = post.log.synced
    uids = await post.session(1)
    assert list(post.tail.records(lambda: durable)) == []
    given = list(post.tail.records(lambda: post.log.synced))
    assert [f"{one.sid}:{one.record['i']}" for one in given] == uids
    await post.log.aclose()


async def test_segments_turn_and_are_let_go(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal, "SEGMENT_LIMIT", 4096)
    post = Post(tmp_path / "log", http(receiver))
    uids: list[str] = []
    for _ in range(8):
        uids += await post.session(2)
    await arrived(receiver, uids)
    assert len(wal.segments(tmp_path / "log" / "wal")) > 3
    await asyncio.to_thread(
        until, lambda: len(list((tmp_path / "log" / "siem").glob("*.wal"))) <= 2
    )
    await post.end()


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b'{"segment":-1}', b'{"segment":1,"offset":"x"}', b"[" * 100_000,
     b'{"segment":1,"offset":99999999999999999999999,"line":0}',
     b'{"segment":99999999999999999999999,"offset":0,"line":0}'],
    ids=["empty", "cut", "negative", "a word", "deep", "beyond a file", "beyond the log"],
)  # fmt: skip
async def test_a_lost_place_begins_anew_rather_than_skip(
    tmp_path: Path, receiver: Receiver, damage: bytes
) -> None:
    post = Post(tmp_path / "log", http(receiver))
    uids = await post.session(1)
    await arrived(receiver, uids)
    post.crash()
    (tmp_path / "log" / "siem" / "cursor.json").write_bytes(damage)
    receiver.events.clear()
    post = Post(tmp_path / "log", http(receiver))
    await arrived(receiver, uids)
    await post.end()


async def test_a_torn_first_frame_gives_its_number_to_the_next_start(
    tmp_path: Path, receiver: Receiver
) -> None:
    post = Post(tmp_path / "log", http(receiver))
    uids = await post.session(1)
    batch = post.log.synced
    post.crash()
    folder = tmp_path / "log" / "wal" / f"{batch:020d}"
    folder.mkdir()
    (folder / f"{batch:020d}.wal").write_bytes(wal.encode(batch, b"h {}\n")[:-5])
    post = Post(tmp_path / "log", http(receiver))
    uids += await post.session(1)
    await arrived(receiver, uids)
    await post.end()


async def test_a_file_gets_whole_lines_whatever_a_crash_left_in_it(tmp_path: Path) -> None:
    target = tmp_path / "events.ndjson"
    target.write_bytes(b'{"torn":')
    post = Post(tmp_path / "log", FileSink(target))
    uids = await post.session(2)
    await asyncio.to_thread(until, lambda: uids[-1].encode() in target.read_bytes())
    target.rename(tmp_path / "rotated")
    more = await post.session(1)
    await asyncio.to_thread(until, lambda: target.exists() and more[-1] in target.read_text())
    await post.end()
    torn, *lines = (tmp_path / "rotated").read_text().splitlines()
    assert torn == '{"torn":'
    told = [json.loads(line)["metadata"]["uid"] for line in lines]
    assert [uid for uid in told if uid in uids] == uids
    assert target.stat().st_mode & 0o777 == 0o600


async def test_a_full_disk_of_the_file_holds_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "events.ndjson"
    real, failing = os.fdatasync, [True]

    def fdatasync(fd: int) -> None:
        if failing[0] and os.readlink(f"/proc/self/fd/{fd}") == str(target):
            raise OSError(28, "no space")
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    post = Post(tmp_path / "log", FileSink(target))
    uids = await post.session(1)
    await failed_twice(post)
    failing[0] = False
    await asyncio.to_thread(until, lambda: uids[-1] in target.read_text())
    await post.end()
    # Nothing is left of what failed.
    told = [json.loads(line)["metadata"]["uid"] for line in target.read_text().splitlines()]
    assert [uid for uid in told if uid in uids] == uids


def test_a_file_system_without_links_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "log" / "wal" / f"{1:020d}"
    folder.mkdir(parents=True)
    (folder / f"{1:020d}.wal").write_bytes(b"")

    def link(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(ConfigurationError, match="cannot hold the log's segments"):
        Tail(tmp_path / "log").adopt()


async def test_a_cursor_ahead_of_a_log_that_was_put_back_skips_nothing(tmp_path: Path) -> None:
    """An old copy of the log beside the newer place of its reader: records twice, never none."""
    directory = tmp_path / "log"
    (tmp_path / "first").touch()
    for _ in range(3):
        post = Post(directory, FileSink(tmp_path / "first"))
        uids = await post.session(2)
        await asyncio.to_thread(
            until, lambda last=uids[-1]: last in (tmp_path / "first").read_text()
        )
        await post.end()
        if not (tmp_path / "old").exists():
            shutil.copytree(directory, tmp_path / "old")
    ahead = directory / "siem"
    shutil.rmtree(tmp_path / "old" / "siem")
    shutil.move(ahead, tmp_path / "old" / "siem")
    shutil.rmtree(directory)
    (tmp_path / "old").rename(directory)
    target = tmp_path / "second"
    target.touch()
    for _ in range(3):  # and beyond the batches that the other history had
        post = Post(directory, FileSink(target))
        uids = await post.session(30)
        await asyncio.to_thread(until, lambda last=uids[-1]: last in target.read_text())
        await post.end()
        told = [json.loads(line)["metadata"]["uid"] for line in target.read_text().splitlines()]
        assert [uid for uid in told if uid in uids] == uids


async def test_who_is_known_of_a_session_that_outlives_many_others(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open session has no file to look its opening up in."""
    monkeypatch.setattr(shipper, "_MOST_SESSIONS", 3)
    post = Post(tmp_path / "log", http(receiver))
    sid = str(uuid.uuid4())
    await post.log.open_session(sid, OPEN)
    for number in range(1, 5):
        await post.session(1)
        body = {"statement_no": number, "statement": "select 1", "code": "c"}
        await post.log.append(sid, "refused", body)
    await arrived(receiver, [f"{sid}:4"])
    await post.end()
    mine = [event for event in receiver.events if event["unmapped"]["session"] == sid]
    assert {event["actor"]["user"].get("uid") for event in mine} == {"https://idp#a"}
