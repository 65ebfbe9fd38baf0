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
    assert frames.rows_ended()


def test_within_a_message_nothing_has_ended() -> None:
    for cut in range(1, len(ROWS[9])):
        frames = Frames()
        frames.without_notices(ROWS[9][:cut])
        assert not frames.rows_ended()


def test_after_the_rows_trees_pass_again() -> None:
    frames = Frames()
    frames.without_notices(ROWS[0])
    frames.rows_ended()
    assert frames.without_notices(TREE) == TREE
