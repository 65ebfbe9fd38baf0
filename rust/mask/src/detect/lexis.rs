//! The letters of the detectors' grammar, on folded text: one byte a character, ASCII as it is,
//! [`LETTER`] for any other letter, [`OTHER`] for anything else.

/// A letter outside ASCII.
pub(crate) const LETTER: u8 = 0x80;
/// Anything else outside ASCII.
pub(crate) const OTHER: u8 = 0x81;

/// The character at `i`, 0 outside the text.
pub(crate) fn at(text: &[u8], i: usize) -> u8 {
    text.get(i).copied().unwrap_or(0)
}

/// The character before `i`, 0 at the start.
pub(crate) fn before(text: &[u8], i: usize) -> u8 {
    i.checked_sub(1).map_or(0, |i| at(text, i))
}

/// For each character whether it is a letter (1) or a digit (2).
const WORDS: [u8; 256] = words();

#[allow(clippy::indexing_slicing)] // evaluated by the compiler: out of bounds would not compile
const fn words() -> [u8; 256] {
    let mut words = [0; 256];
    let mut c = 0u8;
    while c <= LETTER {
        if c.is_ascii_alphabetic() || c == LETTER {
            words[c as usize] = 1;
        } else if c.is_ascii_digit() {
            words[c as usize] = 2;
        }
        c += 1;
    }
    words
}

fn kind(c: u8) -> u8 {
    WORDS.get(usize::from(c)).copied().unwrap_or(0)
}

pub(crate) fn is_letter(c: u8) -> bool {
    kind(c) == 1
}

/// A letter or a digit.
pub(crate) fn is_word(c: u8) -> bool {
    kind(c) != 0
}

pub(crate) fn is_blank(c: u8) -> bool {
    c == b' ' || c == b'\t'
}

pub(crate) fn is_space(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\r' | b'\n')
}

/// The end of the characters from `i` on that satisfy `class`.
pub(crate) fn run(text: &[u8], i: usize, class: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(i..).unwrap_or_default();
    i + rest.iter().position(|&c| !class(c)).unwrap_or(rest.len())
}

/// As [`run`], at most `most` characters.
pub(crate) fn run_up_to(text: &[u8], i: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(i..).unwrap_or_default();
    let rest = rest.get(..most).unwrap_or(rest);
    i + rest.iter().position(|&c| !class(c)).unwrap_or(rest.len())
}

/// The start of the characters before `i` that satisfy `class`.
pub(crate) fn run_back(text: &[u8], i: usize, class: impl Fn(u8) -> bool) -> usize {
    let head = text.get(..i).unwrap_or_default();
    head.iter()
        .rposition(|&c| !class(c))
        .map_or(0, |last| last + 1)
}

/// As [`run_back`], at most `most` characters.
pub(crate) fn run_back_up_to(
    text: &[u8],
    i: usize,
    most: usize,
    class: impl Fn(u8) -> bool,
) -> usize {
    let least = i.saturating_sub(most);
    let head = text.get(least..i).unwrap_or_default();
    head.iter()
        .rposition(|&c| !class(c))
        .map_or(least, |last| least + last + 1)
}

/// The end of the digits at `i`.
pub(crate) fn digits(text: &[u8], mut i: usize) -> usize {
    while let Some(count) = eight_digits(text, i) {
        i += count;
        if count < 8 {
            return i;
        }
    }
    run(text, i, |c| c.is_ascii_digit())
}

/// How many of the eight characters at `i` are digits before any other; nothing where there are fewer than
/// eight characters.
pub(crate) fn eight_digits(text: &[u8], i: usize) -> Option<usize> {
    const EACH: u64 = u64::MAX / 255;
    let eight = text.get(i..)?.first_chunk()?;
    // Digits become less than ten, and all else reaches the highest bit.
    let moved = u64::from_le_bytes(*eight) ^ (0x30 * EACH);
    let others = (((moved & (0x7f * EACH)) + 0x76 * EACH) | moved) & (0x80 * EACH);
    Some((others.trailing_zeros() / 8) as usize)
}

/// The end of a group of exactly `count` digits at `i`, with no digit after it; `count` is less than eight.
pub(crate) fn group(text: &[u8], i: usize, count: usize) -> Option<usize> {
    let found = eight_digits(text, i).unwrap_or_else(|| {
        let end = run_up_to(text, i, count + 1, |c| c.is_ascii_digit());
        end - i
    });
    (found == count).then_some(i + count)
}

/// The end of a separator between two groups of one number:
/// `[ \t]{0,2}[-._/][ \t\r\n]{0,2}` or `[ \t]{1,2}`.
pub(crate) fn separator(text: &[u8], i: usize) -> Option<usize> {
    let blanks = run_up_to(text, i, 2, is_blank);
    if matches!(at(text, blanks), b'-' | b'.' | b'_' | b'/') {
        return Some(run_up_to(text, blanks + 1, 2, is_space));
    }
    (blanks > i).then_some(blanks)
}

/// The value of the digits in `from..to`, saturating.
pub(crate) fn number(text: &[u8], from: usize, to: usize) -> u32 {
    let digits = text.get(from..to).unwrap_or_default();
    digits.iter().fold(0u32, |n, &c| {
        n.saturating_mul(10).saturating_add(u32::from(c & 15))
    })
}

/// The end of `word` at `i` whatever its case; `word` is in lower case.
pub(crate) fn word(text: &[u8], i: usize, word: &str) -> Option<usize> {
    let end = i + word.len();
    let found = text.get(i..end)?.eq_ignore_ascii_case(word.as_bytes());
    found.then_some(end)
}

/// Whether `lower` (in lower case) is the word `text[from..to]`.
pub(crate) fn same(text: &[u8], from: usize, to: usize, lower: &str) -> bool {
    text.get(from..to)
        .is_some_and(|word| word.eq_ignore_ascii_case(lower.as_bytes()))
}

/// Words after a number that say it is a quantity: no date, no identifier; by their length.
const QUANTITIES: [&[&str]; 9] = [
    &[],
    &["g", "l", "x"],
    &[
        "mg", "ug", "gm", "kg", "lb", "ml", "dl", "cc", "iu", "mm", "cm", "ns",
    ],
    &[
        "mcg", "gms", "lbs", "meq", "tab", "cap", "gtt", "bpm", "hrs", "ohm",
    ],
    &[
        "unit", "mmol", "mmhg", "tabs", "caps", "dose", "pain", "life", "days", "mins", "kcal",
    ],
    &[
        "units", "puffs", "drops", "doses", "times", "weeks", "hours", "cells",
    ],
    &["tablet", "months"],
    &["tablets", "capsule", "percent", "minutes"],
    &["capsules", "strength"],
];

/// Whether a quantity's unit follows at `i`: an optional blank or dash, then `%` or a unit.
pub(crate) fn quantity(text: &[u8], i: usize) -> bool {
    let start = run_up_to(text, i, 1, |c| is_blank(c) || c == b'-');
    if at(text, start) == b'%' {
        return true;
    }
    let end = run_up_to(text, start, QUANTITIES.len(), is_letter);
    let first = at(text, start) | 0x20;
    let units = QUANTITIES.get(end - start).copied().unwrap_or_default();
    let mut like = units
        .iter()
        .filter(|unit| unit.as_bytes().first() == Some(&first));
    like.any(|unit| same(text, start, end, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_stand_under_their_length() {
        for (length, units) in QUANTITIES.iter().enumerate() {
            assert!(units.iter().all(|unit| unit.len() == length), "{units:?}");
        }
    }
}
