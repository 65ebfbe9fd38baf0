"""Standard output: a reader that goes away gets whole lines when another takes its place."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

import pytest

from gateway.siem import StdoutSink

LINES = b'{"metadata":{"uid":"s:0"}}\n' * 2000

HUNG = """
import os, threading, time
from gateway.siem import StdoutSink
threading.Thread(target=StdoutSink().send, args=(b"x" * (1 << 20),), daemon=True).start()
time.sleep(0.2)
"""


def test_a_batch_that_broke_off_is_begun_on_a_line_of_its_own() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)  # a full pipe breaks the write off
    sink = StdoutSink(writing)
    with pytest.raises(BlockingIOError):
        sink.send(LINES * 10)
    taken = os.read(reading, 1 << 20)
    assert taken and not taken.endswith(b"\n")
    sink.send(LINES[:54])
    told = (taken + os.read(reading, 1 << 20)).split(b"\n")
    sink.close()
    os.close(reading)
    os.close(writing)
    whole = LINES[:26]
    assert [line for line in told if line and line != whole] == [taken.rpartition(b"\n")[2]]
    assert told[-3:] == [whole, whole, b""]


def test_a_reader_that_does_not_read_does_not_keep_the_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", HUNG], stdout=subprocess.PIPE)
    try:
        assert child.wait(20) == 0
    finally:
        child.kill()
        child.communicate()
