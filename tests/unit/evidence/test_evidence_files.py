"""The parts of an export's file: its tape, its proof, its page; and how a file is written whole."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
from pathlib import Path

import bundles
import exports
import pytest

from gateway.auditor import collection as verifier
from gateway.client import BrokenStreamError
from gateway.evidence import tape
from gateway.evidence_command import Members, whole_file
from gateway.sessionlog import SessionLog, merkle


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 5000])
def test_any_tar_reads_the_tape(size: int) -> None:
    data = bytes(range(256)) * 20
    whole = tape.header("a/b.zip", size) + data[:size] + tape.padding(size) + tape.END
    with tarfile.open(fileobj=io.BytesIO(whole)) as file:
        (member,) = file.getmembers()
        read = file.extractfile(member)
        assert read is not None
        assert (member.name, member.mode, member.isfile(), read.read()) == (
            "a/b.zip", 0o644, True, data[:size],
        )  # fmt: skip
    assert verifier.header("a/b.zip", size) == tape.header("a/b.zip", size)


def test_what_fits_no_header_is_refused() -> None:
    for name, size in (("x" * 100, 1), ("", 1), ("x", tape.MEMBER_LIMIT + 1), ("x", -1)):
        with pytest.raises(ValueError, match="do not fit"):
            tape.header(name, size)


def test_the_members_are_counted_however_the_bytes_come() -> None:
    parts = [
        tape.header(name, len(data)) + data + tape.padding(len(data))
        for name, data in (
            ("sessions/1.zip", b"x" * 700),
            ("sessions/2.zip", b""),
            ("index.json", b"{}"),
        )
    ]
    whole = b"".join(parts) + tape.END
    for step in (1, 7, 512, len(whole)):
        members = Members()
        for at in range(0, len(whole), step):
            members.take(whole[at : at + step])
        assert (members.bundles, members.last, members.complete) == (2, "index.json", True)
    cut = Members()
    cut.take(whole[:-512])
    assert not cut.complete
    with pytest.raises(BrokenStreamError):
        Members().take(b"x" * 512)


def naive_root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return merkle.node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def test_the_cover_of_any_leaves_leads_to_the_root(tmp_path: Path) -> None:
    chance = random.Random(3)
    cover = tmp_path / "cover"
    for size in [*range(1, 40), 255, 256, 257, 1000]:
        leaves = [hashlib.sha256(b"%d" % index).digest() for index in range(size)]

        def node(level: int, number: int, leaves: list[bytes] = leaves) -> bytes:
            return naive_root(leaves[number << level : (number + 1) << level])

        for share in (0.0, 0.05, 0.5, 1.0):
            picked = [index for index in range(size) if chance.random() < share]
            proof = list(merkle.cover_proof(node, picked, size))
            cover.write_bytes(b"".join(proof))
            listed = ((index, leaves[index]) for index in picked)
            verifier.check_cover(listed, cover, size, naive_root(leaves))
            if picked:
                wrong = [(index, leaves[index]) for index in picked]
                wrong[-1] = (wrong[-1][0], bytes(32))
                with pytest.raises(verifier.verify.TamperedError):
                    verifier.check_cover(iter(wrong), cover, size, naive_root(leaves))
                with pytest.raises(verifier.verify.TamperedError):
                    verifier.check_cover(iter(wrong[:-1]), cover, size, naive_root(leaves))


@pytest.mark.parametrize("indices", [[1, 1], [2, 1], [-1], [8]])
def test_leaves_that_are_none_have_no_cover(indices: list[int]) -> None:
    with pytest.raises(ValueError, match="leaves"):
        list(merkle.cover_proof(lambda *_: bytes(32), indices, 8))


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "export.tar"
    path.write_bytes(b"before")

    def fails() -> None:
        with whole_file(path) as file:
            file.write(b"half")
            raise RuntimeError("lost")

    with pytest.raises(RuntimeError):
        fails()
    assert (path.read_bytes(), len(list(tmp_path.iterdir()))) == (b"before", 1)
    with whole_file(path) as file:
        file.write(b"all")
    assert (path.read_bytes(), len(list(tmp_path.iterdir()))) == (b"all", 1)


EVIL = "</td></style><script>alert(1)</script>\u202e{{ 7 * 7 }}"


async def test_the_overview_shows_text_of_others_as_text(tmp_path: Path) -> None:
    log = SessionLog.open(tmp_path / "log", origin=bundles.ORIGIN, version="0.1.0")
    sid = await exports.session(log, actor=EVIL, statement=EVIL, connection=EVIL)
    house = exports.house(log, exports.AUDITOR)
    await exports.reviewed(house, sid, "<b>note</b>")
    data = await exports.collected(house, connection=EVIL)
    await log.aclose()
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        read = file.extractfile("report.html")
        assert read is not None
        page = read.read().decode()
    assert "<script" not in page
    assert "<b>note" not in page
    assert "\u202e" not in page
    assert "{{ 7 * 7 }}" in page
    assert page.count("&lt;script&gt;alert(1)") >= 4
    assert page.count("default-src 'none'") == 1
    assert page.count('<section class="session"') == 1
    assert page.index('<section class="overview"') < page.index('<section class="session"')
    for rule in ("164.308(a)(1)(ii)(D)", "164.312(a)(2)(i)", "164.312(b)", "164.502(b)", "164.528"):
        assert rule in page
    for figure in ("<b>1</b> sessions", "<b>3</b> rows", "<b>1</b> reviewed"):
        assert figure in page


async def test_a_selection_that_matches_nothing_says_so(tmp_path: Path) -> None:
    log = SessionLog.open(tmp_path / "log", origin=bundles.ORIGIN, version="0.1.0")
    data = await exports.collected(exports.house(log, exports.AUDITOR), identity="nobody")
    trust, path = tmp_path / "trust.json", tmp_path / "export.tar"
    trust.write_text(json.dumps(log.trust_file()))
    path.write_bytes(data)
    await log.aclose()
    assert b"None matched." in data
    assert verifier.main([str(path), "--trust", str(trust)]) == 0
