//! Telephone and fax numbers.
//!
//! - North America: three, three and four digits with separators, the area in parentheses or not, a
//!   `1` or `+1` before, an extension after; also 3-7 and 6-4.
//! - International: `+` and 8 to 15 digits in groups; a `0` or `(` and 9 to 15 digits in two groups
//!   or more of two digits or more, one kind of separator between all after the first.
//! - `555` and four digits; `ddd-ddd-ddd`, `ddd.ddd.ddd`, `dd-dd-dd-dd`.
//! - After a word that announces a number, 7 to 15 digits in groups.
//! - Before a word that says whose it is and ends its line or piece of it (`781 1704 office`), 7 to 15
//!   digits in groups of two or more.
//!
//! - After `ext.` and the like, four to six digits.
//!
//! A series that counts on by equal steps (`60-50-40-30`) is none. Ten bare digits are told by `long_number`.

use super::lexis::{
    at, before, digits, group, is_blank, is_letter, is_space, is_word, quantity, run,
    run_back_up_to, run_up_to, same, separator, word,
};
use super::words::COMPARED;
use super::{Kind, Span};

/// Words that announce a number.
pub(crate) const WORDS: [&str; 31] = [
    "answering",
    "message",
    "messages",
    "registered",
    "text",
    "tel",
    "telephone",
    "phone",
    "phones",
    "ph",
    "call",
    "called",
    "cell",
    "mobile",
    "cellphone",
    "landline",
    "fax",
    "faxed",
    "facsimile",
    "voicemail",
    "hotline",
    "beeper",
    "whatsapp",
    "sms",
    "texted",
    "phoned",
    "dialed",
    "pager",
    "contact",
    "dial",
    "reach",
];

/// Words that say of the number before them what it is for.
pub(crate) const AFTER: [&str; 8] = [
    "office", "fax", "mobile", "cell", "pager", "home", "work", "direct",
];

/// The farthest that a number may stand from the word which announces it.
const REACH: usize = 30;

/// Asked for the digits at `at`, the first of `groups` of so many that may be of one number; from there
/// on `total` digits or fewer are.
pub(crate) fn find(text: &[u8], at: usize, groups: [u32; 4], total: usize, spans: &mut Vec<Span>) {
    let (start, plus) = opening(text, at);
    let kind = Kind::Phone;
    let mut push = |start, end| spans.push(Span { start, end, kind });
    // Each shape below has groups of lengths of its own.
    let [first, others @ ..] = groups;
    let after_one = first == 1 && matches!(others, [3, 3, 4] | [3, 7, _] | [6, 4, _]);
    if (after_one || matches!(groups, [3, 3, 4, _] | [3, 7, ..] | [6, 4, ..]))
        && let Some(end) = north_american(text, at)
    {
        push(start, end);
    }
    if plus {
        if let Some(end) = grouped(text, at, 8, 15, Groups::Any) {
            push(start, end);
        }
    } else if total >= 9
        && first > 1
        && others.first() > Some(&1)
        && (text.get(at) == Some(&b'0') || before(text, at) == b'(')
        && let Some(end) = grouped(text, at, 9, 15, Groups::Regular)
        && !is_series(text, at, end)
        && !is_drug(text, at)
    {
        push(start, end);
    }
    if matches!(groups, [2, 2, 2, 2] | [3, 3, 3, _])
        && let Some(end) = dashed(text, at)
        && !is_series(text, at, end)
    {
        push(start, end);
    }
    if groups.starts_with(&[3, 4])
        && word(text, at, "555").is_some()
        && let Some(i) = group(text, at, 3)
        && matches!(text.get(i), Some(b'-' | b'.' | b' '))
        && let Some(end) = group(text, i + 1, 4)
    {
        push(start, end);
    }
}

/// One of [`WORDS`], up to thirty characters that are no digit, then 7 to 15 digits in groups. Asked where
/// the first [`COMPARED`] letters of such a word are those of this one.
pub(crate) fn find_after_word(text: &[u8], at_word: usize, spans: &mut Vec<Span>) {
    if is_letter(before(text, at_word)) {
        return;
    }
    let end = run(text, at_word, is_letter);
    let known = || WORDS.iter().any(|word| same(text, at_word, end, word));
    if end - at_word >= COMPARED && !known() {
        return;
    }
    let number = announced(text, end);
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

/// Words before a number inside of a house.
pub(crate) const EXTENSIONS: [&str; 2] = ["ext", "extension"];

/// One of [`EXTENSIONS`], perhaps `.`, `:` or `#`, and four to six digits that are no measure.
pub(crate) fn find_extension(text: &[u8], at_word: usize, spans: &mut Vec<Span>) {
    let end = run_up_to(text, at_word, 10, is_letter);
    let known = EXTENSIONS.iter().any(|one| same(text, at_word, end, one));
    if !known || is_letter(before(text, at_word)) {
        return;
    }
    let sign = end + usize::from(matches!(at(text, end), b'.' | b':'));
    let start = run_up_to(text, sign, 2, |c| is_blank(c) || c == b'#');
    let stop = digits(text, start);
    let more = matches!(at(text, stop), b'-' | b'.' | b'/') && is_word(at(text, stop + 1));
    let whole = !more && !is_word(at(text, stop)) && !quantity(text, stop);
    if start > end && whole && (4..=6).contains(&(stop - start)) {
        let (end, kind) = (stop, Kind::Phone);
        spans.push(Span { start, end, kind });
    }
}

/// 7 to 15 digits in two groups or more of two or more, up to three blanks, dashes or parentheses, the word,
/// and the end of the line or of a piece of it.
pub(crate) fn find_before_word(text: &[u8], at_word: usize, spans: &mut Vec<Span>) {
    let word_end = run(text, at_word, is_letter);
    let known = AFTER.iter().any(|word| same(text, at_word, word_end, word));
    let next = at(text, run_up_to(text, word_end, 2, is_blank));
    let ends = matches!(next, 0 | b'\r' | b'\n' | b',' | b';' | b')' | b'\\');
    if !known || !ends {
        return;
    }
    let end = run_back_up_to(text, at_word, 3, |c| matches!(c, b' ' | b'-' | b'('));
    if end == at_word {
        return;
    }
    let (mut first, mut stop) = (end, end);
    let (mut total, mut groups) = (0, 0);
    loop {
        let start = run_back_up_to(text, stop, 16, |c| c.is_ascii_digit());
        let length = stop - start;
        if length < 2 || total + length > 15 {
            break;
        }
        first = start;
        total += length;
        groups += 1;
        let mut joint = start - usize::from(before(text, start) == b'(');
        joint -= usize::from(matches!(before(text, joint), b'-' | b'.' | b' '));
        joint -= usize::from(before(text, joint) == b')');
        if joint == start {
            break;
        }
        stop = joint;
    }
    if groups >= 2 && total >= 7 {
        let (start, _) = opening(text, first);
        let kind = Kind::Phone;
        spans.push(Span { start, end, kind });
    }
}

/// Where the number should stand that the word ending at `i` announces: after a full stop perhaps, and an
/// abbreviation of `number` with one, then behind the line's end when nothing else is on the line, else behind up to thirty characters
/// of the same line and sentence.
fn announced(text: &[u8], i: usize) -> usize {
    let i = i + usize::from(at(text, i) == b'.');
    let next = run_up_to(text, i, 2, is_blank);
    let number = ["no.", "nr.", "num."]
        .iter()
        .find_map(|short| word(text, next, short));
    let i = number.unwrap_or(i);
    let signs = run_up_to(text, i, REACH, |c| is_blank(c) || matches!(c, b':' | b'-'));
    if matches!(at(text, signs), b'\r' | b'\n') {
        return run_up_to(text, signs, REACH, |c| {
            is_space(c) || matches!(c, b'(' | b'+')
        });
    }
    run_up_to(text, i, REACH, |c| {
        !c.is_ascii_digit() && !matches!(c, b'.' | b';' | b'\r' | b'\n')
    })
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

/// The end of `ddd-ddd-ddd`, `ddd.ddd.ddd` or `dd-dd-dd-dd` at `i`.
fn dashed(text: &[u8], i: usize) -> Option<usize> {
    let groups = |mark: u8, length: usize, count: usize| {
        let mut end = group(text, i, length)?;
        for _ in 1..count {
            end = (at(text, end) == mark).then(|| group(text, end + 1, length))??;
        }
        Some(end)
    };
    match (at(text, i + 2), at(text, i + 3)) {
        (b'-', _) => groups(b'-', 2, 4),
        (_, mark @ (b'-' | b'.')) => groups(mark, 3, 3),
        _ => None,
    }
}

/// The farthest that numbers of a series stand apart.
const STEP: u32 = 10;

/// Whether the groups of two or three digits in `start..end` count up or down by equal steps, as hours and
/// doses do.
pub(crate) fn is_series(text: &[u8], start: usize, end: usize) -> bool {
    let number = text.get(start..end).unwrap_or_default();
    let apart = |i: usize| matches!(number.get(i), Some(b'-' | b'.' | b' '));
    if !(apart(2) || apart(3)) || number.iter().any(|&c| is_letter(c)) {
        return false;
    }
    let value = |group: &[u8]| super::lexis::number(group, 0, group.len());
    let mut values = number.split(|c| !c.is_ascii_digit()).map(value);
    let (Some(first), Some(second)) = (values.next(), values.next()) else {
        return false;
    };
    let (step, up) = (first.abs_diff(second), second > first);
    let mut last = second;
    let even = values.all(|value| {
        let next = value.abs_diff(last) == step && (value > last) == up;
        last = value;
        next
    });
    even && (1..=STEP).contains(&step)
}

/// Whether `NDC` before `i` says that a drug's number begins there: `NDC 00093-1048-01`.
pub(crate) fn is_drug(text: &[u8], i: usize) -> bool {
    let sign = |c: u8| is_blank(c) || matches!(c, b':' | b'#');
    if !sign(before(text, i)) {
        return false;
    }
    let signs = run_back_up_to(text, i, 3, sign);
    let start = run_back_up_to(text, signs, 4, is_letter);
    signs < i && same(text, start, signs, "ndc")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Groups {
    Any,
    /// Two groups or more, each of two digits or more; the separators after the first are equal;
    /// after a dot as the first, three groups or more.
    Regular,
}

/// The end of groups of digits from `i` on, `least` to `most` digits in all: as many groups as fit.
/// Between two groups stand `)`, one of `-. `, `(` in this order, at least one of them.
fn grouped(text: &[u8], i: usize, least: usize, most: usize, groups: Groups) -> Option<usize> {
    let regular = groups == Groups::Regular;
    let mut end = digits(text, i);
    let mut total = end - i;
    if total > most || (regular && total < 2) {
        return None;
    }
    let mut count = 1usize;
    // Of the first joint and of the second; 0 is a joint without a separator.
    let (mut first_mark, mut mark) = (0u8, 0u8);
    loop {
        let close = end + usize::from(at(text, end) == b')');
        let this = Some(at(text, close))
            .filter(|c| matches!(c, b'-' | b'.' | b' '))
            .unwrap_or(0);
        let next = close + usize::from(this != 0);
        let next = next + usize::from(at(text, next) == b'(');
        let stop = digits(text, next);
        let length = stop - next;
        if next == end || length == 0 || total + length > most {
            break;
        }
        if regular && (length < 2 || (count > 2 && this != mark)) {
            break;
        }
        match count {
            1 => first_mark = this,
            2 => mark = this,
            _ => {}
        }
        count += 1;
        total += length;
        end = stop;
    }
    let fits = !regular || (count >= 2 && (first_mark != b'.' || count >= 3));
    (fits && total >= least).then_some(end)
}
