//! Names that a text tells because others were told in it, said plainly.

use super::Found;
use crate::detect::spelling::{Word, word_at};
use crate::detect::{Kind, again};

/// Every word that is a part of a name among those found.
pub(super) fn again(text: &[u8], found: &[Found]) -> Vec<Found> {
    let names = found.iter().filter(|(_, _, kind)| *kind == Kind::Name);
    let mut parts: Vec<&[u8]> = Vec::new();
    for &(from, to, _) in names {
        let words = words(text, from, to).filter(again::is_part);
        parts.extend(words.map(|word| &text[word.start..word.end]));
    }
    let is_part = |word: &[u8]| parts.iter().any(|part| part.eq_ignore_ascii_case(word));
    words(text, 0, text.len())
        .filter(|word| is_part(&text[word.start..word.end]) && again::may_come_back(text, word))
        .map(|word| (word.start, word.end, Kind::Name))
        .collect()
}

/// The names in small letters of a text in which this was found.
pub(super) fn small(text: &[u8], found: &[Found]) -> Vec<Found> {
    let told = |start: usize| {
        found.iter().any(|&(from, _, kind)| {
            let near = (from.saturating_sub(again::BEFORE_RECORD)..from).contains(&start);
            kind == Kind::Name || (kind == Kind::Mrn && near)
        })
    };
    (0..text.len())
        .filter_map(|i| again::small(text, i))
        .filter(|span| told(span.start))
        .map(|span| (span.start, span.end, span.kind))
        .collect()
}

/// The words of a stretch.
fn words(text: &[u8], start: usize, end: usize) -> impl Iterator<Item = Word> {
    (start..end)
        .filter_map(move |i| word_at(text, i))
        .filter(move |word| word.end <= end)
}
