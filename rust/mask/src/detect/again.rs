//! Names that were told once in a text are told wherever it says them again: after `Mr. John Kowalski`
//! also `Kowalski agrees` and `john called`.
//!
//! Only parts that are no plain words come back (`Mr. White` makes no `white`), in small letters only
//! those that are nothing but names, and none before a thing (`Bell's palsy`). One pass over the
//! text, a search among the parts for each of its words.

use super::lexicon::Known;
use super::lexis::{at, before, is_letter, is_word};
use super::name::is_thing;
use super::spelling::{Shape, Word, word_at};
use super::{Kind, Span};

/// Adds to the spans of a text the other places of the names among them; whether it looked.
pub(crate) fn find(text: &[u8], spans: &mut Vec<Span>) -> bool {
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut firsts = 0u32;
    for span in spans.iter().filter(|span| span.kind == Kind::Name) {
        for part in words(text, span.start, span.end) {
            if is_part(&part) {
                let letters = text.get(part.start..part.end).unwrap_or_default();
                firsts |= first(letters);
                parts.push(letters);
            }
        }
    }
    if parts.is_empty() {
        return false;
    }
    let key = |letters: &[u8]| letters.to_ascii_lowercase();
    let mut keys: Vec<Vec<u8>> = parts.into_iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut i = 0;
    while i < text.len() {
        if !is_letter(at(text, i)) || is_word(before(text, i)) {
            i += 1;
            continue;
        }
        let rest = text.get(i..).unwrap_or_default();
        if firsts & first(rest) != 0
            && let Some(word) = word_at(text, i)
            && comes_back(text, &word, &keys)
        {
            spans.push(Span {
                start: i,
                end: word.end,
                kind: Kind::Name,
            });
        }
        i += 1;
    }
    true
}

/// Whether a name is told again by this part of it alone.
pub(crate) fn is_part(word: &Word) -> bool {
    let sure = word.is(Known::SURE);
    matches!(word.shape, Shape::Title | Shape::Caps | Shape::Lower)
        && (word.len() >= 4 || (sure && word.len() == 3))
        && !word.is(Known::PLAIN
            .or(Known::TITLE)
            .or(Known::RELATION)
            .or(Known::ROLE))
}

/// Whether this word is one of these parts and may be the same name.
fn comes_back(text: &[u8], word: &Word, keys: &[Vec<u8>]) -> bool {
    let letters = text.get(word.start..word.end).unwrap_or_default();
    let is_key = keys.binary_search(&letters.to_ascii_lowercase()).is_ok();
    is_key && may_come_back(text, word)
}

/// Whether a word that is a part of a name told elsewhere is that name here.
pub(crate) fn may_come_back(text: &[u8], word: &Word) -> bool {
    let shaped = match word.shape {
        Shape::Title | Shape::Caps => true,
        Shape::Lower => word.is(Known::SURE) && word.len() >= 4,
        _ => false,
    };
    shaped && !is_thing(text, word.end)
}

/// The words of a stretch.
pub(crate) fn words(text: &[u8], start: usize, end: usize) -> impl Iterator<Item = Word> {
    (start..end)
        .filter_map(|i| word_at(text, i))
        .filter(move |word| word.end <= end)
}

/// A bit for the first letter, whatever its case.
fn first(letters: &[u8]) -> u32 {
    letters.first().map_or(0, |c| 1 << (c & 31))
}
