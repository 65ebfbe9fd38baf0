"""Rows pass whole, however the bytes are cut; notices among them do not."""

from __future__ import annotations

import random
import struct

import pytest

from gateway.upstream.frames import Frames


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


ROWS = [_message(b"d", bytes([n]) * n) for n in range(1, 40)]
TREE = _message(b"N", b"SLOG\0VLOG\0Mtree:\0\0")
NOISE = _message(b"N", b"SNOTICE\0VNOTICE\0MN word is too long\0\0")
END = _message(b"c", b"") + _message(b"C", b"COPY 39\0") + _message(b"Z", b"T")


def test_notices_between_rows_are_taken_out() -> None:
    given = TREE + TREE + b"".join(row + NOISE for row in ROWS) + END
    assert Frames().without_notices(given) == TREE + TREE + b"".join(ROWS) + END


@pytest.mark.parametrize("seed", range(20))
def test_however_the_bytes_are_cut(seed: int) -> None:
    chance = random.Random(seed)
    noise = [NOISE if chance.random() < 0.5 else b"" for _ in ROWS]
    given = TREE + b"".join(a + b for a, b in zip(ROWS, noise, strict=True)) + END
    frames, passed = Frames(), b""
    while given:
        size = chance.choice((1, 2, 3, 4, 5, 6, 50, 500))
        passed += frames.without_notices(given[:size])
        given = given[size:]
    assert passed == TREE + b"".join(ROWS) + END
    assert frames.finished


def test_it_has_finished_when_the_server_is_ready_and_not_before() -> None:
    given = TREE + ROWS[0] + NOISE + ROWS[1] + END
    for cut in range(1, len(given)):
        frames = Frames()
        frames.without_notices(given[:cut])
        # The message that says so may be cut behind its head: its last byte follows unasked.
        assert not frames.finished or cut >= len(given) - 1
        frames.without_notices(given[cut:])
        assert frames.finished


def _one_by_one(given: bytes) -> bytes:
    """The same, read slowly and whole: what a parser would do that never sees a cut."""
    passed, rows, ready = b"", False, False
    while given:
        size = 1 + int.from_bytes(given[1:5])
        one, given = given[:size], given[size:]
        rows = rows or one.startswith(b"d")
        ready = ready or one.startswith(b"Z")
        passed += one if ready or not rows or not one.startswith(b"N") else b""
    return passed


@pytest.mark.parametrize("seed", range(8))
def test_any_messages_cut_anywhere_also_those_after_the_end(seed: int) -> None:
    chance = random.Random(seed)

    def some(kinds: bytes, most: int) -> list[bytes]:
        return [
            _message(bytes([chance.choice(kinds)]), chance.randbytes(chance.choice((0, 1, 4, 20))))
            for _ in range(chance.randint(0, most))
        ]

    for _ in range(100):
        given = b"".join([*some(b"NH", 3), *some(b"ddNS", 8), END, *some(b"NS", 3)])
        rest, passed, frames = given, b"", Frames()
        while rest:
            size = chance.choice((1, 2, 3, 4, 5, 6, 9, 30, 200))
            # As the meter does: past the end, nothing goes through the frames.
            passed += rest[:size] if frames.finished else frames.without_notices(rest[:size])
            rest = rest[size:]
        assert passed == _one_by_one(given)
