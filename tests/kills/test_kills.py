"""A few kills under load; `make test-kills` does two hundred."""

from __future__ import annotations

import sys
from pathlib import Path

import servers

sys.path.insert(0, str(Path(__file__).parents[1] / "endpoints"))

import world as worlds

from kills import campaign


def test_no_row_without_its_record(newest: servers.Server, tmp_path: Path) -> None:
    with worlds.built(tmp_path, newest, "some_kills") as world:
        seen = campaign.run(world, kills=5, seed=18)
    assert seen.wrong == []
    assert seen.kills == 5
    assert seen.statements > 20
    assert seen.cut >= 5
    assert seen.verified >= 1


def test_bytes_without_a_record_are_seen(tmp_path: Path) -> None:
    """The look itself: one byte more than is recorded, and one that differs."""
    digest = "a" * 64
    records = (
        '{"body":{"statement":"select 1","statement_no":1},"type":"intent"}\n'
        f'{{"body":{{"bytes":3,"digest":"{digest}","statement_no":1}},"type":"result"}}\n'
    )
    (tmp_path / "s.jsonl").write_text(records)
    for body, wrong in ((b"ab", 0), (b"abc", 1), (b"abcd", 2)):
        seen = campaign.Seen()
        one = campaign.Received("s", "select 1", bytearray(body))
        campaign._check(tmp_path, one, seen)
        assert len(seen.wrong) == wrong, seen.wrong
    seen = campaign.Seen()
    campaign._check(tmp_path, campaign.Received("s", "select 2"), seen)
    assert len(seen.wrong) == 1


def test_a_session_without_a_file_is_seen(tmp_path: Path) -> None:
    seen = campaign.Seen()
    campaign._check(tmp_path, campaign.Received("none", "select 1", bytearray(b"x")), seen)
    assert len(seen.wrong) == 1
