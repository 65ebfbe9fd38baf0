//! Dates in digits. A bare year stays (45 CFR 164.514(b)(2)(i)(C) lets it).
//!
//! - `2022-05-30`, also with `/` or `.`, with the time that a `T` hangs on it;
//! - `03/04/24`, `3-4-2024`, `30.05.2022`, `30 05 2022`: month and day in either order;
//! - `05/2022`, `5-2022`, `2022-05`: a month is more than the year;
//! - `3/14` after a word that announces a date, or at the beginning of a range;
//! - eight bare digits that are a date in either order.
//!
//! A number before a unit (`10/20/30 mg`) is no date.

use super::lexis::{
    at, before, digits, is_blank, is_letter, is_word, number, quantity, run_back, run_up_to, same,
};
use super::{Kind, Span};

/// Words after which a month and a day need no year, by their length.
const ANNOUNCING: [&[&str]; 12] = [
    &[],
    &[],
    &["on"],
    &["dob", "due", "dos"],
    &["born", "date", "till", "seen", "appt", "thru"],
    &["since", "dated", "until", "visit"],
    &[],
    &["through", "started"],
    &["admitted", "starting"],
    &["scheduled", "effective"],
    &["discharged"],
    &["appointment"],
];

/// Asked for the run of digits `at_digit..end`.
pub(crate) fn find(text: &[u8], at_digit: usize, end: usize, spans: &mut Vec<Span>) {
    let found = match end - at_digit {
        1 | 2 => short_first(text, at_digit, end),
        4 => year_first(text, at_digit, end),
        8 => eight(text, at_digit, end).then_some(end),
        _ => None,
    };
    if let Some(end) = found {
        spans.push(Span {
            start: at_digit,
            end,
            kind: Kind::Date,
        });
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
    let announced = after_announcing_word(text, first) || before_range(text, end);
    (announced && !quantity(text, end)).then_some(end)
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
    let stop = run_back(text, i, |c| is_blank(c) || c == b':' || c == b'(');
    let last = [before(text, stop.saturating_sub(1)), before(text, stop)];
    if stop == i || !ends_announcing(last) {
        return false;
    }
    let start = run_back(text, stop, is_letter);
    let words = ANNOUNCING.get(stop - start).copied().unwrap_or_default();
    words.iter().any(|word| same(text, start, stop, word))
}

/// The last two letters of announcing words: for each last one those before it, `a` the lowest bit.
const ENDINGS: [u32; 32] = endings();

#[allow(clippy::indexing_slicing)] // evaluated by the compiler: out of bounds would not compile
const fn endings() -> [u32; 32] {
    let mut endings = [0; 32];
    let mut length = 2;
    while length < ANNOUNCING.len() {
        let mut i = 0;
        while i < ANNOUNCING[length].len() {
            let word = ANNOUNCING[length][i].as_bytes();
            let (before, last) = (word[length - 2] & 31, word[length - 1] & 31);
            endings[last as usize] |= 1 << before;
            i += 1;
        }
        length += 1;
    }
    endings
}

/// Whether the last two letters of an announcing word are these, whatever their case; what is no letter
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
        for (length, words) in ANNOUNCING.iter().enumerate() {
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
