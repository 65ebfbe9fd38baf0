//! Names of people by the words beside each other: a given name and a surname, initials before or between
//! them, a comma and the given name behind the surname, what somebody writes behind their name.
//!
//! Each rule is asked for the word that a name ends with, or its given name behind a comma, and answers
//! where the name begins. Left alone: what `name` leaves alone.

use super::lexicon::Known;
use super::lexis::{at, before, is_blank, is_letter, is_word, run_back_up_to, run_up_to, same};
use super::name::{auxiliary, before_initials, before_particles, in_place, is_known, is_thing};
use super::spelling::{Shape, Word, gap, gap_before, word_before};
use super::subject::acts;

/// The start of a name that this word ends: the word before and this one, with initials between, or
/// initials before this one.
pub(super) fn paired(text: &[u8], word: &Word) -> Option<usize> {
    if !matches!(word.shape, Shape::Title | Shape::Caps) || word.len() < 2 {
        return None;
    }
    let end = before_particles(text, word.start);
    let (end, initials) = before_initials(text, end);
    let surname = word.is(Known::SURNAME);
    let first = (gap_before(text, end).and_then(|end| word_before(text, end)))
        .filter(|first| !first.possessive && !in_place(text, first.start));
    if let Some(first) = first
        && matches!(first.shape, Shape::Title | Shape::Caps)
    {
        let free = !first.is(Known::PLAIN.or(Known::TITLE));
        let maybe = word.is(Known::MAYBE_SURNAME);
        let rare = maybe && !word.is(Known::PLAIN);
        let given = first.is(Known::GIVEN);
        let second = word.is(Known::GIVEN);
        // `Passy Muir`, `Harris Benedict`.
        let free = free && (given || !word.is(Known::EPONYM));
        let other = first.is(Known::SURNAME) || first.known.is_nothing();
        let other_sense = word.is(Known::PLAIN.or(Known::EPONYM));
        let doubled = first.is(Known::SURNAME) && word.is(Known::NAME) && !other_sense;
        let named = first.is(Known::MAYBE_GIVEN) && !auxiliary(text, &first);
        let plain = first.is(Known::PLAIN.or(Known::EPONYM)) || word.is(Known::EPONYM);
        let unknown = word.known.is_nothing() && word.len() >= 4;
        let named_for = named_for(text, &first, word);
        if !named_for
            && first.may_name()
            && ((given && word.may_name())
                || (doubled && word.shape == Shape::Title)
                || (named && (second || (unknown && !plain)) && word.shape == Shape::Title)
                || (given && initials && word.shape == Shape::Title)
                || (first.is(Known::MAYBE_GIVEN) && (surname || rare || (free && maybe)))
                || (free && other && (surname || second)))
        {
            // `Anna Kowalski's labs`.
            let own = word.possessive && given && surname;
            let own = own && !(word.is(Known::EPONYM) || first.is(Known::EPONYM));
            return (own || !is_thing(text, word.end)).then_some(first.start);
        }
    }
    let maybe = word.is(Known::MAYBE_SURNAME) && !word.is(Known::PLAIN);
    let sure = word.may_name() && (maybe || word.is(Known::SURE));
    // `B. Xqzt`; `E. Qwrtzus` is no beginning of a sentence.
    let dotted = before(text, run_back_up_to(text, word.start, 2, is_blank)) == b'.';
    let unknown =
        word.known.is_nothing() && word.shape == Shape::Title && word.len() >= 4 && dotted;
    let sure = sure || (unknown && (lettered(text, end) || signed(text, word.end)));
    (initials && sure && word.len() >= 3 && !is_thing(text, word.end)).then_some(end)
}

/// Sequences, syndromes and tests that are named for somebody of two names.
const NAMED_FOR: [(&str, &str); 3] = [
    ("pierre", "robin"),
    ("treacher", "collins"),
    ("humphrey", "fields"),
];

/// Whether these two words are one of [`NAMED_FOR`].
pub(super) fn named_for(text: &[u8], first: &Word, word: &Word) -> bool {
    NAMED_FOR.iter().any(|&(one, other)| {
        same(text, first.start, first.end, one) && same(text, word.start, word.end, other)
    })
}

/// Whether two initials stand at `i`, or a word before it says that a name follows.
pub(super) fn lettered(text: &[u8], i: usize) -> bool {
    let next = run_up_to(text, i + 2, 2, is_blank);
    let two = at(text, i + 1) == b'.' && at(text, next + 1) == b'.';
    let said = gap_before(text, i).is_some_and(|end| {
        let start = run_back_up_to(text, end, 14, is_letter);
        is_known(
            text,
            start,
            end,
            Known::BEFORE
                .or(Known::ROLE)
                .or(Known::TITLE)
                .or(Known::RELATION),
        )
    });
    two || said
}

/// Whether a comma or what somebody writes behind their name is at `i`.
pub(super) fn signed(text: &[u8], i: usize) -> bool {
    let next = run_up_to(text, i + usize::from(at(text, i) == b','), 2, is_blank);
    let stop = run_up_to(text, next, 6, is_letter);
    next > i && is_known(text, next, stop, Known::CREDENTIAL)
}

/// What people do and drugs and devices do not.
const DOINGS: [&str; 26] = [
    "states",
    "stated",
    "reports",
    "reported",
    "denies",
    "denied",
    "called",
    "agrees",
    "lives",
    "complains",
    "presented",
    "presents",
    "underwent",
    "who",
    "asked",
    "asks",
    "said",
    "says",
    "told",
    "works",
    "wants",
    "wishes",
    "arrived",
    "came",
    "fell",
    "verbalized",
];

/// The start of two words of no list that somebody is called who does something, or has something:
/// `Xqzt Plugh denies pain`, `Xqzt Plugh's wife`.
pub(super) fn acting(text: &[u8], word: &Word) -> Option<usize> {
    let unknown =
        |word: &Word| word.known.is_nothing() && word.shape == Shape::Title && word.len() >= 3;
    if is_thing(text, word.end) {
        return None;
    }
    // `Hope Summers denies`, `Grant Qwrtz was admitted`.
    let part = word.is(Known::NAME) || unknown(word);
    if word.shape == Shape::Title
        && !word.possessive
        && part
        && let Some(first) = gap_before(text, word.start).and_then(|end| word_before(text, end))
        && first.shape == Shape::Title
        && !first.possessive
        && first.is(Known::GIVEN.or(Known::MAYBE_GIVEN))
        && !auxiliary(text, &first)
        && acts(text, word.end)
    {
        return Some(first.start);
    }
    if !unknown(word) {
        return None;
    }
    let does = gap(text, word.end).is_some_and(|next| {
        let stop = run_up_to(text, next, 11, is_letter);
        DOINGS
            .iter()
            .any(|doing| text.get(next..stop) == Some(doing.as_bytes()))
    });
    let first = gap_before(text, word.start).and_then(|end| word_before(text, end))?;
    ((does || word.possessive) && unknown(&first) && !first.possessive).then_some(first.start)
}

/// The start of a name that this word ends, with what somebody writes behind their name after it:
/// `Anna Xqzt, MD`, `Xqzt, NP`, `Kowalski RN`.
pub(super) fn credited(text: &[u8], word: &Word) -> Option<usize> {
    if word.possessive || word.len() < 3 || !word.may_name() && word.shape != Shape::Caps {
        return None;
    }
    let comma = at(text, word.end) == b',';
    let next = gap(text, word.end + usize::from(comma))?;
    let stop = run_up_to(text, next, 6, is_letter);
    let degree = at(text, next + 1) == b'.' && matches!(at(text, next), b'M' | b'D' | b'P' | b'R');
    let credit =
        is_known(text, next, stop, Known::CREDENTIAL) && at(text, next).is_ascii_uppercase();
    if !(credit || degree) || is_word(at(text, stop)) {
        return None;
    }
    let maybe = word.is(Known::NAME) && !word.is(Known::PLAIN) && comma;
    // `Rosemary Quick, PA-C`.
    let led = gap_before(text, word.start).and_then(|end| word_before(text, end));
    let led = led.is_some_and(|led| led.shape == Shape::Title && led.is(Known::NAME));
    let sure = word.is(Known::SURE) || maybe || led && comma && word.is(Known::NAME);
    let unknown = word.known.is_nothing() && word.len() >= 4;
    // `Xqzt, MD 20850` is a town.
    let code = gap(text, stop).is_some_and(|code| at(text, code).is_ascii_digit());
    if !(sure || (unknown && comma)) || code || (word.is(Known::CITY) && !word.is(Known::NAME)) {
        return None;
    }
    let (start, _) = before_initials(text, before_particles(text, word.start));
    let first = gap_before(text, start).and_then(|end| word_before(text, end));
    let first = first.filter(|first| {
        let named = first.is(Known::NAME) && !first.is(Known::PLAIN);
        first.shape == word.shape && !first.possessive && (named || first.known.is_nothing())
    });
    Some(first.map_or(start, |first| first.start))
}

/// The start of a surname that a comma and this given name follow.
pub(super) fn turned(text: &[u8], word: &Word) -> Option<usize> {
    let blanks = run_back_up_to(text, word.start, 3, is_blank);
    if before(text, blanks) != b',' || word.start - blanks > 2 {
        return None;
    }
    let last = word_before(text, blanks - 1)?;
    if last.possessive || in_place(text, last.start) {
        return None;
    }
    let given = word.is(Known::GIVEN) || (word.is(Known::MAYBE_GIVEN) && !word.is(Known::PLAIN));
    // `Kowalski, M.D.` is no initial.
    let initial = word.shape == Shape::Initial
        && at(text, word.end) == b'.'
        && !is_letter(at(text, word.end + 1));
    let sure = last.may_name() && last.is(Known::SURE);
    let given = given && (sure || !word.is(Known::EPONYM));
    let like = match last.shape {
        Shape::Title => !last.is(Known::PLAIN) && !last.is(Known::CITY),
        Shape::Caps => last.may_name() || (last.known.is_nothing() && last.len() >= 4),
        _ => false,
    };
    // `QWRTZ, PLUGH DOB 1/2/1990`.
    let dated = gap(text, word.end).is_some_and(|next| {
        let stop = run_up_to(text, next, 4, is_letter);
        let heads = ["dob", "mrn", "ssn"];
        heads.iter().any(|head| same(text, next, stop, head))
    });
    let unknown = |one: &Word| {
        let cased = one.shape == Shape::Caps || one.shape == Shape::Title;
        cased && one.len() >= 3 && (one.known.is_nothing() || one.is(Known::NAME))
    };
    let headed = dated && unknown(&last) && unknown(word) && last.shape == word.shape;
    let fits = headed
        || (sure && ((given && word.may_name()) || initial))
        || (like && given && word.is(Known::GIVEN) && word.may_name());
    fits.then_some(before_capital_particles(text, &last))
}

/// Before particles in capitals that stand before a word in capitals: `VAN DER BERG`.
fn before_capital_particles(text: &[u8], word: &Word) -> usize {
    let mut start = word.start;
    for _ in 0..if word.shape == Shape::Caps { 3 } else { 0 } {
        let particle = gap_before(text, start).and_then(|end| word_before(text, end));
        let particle = particle.filter(|one| one.shape == Shape::Caps && one.is(Known::PARTICLE));
        let Some(particle) = particle.filter(|one| one.len() >= 2) else {
            break;
        };
        start = particle.start;
    }
    start
}
