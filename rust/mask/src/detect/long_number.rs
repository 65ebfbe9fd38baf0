//! Long numbers: nine bare digits or more are an identifier of somebody or something, and payment
//! cards in their printed groups.
//!
//! Bare: 9 digits `[SSN]`, 10 that begin with 1 and pass the check of an NPI `[NPI]`, other 10 and 11
//! from 1 on `[PHONE]`, 13 to 19 that pass Luhn `[CARD]`, others
//! `[ID]`. One or two letters that hang on it belong to it. The digits after a decimal point are no
//! identifier; seven or eight of them with a zero first are one (`00912837`). Spelled out: nine single digits with separators between. Grouped: 4-4-4-1..7 and 4-6-4..5
//! digits with one dash, dot or blank between, whatever Luhn says.

use super::lexis::{
    at, before, digits, group, is_blank, is_letter, is_word, run_back_up_to, run_up_to, separator,
};
use super::{Kind, Span};

pub(crate) fn find(text: &[u8], at: usize, spans: &mut Vec<Span>) {
    let end = digits(text, at);
    let length = end - at;
    if length >= 9 {
        let fraction = before(text, at) == b'.'
            && at
                .checked_sub(1)
                .is_some_and(|dot| before(text, dot).is_ascii_digit());
        if !fraction {
            let kind = kind_of(text.get(at..end).unwrap_or_default());
            let (start, kind) = match run_back_up_to(text, at, 3, is_letter) {
                letters if (1..=2).contains(&(at - letters)) => (letters, Kind::Id),
                _ => (at, kind),
            };
            let letters = run_up_to(text, end, 3, is_letter);
            let end = if letters - end <= 2 { letters } else { end };
            spans.push(Span { start, end, kind });
        }
    } else if zeroed(text, at, end) {
        // Most of them have a word before them that says more.
        let named = |span: &Span| span.start <= at && end <= span.end;
        if !spans.last().is_some_and(named) {
            let (start, kind) = (at, Kind::Id);
            spans.push(Span { start, end, kind });
        }
    } else if length == 1 {
        let mut end = end;
        for _ in 1..9 {
            let Some(next) = separator(text, end).and_then(|i| group(text, i, 1)) else {
                return;
            };
            end = next;
        }
        spans.push(Span {
            start: at,
            end,
            kind: Kind::Id,
        });
    } else if length == 4
        && let Some(end) = grouped(text, end)
    {
        spans.push(Span {
            start: at,
            end,
            kind: Kind::Card,
        });
    }
}

/// Whether this is a number of seven or eight digits of which the first is a zero, by itself: no quantity
/// is written so.
pub(crate) fn zeroed(text: &[u8], start: usize, end: usize) -> bool {
    let joins = |c: u8| is_word(c) || matches!(c, b'.' | b',' | b'-' | b'/' | b':' | b'_' | b'*');
    let last = before(text, start);
    let next = at(text, end);
    let goes_on = joins(next) && is_word(at(text, end + 1)) || is_word(next);
    let listed = last == b',' && !before(text, start - 1).is_ascii_digit();
    (7..=8).contains(&(end - start))
        && at(text, start) == b'0'
        && (!joins(last) || listed)
        && !goes_on
}

fn kind_of(number: &[u8]) -> Kind {
    match number.len() {
        9 => Kind::Ssn,
        // No telephone number begins with 1.
        10 if number.first() == Some(&b'1') && npi(number) => Kind::Npi,
        10 => Kind::Phone,
        11 if number.first() == Some(&b'1') => Kind::Phone,
        13..=19 if luhn(number) => Kind::Card,
        _ => Kind::Id,
    }
}

/// The end of a card number whose first group of four ends at `i`.
fn grouped(text: &[u8], i: usize) -> Option<usize> {
    let second = gap(text, i)?;
    if let Some(i) = group(text, second, 4) {
        let third = group(text, gap(text, i)?, 4)?;
        let mut last = gap(text, third)?;
        let mut end = digits(text, last);
        if !(1..=7).contains(&(end - last)) {
            return None;
        }
        // Nineteen digits are printed 4-4-4-4-3.
        if end - last == 4
            && let Some(more) = gap(text, end)
            && group(text, more, 3).is_some()
        {
            last = more;
            end = digits(text, last);
        }
        return Some(end);
    }
    let third = gap(text, group(text, second, 6)?)?;
    group(text, third, 5).or_else(|| group(text, third, 4))
}

/// `[ \t]?[-.][ \t]?` or one blank.
fn gap(text: &[u8], i: usize) -> Option<usize> {
    let blank = run_up_to(text, i, 1, is_blank);
    if matches!(at(text, blank), b'-' | b'.') {
        return Some(run_up_to(text, blank + 1, 1, is_blank));
    }
    (blank > i).then_some(blank)
}

/// The check of ISO/IEC 7812-1.
pub(crate) fn luhn(number: &[u8]) -> bool {
    luhn_sum(number).is_multiple_of(10)
}

/// The same with 80840 before, which is health's in the United States (45 CFR 162.406).
fn npi(number: &[u8]) -> bool {
    const PREFIX: u32 = 24;
    (PREFIX + luhn_sum(number)).is_multiple_of(10)
}

fn luhn_sum(number: &[u8]) -> u32 {
    let mut sum = 0u32;
    for (place, &c) in number.iter().rev().enumerate() {
        let digit = u32::from(c & 15);
        let doubled = digit * 2;
        sum += if place % 2 == 0 {
            digit
        } else if doubled > 9 {
            doubled - 9
        } else {
            doubled
        };
    }
    sum
}
