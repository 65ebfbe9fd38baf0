//! Names that a text tells because others were told in it, said plainly.

use super::Found;
use crate::detect::{Kind, again};
use crate::fold::fold;

/// The folded text, and where each of its characters is in bytes.
pub(crate) fn folded(text: &str) -> (Vec<u8>, Vec<(usize, usize)>) {
    let folded = text.char_indices();
    folded
        .filter_map(|(start, c)| fold(c).map(|folded| (folded, (start, start + c.len_utf8()))))
        .unzip()
}

/// Every word that is a part of a name among those found.
pub(super) fn again(text: &[u8], found: &[Found]) -> Vec<Found> {
    let names = found.iter().filter(|(_, _, kind)| *kind == Kind::Name);
    let mut parts: Vec<&[u8]> = Vec::new();
    for &(from, to, _) in names {
        let words = again::words(text, from, to).filter(again::is_part);
        parts.extend(words.map(|word| &text[word.start..word.end]));
    }
    let is_part = |word: &[u8]| parts.iter().any(|part| part.eq_ignore_ascii_case(word));
    again::words(text, 0, text.len())
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
