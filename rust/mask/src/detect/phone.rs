//! Telephone and fax numbers.
//!
//! - North America: three, three and four digits with separators, the area in parentheses or not, a
//!   `1` or `+1` before, an extension after; also 3-7 and 6-4.
//! - International: `+` and 8 to 15 digits in groups; a `0` or `(` and 9 to 15 digits in two groups
//!   or more of two digits or more, one kind of separator between all after the first.
//! - 555 and four digits.
//! - After a word that announces a number, 7 to 15 digits in groups.
//!
//! Ten bare digits are told by `long_number`.

use super::lexis::{
    at, before, digits, group, is_blank, is_letter, run, run_up_to, separator, word,
};
use super::{Kind, Span};

/// Words that announce a number.
pub(crate) const WORDS: [&str; 14] = [
    "tel",
    "telephone",
    "phone",
    "phones",
    "ph",
    "call",
    "called",
    "cell",
    "mobile",
    "fax",
    "pager",
    "contact",
    "dial",
    "reach",
];

/// The farthest that a number may stand from the word which announces it.
const REACH: usize = 30;

pub(crate) fn find(text: &[u8], at: usize, spans: &mut Vec<Span>) {
    if before(text, at).is_ascii_digit() {
        return;
    }
    let mut push = |start, end| {
        spans.push(Span {
            start,
            end,
            kind: Kind::Phone,
        })
    };
    let (start, plus) = opening(text, at);
    if let Some(end) = north_american(text, at) {
        push(start, end);
    }
    if plus {
        if let Some(end) = grouped(text, at, 8, 15, Groups::Any) {
            push(start, end);
        }
    } else if (text.get(at) == Some(&b'0') || before(text, at) == b'(')
        && let Some(end) = grouped(text, at, 9, 15, Groups::Regular)
    {
        push(start, end);
    }
    if word(text, at, "555").is_some()
        && let Some(i) = group(text, at, 3)
        && matches!(text.get(i), Some(b'-' | b'.' | b' '))
        && let Some(end) = group(text, i + 1, 4)
    {
        push(at, end);
    }
}

/// `word` then up to thirty characters that are no digit, then 7 to 15 digits in groups.
pub(crate) fn find_after_word(text: &[u8], at_word: usize, spans: &mut Vec<Span>) {
    if is_letter(before(text, at_word)) {
        return;
    }
    let end = run(text, at_word, is_letter);
    if !WORDS
        .iter()
        .any(|w| super::lexis::same(text, at_word, end, w))
    {
        return;
    }
    let gap = usize::from(at(text, end) == b'.');
    let number = run_up_to(text, end + gap, REACH - gap, |c| {
        !c.is_ascii_digit() && !matches!(c, b'.' | b';' | b'\n')
    });
    if !at(text, number).is_ascii_digit() || before(text, number).is_ascii_digit() {
        return;
    }
    if let Some(end) = grouped(text, number, 7, 15, Groups::Any) {
        let (start, _) = opening(text, number);
        spans.push(Span {
            start,
            end,
            kind: Kind::Phone,
        });
    }
}

/// Where the number whose first digit is at `i` begins, with `+`, `(` or both before it, and whether
/// there is a `+`.
fn opening(text: &[u8], i: usize) -> (usize, bool) {
    let mut start = i;
    if before(text, start) == b'(' {
        start -= 1;
    }
    if before(text, start) == b'+' {
        return (start - 1, true);
    }
    if before(text, start) == b' ' && start >= 2 && before(text, start - 1) == b'+' {
        return (start - 2, true);
    }
    (start, false)
}

/// The end of a North American number whose first digit is at `i`.
fn north_american(text: &[u8], i: usize) -> Option<usize> {
    let area = match group(text, i, 1) {
        Some(one) if at(text, i) == b'1' => {
            let i = separator(text, one).unwrap_or(one);
            if at(text, i) == b'(' { i + 1 } else { i }
        }
        _ => i,
    };
    let end = match group(text, area, 3) {
        Some(i) => {
            let exchange = if at(text, i) == b')' {
                after_parenthesis(text, i + 1)
            } else {
                separator(text, i)?
            };
            match group(text, exchange, 3) {
                Some(i) => group(text, separator(text, i)?, 4)?,
                None => group(text, exchange, 7)?,
            }
        }
        None => {
            let i = group(text, area, 6)?;
            if !matches!(at(text, i), b'-' | b'.') {
                return None;
            }
            group(text, i + 1, 4)?
        }
    };
    Some(extension(text, end).unwrap_or(end))
}

/// `[ \t]{0,2}[-./]?[ \t]{0,2}`
fn after_parenthesis(text: &[u8], i: usize) -> usize {
    let i = run_up_to(text, i, 2, is_blank);
    let i = i + usize::from(matches!(at(text, i), b'-' | b'.' | b'/'));
    run_up_to(text, i, 2, is_blank)
}

/// `[ \t]{0,2},?[ \t]?(x|ext|extn|extension|#)[.:]?[ \t]?[0-9]{1,6}`
fn extension(text: &[u8], i: usize) -> Option<usize> {
    let i = run_up_to(text, i, 2, is_blank);
    let i = i + usize::from(at(text, i) == b',');
    let i = run_up_to(text, i, 1, is_blank);
    let i = ["extension", "extn", "ext", "x", "#"]
        .iter()
        .find_map(|w| word(text, i, w))?;
    let i = i + usize::from(matches!(at(text, i), b'.' | b':'));
    let i = run_up_to(text, i, 1, is_blank);
    let end = digits(text, i);
    (1..=6).contains(&(end - i)).then_some(end)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Groups {
    Any,
    /// Two groups or more, each of two digits or more, one separator between all after the first;
    /// with dots three groups or more.
    Regular,
}

/// The end of groups of digits from `i` on, `least` to `most` digits in all: as many groups as fit.
/// Between two groups stand `)`, one of `-. `, `(` in this order, at least one of them.
fn grouped(text: &[u8], i: usize, least: usize, most: usize, groups: Groups) -> Option<usize> {
    let mut end = digits(text, i);
    let mut total = end - i;
    if total > most || (groups == Groups::Regular && total < 2) {
        return None;
    }
    let mut count = 1usize;
    let mut mark = 0u8;
    loop {
        let close = end + usize::from(at(text, end) == b')');
        let separated = matches!(at(text, close), b'-' | b'.' | b' ');
        let next = close + usize::from(separated);
        let next = next + usize::from(at(text, next) == b'(');
        let stop = digits(text, next);
        let length = stop - next;
        if next == end || length == 0 || total + length > most {
            break;
        }
        if groups == Groups::Regular {
            let this = at(text, close);
            if length < 2 || (count >= 2 && this != mark) {
                break;
            }
            mark = this;
        }
        count += 1;
        total += length;
        end = stop;
    }
    let regular = match groups {
        Groups::Any => true,
        Groups::Regular => count >= 2 && (mark != b'.' || count >= 3),
    };
    (regular && total >= least).then_some(end)
}
