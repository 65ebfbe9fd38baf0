"""Work behind the log's back: what is told of it."""

from __future__ import annotations

import threading
import time

import pytest

from gateway.sessionlog import errand
from gateway.sessionlog.errand import Errand


def test_work_without_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that answers a byte at a time fails in nothing, and nothing is copied."""
    monkeypatch.setattr(errand, "LONGEST_WAIT", 0.2)
    released, begun = threading.Event(), threading.Event()

    def do() -> None:
        begun.set()
        released.wait(30)

    work = Errand("copies", do, 3600)
    work.start()
    assert begun.wait(10)
    assert work.trouble == ""
    ends = time.monotonic() + 10
    while not work.trouble and time.monotonic() < ends:
        time.sleep(0.01)
    assert work.trouble.startswith("copies: at work since 2")
    released.set()
    while work.trouble and time.monotonic() < ends:
        time.sleep(0.01)
    assert work.trouble == ""
    work.stop()
