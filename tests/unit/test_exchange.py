"""A Parse and its question, message by message: whose tree it is, what is asked, when it ends."""

from __future__ import annotations

from struct import pack

import pytest

from gateway.model import Question
from gateway.upstream.exchange import Exchange, Guesses, Unexpected

QUESTION = Question("relations", "select what", most=2)
SYNC = b"S\0\0\0\4"


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + pack("!I", len(body) + 4) + body


def notice(tree: str, *, severity: str = "LOG", function: str = "elog_node_display") -> bytes:
    fields = {"S": "PROTOKOLL", "V": severity, "M": "rewritten:", "D": tree, "R": function}
    said = b"".join(letter.encode() + text.encode() + b"\0" for letter, text in fields.items())
    return message("N", said + b"\0")


def described(*columns: tuple[str, int]) -> bytes:
    fields = [name.encode() + b"\0" + pack("!IhIhih", 7, 1, oid, 4, -1, 0) for name, oid in columns]
    return message("t", pack("!HI", 1, 25)) + message(
        "T", pack("!H", len(columns)) + b"".join(fields)
    )


def row(oid: str, said: str) -> bytes:
    texts = [pack("!i", len(text.encode())) + text.encode() for text in (oid, said)]
    return message("D", pack("!H", 2) + b"".join(texts))


TREE = "({QUERY :relid 17 :relid 18})\n"
PARSED = notice(TREE) + message("1") + described(("id", 23), ("Größe", 25))
ANSWERED = message("2") + row("17", "a") + row("18", "ä") + message("C", b"SELECT 2\0")
READY = message("Z", b"T")
FAILED = message("E", b"VERROR\0C42703\0Mno such column\0P8\0\0")


def test_what_the_server_says_of_a_text() -> None:
    exchange = Exchange("select 1")
    assert exchange.opening.endswith(SYNC)
    assert exchange.receive(PARSED + READY) == b""
    assert exchange.finished
    assert exchange.trees == [TREE.encode()]
    assert exchange.named == {17, 18}
    assert exchange.names == ("id", "Größe")
    assert exchange.tree() == TREE
    assert exchange.tree() is exchange.tree()
    assert (exchange.type_oids, exchange.parameters) == ((23, 25), (25,))


def test_the_question_follows_the_tree() -> None:
    exchange = Exchange("select 1", QUESTION)
    assert SYNC not in exchange.opening
    asked = exchange.receive(notice(TREE))
    # Who had left an exchange before did not learn that the question was prepared in it.
    assert asked.startswith(message("C", b"Srelations\0") + b"P") and b"select what" in asked
    assert b"{17,18}" in asked and asked.endswith(SYNC)
    rest = PARSED.removeprefix(notice(TREE)) + message("3") + message("1") + ANSWERED
    assert exchange.receive(rest) == b""
    assert exchange.receive(READY) == b""
    assert exchange.known
    assert exchange.asked == {17, 18}
    assert exchange.rows == [(b"17", b"a"), (b"18", "ä".encode())]


def test_a_question_that_the_session_knows_is_not_prepared_again() -> None:
    exchange = Exchange("select 1", QUESTION, prepared=True)
    assert exchange.receive(notice(TREE)).startswith(b"B")


def test_a_guess_is_asked_along() -> None:
    exchange = Exchange("select 1", QUESTION, prepared=True, guess={17})
    assert b"{17}" in exchange.opening and exchange.opening.endswith(SYNC)
    assert exchange.receive(PARSED + ANSWERED + READY) == b""
    assert exchange.asked == {17}
    assert exchange.named == {17, 18}  # so the question is asked again


def test_too_many_relations_are_not_asked_about() -> None:
    exchange = Exchange("select 1", QUESTION)
    assert exchange.receive(notice("({QUERY :relid 1 :relid 2 :relid 3})\n")) == SYNC
    assert exchange.asked == frozenset()


def test_without_a_tree_the_exchange_ends_all_the_same() -> None:
    for end in (described(("id", 23)), message("n")):
        exchange = Exchange("select 1", QUESTION)
        assert exchange.receive(message("1") + end) == SYNC
        assert exchange.receive(READY) == b""
        assert exchange.finished and exchange.trees == []


def test_trees_are_the_text_s_until_it_is_parsed() -> None:
    exchange = Exchange("select 1", QUESTION)
    exchange.receive(notice(TREE) + notice("({QUERY :relid 19})\n") + message("1") + notice("late"))
    assert len(exchange.trees) == 2


@pytest.mark.parametrize(
    "other", [notice(TREE, severity="NOTICE"), notice(TREE, function="exec_simple_query")]
)
def test_other_notices_are_no_trees(other: bytes) -> None:
    exchange = Exchange("select 1")
    exchange.receive(other + PARSED + READY)
    assert exchange.trees == [TREE.encode()]


def test_messages_may_be_cut_anywhere() -> None:
    every = PARSED + message("1") + ANSWERED + READY
    for size in (1, 2, 3, 7, 50):
        exchange = Exchange("select 1", QUESTION)
        sent = [exchange.receive(every[at : at + size]) for at in range(0, len(every), size)]
        assert sum(map(bool, sent)) == 1
        assert exchange.finished and exchange.asked == {17, 18}


def test_an_error_ends_it() -> None:
    exchange = Exchange("select 1", QUESTION)
    assert exchange.receive(FAILED) == SYNC
    assert exchange.receive(READY) == b""
    assert exchange.finished and not exchange.parsed
    assert exchange.error == {"V": "ERROR", "C": "42703", "M": "no such column", "P": "8"}
    assert exchange.asked == frozenset()


def test_an_error_of_the_question_answers_nothing() -> None:
    exchange = Exchange("select 1", QUESTION, prepared=True, guess={17, 18})
    assert exchange.receive(PARSED + message("2") + row("17", "a") + FAILED + READY) == b""
    assert exchange.parsed and exchange.error is not None
    assert exchange.asked == frozenset()


def test_what_is_the_driver_s_is_passed_on() -> None:
    status = message("S", b"TimeZone\0UTC\0")
    gone = message("E", b"VFATAL\0C57P01\0Mshut down\0\0")
    exchange = Exchange("select 1")
    exchange.receive(status + PARSED + READY + gone)
    assert exchange.finished
    assert bytes(exchange.others) == status + gone
    assert exchange.error is None


@pytest.mark.parametrize(
    "wrong",
    [
        message("G"),
        message("R", b"\0\0\0\0"),
        b"Z\0\0\0\3",
        message("N", b"VLOG"),
        message("N"),
        message("T", pack("!H", 1) + b"id\0"),
        message("T", pack("!H", 1) + b"id"),
        message("t", pack("!HH", 2, 1)),
        message("D", pack("!Hi", 2, -1)),
        message("D", pack("!Hi", 2, 9) + b"short"),
    ],
)
def test_what_has_no_place_is_not_read(wrong: bytes) -> None:
    with pytest.raises(Unexpected):
        Exchange("select 1").receive(wrong)


def test_the_last_texts_are_guessed() -> None:
    guesses = Guesses()
    guesses.learn("a", frozenset({1}))
    guesses.learn("a", frozenset({2}))
    guesses.learn("none", frozenset())
    guesses.learn("x" * (guesses._LONGEST + 1), frozenset({1}))
    assert guesses.of("a") == {2}
    assert len(guesses._known) == 1
    for number in range(guesses._MOST):
        guesses.learn("b" * (number + 1), frozenset({1}))
    assert guesses.of("a") == frozenset()
    assert len(guesses._known) == guesses._MOST


def test_a_guess_keeps_no_literals() -> None:
    guesses = Guesses()
    guesses.learn("select id from person where ssn = '123-45-6789' and age > 41", frozenset({17}))
    assert guesses.of("select id from person where ssn = '999' and age > 5") == {17}
    assert guesses.of("select id from patient where ssn = '999' and age > 5") == frozenset()
    (kept,) = guesses._known
    assert b"123" not in kept
    assert b"41" not in kept
