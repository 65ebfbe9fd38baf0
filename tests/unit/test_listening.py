"""The socket of a door."""

from __future__ import annotations

import gc
import os

import pytest

from gateway.doors.http import listener


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_that_is_taken_leaves_no_socket_open(host: str) -> None:
    with listener(host, 0) as first:
        port = first.getsockname()[1]
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError, match="in use") as told:
            listener(host, port)
        # Closed, though the error still holds the frame that it was made in.
        assert len(os.listdir("/proc/self/fd")) == before
        assert told.value.strerror
