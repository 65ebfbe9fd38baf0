"""The accuracy report counts what is left, and nothing that may stay."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from accuracy import clinic_notes, ours, written
from accuracy.score import score, shape
from accuracy.texts import Duty, Span, Text, Wanted

SAYS = {"DATE": frozenset({"date"}), "MRN": frozenset({"mrn"})}


@pytest.mark.parametrize(
    ("text", "masked", "expected"),
    [
        ("no identifier", "no identifier", []),
        ("MRN 123, seen", "MRN [MRN], seen", [Span(4, 7, "MRN")]),
        ("123", "[ID]", [Span(0, 3, "ID")]),
        ("a@b.org or c@d.org", "[EMAIL] or [EMAIL]", [Span(0, 7, "EMAIL"), Span(11, 18, "EMAIL")]),
        ("12/13/14 5", "[DATE][ID] 5", [Span(0, 8, "DATE")]),
    ],
)
def test_spans_are_found_where_the_labels_stand(
    text: str, masked: str, expected: list[Span]
) -> None:
    assert ours.spans(text, masked) == expected


@pytest.mark.parametrize("masked", ["another text", "MRN [MRN], gone", "[MRN] MRN 123, seen"])
def test_what_does_not_come_from_the_text_is_refused(masked: str) -> None:
    with pytest.raises(ValueError, match="does not come from"):
        ours.spans("MRN 123, seen", masked)


def judged(line: str, *found: Span) -> tuple[int, int, int]:
    """Spans that had to go, those of which nothing is left, false alarms."""
    one = score([written.marked(line)], [list(found)], SAYS)
    total, told = one.all_recall(), one.all_precision()
    return total.spans, total.whole, told.spans - told.right - told.free


def test_a_tail_that_is_left_is_a_miss() -> None:
    assert judged("MRN {mrn:123-45}", Span(4, 7, "MRN")) == (1, 0, 0)


def test_punctuation_that_is_left_is_none() -> None:
    found = (Span(4, 7, "MRN"), Span(8, 10, "MRN"))
    assert judged("MRN {mrn:123-45}", *found) == (1, 1, 0)


def test_the_year_of_a_date_may_stay() -> None:
    assert judged("on {date:May 3, 2021}.", Span(3, 8, "DATE")) == (1, 1, 0)
    assert judged("on {date:May 3, 2021}.", Span(3, 14, "DATE")) == (1, 1, 0)


def test_a_year_alone_is_neither_missed_nor_a_false_alarm() -> None:
    assert judged("since {date:2014}.") == (0, 0, 0)
    assert judged("since {date:2014}.", Span(6, 10, "DATE")) == (0, 0, 0)


def test_what_had_not_to_go_is_a_false_alarm_and_an_altered_text() -> None:
    one = score([written.marked("BP 120/80")], [[Span(3, 9, "DATE")]], SAYS)
    assert (one.clean, one.clean_altered) == (1, 1)
    assert one.all_precision().right == 0
    assert one.precision["DATE"].false_shapes == {"999/99": 1}


def test_a_right_label_is_counted_apart_from_recall() -> None:
    text = Text("MRN 123", (Wanted(4, 7, "mrn", Duty.MASK),))
    one = score([text], [[Span(4, 7, "DATE")]], SAYS)
    assert (one.recall["mrn"].whole, one.recall["mrn"].labelled) == (1, 0)


def test_shapes_say_nothing_of_the_text() -> None:
    assert shape("Ann-Marie 12/3") == "Aaa-Aaa… 99/9"
    assert shape("ST-998877") == "AA-999999"


def test_the_written_sentences_are_read_whole() -> None:
    texts = written.read()
    assert len(texts) > 100
    assert sum(not text.wanted for text in texts) > 50
    for text in texts:
        assert all(text.text[one.start : one.end].strip() for one in text.wanted)


def test_a_note_in_no_known_form_stops_the_report() -> None:
    note = clinic_notes.labelled("patient", "Dear Ms. Roe, your results of 05/30/22 are ready. "
                                 "Questions: 555.010.4477 or j.front@example.org.")  # fmt: skip
    assert [one.entity for one in note.wanted] == ["person", "date", "phone", "e-mail"]
    with pytest.raises(ValueError, match="no known form"):
        clinic_notes.labelled("patient", "Dear Ms. Roe.")
