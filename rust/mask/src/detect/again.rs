//! Names that were told once in a text are told wherever it says them again: after `Mr. John Kowalski`
//! also `Kowalski agrees` and `john called`.
//!
//! A text in which a name was told also tells names in small letters, and so do the words before a medical
//! record number: given name and surname that are
//! nothing else (`anna kowalski`), and such a given name behind a relative (`wife irina`).
//!
//! Only parts that are no plain words come back (`Mr. White` makes no `white`), in small letters only
//! those that are nothing but names, and none before a thing (`Bell's palsy`). One pass over the
//! text, a search among the parts for each of its words.

use std::cmp::Ordering;
use std::ops::Range;

use super::gates::Bitmaps;
use super::lexicon::{Known, beginnings, known};
use super::lexis::{at, before, is_letter, run, run_back_up_to};
use super::name::is_thing;
use super::spelling::{Shape, Word, gap, gap_before, word_at};
use super::words::letters;
use super::{Kind, Span};

/// Adds to the spans of a text the other places of the names among them; whether it looked. The text's
/// characters are those from `first` on in the bitmaps.
pub(crate) fn find(
    text: &[u8],
    (bitmaps, first): (&Bitmaps, usize),
    spans: &mut Vec<Span>,
) -> bool {
    let told = spans.len();
    let is_name = |span: &Span| span.kind == Kind::Name;
    if spans.iter().any(is_name) {
        small_between(text, (bitmaps, first), 0..text.len(), spans);
    } else {
        for told in 0..told {
            if let Some(record) = spans.get(told).copied()
                && record.kind == Kind::Mrn
            {
                let from = record.start.saturating_sub(BEFORE_RECORD);
                small_between(text, (bitmaps, first), from..record.start, spans);
            }
        }
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut firsts = 0u32;
    // No word is said to begin at the text's first character.
    let begins = |from: usize, to: usize| {
        let others = bitmaps.word_begins(first + from, first + to);
        let others = others.map(|place| place - first);
        (from == 0).then_some(0).into_iter().chain(others)
    };
    for span in spans.iter().filter(|span| is_name(span)) {
        for i in begins(span.start, span.end) {
            let word = word_at(text, i).filter(|word| word.end <= span.end);
            if let Some(part) = word.filter(is_part) {
                let letters = text.get(part.start..part.end).unwrap_or_default();
                firsts |= initial(letters);
                parts.push(letters);
            }
        }
    }
    if parts.is_empty() {
        return spans.len() > told;
    }
    parts.sort_unstable_by(|a, b| compare(a, b));
    for i in begins(0, text.len()) {
        let rest = text.get(i..).unwrap_or_default();
        if firsts & initial(rest) != 0
            && let Some(word) = word_at(text, i)
            && comes_back(text, &word, &parts)
        {
            spans.push(Span {
                start: i,
                end: word.end,
                kind: Kind::Name,
            });
        }
    }
    true
}

/// How far before a record's number a name in small letters is looked for.
pub(crate) const BEFORE_RECORD: usize = 30;

/// Adds the names in small letters that begin in this part of the text.
fn small_between(
    text: &[u8],
    (bitmaps, first): (&Bitmaps, usize),
    part: Range<usize>,
    spans: &mut Vec<Span>,
) {
    for place in bitmaps.word_begins(first + part.start, first + part.end) {
        let i = place - first;
        if beginnings().hold(letters(text, i, bitmaps.letters(place))) {
            spans.extend(small(text, i));
        }
    }
}

/// The name in small letters that begins at `i`, behind a blank or a line's end.
pub(crate) fn small(text: &[u8], i: usize) -> Option<Span> {
    let begins = at(text, i).is_ascii_lowercase() && matches!(before(text, i), b' ' | b'\n');
    let length = || run(text, i, is_letter) - i;
    if !begins || !beginnings().hold(letters(text, i, length())) {
        return None;
    }
    let sure = |word: &Word| word.shape == Shape::Lower && word.known.stands_alone();
    let first = word_at(text, i).filter(|first| sure(first) && first.is(Known::GIVEN))?;
    let kind = Kind::Name;
    let surname = gap(text, first.end)
        .and_then(|next| word_at(text, next))
        .filter(|next| sure(next) && next.is(Known::SURNAME) && !is_thing(text, next.end));
    if let Some(surname) = surname.filter(|_| !first.possessive) {
        let end = surname.end;
        return Some(Span {
            start: i,
            end,
            kind,
        });
    }
    let relation = gap_before(text, i).is_some_and(|end| {
        let start = run_back_up_to(text, end, 14, is_letter);
        known(text.get(start..end).unwrap_or_default()).is(Known::RELATION)
    });
    let end = first.end;
    (relation && first.len() >= 4 && !is_thing(text, end)).then_some(Span {
        start: i,
        end,
        kind,
    })
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

/// Whether this word is one of these parts, which are in order, and may be the same name.
fn comes_back(text: &[u8], word: &Word, parts: &[&[u8]]) -> bool {
    let letters = text.get(word.start..word.end).unwrap_or_default();
    let found = parts.binary_search_by(|part| compare(part, letters));
    found.is_ok() && may_come_back(text, word)
}

/// The order of words, whatever their case.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let [a, b] = [a, b].map(|word| word.iter().map(u8::to_ascii_lowercase));
    a.cmp(b)
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

/// A bit for the first letter, whatever its case.
fn initial(letters: &[u8]) -> u32 {
    letters.first().map_or(0, |c| 1 << (c & 31))
}
