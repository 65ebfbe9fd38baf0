"""An errand reads its own answer, however it is cut, and leaves the rest to what comes after."""

from __future__ import annotations

import pytest

from gateway.model import Question
from gateway.upstream.errand import often, simple
from gateway.upstream.messages import SYNC, Unexpected, written

READY = written(b"Z", b"T")
DONE = written(b"C", b"SET\0")
NOTICE = written(b"N", b"SLOG\0VLOG\0Rexec_simple_query\0\0")
REFUSED = written(b"E", b"SERROR\0C42501\0Mpermission denied\0\0")
REST = written(b"1", b"") + written(b"Z", b"T")


def test_it_is_one_simple_query() -> None:
    assert simple("ROLLBACK").opening == b"Q\0\0\0\x0dROLLBACK\0"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_the_rest_belongs_to_what_was_sent_next(size: int) -> None:
    errand = simple("SET a = b")
    data = NOTICE + DONE + DONE + READY + REST
    left = b""
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        left += piece if errand.finished else errand.receive(piece)
    assert errand.finished
    assert errand.error is None
    assert left == REST


def test_the_first_error_is_told() -> None:
    errand = simple("SET a = b")
    later = written(b"E", b"SERROR\0C25P02\0Maborted\0\0")
    assert errand.receive(REFUSED + later + READY) == b""
    assert errand.error is not None
    assert errand.error["C"] == "42501"
    assert errand.finished


def test_what_is_the_driver_s_goes_to_the_driver() -> None:
    errand = simple("SET a = b")
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
        simple("SET a = b").receive(said)


def test_what_is_done_often_is_prepared_once_and_known_when_it_was_done() -> None:
    known: set[Question] = set()
    first = often(["SET LOCAL a = b", "ROLLBACK"], known)
    assert first.opening.count(b"ROLLBACK") == 1
    assert first.opening.endswith(SYNC)
    prepared = written(b"3", b"") + written(b"1", b"") + written(b"2", b"") + DONE
    first.receive(2 * prepared)
    assert not known
    assert first.receive(READY + REST) == REST
    again = often(["SET LOCAL a = b", "ROLLBACK"], known)
    assert b"ROLLBACK" not in again.opening
    again.receive(2 * (written(b"2", b"") + DONE) + READY)
    assert again.finished
    assert again.error is None


def test_what_was_refused_is_prepared_again() -> None:
    known: set[Question] = set()
    often(["SET LOCAL ROLE b"], known).receive(REFUSED + READY)
    assert not known
