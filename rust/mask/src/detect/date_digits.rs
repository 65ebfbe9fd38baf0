//! Dates in digits. A bare year stays (45 CFR 164.514(b)(2)(i)(C) lets it).
//!
//! - `2022-05-30`, also with `/` or `.`, with the time that a `T` hangs on it;
//! - `03/04/24`, `3-4-2024`, `30.05.2022`, `30 05 2022`: month and day in either order;
//! - `05/2022`, `5-2022`, `2022-05`: a month is more than the year;
//! - `3/14` after a word that announces a date, or at the beginning of a range; with a day that no scale
//!   ends with (`7/22`) after more words, and where a range says two of them (`from 7/22 to 7/25`);
//! - `3.4.60` behind what a birth is called;
//! - eight bare digits that are a date in either order.
//!
//! A number before a unit (`10/20/30 mg`) is no date.

use super::lexis::{
    at, before, digits, is_blank, is_letter, is_word, number, quantity, run_back, run_back_up_to,
    run_up_to, same,
};
use super::{Kind, Span};

/// Words after which a month and a day need no year, by their length.
const ANNOUNCING: [&[&str]; 12] = [
    &[],
    &[],
    &["on"],
    &[
        "dob", "due", "dos", "lmp", "edc", "edd", "doa", "dod", "doi",
    ],
    &["born", "date", "till", "seen", "appt", "thru"],
    &["since", "dated", "until", "visit"],
    &[],
    &["through", "started"],
    &["admitted", "starting"],
    &["scheduled", "effective", "extubated", "intubated"],
    &["discharged"],
    &["appointment", "transferred"],
];

/// Words after which a month and a day need no year where the day is [`sure`], by their length.
const PERHAPS: [&[&str]; 12] = [
    &[],
    &[],
    &["up", "by", "of", "to"],
    &["flu", "mri", "egd"],
    &["from", "last", "labs", "echo", "week"],
    &["after"],
    &["placed"],
    &["removed", "surgery"],
    &["received"],
    &["completed", "collected"],
    &[],
    &["colonoscopy"],
];

/// Words between the two dates of a range, by their length.
const LINKS: [&[&str]; 12] = [
    &[],
    &[],
    &["to"],
    &["and"],
    &["thru", "till"],
    &["until"],
    &[],
    &["through"],
    &[],
    &[],
    &[],
    &[],
];

/// The numbers from 13 to 31 that tests and scales count to: `MMSE 12/30`, `PHQ-9 of 4/27`.
const TOPS: [u32; 10] = [15, 16, 18, 20, 21, 24, 25, 27, 28, 30];

/// Words that a date ends before.
const AFTER_DATES: [&str; 12] = [
    "at", "and", "to", "for", "with", "but", "in", "by", "because", "showed", "shows", "revealed",
];

/// The characters of `12/31`.
const LONGEST_PAIR: usize = 5;

/// Asked for the run of digits `at_digit..end`.
pub(crate) fn find(text: &[u8], at_digit: usize, end: usize, spans: &mut Vec<Span>) {
    let found = match end - at_digit {
        1 | 2 => short_first(text, at_digit, end),
        4 => year_first(text, at_digit, end),
        8 => eight(text, at_digit, end).then_some(end),
        _ => None,
    };
    let kind = Kind::Date;
    if let Some(end) = found {
        let start = at_digit;
        spans.push(Span { start, end, kind });
    }
    // What stands right behind a dash is asked here.
    if let Some(end) = found
        && end - at_digit <= LONGEST_PAIR
        && (at(text, end) == b'-' || is_blank(at(text, end)))
        && let Some(day) = is_date(text, at_digit, end)
        && let Some((start, end)) = dashed(text, end, day)
    {
        spans.push(Span { start, end, kind });
    }
}

/// One or two digits first: day or month.
fn short_first(text: &[u8], first: usize, first_end: usize) -> Option<usize> {
    let (mark, second) = mark(text, first_end)?;
    let second_end = digits(text, second);
    let a = number(text, first, first_end);
    let b = number(text, second, second_end);
    // `10.1.2.03` and `1-2-3-24`: a piece of something longer.
    let piece = before(text, first) == mark
        && first
            .checked_sub(1)
            .is_some_and(|i| before(text, i).is_ascii_digit());
    if piece {
        return None;
    }
    match second_end - second {
        1 | 2 => {
            if !month_and_day(a, b) {
                return None;
            }
            match with_year(text, first_end - first, mark, second, second_end) {
                Some(end) => Some(end),
                None => announced(text, first, mark, second_end),
            }
        }
        4 => {
            let fits = matches!(mark, b'/' | b'-') && (1..=12).contains(&a);
            let year = (1900..2100).contains(&b);
            let more = matches!(at(text, second_end), b'/' | b'-')
                && at(text, second_end + 1).is_ascii_digit();
            (fits && year && !more && !quantity(text, second_end)).then_some(second_end)
        }
        _ => None,
    }
}

/// The year after day and month.
fn with_year(
    text: &[u8],
    first_length: usize,
    mark_before: u8,
    second: usize,
    second_end: usize,
) -> Option<usize> {
    let (mark_after, year) = mark(text, second_end)?;
    if mark_after != mark_before {
        return None;
    }
    let end = digits(text, year);
    let two_digits = first_length == 2 && second_end - second == 2;
    match end - year {
        4 if (1800..2200).contains(&number(text, year, end)) => {
            let fits = mark_after != b' ' || (two_digits && !quantity(text, end));
            fits.then_some(end)
        }
        2 => {
            let fits = match mark_after {
                b'.' => two_digits,
                b' ' => false,
                _ => true,
            };
            let more = at(text, end) == mark_after && at(text, end + 1).is_ascii_digit();
            (fits && !more && !quantity(text, end)).then_some(end)
        }
        _ => None,
    }
}

/// A month and a day without a year, announced by the word before.
fn announced(text: &[u8], first: usize, mark: u8, end: usize) -> Option<usize> {
    let more = matches!(at(text, end), b'/' | b'.') && at(text, end + 1).is_ascii_digit();
    if mark != b'/' || more {
        return None;
    }
    let announced =
        after_announcing_word(text, first) || before_range(text, end) || likely(text, first, end);
    (announced && !quantity(text, end)).then_some(end)
}

/// Whether the month and the day in `first..end` are some though nothing announces a date surely.
pub(crate) fn likely(text: &[u8], first: usize, end: usize) -> bool {
    let day = day(text, first);
    if ranged(text, first, end, day) {
        return true;
    }
    let perhaps = after_word_of(&PERHAPS, text, first) && ends_date(text, end);
    sure(day) && (perhaps || timed(text, end))
}

/// Whether a time of day follows at `i`: `5/19 10:30`.
fn timed(text: &[u8], i: usize) -> bool {
    let hour = run_up_to(text, i, 2, is_blank);
    let colon = digits(text, hour);
    let end = digits(text, colon + 1);
    let clock = matches!(colon - hour, 1 | 2) && at(text, colon) == b':' && end == colon + 3;
    hour > i && clock && number(text, hour, colon) < 24 && number(text, colon + 1, end) < 60
}

/// The number behind the slash of the two that begin at `first`.
fn day(text: &[u8], first: usize) -> u32 {
    let second = run_up_to(text, digits(text, first), 3, |c| is_blank(c) || c == b'/');
    number(text, second, digits(text, second))
}

/// Whether this counts days and nothing else.
fn sure(day: u32) -> bool {
    (13..=31).contains(&day) && !TOPS.contains(&day)
}

/// Whether nothing follows at `i` that is counted.
fn ends_date(text: &[u8], i: usize) -> bool {
    let next = run_up_to(text, i, 2, is_blank);
    if !is_letter(at(text, next)) {
        return next == i || at(text, next) != b'(';
    }
    let stop = run_up_to(text, next, 8, is_letter);
    let ends = AFTER_DATES.iter().any(|word| same(text, next, stop, word));
    next > i && ends
}

/// Whether two days are none of a scale's tops.
fn apart(one: u32, other: u32) -> bool {
    other != one && (sure(other) || sure(one))
}

/// The day of the month and day in `from..to`, if they are some.
fn is_date(text: &[u8], from: usize, to: usize) -> Option<u32> {
    let one = digits(text, from);
    let other = number(text, one + 1, to);
    let slash = at(text, one) == b'/' && matches!(one - from, 1 | 2);
    let slash = slash && digits(text, one + 1) == to && matches!(to - one, 2 | 3);
    (slash && month_and_day(number(text, from, one), other)).then_some(other)
}

/// The month and day behind a dash at `i`, behind one with this day: `7/22-7/25`.
fn dashed(text: &[u8], i: usize, day: u32) -> Option<(usize, usize)> {
    let dash = run_up_to(text, i, 1, is_blank);
    let start = run_up_to(text, dash + 1, 1, is_blank);
    let end = digits(text, digits(text, start) + 1);
    let more = matches!(at(text, end), b'/' | b'.') && at(text, end + 1).is_ascii_digit();
    let other = is_date(text, start, end).filter(|_| at(text, dash) == b'-')?;
    (apart(day, other) && !more && !quantity(text, end)).then_some((start, end))
}

/// Whether the two numbers in `first..end` begin or end `from 7/22 to 7/25` or `7/22-7/25`: of fractions the second
/// numbers would be equal.
fn ranged(text: &[u8], first: usize, end: usize, day_here: u32) -> bool {
    let linked = |from: usize, to: usize| {
        let links = LINKS.get(to - from).copied().unwrap_or_default();
        links.iter().any(|link| same(text, from, to, link))
    };
    let opened = |i: usize| {
        let stop = run_back(text, i, is_blank);
        let start = run_back(text, stop, is_letter);
        stop < i && (same(text, start, stop, "from") || same(text, start, stop, "between"))
    };
    let two = |other: u32| apart(day_here, other);
    // `7/22-7/25` says so by itself.
    if dashed(text, end, day_here).is_some() {
        return true;
    }
    let over = run_back_up_to(text, first, 1, is_blank);
    let dash = over.saturating_sub(1);
    if over > 0 && at(text, dash) == b'-' {
        let over = run_back_up_to(text, dash, 1, is_blank);
        let slash = run_back_up_to(text, over, 3, |c| c.is_ascii_digit());
        let from = run_back_up_to(text, slash.saturating_sub(1), 3, |c| c.is_ascii_digit());
        let piece = before(text, from) == b'/' && before(text, from - 1).is_ascii_digit();
        return !piece && is_date(text, from, over).is_some_and(two);
    }
    // The first of them.
    let next = run_up_to(text, end, 1, is_blank);
    let stop = run_up_to(text, next, 8, is_letter);
    let second = run_up_to(text, stop, 1, is_blank);
    if next > end && second > stop && linked(next, stop) && opened(first) {
        let over = digits(text, digits(text, second) + 1);
        return is_date(text, second, over).is_some_and(two);
    }
    // The second.
    let gap = run_back_up_to(text, first, 1, is_blank);
    let start = run_back_up_to(text, gap, 8, is_letter);
    let over = run_back_up_to(text, start, 1, is_blank);
    if gap < first && over < start && linked(start, gap) {
        let slash = run_back_up_to(text, over, 3, |c| c.is_ascii_digit());
        let from = run_back_up_to(text, slash.saturating_sub(1), 3, |c| c.is_ascii_digit());
        return opened(from) && is_date(text, from, over).is_some_and(two);
    }
    false
}

/// What a birth is called.
pub(crate) const BIRTHS: [&str; 4] = ["dob", "birth", "born", "birthday"];

/// One of [`BIRTHS`], up to four signs, perhaps `is`, `was` or `on`, `3.4.60` or six digits.
pub(crate) fn find_after_birth(text: &[u8], at_word: usize, spans: &mut Vec<Span>) {
    let end = run_up_to(text, at_word, 10, is_letter);
    if is_word(before(text, at_word)) || !BIRTHS.iter().any(|word| same(text, at_word, end, word)) {
        return;
    }
    let signs = |i| {
        run_up_to(text, i, 4, |c| {
            is_blank(c) || matches!(c, b':' | b'=' | b'(' | b'-')
        })
    };
    let mut start = signs(end);
    let stop = run_up_to(text, start, 3, is_letter);
    if ["is", "was", "on"]
        .iter()
        .any(|link| same(text, start, stop, link))
    {
        start = signs(stop);
    }
    let one = digits(text, start);
    let two = digits(text, one + 1);
    let year = digits(text, two + 1);
    // `080888`, in any order.
    let pair = |i: usize| number(text, start + i, start + i + 2);
    let six = one == start + 6 && !is_word(at(text, one));
    let six = six && (month_and_day(pair(0), pair(2)) || month_and_day(pair(2), pair(4)));
    if six {
        spans.push(Span {
            start,
            end: one,
            kind: Kind::Date,
        });
    }
    let dots = at(text, one) == b'.' && at(text, two) == b'.';
    let short = matches!(one - start, 1 | 2) && matches!(two - one, 2 | 3);
    let fits = dots && short && matches!(year - two, 3 | 5);
    if fits && month_and_day(number(text, start, one), number(text, one + 1, two)) {
        spans.push(Span {
            start,
            end: year,
            kind: Kind::Date,
        });
    }
}

/// `[ \t]?-[ \t]?[0-9]{1,2}/[0-9]{1,2}/[0-9]{2}`: the month and day that end at `i` begin a range.
fn before_range(text: &[u8], i: usize) -> bool {
    let dash = i + usize::from(is_blank(at(text, i)));
    if at(text, dash) != b'-' {
        return false;
    }
    let day = run_up_to(text, dash + 1, 1, is_blank);
    let month = digits(text, day);
    let year = digits(text, month + 1);
    matches!(month - day, 1 | 2)
        && at(text, month) == b'/'
        && matches!(year - month, 2 | 3)
        && at(text, year) == b'/'
        && digits(text, year + 1) > year + 2
}

/// Whether the word before `i` announces a date.
pub(crate) fn after_announcing_word(text: &[u8], i: usize) -> bool {
    after_word_of(&ANNOUNCING, text, i)
}

/// Whether the word before `i` is one of these.
fn after_word_of(of: &[&[&str]; 12], text: &[u8], i: usize) -> bool {
    let stop = run_back(text, i, |c| is_blank(c) || c == b':' || c == b'(');
    let last = [before(text, stop.saturating_sub(1)), before(text, stop)];
    if stop == i || !ends_announcing(last) {
        return false;
    }
    let start = run_back(text, stop, is_letter);
    let words = of.get(stop - start).copied().unwrap_or_default();
    words.iter().any(|word| same(text, start, stop, word))
}

/// The last two letters of words that a date may stand behind: for each last one those before it, `a` the
/// lowest bit.
const ENDINGS: [u32; 32] = endings(&LINKS, endings(&PERHAPS, endings(&ANNOUNCING, [0; 32])));

#[allow(clippy::indexing_slicing)] // evaluated by the compiler: out of bounds would not compile
const fn endings(of: &[&[&str]; 12], mut endings: [u32; 32]) -> [u32; 32] {
    let mut length = 2;
    while length < of.len() {
        let mut i = 0;
        while i < of[length].len() {
            let word = of[length][i].as_bytes();
            let (before, last) = (word[length - 2] & 31, word[length - 1] & 31);
            endings[last as usize] |= 1 << before;
            i += 1;
        }
        length += 1;
    }
    endings
}

/// Whether the last two letters of such a word are these, whatever their case; what is no letter
/// may be taken for one.
#[inline(always)]
pub(super) fn ends_announcing([before, last]: [u8; 2]) -> bool {
    let endings = ENDINGS.get(usize::from(last & 31)).copied().unwrap_or(0);
    endings >> (before & 31) & 1 == 1
}

/// Four digits first: the year, then month and perhaps day.
fn year_first(text: &[u8], year: usize, year_end: usize) -> Option<usize> {
    let value = number(text, year, year_end);
    let mark = at(text, year_end);
    if !(1800..2200).contains(&value) || !matches!(mark, b'-' | b'/' | b'.') {
        return None;
    }
    let month = year_end + 1;
    let month_end = digits(text, month);
    if !matches!(month_end - month, 1 | 2) || !(1..=12).contains(&number(text, month, month_end)) {
        return None;
    }
    if at(text, month_end) == mark {
        let day = month_end + 1;
        let end = digits(text, day);
        if matches!(end - day, 1 | 2) && (1..=31).contains(&number(text, day, end)) {
            return Some(time(text, end));
        }
    }
    let more =
        matches!(at(text, month_end), b'/' | b'-') && at(text, month_end + 1).is_ascii_digit();
    let fits = mark != b'.' && month_end - month == 2 && (1900..2100).contains(&value);
    (fits && !more && !is_word(at(text, month_end)) && !quantity(text, month_end))
        .then_some(month_end)
}

/// `T` and a time of day hang on a date: they go with it.
fn time(text: &[u8], end: usize) -> usize {
    let is_t = at(text, end).eq_ignore_ascii_case(&b'T');
    if !is_t || !at(text, end + 1).is_ascii_digit() {
        return end;
    }
    let clock = run_up_to(text, end + 1, 18, |c| {
        c.is_ascii_digit() || c == b':' || c == b'.'
    });
    let zone = run_up_to(text, clock, 1, |c| matches!(c, b'+' | b'-' | b'Z' | b'z'));
    if zone > clock && matches!(at(text, clock), b'+' | b'-') {
        return run_up_to(text, zone, 5, |c| c.is_ascii_digit() || c == b':');
    }
    zone
}

/// `[ \t]?[-/.][ \t]?` or one blank, and what stands after it.
fn mark(text: &[u8], i: usize) -> Option<(u8, usize)> {
    let blank = i + usize::from(is_blank(at(text, i)));
    let mark = at(text, blank);
    let (mark, next) = if matches!(mark, b'-' | b'/' | b'.') {
        let next = blank + 1;
        (mark, next + usize::from(is_blank(at(text, next))))
    } else if blank > i {
        (b' ', blank)
    } else {
        return None;
    };
    at(text, next).is_ascii_digit().then_some((mark, next))
}

fn month_and_day(a: u32, b: u32) -> bool {
    let day = |n| (1..=31).contains(&n);
    let month = |n| (1..=12).contains(&n);
    (month(a) && day(b)) || (day(a) && month(b))
}

/// YYYYMMDD, MMDDYYYY or DDMMYYYY, not after a decimal point.
fn eight(text: &[u8], i: usize, end: usize) -> bool {
    let year = |from| (1900..2100).contains(&number(text, from, from + 4));
    let pair = |from| number(text, from, from + 2);
    let fraction = before(text, i) == b'.' && i >= 2 && before(text, i - 1).is_ascii_digit();
    let year_first = year(i) && (1..=12).contains(&pair(i + 4)) && (1..=31).contains(&pair(i + 6));
    let year_last = year(i + 4) && month_and_day(pair(i), pair(i + 2));
    !fraction && (year_first || year_last) && !quantity(text, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_announcing_word_has_its_length_and_its_ending() {
        let both = ANNOUNCING.iter().enumerate();
        for (length, words) in both.chain(
            PERHAPS
                .iter()
                .chain(&LINKS)
                .zip(0..)
                .map(|(words, i)| (i % 12, words)),
        ) {
            for word in *words {
                assert_eq!(word.len(), length, "{word}");
                for word in [(*word).to_owned(), word.to_uppercase()] {
                    let last = *word.as_bytes().last_chunk().unwrap();
                    assert!(ends_announcing(last), "{word}");
                }
            }
        }
    }
}
