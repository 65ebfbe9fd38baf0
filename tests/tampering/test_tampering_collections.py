"""Exports of several sessions, attacked: a session dropped, renamed, exchanged, hidden; a byte.

Each forgery is signed again with the log's own key where it says so: what is then found out is what
the ledger proves, not the signature.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import hashlib
import io
import json
import random
import tarfile
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bundles
import exports
import pytest

from gateway.auditor import collection
from gateway.evidence import canonical, tape
from gateway.evidence.collection import LEAVES_LIMIT
from gateway.sessionlog import SessionLog

Members = dict[str, bytes]


@dataclass
class Export:
    log: SessionLog
    data: bytes
    trust: Path
    taken: list[str]


@pytest.fixture(scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Export]:
    """Six sessions after the gateway's own, three of them meant, one of those reviewed."""
    home = tmp_path_factory.mktemp("collections")
    log = SessionLog.open(home / "log", origin=bundles.ORIGIN, version="0.1.0")
    taken = []
    for number in range(6):
        subject = "a-17" if number % 2 else "a-18"
        sid = await exports.session(log, subject=subject)
        taken += [sid] if number % 2 else []
    house = exports.house(log, exports.AUDITOR)
    await exports.reviewed(house, taken[0])
    data = await exports.collected(house, identity=f"{exports.ISSUER}#a-17")
    trust = home / "trust.json"
    trust.write_text(json.dumps(log.trust_file()))
    yield Export(log, data, trust, taken)
    await log.aclose()


@pytest.fixture
def judge(made: Export, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    def run(data: bytes, *, trust: bool = True) -> tuple[int, str]:
        path = tmp_path / "export.tar"
        path.write_bytes(data)
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = collection.main([str(path), *(["--trust", str(made.trust)] if trust else [])])
        assert "Traceback" not in said.getvalue()
        return code, said.getvalue()

    return run


def unpacked(data: bytes) -> Members:
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        return {one.name: file.extractfile(one).read() for one in file}  # type: ignore[union-attr]


def packed(members: Members) -> bytes:
    parts = [
        tape.header(name, len(data)) + data + tape.padding(len(data))
        for name, data in members.items()
    ]
    return b"".join([*parts, tape.END])


def signed_again(made: Export, members: Members, **changes: Any) -> bytes:
    """With an index that covers what the members are now, and the log's own signature."""
    index = json.loads(members["index.json"]) | changes
    for name in index["members"]:
        data = members[name]
        index["members"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    del index["signature"]
    index["signature"] = b64encode(made.log.sign_manifest(canonical.encode(index))).decode()
    return packed({**members, "index.json": canonical.encode(index)})


def told(members: Members) -> list[dict[str, Any]]:
    return [json.loads(line) for line in members["sessions.jsonl"].splitlines()]


def with_lines(members: Members, lines: list[dict[str, Any]]) -> Members:
    joined = b"".join(canonical.encode(line) + b"\n" for line in lines)
    return {**members, "sessions.jsonl": joined}


def test_it_is_whole(made: Export, judge: Any) -> None:
    code, said = judge(made.data)
    assert code == 0, said
    assert "sessions 1 to 7 without a gap" in said
    assert "3 taken, 1 the gateway's own, 3 another identity's" in said
    assert "1 of the sessions taken, by https://idp.example.org#auditor-amir" in said
    names = list(unpacked(made.data))
    assert [name[20:56] for name in names[:3]] == made.taken
    assert names[3:] == list(collection.MEMBERS)


def test_what_was_made_again_is_the_same(made: Export) -> None:
    members = unpacked(made.data)
    assert packed(members) == made.data
    assert signed_again(made, members) == made.data


def test_without_a_trust_file_it_is_not_anchored(made: Export, judge: Any) -> None:
    code, said = judge(made.data, trust=False)
    assert (code, "not anchored" in said) == (2, True), said


def test_each_bundle_verifies_alone(made: Export, tmp_path: Path) -> None:
    for name, data in unpacked(made.data).items():
        if name.startswith("sessions/"):
            path = tmp_path / "one.zip"
            path.write_bytes(data)
            assert collection.verify.main([str(path), "--trust", str(made.trust)]) == 0


def test_no_byte_is_free(made: Export, judge: Any) -> None:
    chance = random.Random(5)
    places = {chance.randrange(len(made.data)) for _ in range(60)}
    places |= {0, 135, 148, 257, 511, len(made.data) - 1, len(made.data) - 1024}
    for place in sorted(places):
        data = bytearray(made.data)
        data[place] ^= 1 << chance.randrange(8)
        code, said = judge(bytes(data))
        assert code == 1, (place, said)


@pytest.mark.parametrize("cut", [1, 512, 1024, 1025, 5000, 200_000])
def test_a_cut_tail_is_no_export(made: Export, judge: Any, cut: int) -> None:
    code, said = judge(made.data[:-cut])
    assert (code, "ends at byte" in said) == (1, True), said


@pytest.mark.parametrize("more", [b"\0", b"\0" * 10240, b"x"])
def test_nothing_stands_behind_the_end(made: Export, judge: Any, more: bytes) -> None:
    assert judge(made.data + more)[0] == 1


def drop_a_session(members: Members) -> Members:
    name = list(members)[1]
    number = int(name[9:19])
    lines = [one for one in told(members) if json.loads(one["leaf"])["session_no"] != number]
    return with_lines({k: v for k, v in members.items() if k != name}, lines)


def drop_the_last_session(members: Members) -> Members:
    return with_lines(
        {k: v for k, v in members.items() if not k.startswith("sessions/0000000007")},
        told(members)[:-1],
    )


def drop_a_bundle(members: Members) -> Members:
    name = next(iter(members))
    return {k: v for k, v in members.items() if k != name}


def add_a_bundle(members: Members) -> Members:
    name, data = next(iter(members.items()))
    other = name.replace("sessions/0000000003", "sessions/0000000004")
    items = [(name, data), (other, data), *list(members.items())[1:]]
    return dict(items)


def exchange_two_bundles(members: Members) -> Members:
    first, second = list(members)[:2]
    return {**members, first: members[second], second: members[first]}


def number_it_anew(members: Members) -> Members:
    lines = told(members)
    leaf = json.loads(lines[4]["leaf"])
    lines[4]["leaf"] = json.dumps({**leaf, "session_no": 6}, separators=(",", ":"))
    return with_lines(members, lines)


def change_a_leaf(members: Members) -> Members:
    lines = told(members)
    leaf = json.loads(lines[1]["leaf"])
    text = canonical.encode({**leaf, "head": "00" * 32}).decode()
    lines[1]["leaf"] = text
    return with_lines(members, lines)


def move_a_leaf(members: Members) -> Members:
    lines = told(members)
    lines[1]["index"] += 1
    return with_lines(members, lines)


def give_the_reason(why: str) -> Any:
    def forge(members: Members) -> Members:
        lines = told(members)
        lines[1]["why"] = why
        return with_lines(members, lines)

    forge.__name__ = f"give_the_reason_{why or 'of_none'}"
    return forge


def leave_out_a_hash(members: Members) -> Members:
    return {**members, "ledger/cover": members["ledger/cover"][:-32]}


def add_a_hash(members: Members) -> Members:
    return {**members, "ledger/cover": members["ledger/cover"] + bytes(32)}


def change_a_hash(members: Members) -> Members:
    cover = members["ledger/cover"]
    return {**members, "ledger/cover": bytes([cover[0] ^ 1]) + cover[1:]}


def drop_the_review(members: Members) -> Members:
    return {**members, "ledger/leaves.jsonl": b""}


def invent_a_review(members: Members) -> Members:
    first, *others = members["ledger/leaves.jsonl"].splitlines(keepends=True)
    line = json.loads(first)
    leaf = json.loads(line["leaf"]) | {"by": "somebody else"}
    line["leaf"] = canonical.encode(leaf).decode()
    joined = b"".join([canonical.encode(line) + b"\n", *others])
    return {**members, "ledger/leaves.jsonl": joined}


def spell_a_line_otherwise(members: Members) -> Members:
    return {**members, "sessions.jsonl": members["sessions.jsonl"].replace(b":null", b": null", 1)}


def take_the_end_off_the_last_line(members: Members) -> Members:
    return {**members, "sessions.jsonl": members["sessions.jsonl"][:-1]}


FORGERIES = [
    drop_a_session, drop_the_last_session, drop_a_bundle, add_a_bundle, exchange_two_bundles,
    number_it_anew, change_a_leaf, move_a_leaf, leave_out_a_hash, add_a_hash, change_a_hash,
    # The gateway's own, outside the period, no known reason, taken without a bundle.
    *map(give_the_reason, ("gateway", "period", "lost", "")),
    drop_the_review, invent_a_review, spell_a_line_otherwise, take_the_end_off_the_last_line,
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda one: one.__name__)
def test_a_forged_index_is_found_out(made: Export, judge: Any, forge: Any) -> None:
    members = unpacked(made.data)
    forged = forge(copy.deepcopy(members))
    assert forged != members
    code, said = judge(packed(forged))
    assert code == 1, said
    code, said = judge(signed_again(made, forged))
    assert code == 1, f"signed again: {said}"


def test_the_last_number_is_said_and_signed_not_proven(made: Export, judge: Any) -> None:
    """Whoever has the key can leave out the newest sessions; the page says so. What he signed names
    a checkpoint above their leaves, so each later export that has them convicts him."""
    forged = drop_the_last_session(unpacked(made.data))
    size = int(forged["checkpoint"].split(b"\n")[1])
    hidden = told(unpacked(made.data))[-1]
    leaves = {one["index"] for one in told(forged)}
    leaves |= {json.loads(line)["index"] for line in forged["ledger/leaves.jsonl"].splitlines()}
    forged["ledger/cover"] = b"".join(made.log.archive().proof(sorted(leaves), size))
    stated = {"first": 1, "last": 6, "taken": 2}
    code, said = judge(signed_again(made, forged, sessions=stated))
    assert (code, "sessions 1 to 6" in said) == (0, True), said
    assert hidden["index"] < size


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sessions": {"first": 2, "last": 7, "taken": 3}}, "no `since` was asked for"),
        ({"sessions": {"first": 0, "last": 7, "taken": 3}}, "numbered from 1"),
        ({"sessions": {"first": 1, "last": 8, "taken": 3}}, "last"),
        ({"sessions": {"first": 1, "last": 7, "taken": 4}}, "taken"),
        ({"sessions": {"first": 1, "last": 7, "taken": True}}, "no number"),
        ({"sessions": {"first": 1, "last": 7}}, "sessions"),
        ({"selection": {"until": "2020-01-01T00:00:00.000000Z"}}, "behind the period"),
        ({"selection": {"until": 1}}, "no text"),
        ({"origin": "log.example.org/other"}, "key name"),
        ({"type": "evidence"}, "type"),
        ({"v": True}, "v:"),
        ({"more": 1}, "keys"),
    ],
)
def test_a_forged_statement_is_found_out(
    made: Export, judge: Any, changes: dict[str, Any], said: str
) -> None:
    code, answered = judge(signed_again(made, unpacked(made.data), **changes))
    assert code == 1
    assert said in answered, answered


@pytest.mark.parametrize(
    "name",
    ["../escape", "/etc/passwd", "sessions/../x.zip", "sessions/0000000003-x.zip", "index.json"],
)
def test_members_of_other_names_are_refused(made: Export, judge: Any, name: str) -> None:
    code, said = judge(packed({name: b"x", **unpacked(made.data)}))
    assert code == 1, said
    assert not (made.trust.parent / "escape").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_only_plain_files_are_members(made: Export, judge: Any, kind: bytes) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.USTAR_FORMAT) as file:
        link = tarfile.TarInfo("sessions/0000000001-" + made.taken[0] + ".zip")
        link.type, link.linkname = kind, "/etc/passwd"
        file.addfile(link)
    code, said = judge(whole.getvalue() + made.data)
    assert (code, "not the header" in said) == (1, True), said


@pytest.mark.parametrize("data", [b"", b"x" * 512, bytes(1024), b"PK\x03\x04" + bytes(600)])
def test_what_is_no_export_is_a_sentence(judge: Any, data: bytes) -> None:
    assert judge(data)[0] == 1


def test_wrong_usage_is_verdict_3(made: Export, tmp_path: Path) -> None:
    assert collection.main([]) == 3
    assert collection.main([str(tmp_path / "none.tar")]) == 3
    path = tmp_path / "export.tar"
    path.write_bytes(made.data)
    assert collection.main([str(path), "--trust", str(tmp_path / "none.json")]) == 3


@pytest.fixture
async def beating(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[SessionLog, Path]]:
    """A log whose heart beats with each tick."""
    monkeypatch.setattr("gateway.sessionlog.log.HEARTBEAT_INTERVAL", 0.0)
    monkeypatch.setattr("gateway.sessionlog.log.COMMIT_INTERVAL", 0.02)
    log = SessionLog.open(tmp_path / "log", origin=bundles.ORIGIN, version="0.1.0")
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps(log.trust_file()))
    yield log, trust
    await log.aclose()


async def counted(log: SessionLog, sessions: int) -> None:
    """Wait for a heartbeat that counts so many."""
    while True:
        archive = log.archive()
        assert list(archive.opened(archive.size()))
        if archive.heartbeat is not None:
            leaf = json.loads(archive.heartbeat[1])
            if leaf["session_no"] >= sessions:
                return
        await asyncio.sleep(0.01)


async def test_the_ledgers_own_count_shows_a_tail_that_was_cut(
    beating: tuple[SessionLog, Path], tmp_path: Path
) -> None:
    """As in the test of what is not proven, but with a heartbeat behind the hidden session."""
    log, trust = beating
    for _ in range(3):
        await exports.session(log)
    await counted(log, 4)
    house = exports.house(log, exports.AUDITOR)
    data = await exports.collected(house)
    made = Export(log, data, trust, [])

    def verdict(data: bytes) -> tuple[int, str]:
        path, said = tmp_path / "export.tar", io.StringIO()
        path.write_bytes(data)
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return collection.main([str(path), "--trust", str(trust)]), said.getvalue()

    code, said = verdict(data)
    assert (code, "counts 4" in said) == (0, True), said
    members = unpacked(data)
    last = "sessions/0000000004"
    kept = {name: part for name, part in members.items() if not name.startswith(last)}
    forged = with_lines(kept, told(members)[:-1])
    size = int(forged["checkpoint"].split(b"\n")[1])
    leaves = [one["index"] for one in told(forged)]
    leaves += [json.loads(line)["index"] for line in forged["ledger/leaves.jsonl"].splitlines()]
    forged["ledger/cover"] = b"".join(log.archive().proof(sorted(leaves), size))
    code, said = verdict(signed_again(made, forged, sessions={"first": 1, "last": 3, "taken": 2}))
    assert (code, "4 sessions had been opened, and 3 are named" in said) == (1, True), said


async def test_a_period_that_is_over_may_end_before_the_newest_count(
    beating: tuple[SessionLog, Path], tmp_path: Path
) -> None:
    log, trust = beating
    for _ in range(4):
        await exports.session(log)
    await counted(log, 5)
    opened = {one.number: one.ts for one in log.archive().opened(log.archive().size())}
    house = exports.house(log, exports.AUDITOR)
    path = tmp_path / "export.tar"
    path.write_bytes(await exports.collected(house, since=opened[2], until=opened[3]))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert collection.main([str(path), "--trust", str(trust)]) == 0
    assert "sessions 1 to 3" in said.getvalue() or "sessions 2 to 3" in said.getvalue()
    assert "counts 5" in said.getvalue()


def test_what_is_read_at_once_has_a_limit(made: Export, judge: Any) -> None:
    for name, limit in collection.MEMBERS.items():
        if 0 < limit <= 1 << 20:
            code, said = judge(packed({**unpacked(made.data), name: bytes(limit + 1)}))
            assert (code, "allowed" in said) == (1, True), said
    assert collection.MEMBERS["ledger/leaves.jsonl"] == LEAVES_LIMIT


def test_an_old_count_is_not_enough(made: Export, judge: Any) -> None:
    """Whoever leaves the heartbeat out hides what was opened since the last leaf he shows."""
    later = "2098-01-01T00:00:00.000000Z"
    code, said = judge(signed_again(made, unpacked(made.data), created=later))
    assert (code, "the sessions are counted up to" in said) == (2, True), said
