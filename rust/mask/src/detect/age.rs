//! Ages over 89 (45 CFR 164.514(b)(2)(i)(C)): the number alone is the span.
//!
//! 90 to 149 before a word for years of age, or after `age` or `aged`; `ninety` and `hundred`, with what
//! counts on from them, before such a word.

use super::lexis::{at, before, is_blank, is_letter, is_word, number, run, run_up_to, same, word};
use super::{Kind, Span};

/// What makes a number an age; the longest that fits is taken.
const UNITS: [&str; 12] = [
    "years", "year", "yrs", "yr", "y/o", "y.o", "yo", "y", "yof", "yom", "f", "m",
];

pub(crate) fn find(text: &[u8], at_digit: usize, spans: &mut Vec<Span>) {
    let Some(end) = over_89(text, at_digit) else {
        return;
    };
    let i = run_up_to(text, end, 1, |c| is_blank(c) || c == b'-');
    let unit = UNITS
        .iter()
        .filter_map(|u| word(text, i, u))
        .find(|&e| !is_letter(at(text, e)));
    let Some(unit_end) = unit else { return };
    // `95 m` and `120 f` are no ages; `95M`, `95F` and `95 Y` are.
    if unit_end == i + 1
        && (i > end || !at(text, i).is_ascii_uppercase())
        && at(text, i) | 0x20 != b'y'
    {
        return;
    }
    push_unless_ago(text, at_digit, end, unit_end, spans);
}

/// The number `start..end` with a unit that ends at `unit_end`: `95 years ago` is no age.
fn push_unless_ago(text: &[u8], start: usize, end: usize, unit_end: usize, spans: &mut Vec<Span>) {
    let next = run_up_to(text, unit_end, 1, is_blank);
    if word(text, next, "ago").is_none() {
        let kind = Kind::Age;
        spans.push(Span { start, end, kind });
    }
}

/// The words that numbers over 89 begin with, but for `one` before `hundred`.
pub(crate) const WORDS: [&str; 2] = ["ninety", "hundred"];

const ONES: [&str; 10] = [
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
];

/// `ninety-two year old`, `a hundred and one years`.
pub(crate) fn find_in_words(text: &[u8], at_word: usize, spans: &mut Vec<Span>) {
    if is_word(before(text, at_word)) {
        return;
    }
    let joint = |i| run_up_to(text, i, 1, |c| is_blank(c) || c == b'-');
    let mut end = run_up_to(text, at_word, 8, is_letter);
    if !WORDS.iter().any(|word| same(text, at_word, end, word)) {
        return;
    }
    let and = joint(end);
    let next = word(text, and, "and").map_or(and, joint);
    let stop = run_up_to(text, next, 6, is_letter);
    if next > end && ONES.iter().any(|one| same(text, next, stop, one)) {
        end = stop;
    }
    let i = joint(end);
    let stop = run_up_to(text, i, 6, is_letter);
    let years = ["year", "years", "yr", "yrs", "yo"];
    if i > end && years.iter().any(|years| same(text, i, stop, years)) {
        push_unless_ago(text, at_word, end, stop, spans);
    }
}

/// `age`, `aged`, perhaps `/sex`, up to two of `: = of at is`, then the number.
pub(crate) fn find_after_word(text: &[u8], at_word: usize, spans: &mut Vec<Span>) {
    if is_word(before(text, at_word)) {
        return;
    }
    let end = run(text, at_word, is_letter);
    if !same(text, at_word, end, "age") && !same(text, at_word, end, "aged") {
        return;
    }
    let signs = |i| run_up_to(text, i, 2, |c| is_blank(c) || c == b':' || c == b'=');
    // `Age/Sex: 96/F`.
    let sex = ["/sex", "/gender"]
        .iter()
        .find_map(|sex| word(text, end, sex));
    let mut i = signs(sex.unwrap_or(end));
    for _ in 0..2 {
        let stop = run(text, i, is_letter);
        if ["of", "at", "is"]
            .iter()
            .any(|filler| same(text, i, stop, filler))
        {
            i = signs(stop);
        }
    }
    if let Some(end) = over_89(text, i)
        && !is_word(at(text, end))
    {
        spans.push(Span {
            start: i,
            end,
            kind: Kind::Age,
        });
    }
}

/// The end of a number from 90 to 149 at `i` that is no part of another.
fn over_89(text: &[u8], i: usize) -> Option<usize> {
    let end = super::lexis::digits(text, i);
    let part = matches!(before(text, i), b'.' | b'/' | b'-') || is_word(before(text, i));
    let more = at(text, end) == b'.' && at(text, end + 1).is_ascii_digit();
    let plausible = matches!(end - i, 2 | 3) && (90..150).contains(&number(text, i, end));
    (plausible && !part && !more && at(text, i) != b'0').then_some(end)
}
