"""The commit thread's end: a log that was stopped from elsewhere costs nothing any more."""

from __future__ import annotations

import pytest

from gateway.errors import LogUnavailable
from gateway.sessionlog.writer import Entry, GroupCommit


def nothing(entries: list[Entry]) -> None:
    raise AssertionError("nothing was queued")


@pytest.mark.parametrize("interval", [0.01, 60.0])
def test_a_log_that_was_stopped_has_no_thread_left(interval: float) -> None:
    """Nothing can be written after a failure, so there is nothing to wait or to look for."""
    commits = GroupCommit(nothing, list, interval)
    commits.fail(RuntimeError("a witness remembers more"))
    commits._thread.join(10)
    assert not commits._thread.is_alive()
    with pytest.raises(LogUnavailable, match="a witness remembers more"):
        commits.check()
    commits.stop()
    assert not commits.healthy
