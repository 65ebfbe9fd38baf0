//! Opaque keys, in which nothing is found: a canonical UUID (8-4-4-4-12 hexadecimal digits with no
//! letter or digit on either side) and a word of as many hexadecimal digits as a digest has, at least
//! one of them a letter. Their digits are random, and every shape is in them sooner or later.
//!
//! Asked for candidates only, so that text without one pays nothing.

use super::lexis::{at, before, eight_digits, is_word, run_back_up_to, run_up_to};
use super::{Kind, Span};

/// The digits of a digest: MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512.
const DIGESTS: [usize; 6] = [32, 40, 56, 64, 96, 128];
const LONGEST: usize = 128;
const SHORTEST: usize = 32;

/// The length of a UUID, and where its dashes stand.
const UUID: usize = 36;
const DASHES: [usize; 4] = [8, 13, 18, 23];

/// Whether a candidate lies in an opaque key. One that is the whole key and that a word before it
/// names does not: of the shapes only an IBAN and a long number can be as long as a key, and no word
/// names those.
pub(crate) fn hides(text: &[u8], span: Span) -> bool {
    let Some((start, end)) = key_around(text, span.start) else {
        return false;
    };
    let whole = span.start == start && span.end == end;
    start <= span.start && span.end <= end && (!whole || matches!(span.kind, Kind::Iban | Kind::Id))
}

/// The key that the character at `i` is a part of.
fn key_around(text: &[u8], i: usize) -> Option<(usize, usize)> {
    // Behind each dash of a UUID stands a group.
    let i = i + usize::from(at(text, i) == b'-');
    if text.len() < SHORTEST || !at(text, i).is_ascii_hexdigit() {
        return None;
    }
    // Most candidates begin with a few digits between signs.
    if let Some(digits @ (1..=3 | 5..=7)) = eight_digits(text, i)
        && !is_word(before(text, i))
        && !is_word(at(text, i + digits))
    {
        return None;
    }
    let end = run_up_to(text, i, LONGEST + 1, is_word);
    let start = run_back_up_to(text, i, LONGEST + 1, is_word);
    let length = end.saturating_sub(start);
    let groups: &[usize] = match length {
        8 => &[0],
        4 => &[9, 14, 19],
        12 => &[24],
        _ if DIGESTS.contains(&length) => return digest(text, start, end),
        _ => return None,
    };
    let uuid = |offset: &usize| {
        let start = start.checked_sub(*offset)?;
        is_uuid(text, start).then_some((start, start + UUID))
    };
    groups.iter().find_map(uuid)
}

fn digest(text: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    let word = text.get(start..end)?;
    let hexadecimal = word.iter().all(u8::is_ascii_hexdigit);
    (hexadecimal && !word.iter().all(u8::is_ascii_digit)).then_some((start, end))
}

fn is_uuid(text: &[u8], start: usize) -> bool {
    let Some(key) = text.get(start..start + UUID) else {
        return false;
    };
    let fits = |(i, c): (usize, &u8)| match DASHES.contains(&i) {
        true => *c == b'-',
        false => c.is_ascii_hexdigit(),
    };
    DASHES.iter().all(|&dash| at(key, dash) == b'-')
        && key.iter().enumerate().all(fits)
        && !is_word(before(text, start))
        && !is_word(at(text, start + UUID))
}
