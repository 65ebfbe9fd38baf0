"""An errand reads its own answer, however it is cut, and leaves the rest to what comes after."""

from __future__ import annotations

import pytest

from gateway.upstream.errand import Errand
from gateway.upstream.messages import Unexpected, written

READY = written(b"Z", b"T")
DONE = written(b"C", b"SET\0")
NOTICE = written(b"N", b"SLOG\0VLOG\0Rexec_simple_query\0\0")
REFUSED = written(b"E", b"SERROR\0C42501\0Mpermission denied\0\0")
REST = written(b"1", b"") + written(b"Z", b"T")


def test_it_is_one_simple_query() -> None:
    assert Errand("ROLLBACK").opening == b"Q\0\0\0\x0dROLLBACK\0"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_the_rest_belongs_to_what_was_sent_next(size: int) -> None:
    errand = Errand("SET a = b")
    data = NOTICE + DONE + DONE + READY + REST
    left = b""
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        left += piece if errand.finished else errand.receive(piece)
    assert errand.finished
    assert errand.error is None
    assert left == REST


def test_the_first_error_is_told() -> None:
    errand = Errand("SET a = b")
    later = written(b"E", b"SERROR\0C25P02\0Maborted\0\0")
    assert errand.receive(REFUSED + later + READY) == b""
    assert errand.error is not None
    assert errand.error["C"] == "42501"
    assert errand.finished


def test_what_is_the_driver_s_goes_to_the_driver() -> None:
    errand = Errand("SET a = b")
    status = written(b"S", b"application_name\0s\0")
    errand.receive(status + DONE + READY)
    assert bytes(errand.others) == status


@pytest.mark.parametrize(
    "said",
    [
        written(b"T", b"\0\0"),  # rows
        written(b"D", b"\0\0"),
        written(b"H", b"\1\0\0"),
        written(b"I", b""),  # no statement at all
        b"C\0\0\0\3",  # shorter than a length is
        written(b"E", b"torn"),
    ],
)
def test_what_has_no_place_is_refused(said: bytes) -> None:
    with pytest.raises(Unexpected):
        Errand("SET a = b").receive(said)
