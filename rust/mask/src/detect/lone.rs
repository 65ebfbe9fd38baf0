//! Names of people and towns that nothing beside them tells: those that are a name and nothing else (see
//! [`Known::stands_alone`]), in title case, where a sentence goes on or ends behind them: `Maria reports`,
//! `her son, Ahmed, agrees`, `(Anna)`, `Kowalski was seen`, `back in Kalamazoo`.
//!
//! Left alone: eponyms and cities that scales are named for (`Murphy negative`, `Glasgow`), names before
//! a thing or a word in title case that is none (`Kowalski Test`), and behind an article (`the Kelly`).

use super::lexicon::{Known, known};
use super::lexis::{
    at, before, is_blank, is_letter, is_space, run, run_back_up_to, run_up_to, same,
};
use super::name::{in_place, is_thing, set_apart};
use super::pair::named_for;
use super::place::{code_behind, town_of_state};
use super::spelling::{Shape, Word, gap, gap_before, is_capital, word_at, word_before};
use super::{Kind, Span, subject};

/// What a sign or test is behind its name: `Murphy negative`.
const SIGNS: [&str; 8] = [
    "positive",
    "negative",
    "pos",
    "neg",
    "equivocal",
    "absent",
    "elicited",
    "grade",
];

/// Asked for any word that begins with a capital. What it tells is as `gates` and `sieve` see it: behind
/// a gap, four letters of such a name or more, the second one small.
pub(crate) fn find(text: &[u8], word: &Word, spans: &mut Vec<Span>) {
    let i = word.start;
    let apart = i == 0 || is_space(before(text, i)) || before(text, i) == b'(';
    if !apart || word.shape != Shape::Title || word.len() < 4 || is_capital(at(text, i + 1)) {
        return;
    }
    if subject::may_begin(word.known)
        && listed(text, i, subject::may_begin)
        && let Some(end) = subject::begun(text, word).or_else(|| set_apart(text, word))
    {
        let (start, kind) = (i, Kind::Name);
        spans.push(Span { start, end, kind });
        return;
    }
    // `Boston, Massachusetts`, though scales are named for it.
    if word.is(Known::CITY)
        && let Some(end) = town_of_state(text, word)
    {
        let (start, kind) = (i, Kind::Place);
        spans.push(Span { start, end, kind });
        return;
    }
    if !word.known.stands_alone() || !listed(text, i, Known::stands_alone) {
        return;
    }
    let given = word.is(Known::GIVEN);
    let person = given || word.is(Known::SURNAME);
    let kind = if person { Kind::Name } else { Kind::Place };
    // `Sheffield S10 2QT`.
    if word.is(Known::CITY)
        && let Some((start, end)) = code_behind(text, word.end)
    {
        spans.push(Span {
            start: i,
            end: word.end,
            kind: Kind::Place,
        });
        let kind = Kind::Zip;
        spans.push(Span { start, end, kind });
        return;
    }
    if in_place(text, i) || !ends_well(text, word) || article_before(text, i) {
        return;
    }
    if !given && crowded(text, i) {
        return;
    }
    let last = gap_before(text, i).and_then(|end| word_before(text, end));
    if last.is_some_and(|last| named_for(text, &last, word)) {
        return;
    }
    // `Anna K.`
    let initial = gap(text, word.end).filter(|&next| {
        let apart = !is_letter(at(text, next + 1)) && at(text, next + 1) == b'.';
        given && at(text, next).is_ascii_uppercase() && apart
    });
    spans.push(Span {
        start: i,
        end: initial.map_or(word.end, |initial| initial + 1),
        kind,
    });
}

/// Whether the lists have the word, or it is one of several pieces. What only ends like a surname is told
/// by what stands beside it.
fn listed(text: &[u8], i: usize, alone: fn(Known) -> bool) -> bool {
    let end = run(text, i, is_letter);
    let letters = text.get(i..end).unwrap_or_default();
    matches!(at(text, end), b'\'' | b'-') || alone(known(letters))
}

/// Whether what stands behind leaves the word a name.
fn ends_well(text: &[u8], word: &Word) -> bool {
    let end = word.end + if word.possessive { 2 } else { 0 };
    if is_thing(text, word.end) {
        return false;
    }
    let Some(next) = gap(text, end) else {
        return matches!(
            at(text, end),
            0 | b'.' | b',' | b';' | b':' | b')' | b'?' | b'!' | b'"' | b'/' | b'\n' | b'\r'
        );
    };
    match at(text, next) {
        c if c.is_ascii_lowercase() => {
            let stop = run_up_to(text, next, 10, is_letter);
            let word = text.get(next..stop).unwrap_or_default();
            !SIGNS.iter().any(|sign| word == sign.as_bytes())
        }
        b'(' | b'-' | b'/' | b'"' | b'\n' | b'\r' => true,
        c if c.is_ascii_uppercase() => {
            let stop = run_up_to(text, next, 8, is_letter);
            let other = known(text.get(next..stop).unwrap_or_default());
            let behind = word_at(text, next);
            let initial = stop == next + 1 && at(text, stop) == b'.';
            let named = behind.is_some_and(|behind| behind.may_name());
            other.is(Known::CREDENTIAL) || initial || named
        }
        _ => false,
    }
}

/// Whether `a`, `an` or `the` stands before `i`.
fn article_before(text: &[u8], i: usize) -> bool {
    let Some(end) = gap_before(text, i) else {
        return false;
    };
    let start = run_back_up_to(text, end, 4, is_letter);
    let word = text.get(start..end).unwrap_or_default();
    [&b"a"[..], b"an", b"the"]
        .iter()
        .any(|article| word.eq_ignore_ascii_case(article))
}

/// Whether a plain word in title case or in capitals stands right before `i`: a heading, or the name of
/// something.
fn crowded(text: &[u8], i: usize) -> bool {
    let blanks = run_back_up_to(text, i, 3, is_blank);
    let last = (blanks < i).then(|| word_before(text, blanks)).flatten();
    last.is_some_and(|last| {
        matches!(last.shape, Shape::Title | Shape::Caps | Shape::Mixed)
            && !last.may_name()
            && !last.is(Known::TITLE
                .or(Known::ROLE)
                .or(Known::BEFORE)
                .or(Known::RELATION))
            && last.len() > 2
            && !["from", "near", "outside"]
                .iter()
                .any(|link| same(text, last.start, last.end, link))
    })
}
