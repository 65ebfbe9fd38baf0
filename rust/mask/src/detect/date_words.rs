//! Dates with the month in words: `May 30th, 2022`, `30 May 2022`, `the 3rd of June`, `May 2022`,
//! `30-MAY-22`. The month alone, and the year alone, stay.
//!
//! `may`, `mar` and `march` are words too. In lower case and without a year or an ordinal they make no
//! date with a number before them, nor with one after them that a word follows (`march 3 miles`),
//! unless a word before announces a date (`seen may 5 for`); in any case none with a number and a full
//! stop before them (`on day 2. May shower`). No day stands before a unit (`Dec 2 mg`).

use super::date_digits::after_announcing_word;
use super::lexis::{
    at, before, digits, is_blank, is_letter, is_word, number, quantity, run, run_back,
    run_back_up_to, run_up_to, same, word,
};
use super::{Kind, Span};

/// Names and abbreviations, and whether they are plain words too.
pub(crate) const MONTHS: [(&str, bool); 24] = [
    ("january", false),
    ("february", false),
    ("march", true),
    ("april", false),
    ("may", true),
    ("june", false),
    ("july", false),
    ("august", false),
    ("september", false),
    ("october", false),
    ("november", false),
    ("december", false),
    ("jan", false),
    ("feb", false),
    ("mar", true),
    ("apr", false),
    ("jun", false),
    ("jul", false),
    ("aug", false),
    ("sep", false),
    ("sept", false),
    ("oct", false),
    ("nov", false),
    ("dec", false),
];

pub(crate) fn find(text: &[u8], month: usize, spans: &mut Vec<Span>) {
    let month_end = run(text, month, is_letter);
    let Some((_, plain_word)) = MONTHS
        .iter()
        .find(|(name, _)| same(text, month, month_end, name))
        .copied()
    else {
        return;
    };
    if is_letter(before(text, month)) {
        return;
    }
    let lower = plain_word && at(text, month).is_ascii_lowercase();
    let after = month_end + usize::from(at(text, month_end) == b'.');
    let mut push = |start, end| {
        spans.push(Span {
            start,
            end,
            kind: Kind::Date,
        })
    };

    let year_after_month = year(text, after);
    if let Some(start) = day_before(text, month) {
        let ordinal = before(text, run_back(text, month, |c| !is_word(c))).is_ascii_alphabetic();
        // `on day 2. May shower`.
        let sentence = plain_word
            && is_blank(before(text, month))
            && before(text, month.saturating_sub(1)) == b'.';
        let doubtful = sentence || (lower && !ordinal);
        if let Some(end) = year_after_month {
            push(start, end);
        } else if !doubtful {
            push(start, month_end);
        }
    }
    if let Some(end) = year_after_month {
        push(month, end);
    }
    if let Some(end) = day_after(text, after) {
        let next = run_up_to(text, end, 1, is_blank);
        let doubtful = lower
            && before(text, end).is_ascii_digit()
            && is_letter(at(text, next))
            && !after_announcing_word(text, month);
        match year(text, end) {
            Some(end) => push(month, end),
            None if !quantity(text, end) && !doubtful => push(month, end),
            None => {}
        }
    }
}

/// `[ \t,./-]{0,3}`, one or two digits from 1 to 31, perhaps an ordinal's ending.
fn day_after(text: &[u8], i: usize) -> Option<usize> {
    let i = run_up_to(text, i, 3, |c| {
        is_blank(c) || matches!(c, b',' | b'.' | b'/' | b'-')
    });
    let end = digits(text, i);
    if !matches!(end - i, 1 | 2) || !(1..=31).contains(&number(text, i, end)) {
        return None;
    }
    let end = ordinal(text, end).unwrap_or(end);
    let fraction = matches!(at(text, end), b'.' | b'/') && at(text, end + 1).is_ascii_digit();
    let year = at(text, end) == b'/' && digits(text, end + 1) - (end + 1) == 4;
    (!is_letter(at(text, end)) && (!fraction || year)).then_some(end)
}

/// The start of a day that stands before `month`: one or two digits, perhaps an ordinal's ending,
/// `[ \t./-]{0,2}`, perhaps `of` and a blank.
fn day_before(text: &[u8], month: usize) -> Option<usize> {
    let mut i = separators_back(text, month);
    if let Some(of) = i.checked_sub(2)
        && i < month
        && same(text, of, i, "of")
        && is_blank(before(text, of))
    {
        i = separators_back(text, of);
    }
    if let Some(ending) = i.checked_sub(2)
        && ordinal(text, ending) == Some(i)
        && before(text, ending).is_ascii_digit()
    {
        i = ending;
    }
    let start = run_back(text, i, |c| c.is_ascii_digit());
    let piece = matches!(before(text, start), b'.' | b'/') || is_letter(before(text, start));
    let day = matches!(i - start, 1 | 2) && (1..=31).contains(&number(text, start, i));
    (day && !piece).then_some(start)
}

/// The start of up to two separators before `i`.
fn separators_back(text: &[u8], i: usize) -> usize {
    run_back_up_to(text, i, 2, |c| {
        is_blank(c) || matches!(c, b'.' | b'/' | b'-')
    })
}

/// The end of an ordinal's ending at `i`.
fn ordinal(text: &[u8], i: usize) -> Option<usize> {
    let end = ["st", "nd", "rd", "th"]
        .iter()
        .find_map(|ending| word(text, i, ending))?;
    (!is_letter(at(text, end))).then_some(end)
}

/// `[ \t,./-]{0,3}`, perhaps `of` and a blank, then four digits from 1800 to 2199; or two digits
/// after an apostrophe, or after a single dash or slash.
fn year(text: &[u8], i: usize) -> Option<usize> {
    let mut start = run_up_to(text, i, 3, |c| {
        is_blank(c) || matches!(c, b',' | b'.' | b'/' | b'-')
    });
    // A month's full stop is a separator, too.
    if (start > i || before(text, i) == b'.')
        && let Some(of) = word(text, start, "of")
        && is_blank(at(text, of))
    {
        start = of + 1;
    }
    let short =
        at(text, start) == b'\'' || (start == i + 1 && matches!(before(text, start), b'-' | b'/'));
    start += usize::from(at(text, start) == b'\'');
    let end = digits(text, start);
    match end - start {
        4 if (1800..2200).contains(&number(text, start, end)) => {
            (!quantity(text, end)).then_some(end)
        }
        2 if short => Some(end),
        _ => None,
    }
}
