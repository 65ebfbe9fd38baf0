"""What is written to standard error names kinds and places, and repeats no message."""

from __future__ import annotations

import subprocess
import sys

CRASHES = """
import asyncio, gc, logging, sys, threading
from gateway import diagnostics
diagnostics.install()
SECRET = "529-87-" + "2610"

def fail():
    try:
        int(SECRET)
    except ValueError as error:
        raise KeyError(SECRET) from error

try:
    fail()
except KeyError:
    logging.getLogger("uvicorn.error").exception("Exception in ASGI application")

async def forgotten():
    async def task():
        fail()
    asyncio.create_task(task())
    await asyncio.sleep(0.01)
    gc.collect()

asyncio.run(forgotten())
thread = threading.Thread(target=fail)
thread.start()
thread.join()

class Late:
    def __del__(self):
        fail()

Late()
fail()
"""


def test_no_crash_repeats_what_it_was_about() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CRASHES], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "529-87-2610" not in ended.stderr + ended.stdout
    assert ended.stderr.count("KeyError") == 5
    assert ended.stderr.count("ValueError") == 5
    assert "in fail" in ended.stderr
    assert "Exception in ASGI application" in ended.stderr
    assert "Task exception was never retrieved" in ended.stderr
