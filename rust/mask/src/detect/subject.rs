//! Names of people by what a sentence says of them, wherever it begins: who `denies pain`, `is a 54 year
//! old man`, `was intubated`; and in small letters the names behind `name:`.
//!
//! Only what people alone do counts (`Xqzt denies pain`, not `Xqzt reports`), and of words of no list only
//! such in title case. Left alone: whoever is no name (`Patient denies`, `Wife states`), and those that a
//! sentence says such things of which are none: `Aetna denied the claim`.
//!
//! Asked at the words of [`WORDS`], from which it looks back or forth, and at names that begin a sentence
//! (see `lone`).

use super::lexicon::Known;
use super::lexis::{at, before, is_blank, is_letter, is_word, run_back_up_to, run_up_to, same};
use super::name::{TITLES, before_initials, before_particles, is_thing, named, tail};
use super::spelling::{Shape, Word, gap, gap_before, word_at, word_before};
use super::{Kind, Span};

/// What a word says of the names beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// Who does so is named before it.
    Does,
    /// Whose age this is the end of is named before it.
    Age,
    /// A name may stand in small letters behind it.
    Name,
}

/// The words at which these rules are asked, whatever their case.
pub(crate) const WORDS: [(&str, Says); 15] = [
    ("denies", Says::Does),
    ("denied", Says::Does),
    ("endorses", Says::Does),
    ("endorsed", Says::Does),
    ("complains", Says::Does),
    ("complained", Says::Does),
    ("verbalizes", Says::Does),
    ("verbalized", Says::Does),
    ("states", Says::Does),
    ("stated", Says::Does),
    ("year", Says::Age),
    ("years", Says::Age),
    ("yo", Says::Age),
    ("y/o", Says::Age),
    ("name", Says::Name),
];

/// The letters of the longest of them.
const LONGEST: usize = 10;

/// Asked where one of [`WORDS`] may begin.
pub(crate) fn find(text: &[u8], at_word: usize, spans: &mut Vec<Span>) {
    // `Denies pain` says it of nobody; but for `Name:` these words stand amid a sentence.
    let first = at(text, at_word);
    if is_word(before(text, at_word)) || (first.is_ascii_uppercase() && first != b'N') {
        return;
    }
    let end = run_up_to(text, at_word, LONGEST + 1, is_letter);
    let slashed = end + if same(text, end, end + 2, "/o") { 2 } else { 0 };
    let says = WORDS
        .iter()
        .find(|(word, _)| same(text, at_word, slashed, word));
    let Some((_, says)) = says else { return };
    match says {
        Says::Does => spans.extend(doing(text, at_word)),
        Says::Age => spans.extend(aged(text, at_word)),
        Says::Name => spans.extend(called(text, at_word, end)),
    }
}

/// Who does what the verb at `verb` says.
fn doing(text: &[u8], verb: usize) -> Option<Span> {
    if !at(text, verb).is_ascii_lowercase() {
        return None;
    }
    let last = word_before(text, gap_before(text, verb)?)?;
    let end = run_up_to(text, verb, LONGEST, is_letter);
    let said = ["states", "stated"]
        .iter()
        .any(|said| same(text, verb, end, said));
    // What a label states, and what an insurer denies.
    let thing = said && last.known.is_nothing() || refused(text, end);
    person(text, &last, true).filter(|_| !thing)
}

/// Whether what insurers say no to begins at `i`.
fn refused(text: &[u8], i: usize) -> bool {
    let words = [
        "coverage",
        "prior",
        "payment",
        "claim",
        "request",
        "appeal",
        "auth",
        "authorization",
    ];
    let word = |i: usize| gap(text, i).map(|next| (next, run_up_to(text, next, 13, is_letter)));
    let Some((mut next, mut end)) = word(i) else {
        return false;
    };
    if same(text, next, end, "the")
        && let Some(more) = word(end)
    {
        (next, end) = more;
    }
    words.iter().any(|word| same(text, next, end, word))
}

/// Who is so many years old as stand before the word at `unit`: `Xqzt is a 54 year old`, `Anna Xqzt, a
/// pleasant 54-year-old`.
fn aged(text: &[u8], unit: usize) -> Option<Span> {
    // `a 10 year history`.
    let end = run_up_to(text, unit, LONGEST, is_letter);
    let old = run_up_to(text, end, 1, |c| is_blank(c) || c == b'-');
    if end > unit + 2 && !same(text, old, old + 3, "old") {
        return None;
    }
    let joint = run_back_up_to(text, unit, 2, |c| is_blank(c) || c == b'-');
    let mut end = run_back_up_to(text, joint, 3, |c| c.is_ascii_digit());
    if end == joint || is_word(before(text, end)) {
        return None;
    }
    let number = end;
    for _ in 0..=ADJECTIVES {
        let gap = gap_before(text, end)?;
        if before(text, gap) == b',' {
            let last = word_before(text, gap - 1)?;
            return person(text, &last, false);
        }
        // `Anna 3 yo`.
        if end == number
            && let Some(last) = word_before(text, gap).filter(|last| last.shape == Shape::Title)
        {
            let known = last.is(Known::SURE) && !last.is(Known::EPONYM);
            return known.then(|| person(text, &last, false)).flatten();
        }
        let start = run_back_up_to(text, gap, 12, |c| is_letter(c) || c == b'-');
        let is = ["is", "was"].iter().any(|is| same(text, start, gap, is));
        if is {
            let last = word_before(text, gap_before(text, start)?)?;
            return person(text, &last, true);
        }
        if start == gap || !at(text, start).is_ascii_lowercase() {
            return None;
        }
        end = start;
    }
    None
}

/// Words between `is` and somebody's age: `a very pleasant right-handed`.
const ADJECTIVES: usize = 4;

/// The name that ends with this word. A word of no list is one by itself where `sure` says that nothing but
/// a person can stand here.
fn person(text: &[u8], last: &Word, sure: bool) -> Option<Span> {
    let other = Known::ROLE
        .or(Known::RELATION)
        .or(Known::TITLE)
        .or(Known::FACILITY)
        .or(Known::CREDENTIAL)
        .or(Known::THING);
    let title = |word: &Word| {
        TITLES
            .iter()
            .any(|one| same(text, word.start, word.end, one))
    };
    let part = |word: &Word| {
        let unknown = word.known.is_nothing() && word.shape == Shape::Title && word.len() >= 3;
        let free = !word.is(other) && !title(word) && !word.possessive && word.len() >= 2;
        free && (unknown || word.is(Known::NAME) && word.may_name())
    };
    let letters = text.get(last.start..last.end)?;
    // `Currently denies`.
    let adverb = last.known.is_nothing() && letters.ends_with(b"ly");
    let coloured = SURNAMES
        .iter()
        .any(|name| same(text, last.start, last.end, name));
    if !part(last) || adverb || last.is(Known::PLAIN) && !(sure && coloured) {
        return None;
    }
    let named = last.is(Known::SURE) || sure && (last.is(Known::NAME) || last.known.is_nothing());
    let mut start = last.start;
    let mut several = false;
    for _ in 0..MORE {
        let (initials, _) = before_initials(text, before_particles(text, start));
        let more = gap_before(text, initials).and_then(|end| word_before(text, end));
        let Some(more) = more.filter(|more| part(more) && more.shape == last.shape) else {
            start = initials;
            break;
        };
        several |= more.is(Known::NAME) && !more.is(Known::PLAIN);
        start = more.start;
    }
    (named || several).then_some(Span {
        start,
        end: last.end,
        kind: Kind::Name,
    })
}

/// Surnames that are plain words, and are no other subject of what people do.
const SURNAMES: [&str; 18] = [
    "black", "brown", "gray", "green", "white", "young", "king", "hill", "hall", "baker", "cook",
    "wood", "woods", "stone", "fox", "grant", "ward", "price",
];

/// Words of a name before its last one.
const MORE: usize = 3;

/// A name in small letters behind the `name` at `at_name`: `patient name: anna xqzt`, `her name is anna`.
fn called(text: &[u8], at_name: usize, end: usize) -> Option<Span> {
    if !named(text, at_name) {
        return None;
    }
    let blanks = run_up_to(text, end, 2, is_blank);
    let is = same(text, blanks, blanks + 2, "is") && blanks > end;
    let start = if is {
        gap(text, blanks + 2)?
    } else {
        let colon = blanks + 1;
        (at(text, blanks) == b':').then_some(run_up_to(text, colon, 6, is_blank))?
    };
    let first = word_at(text, start).filter(|first| first.shape == Shape::Lower)?;
    let part = |word: &Word| word.is(Known::NAME) && !word.is(Known::PLAIN) && word.len() >= 3;
    let second = gap(text, first.end).and_then(|next| word_at(text, next));
    let second = second.is_some_and(|second| second.known.stands_alone() && part(&second));
    let sure = part(&first) && (first.is(Known::SURE) || !is);
    if !(sure || first.is(Known::NAME) && second) {
        return None;
    }
    let mut stop = first.end;
    // `anna q. public, jr`.
    for _ in 0..MORE {
        let Some(next) = gap(text, stop) else { break };
        let initial = is_letter(at(text, next)) && !is_word(at(text, next + 1));
        let dot = next + 1 + usize::from(at(text, next + 1) == b'.');
        let after = if initial { gap(text, dot) } else { Some(next) };
        let more = after.and_then(|after| word_at(text, after));
        let Some(more) = more.filter(|more| more.shape == Shape::Lower) else {
            break;
        };
        let unknown = more.known == Known::default() && more.len() >= 4 && !is;
        if !(part(&more) || unknown) || is_thing(text, more.end) {
            break;
        }
        stop = more.end;
    }
    Some(Span {
        start,
        end: stop,
        kind: Kind::Name,
    })
}

/// What is done to people and not to what is named for some.
const DONE: [&str; 20] = [
    "admitted",
    "intubated",
    "extubated",
    "discharged",
    "hospitalized",
    "told",
    "asked",
    "counseled",
    "instructed",
    "informed",
    "diagnosed",
    "referred",
    "consented",
    "sedated",
    "resuscitated",
    "pronounced",
    "notified",
    "consulted",
    "born",
    "brought",
];

/// What people do and no sign, drug or device.
const DOES: [&str; 14] = [
    "denies",
    "states",
    "stated",
    "agrees",
    "agreed",
    "lives",
    "complains",
    "underwent",
    "verbalized",
    "endorses",
    "ambulated",
    "tolerated",
    "refused",
    "said",
];

/// The end of a name that begins a sentence, of one that is something else too: `Jones was intubated`.
pub(super) fn begun(text: &[u8], word: &Word) -> Option<usize> {
    if word.possessive || !may_begin(word.known) {
        return None;
    }
    let end = tail(text, word.end, false);
    acts(text, end).then_some(end)
}

/// Whether a sentence goes on at `i` with what people alone do, or is done to them.
pub(super) fn acts(text: &[u8], i: usize) -> bool {
    let word = |i: usize| {
        let next = gap(text, i)?;
        let stop = run_up_to(text, next, 14, is_letter);
        Some((text.get(next..stop)?, stop))
    };
    let one_of = |words: &[&str], verb: &[u8]| words.iter().any(|word| verb == word.as_bytes());
    let Some((verb, stop)) = word(i) else {
        return false;
    };
    if verb == b"was" || verb == b"is" {
        return word(stop).is_some_and(|(done, _)| one_of(&DONE, done));
    }
    one_of(&DOES, verb)
}

/// Whether these letters, which a sentence may begin with, are asked for [`begun`].
pub(super) const fn may_begin(known: Known) -> bool {
    known.is(Known::SURE.or(Known::COMMON)) && !known.is(Known::PLAIN)
}
