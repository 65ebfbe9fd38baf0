#!/usr/bin/env python3
"""Says whether an export of several sessions is whole: each bundle, and no number left out.

    python collection.py FILE --trust TRUST.json      0 verified and anchored, every number named
                                                      1 tampered: which part, expected and got
                                                      2 incomplete or not anchored
                                                      3 usage

The standard library and verify.py, which lies beside it, alone; no network. Reads the file once,
from its beginning to its end, and keeps one bundle at a time. Refuses to repair, to guess, and to
warn and go on. What it cannot say is whether a session that was not taken would have matched what
was asked for: the gateway says so and signs it, and each such session is named with its leaf, so
that its bundle can be asked for. The formats are in docs/session-log.md.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import heapq
import importlib.util
import io
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.auditor import verify
else:
    # By its place: `python -I` keeps the script's folder out of what can be imported.
    _spec = importlib.util.spec_from_file_location("verify", Path(__file__).with_name("verify.py"))
    verify = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(verify)

VERIFIED, TAMPERED, INCOMPLETE, USAGE = 0, 1, 2, 3

BLOCK = 512
BUNDLE_LIMIT = 0xFFFF_FFFF
LINE_LIMIT = 1 << 20
COUNTED_SECONDS = 150  # a heartbeat is due each minute
# The members behind the bundles, in their order, with the most bytes of those read at once.
MEMBERS = {
    "sessions.jsonl": 0, "ledger/cover": 0, "ledger/leaves.jsonl": 1 << 26, "checkpoint": 1 << 16,
    "report.html": 0, "README.txt": 1 << 20, "index.json": 1 << 20,
}  # fmt: skip
WHY = {
    "": "taken", "period": "outside the period", "identity": "another identity's",
    "actor": "for another person", "connection": "on another connection",
    "grant": "under another grant", "table": "not on the table",
    "patient_token": "not naming the token", "gateway": "the gateway's own",
    "sealed": "sealed", "unreadable": "unreadable", "no_bundle": "without a bundle",
}  # fmt: skip
# Leaves beside the open ones; the last two only once.
FURTHER = ("review", "heartbeat", "epoch", "checkpoint")
# What the gateway could not look at, or not hand out: nobody knows yet.
OPEN_QUESTIONS = ("sealed", "unreadable", "no_bundle")

_BUNDLE = re.compile(
    r"sessions/(\d{10,15})-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.zip", re.A
)
_INDEX_KEYS = [
    "created", "exported_by", "key", "members", "origin", "selection", "sessions", "signature",
    "type", "v",
]  # fmt: skip

Object = dict[str, Any]
refuse, same, shown = verify.refuse, verify.same, verify.shown


# Step 1: the container, and 2: each bundle as it goes by.
def header(name: str, size: int) -> bytes:
    """The one header that a member of this name and size has (POSIX ustar)."""
    fields = name.encode().ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2
    fields += b"%011o\0" % size + b"0" * 11 + b"\0"
    rest = b"0".ljust(101, b"\0") + b"ustar\0" + b"00" + bytes(247)
    return fields + b"%06o\0 " % (sum(fields) + 8 * 32 + sum(rest)) + rest


class Tape:
    """A tar file, read once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._at = file, 0

    def _take(self, size: int, where: str) -> bytes:
        data = self._file.read(size)
        self._at += len(data)
        refuse(len(data) != size, f"container, {where}: the file ends at byte {self._at}")
        return data

    def member(self) -> tuple[str, int]:
        """The next one's name and size."""
        where = f"member at byte {self._at}"
        block = self._take(BLOCK, where)
        name = block[:100].rstrip(b"\0").decode("ascii", "replace")
        digits = re.fullmatch(rb"([0-7]{11})\0", block[124:136])
        refuse(digits is None or not name, f"container, {where}: no member begins here")
        size = int(digits[1], 8) if digits else 0
        known = block == header(name, size)
        refuse(not known, f"container, {shown(name)}: not the header that this member has")
        return name, size

    def copy(self, name: str, size: int, to: IO[bytes]) -> str:
        """A member's bytes; their SHA-256."""
        found, left = hashlib.sha256(), size
        while left:
            data = self._take(min(left, 1 << 20), name)
            found.update(data)
            to.write(data)
            left -= len(data)
        padding = self._take(-size % BLOCK, name)
        refuse(any(padding), f"container, {name}: bytes stand behind it")
        to.flush()
        return found.hexdigest()

    def end(self) -> None:
        refuse(any(self._take(2 * BLOCK, "its end")), "container: no end behind the last member")
        refuse(self._file.read(1), f"container: bytes stand behind its end, at {self._at}")


def read_tape(tape: Tape, home: Path, argv: list[str]) -> tuple[Object, list[str]]:
    """All members: bundles are verified, the others lie in `home`; their sizes and SHA-256, and
    what the bundles lack."""
    members: Object = {}
    lacking: list[str] = []
    last = 0
    with (home / "bundles").open("wb") as told:
        name, size = tape.member()
        while found := _BUNDLE.fullmatch(name):
            number = int(found[1])
            canonical = name == f"sessions/{number:010d}-{found[2]}.zip"
            refuse(not canonical or number <= last, f"container, {name}: not in order")
            refuse(size > BUNDLE_LIMIT, f"container, {name}: {size} bytes")
            last = number
            path = home / "bundle.zip"
            with path.open("wb") as file:
                digest = tape.copy(name, size, file)
            stated, missing = check_bundle(path, name, argv)
            lacking += [missing] if missing else []
            stated |= {"number": number, "sid": found[2], "bytes": size, "sha256": digest}
            told.write(json.dumps(stated).encode() + b"\n")
            name, size = tape.member()
    for expected, limit in MEMBERS.items():
        same("container, member", name, expected)
        refuse(limit and size > limit, f"container, {name}: {size} bytes, at most {limit} allowed")
        with (home / name.replace("/", "-")).open("wb") as file:
            members[name] = {"bytes": size, "sha256": tape.copy(name, size, file)}
        if expected != "index.json":
            name, size = tape.member()
    tape.end()
    return members, lacking


def check_bundle(path: Path, name: str, argv: list[str]) -> tuple[Object, str]:
    """verify.py's own verdict, where the session's open leaf is, and what is missing."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        verdict = verify.main([str(path), *argv])
    sentence = (said.getvalue().strip().splitlines() or ["verify.py said nothing"])[-1]
    refuse(verdict not in (VERIFIED, INCOMPLETE), f"{name}: {sentence}")
    members = verify.read_container(verify.private_copy(str(path)))
    leaves = map(json.loads, bytes(members["ledger/leaves.jsonl"]).splitlines())
    opened = next(one for one in leaves if json.loads(one["leaf"])["type"] == "open")
    note = bytes(members["checkpoint"]).split(b"\n")
    stated = {"index": opened["index"], "leaf": opened["leaf"]}
    stated |= {"size": int(note[1]), "root": verify.decode64(note[2].decode(), name).hex()}
    return stated, "" if verdict == VERIFIED else f"{name}: {sentence}"


# Steps 3 to 5: the index, what it covers, the checkpoint.
def check_index(raw: bytes, members: Object, engine: Any) -> tuple[Object, Any]:
    where = "index.json"
    index = verify.parse(raw, where)
    same(f"{where}, keys", sorted(index), _INDEX_KEYS)
    refuse(verify.canonical(index) != raw, f"{where}: not in its canonical spelling")
    same(f"{where}, type", index["type"], "collection")
    same(f"{where}, v", index["v"], 1)
    for name in ("created", "exported_by", "key", "origin", "signature"):
        refuse(type(index[name]) is not str, f"{where}: {name} is no text")
    for name in ("members", "selection", "sessions"):
        refuse(type(index[name]) is not dict, f"{where}: {name} is no object")
    verify.moment(index["created"], where)
    key = verify.Key(index["key"], where)
    same(f"{where}, key name", key.name, index["origin"])
    key.signed(index, verify.MANIFEST_PREFIX, where, engine)
    same(f"{where}, members", sorted(index["members"]), sorted(set(MEMBERS) - {"index.json"}))
    for name, stated in index["members"].items():
        same(f"{name}, bytes and SHA-256", members[name], stated)
    same(f"{where}, sessions", sorted(index["sessions"]), ["first", "last", "taken"])
    told = all(type(value) is str for value in index["selection"].values())
    refuse(not told, f"{where}: what was asked for is no text")
    for name in ("first", "last", "taken"):
        value = index["sessions"].get(name)
        refuse(type(value) is not int or value < 0, f"{where}: sessions, {name} is no number")
    return index, key


# Steps 6 and 7: every session that the ledger opened.
def lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while line := file.readline(LINE_LIMIT + 1):
            refuse(line[-1:] != b"\n", f"{path.name}: a line has no end, or is too long")
            yield line[:-1]


def number_of(holder: Object, key: str, where: str) -> int:
    value = holder.get(key)
    if type(value) is not int or value < 0:
        raise verify.TamperedError(f"{where}: {key} is no number: {shown(value)}")
    return value


def leaf_of(told: Object, where: str) -> bytes:
    """The leaf's data: what a log's leaf can hold."""
    refuse(type(told["leaf"]) is not str, f"{where}: leaf is no text")
    data: bytes = told["leaf"].encode()
    refuse(len(data) > verify.LEAF_LIMIT, f"{where}: a leaf of {len(data)} bytes")
    return data


class Sessions:
    """sessions.jsonl: numbers without a gap, each with its leaf, each bundle where it belongs."""

    def __init__(self, home: Path, index: Object, size: int, root: bytes) -> None:
        self._home, self._index, self._size, self._root = home, index, size, root
        self.why: Counter[str] = Counter()
        self.newest = ""  # time of the last open leaf that is named
        self.heartbeat = 0  # index of its leaf, and the highest number that stands below it
        self.below = index["sessions"]["first"] - 1
        self.tokens = 0
        self.taken: set[str] = set()

    def leaves(self) -> Iterator[tuple[int, bytes]]:
        """The index and hash of each open leaf, in the order of the numbers."""
        bundles = lines(self._home / "bundles")
        expected = self._index["sessions"]["first"]
        last, boot = expected - 1, None
        refuse(expected < 1, "index.json: sessions are numbered from 1")
        skipped = expected > 1 and "since" not in self._index["selection"]
        refuse(skipped, f"index.json: begins with session {expected}, and no `since` was asked for")
        for line in lines(self._home / "sessions.jsonl"):
            where = f"sessions.jsonl, session {expected}"
            told = verify.parse(line, where)
            tokens = told.pop("tokens_released", None)
            refuse(tokens not in (None, True), f"{where}: tokens_released is true or not there")
            same(f"{where}, keys", sorted(told), ["bundle", "index", "leaf", "why"])
            spelled = told if tokens is None else {**told, "tokens_released": True}
            refuse(verify.canonical(spelled) != line, f"{where}: not in its canonical spelling")
            data = leaf_of(told, where)
            leaf = verify.parse(data, f"{where}, leaf")
            stated = leaf.get("type"), leaf.get("v"), leaf.get("session_no")
            same(f"{where}, leaf: type, v, number", stated, ("open", 1, expected))
            refuse(type(told["why"]) is not str or told["why"] not in WHY, f"{where}: unknown why")
            same(f"{where}: is taken", told["bundle"] is not None, told["why"] == "")
            self._period(where, told["why"], leaf)
            again = told["why"] == "gateway" and leaf.get("boot") == boot
            refuse(again, f"{where}: not the gateway's own, which is the first of each boot")
            boot = leaf.get("boot")
            if told["why"] == "":
                self._bundle(where, told, leaf, next(bundles, b""))
            self.why[told["why"]] += 1
            self.tokens += tokens is True
            at = number_of(told, "index", where)
            self.below = expected if at < self.heartbeat else self.below
            last, expected = expected, expected + 1
            yield at, hashlib.sha256(b"\0" + data).digest()
        left = next(bundles, b"")
        refuse(left, f"a bundle that sessions.jsonl does not take: {shown(left.decode()[:200])}")
        stated = self._index["sessions"]
        same("index.json, taken", stated["taken"], self.why[""])
        same("index.json, last", stated["last"], last)

    def _period(self, where: str, why: str, leaf: Object) -> None:
        """What the leaf alone can say of the period that was asked for."""
        asked, opened = self._index["selection"], leaf.get("ts")
        if type(opened) is not str:
            raise verify.TamperedError(f"{where}: its leaf has no time")
        since, until = asked.get("since", ""), asked.get("until", "~")
        self.newest = max(self.newest, opened)
        if why == "period":
            refuse(since <= opened < until, f"{where}: opened {opened}, within the period")
        else:
            refuse(opened >= until, f"{where}: opened {opened}, behind the period")

    def _bundle(self, where: str, told: Object, leaf: Object, line: bytes) -> None:
        """The bundle in the file is this session's, and its checkpoint a beginning of this one."""
        refuse(not line, f"{where}: its bundle is missing")
        found = json.loads(line)
        number = leaf["session_no"]
        same(f"{where}, bundle in its place", found["number"], number)
        same(f"{where}, session", (found["sid"], found["leaf"]), (leaf.get("sid"), told["leaf"]))
        same(f"{where}, leaf", found["index"], told["index"])
        stated = told["bundle"]
        refuse(type(stated) is not dict, f"{where}: bundle is no object")
        same(f"{where}, bundle", sorted(stated), ["bytes", "checkpoint", "consistency", "sha256"])
        expected = found["bytes"], found["sha256"], found["size"]
        got = stated["bytes"], stated["sha256"], stated["checkpoint"]
        same(f"{where}, bundle: bytes, SHA-256, checkpoint", got, expected)
        refuse(type(stated["consistency"]) is not list, f"{where}: consistency is no list")
        proof = verify.hashes({"proof": stated["consistency"]}, where)
        roots = bytes.fromhex(found["root"]), self._root
        verify.check_extension(f"{where}, checkpoint", found["size"], self._size, proof, *roots)
        self.taken.add(found["sid"])


def further(path: Path) -> Iterator[tuple[int, bytes, Object]]:
    """The leaves of reviews, at most one of a heartbeat, and those that say which epoch signed."""
    for at, line in enumerate(lines(path), 1):
        where = f"ledger/leaves.jsonl, line {at}"
        told = verify.parse(line, where)
        same(f"{where}, keys", sorted(told), ["index", "leaf"])
        refuse(verify.canonical(told) != line, f"{where}: not in its canonical spelling")
        data = leaf_of(told, where)
        leaf = verify.parse(data, where)
        same(f"{where}, v", leaf.get("v"), 1)
        kind = leaf.get("type")
        refuse(kind not in FURTHER, f"{where}: a leaf of type {shown(kind)}")
        unnamed = kind == "review" and type(leaf.get("reviewed")) is not dict
        refuse(unnamed, f"{where}: it names no session")
        yield number_of(told, "index", where), hashlib.sha256(b"\0" + data).digest(), leaf


def check_heartbeat(leaf: Object, sessions: Sessions, index: Object) -> str:
    """The ledger's own count, from before anybody asked: no later session is hidden below it."""
    where, stated = "heartbeat leaf", number_of(leaf, "session_no", "heartbeat leaf")
    last = index["sessions"]["last"]
    behind = "until" in index["selection"] and sessions.below == last and stated > last
    refuse(not behind and stated != sessions.below, f"{where}: {stated} sessions had been opened, "
           f"and {sessions.below} are named")  # fmt: skip
    return f"; a heartbeat of {shown(str(leaf.get('ts')))} counts {stated}"


def check_cover(leaves: Iterator[tuple[int, bytes]], cover: Path, size: int, root: bytes) -> None:
    """The leaves, and the roots of what lies between them, lead to the root (RFC 6962, 2.1)."""
    where = "ledger/cover"
    with cover.open("rb") as file:
        pending, last = next(leaves, None), -1

        def walk(low: int, high: int) -> bytes:
            nonlocal pending, last
            if pending is None or pending[0] >= high:
                between = file.read(32)
                refuse(len(between) != 32, f"{where}: it is too short")
                return between
            refuse(pending[0] <= last, f"{where}: leaf {pending[0]} stands behind {last}")
            if high - low == 1:
                last, found = pending
                pending = next(leaves, None)
                return found
            middle = low + (1 << ((high - low - 1).bit_length() - 1))
            return hashlib.sha256(b"\x01" + walk(low, middle) + walk(middle, high)).digest()

        same(f"{where}, root that it leads to", walk(0, size).hex(), root.hex())
        refuse(file.read(1), f"{where}: it is too long")
        refuse(pending is not None, f"{where}: a leaf is not in a tree of {size}")


def check_epoch(
    others: list[tuple[int, bytes, Object]], signed: Any, key: Any, trust: Any, engine: Any
) -> str:
    """Which epoch signed the checkpoint, where there are epochs."""
    epoch = [(leaf["type"], (at, leaf)) for at, _, leaf in others if leaf["type"] in FURTHER[2:]]
    refuse(len(dict(epoch)) != len(epoch), "ledger/leaves.jsonl: more than one epoch's leaves")
    due = epoch or 0 < trust.epochs <= signed.size
    return str(verify.check_epoch(signed, key, dict(epoch), engine)) if due else "; no epochs yet"


def procedure(path: Path, home: Path, trust: Any, argv: list[str], engine: Any) -> list[str]:
    """The numbered steps; each prints its line when it has passed. What verdict 0 lacks."""
    step = verify.step
    step(0, "tools", "; ".join(engine.names))
    with path.open("rb") as file:
        members, lacking = read_tape(Tape(file), home, argv)
    index, key = check_index((home / "index.json").read_bytes(), members, engine)
    size_of_all = path.stat().st_size
    step(1, "container", f"{index['sessions']['taken']} bundles, {size_of_all} bytes, none free")
    step(2, "bundles", f"each verified by verify.py; {len(lacking)} of them not with verdict 0")
    step(3, "index", f"signed by {shown(key.vkey)}, and covers each part")
    if trust.keys:
        refuse(key.vkey not in trust.keys, f"trust: the trust file does not name {shown(key.vkey)}")
        step(4, "trust", f"the trust file names this origin and key: {shown(key.name)}")
    else:
        step(4, "trust", "no trust file: the export vouches for itself, which proves nothing")
        lacking = ["not anchored: give --trust a file that you did not get with the export"]
    note = (home / "checkpoint").read_bytes()
    signed = verify.Checkpoint(note, key, trust.witnesses, engine)
    size, root, quorum = signed.size, signed.root, trust.quorum
    step(5, "checkpoint", signed.told)
    if len(signed.seen) < quorum:
        told = f"{len(signed.seen)} of the {quorum} witnesses it needs cosigned it"
        lacking.append(f"not anchored: {told}")
    sessions = Sessions(home, index, size, root)
    others = list(further(home / "ledger-leaves.jsonl"))
    sessions.heartbeat = next((at for at, _, leaf in others if leaf["type"] == "heartbeat"), 0)
    beside = ((at, hashed) for at, hashed, _ in others)
    check_cover(heapq.merge(sessions.leaves(), beside), home / "ledger-cover", size, root)
    first, last = index["sessions"]["first"], index["sessions"]["last"]
    beat = "; no heartbeat says yet how many there were"
    for _, _, leaf in others:
        if leaf["type"] == "heartbeat":
            beat = check_heartbeat(leaf, sessions, index)
    told = f"it opens sessions {first} to {last} without a gap, each as named here"
    beat += check_epoch(others, signed, key, trust, engine)
    step(6, "ledger", told + beat)
    told = ", ".join(f"{count} {WHY[why]}" for why, count in sorted(sessions.why.items()))
    step(7, "sessions", f"{told or 'none'}; why one was not taken, the gateway says and signs")
    reviews = [leaf for _, _, leaf in others if leaf["type"] == "review"]
    for leaf in reviews:
        of = leaf["reviewed"].get("sid")
        refuse(of not in sessions.taken, f"ledger/leaves.jsonl: a review of {shown(of)}, not here")
    who = ", ".join(sorted({shown(str(leaf.get("by"))) for leaf in reviews}))
    step(8, "reviews", f"{len(reviews)} of the sessions taken, by {who or 'nobody'}")
    asked = verify.canonical(index["selection"]).decode()
    step(9, "asked for", f"{shown(asked, 2000)} by {shown(index['exported_by'])}")
    beats = [str(leaf.get("ts")) for _, _, leaf in others if leaf["type"] == "heartbeat"]
    counted = max([sessions.newest, *beats])
    age = verify.moment(index["created"], "created") - verify.moment(counted, "newest leaf")
    if age.total_seconds() > COUNTED_SECONDS:
        lacking.append(f"incomplete: the sessions are counted up to {counted}, {age} before it")
    for why in OPEN_QUESTIONS:
        if sessions.why[why]:
            lacking.append(f"incomplete: {sessions.why[why]} sessions {WHY[why]}")
    if sessions.tokens:
        step(
            10, "tokens", f"{sessions.tokens} not taken released tokens and may have shown this one"
        )
    return lacking


def judge(argv: Sequence[str] | None) -> tuple[int, str]:
    about = "Verify an export of several sessions, offline. Exit code: 0 verified and anchored, "
    about += "1 tampered, 2 incomplete or not anchored, 3 usage."
    parser = argparse.ArgumentParser(prog="collection.py", description=about)
    parser.add_argument("file", nargs="?", metavar="FILE", help="the export, a tar file")
    parser.add_argument("--trust", metavar="FILE", help="JSON that names the log's origin and keys")
    parser.add_argument("--pure", action="store_true", help="use no wheel, only the scripts")
    parser.add_argument("--self", action="store_true", help="print this script's SHA-256")
    options = parser.parse_args(argv)
    if options.self:
        return VERIFIED, hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    if options.file is None or not Path(options.file).is_file():
        raise verify.UsageError(f"{shown(options.file or 'FILE')}: no such file")
    trust = verify.Trust(options.trust)
    further = ["--trust", options.trust] if options.trust is not None else []
    further += ["--pure"] * options.pure
    try:
        with tempfile.TemporaryDirectory() as home:
            lacking = procedure(
                Path(options.file), Path(home), trust, further, verify.Engine(options.pure)
            )
    except verify.TamperedError as reason:
        return TAMPERED, f"verdict 1: tampered: {reason}"
    if not lacking:
        return VERIFIED, "verdict 0: verified and anchored, every number named"
    more = f"; and {len(lacking) - 3} more" if len(lacking) > 3 else ""
    return INCOMPLETE, f"verdict 2: {'; '.join(lacking[:3])}{more}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the procedure; the result is the exit code, and there is no traceback."""
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", dict)(errors="backslashreplace")
    try:
        verdict, sentence = judge(argv)
        print(sentence, flush=True)
        return verdict
    except SystemExit as asked:
        return USAGE if asked.code else VERIFIED
    except verify.UsageError as reason:
        print(f"collection.py: {reason}\nusage: collection.py FILE --trust FILE", file=sys.stderr)
        return USAGE
    except BaseException as reason:
        # A verifier that falls over has not verified; what made it fall was in the file.
        text = f"not verifiable ({type(reason).__name__}: {shown(str(reason))})"
        with contextlib.suppress(Exception):
            print(f"verdict 1: tampered: {text}", file=sys.stderr)
        return TAMPERED


if __name__ == "__main__":
    sys.exit(main())
