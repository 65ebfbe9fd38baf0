//! Dates and ages in words alone, as they are dictated: `the fourth of July`, `March twenty-third`,
//! `in her late nineties`, `nonagenarian`; holidays, which are days of a month (`since Thanksgiving`,
//! `Christmas Eve`, `Labor Day`).
//!
//! Left alone: `may second` and `march first` in small letters, the nineties of a century, and what is
//! named for a holiday (`Christmas tree pattern`).

use super::date_words::MONTHS;
use super::lexis::{
    at, before, digits, is_blank, is_letter, is_word, run, run_back_up_to, run_up_to, same, word,
};
use super::spelling::{gap, gap_before};
use super::{Kind, Span};

const ORDINALS: [&str; 21] = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
    "thirtieth",
];

/// Those that count on from twenty and thirty.
const ONES: usize = 9;

fn one_of(text: &[u8], from: usize, to: usize, words: &[&str]) -> bool {
    words.iter().any(|word| same(text, from, to, word))
}

/// The end of an ordinal from the first to the thirty-first at `i`, and whether it is of two words.
fn ordinal(text: &[u8], i: usize) -> Option<(usize, bool)> {
    let end = run_up_to(text, i, 12, is_letter);
    if one_of(text, i, end, &["twenty", "thirty"]) {
        let next = run_up_to(text, end, 1, |c| is_blank(c) || c == b'-');
        let stop = run_up_to(text, next, 8, is_letter);
        let ones = ORDINALS.get(..ONES).unwrap_or_default();
        let counted = next > end && !is_word(at(text, stop)) && one_of(text, next, stop, ones);
        return counted.then_some((stop, true));
    }
    let known = !is_word(at(text, end)) && one_of(text, i, end, &ORDINALS);
    known.then_some((end, false))
}

/// The start of an ordinal that ends at `end`.
fn ordinal_before(text: &[u8], end: usize) -> Option<usize> {
    let start = run_back_up_to(text, end, 12, is_letter);
    if is_word(before(text, start)) || !one_of(text, start, end, &ORDINALS) {
        return None;
    }
    let joint = start - usize::from(is_blank(before(text, start)) || before(text, start) == b'-');
    let tens = run_back_up_to(text, joint, 7, is_letter);
    let two =
        joint < start && !is_word(before(text, tens)) && ordinal(text, tens) == Some((end, true));
    Some(if two { tens } else { start })
}

/// Asked where a month may begin: a day in words before it or behind it.
pub(crate) fn find_day(text: &[u8], month: usize, spans: &mut Vec<Span>) {
    let end = run_up_to(text, month, 10, is_letter);
    let known = MONTHS.iter().find(|(name, _)| same(text, month, end, name));
    let Some(&(_, plain)) = known.filter(|_| !is_word(before(text, month))) else {
        return;
    };
    let kind = Kind::Date;
    // `the fourth of July`, `the fourth day of July`.
    let day = gap_before(text, month).and_then(|gap| {
        let of = run_back_up_to(text, gap, 3, is_letter);
        let end = gap_before(text, of).filter(|_| same(text, of, gap, "of"))?;
        let day = run_back_up_to(text, end, 4, is_letter);
        let end = gap_before(text, day)
            .filter(|_| same(text, day, end, "day"))
            .unwrap_or(end);
        ordinal_before(text, end)
    });
    if let Some(start) = day {
        spans.push(Span { start, end, kind });
    }
    // `July fourth`, `July the fourth`.
    let next = gap(text, end + usize::from(at(text, end) == b'.'));
    let day = next.and_then(|next| {
        let the = word(text, next, "the").and_then(|the| gap(text, the));
        ordinal(text, the.unwrap_or(next))
    });
    let small = plain && at(text, month).is_ascii_lowercase();
    if let Some((end, two)) = day
        && (two || !(small || plain && goes_on(text, end)))
    {
        let start = month;
        spans.push(Span { start, end, kind });
    }
}

/// Whether a sentence goes on behind `i`: `May second doses be given`, `March first, then rest`.
fn goes_on(text: &[u8], i: usize) -> bool {
    let comma = i + usize::from(at(text, i) == b',');
    let next = run_up_to(text, comma, 2, is_blank);
    !matches!(
        at(text, next),
        0 | b'.' | b';' | b')' | b'\n' | b'\r' | b'0'..=b'9'
    )
}

/// The first words of holidays.
pub(crate) const HOLIDAYS: [&str; 4] = ["christmas", "thanksgiving", "labor", "memorial"];

/// Asked where one of [`HOLIDAYS`] may begin.
pub(crate) fn find_holiday(text: &[u8], at_word: usize, spans: &mut Vec<Span>) {
    let end = run(text, at_word, is_letter);
    let capital = at(text, at_word).is_ascii_uppercase();
    if !capital || is_word(before(text, at_word)) || !one_of(text, at_word, end, &HOLIDAYS) {
        return;
    }
    let day = gap(text, end).and_then(|next| {
        let stop = run_up_to(text, next, 6, is_letter);
        let days = ["day", "eve", "sunday", "monday"];
        let small = at(text, next).is_ascii_lowercase();
        let counted = run_up_to(text, stop, 2, is_blank);
        let counted = is_word(at(text, stop)) || at(text, counted).is_ascii_digit();
        let known = one_of(text, next, stop, &days) && !counted;
        (!small && known).then_some(stop)
    });
    let end = match day {
        Some(end) => end,
        None if one_of(text, at_word, end, &["labor", "memorial"]) || goes_on_named(text, end) => {
            return;
        }
        None if dated(text, at_word) => end,
        None => return,
    };
    let (start, kind) = (at_word, Kind::Date);
    spans.push(Span { start, end, kind });
}

/// Whether what is named for a holiday follows: `Christmas tree`, `Easter egg`.
fn goes_on_named(text: &[u8], i: usize) -> bool {
    let things = [
        "tree", "disease", "factor", "lights", "egg", "eggs", "seal", "seals", "dinner", "lunch",
        "meal", "party", "island", "bunny", "candy", "costume", "pattern", "carol", "carols",
    ];
    gap(text, i).is_some_and(|next| {
        let stop = run_up_to(text, next, 9, is_letter);
        one_of(text, next, stop, &things)
    })
}

/// Whether what stands before `i` stands before days.
fn dated(text: &[u8], i: usize) -> bool {
    let words = [
        "on", "since", "after", "around", "over", "last", "this", "past",
    ];
    gap_before(text, i).is_some_and(|end| {
        let start = run_back_up_to(text, end, 8, is_letter);
        one_of(text, start, end, &words)
    })
}

/// Words that an age over 89 may begin with, or be.
pub(crate) const AGES: [&str; 7] = [
    "her",
    "his",
    "ninety",
    "nineties",
    "nonagenarian",
    "centenarian",
    "turned",
];

/// Asked where one of [`AGES`] may begin.
pub(crate) fn find_age(text: &[u8], at_word: usize, spans: &mut Vec<Span>) {
    let end = run_up_to(text, at_word, 14, is_letter);
    if is_word(before(text, at_word)) || is_word(at(text, end)) {
        return;
    }
    let is = |word: &str| same(text, at_word, end, word);
    let found = if is("nonagenarian") || is("centenarian") {
        Some((at_word, end))
    } else if is("ninety") {
        aged(text, at_word, end)
    } else if is("nineties") {
        lived(text, at_word).then_some((at_word, end))
    } else if is("her") || is("his") {
        decade(text, at_word, end)
    } else if is("turned") {
        turned(text, end)
    } else {
        None
    };
    if let Some((start, end)) = found {
        let kind = Kind::Age;
        spans.push(Span { start, end, kind });
    }
}

const PARTS: [&str; 5] = ["early", "mid", "middle", "late", "upper"];

/// Whether somebody's years end before `i`: `her late`, `his`.
fn lived(text: &[u8], i: usize) -> bool {
    let joint = run_back_up_to(text, i, 2, |c| is_blank(c) || c == b'-');
    let start = run_back_up_to(text, joint, 7, is_letter);
    let whose = ["her", "his", "their"];
    if one_of(text, start, joint, &whose) {
        return joint < i;
    }
    let owner = gap_before(text, start);
    one_of(text, start, joint, &PARTS)
        && owner.is_some_and(|end| {
            let start = run_back_up_to(text, end, 6, is_letter);
            one_of(text, start, end, &whose)
        })
}

/// `in her late 90s`, of which the word at `whose..end` is asked.
fn decade(text: &[u8], whose: usize, end: usize) -> Option<(usize, usize)> {
    let link = gap_before(text, whose)?;
    same(text, link.checked_sub(2)?, link, "in").then_some(())?;
    let mut start = gap(text, end)?;
    let stop = run_up_to(text, start, 7, is_letter);
    if one_of(text, start, stop, &PARTS) {
        start = run_up_to(text, stop, 2, |c| is_blank(c) || c == b'-');
    }
    let number = digits(text, start);
    let ten = [b"90", &b"100"[..]].contains(&text.get(start..number)?);
    let quote = number + usize::from(at(text, number) == b'\'');
    let tens = at(text, quote) == b's' && !is_word(at(text, quote + 1));
    (ten && tens).then_some((start, quote + 1))
}

/// `aged ninety-four`, `age: ninety`.
fn aged(text: &[u8], ninety: usize, end: usize) -> Option<(usize, usize)> {
    let signs = run_back_up_to(text, ninety, 3, |c| is_blank(c) || c == b':');
    let start = run_back_up_to(text, signs, 5, is_letter);
    let of = gap_before(text, start).filter(|_| same(text, start, signs, "of"));
    let age = of.map_or(start, |of| run_back_up_to(text, of, 5, is_letter));
    let known = one_of(text, age, of.unwrap_or(signs), &["age", "aged"]);
    (known && signs < ninety && !is_word(before(text, age))).then_some(())?;
    let next = run_up_to(text, end, 1, |c| is_blank(c) || c == b'-');
    let stop = run_up_to(text, next, 6, is_letter);
    let ones = [
        "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    ];
    let counted = next > end && one_of(text, next, stop, &ones);
    Some((ninety, if counted { stop } else { end }))
}

/// `turned 92 last week`; what is turned `92 degrees` is no person.
fn turned(text: &[u8], end: usize) -> Option<(usize, usize)> {
    let start = gap(text, end)?;
    let stop = digits(text, start);
    let over = matches!(text.get(start..stop)?, [b'9', _] | [b'1', b'0', _]);
    let next = run_up_to(text, stop, 2, is_blank);
    let last = run_up_to(text, next, 10, is_letter);
    let words = [
        "this",
        "last",
        "next",
        "in",
        "on",
        "years",
        "today",
        "yesterday",
        "tomorrow",
        "and",
    ];
    let ends = match at(text, stop) {
        0 | b',' | b';' | b')' | b'\n' | b'\r' => true,
        b'.' => !is_word(at(text, stop + 1)),
        _ => next > stop && one_of(text, next, last, &words),
    };
    (over && ends).then_some((start, stop))
}

/// Asked where `birthday` may begin: `her 93rd birthday`.
pub(crate) fn find_birthday(text: &[u8], at_word: usize, spans: &mut Vec<Span>) {
    let whole = run_up_to(text, at_word, 9, is_letter);
    let end = gap_before(text, at_word)
        .filter(|_| same(text, at_word, whole, "birthday"))
        .and_then(|gap| gap.checked_sub(2));
    let Some(end) = end.filter(|&end| one_of(text, end, end + 2, &["st", "nd", "rd", "th"])) else {
        return;
    };
    let start = run_back_up_to(text, end, 4, |c| c.is_ascii_digit());
    let over = matches!(
        text.get(start..end),
        Some([b'9', _] | [b'1', b'0' | b'1', _])
    );
    if over && !is_word(before(text, start)) {
        let kind = Kind::Age;
        spans.push(Span { start, end, kind });
    }
}
