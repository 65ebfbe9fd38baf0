//! Device identifiers as they are printed on devices: GS1 element strings in parentheses
//! (`(01)00844588003288(17)141120(21)A1`: a trade item of 14 digits and what follows it) and HIBCC's
//! (`+H123PARTNO1234567890120/$$420020216LOT1`).

use super::lexis::{at, before, digits, is_word, run_up_to};
use super::{Kind, Span};

/// Elements behind the first, and the characters of one (GS1 General Specifications: 30 at most).
const ELEMENTS: usize = 8;
const LONGEST: usize = 30;
/// The letters and digits of an HIBCC code, and what hangs on it.
const PRIMARY: std::ops::RangeInclusive<usize> = 9..=30;
const SECONDARY: usize = 80;

fn is_value(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'/' | b'_')
}

/// Asked at the two digits of `(01)`.
pub(crate) fn find_gs1(text: &[u8], at_digit: usize, spans: &mut Vec<Span>) {
    let Some(start) = at_digit.checked_sub(1) else {
        return;
    };
    let item = digits(text, start + 4);
    if text.get(start..start + 4) != Some(b"(01)") || item != start + 18 {
        return;
    }
    let mut end = item;
    for _ in 0..ELEMENTS {
        let open = end + usize::from(at(text, end) == b' ');
        let identifier = run_up_to(text, open + 1, 5, |c| c.is_ascii_digit());
        let value = identifier + 1;
        let stop = run_up_to(text, value, LONGEST, is_value);
        let named = (2..=4).contains(&identifier.saturating_sub(open + 1));
        if at(text, open) != b'(' || !named || at(text, identifier) != b')' || stop == value {
            break;
        }
        end = stop;
    }
    spans.push(Span {
        start,
        end,
        kind: Kind::Device,
    });
}

/// Asked for the letters and digits `start..end`.
pub(crate) fn find_hibcc(text: &[u8], start: usize, end: usize, spans: &mut Vec<Span>) {
    let Some(plus) = start.checked_sub(1).filter(|&i| at(text, i) == b'+') else {
        return;
    };
    let code = text.get(start..end).unwrap_or_default();
    let numbers = code.iter().filter(|c| c.is_ascii_digit()).count();
    let letter = code.first().is_some_and(u8::is_ascii_alphabetic)
        && code.iter().all(u8::is_ascii_alphanumeric);
    if !letter || numbers < 4 || !PRIMARY.contains(&code.len()) || is_word(before(text, plus)) {
        return;
    }
    let mut stop = end;
    if at(text, end) == b'/' {
        let tail = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'/' | b'$' | b'+' | b'-');
        stop = run_up_to(text, end, SECONDARY, tail);
        while stop > end && !is_word(before(text, stop)) {
            stop -= 1;
        }
    }
    spans.push(Span {
        start: plus,
        end: stop,
        kind: Kind::Device,
    });
}
