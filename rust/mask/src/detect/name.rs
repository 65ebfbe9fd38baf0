//! Names of people. A name of the lists (see `lexicon`) by itself proves nothing; what counts is
//!
//! - a title before it (`Mr. Smith`, `dr. garcia`, `Nurse Kowalski`);
//! - a word before it that people's names follow: `name: X`, `my name is X`, `patient X`, `daughter X`,
//!   `signed by X`, `dear X`; how much such a word proves is said in [`Proof`];
//! - a second name beside it: given name and surname, either of them out of no list (`Anna Xqzt`,
//!   `Xqzt Kowalski`), with initials between or before (`John Q. Public`, `J. R. Kowalski`), with
//!   particles (`Anna van der Berg`), or the surname first and a comma (`Kowalski, Anna`).
//!
//! Left alone: plain words and eponyms without such proof (`Crohn disease`, `Will follow`), a pair before
//! a word that makes it something else (`Anna Jaques Hospital`), names in small letters but after `mr`,
//! `mrs`, `ms` and `dr`, and single names that nothing announces.
//!
//! Asked where a word begins with a capital; looks a few words back and forth, never farther.

use super::lexicon::{Known, known};
use super::lexis::{
    at, before, is_blank, is_letter, is_space, is_word, run_back_up_to, run_up_to, same,
};
use super::spelling::{Shape, Word, gap, gap_before, is_capital, word_at, word_before};
use super::{Kind, Span};

/// How much what stands before it proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A title: any word in title case but plain ones, capitals that are long or in a list; small
    /// letters that are sure.
    Title,
    /// A field for a name: likewise, and a comma between surname and given name.
    Field,
    /// A relative: any word in title case that is no plain word in any sense.
    Relation,
    /// What somebody is: one that is sure, or that is nothing but a name and a thing.
    Role,
    /// Words that a name often follows: one that is sure.
    Usual,
}

/// Titles that are asked whatever their case; `find_after_title` begins at them.
pub(crate) const TITLES: [&str; 5] = ["mr", "mrs", "ms", "dr", "drs"];

/// Words of a name, its first one not counted.
const MORE: usize = 4;
/// Initials in a row.
const INITIALS: usize = 2;

/// Asked for the word that begins with a capital at `i`.
pub(crate) fn find(text: &[u8], i: usize, word: &Word, spans: &mut Vec<Span>) {
    let mut push = |start, end| {
        spans.push(Span {
            start,
            end,
            kind: Kind::Name,
        });
    };
    if let Some(proof) = announced(text, i, word)
        && let Some(end) = name(text, i, proof)
    {
        push(i, end);
    }
    if let Some(start) = paired(text, word) {
        push(start, tail(text, word.end, false));
    }
    if let Some(start) = turned(text, word) {
        let end = tail(text, word.end, false);
        // `KOWALSKI, ANNA B`.
        let initial = gap(text, end)
            .filter(|&next| at(text, next).is_ascii_uppercase() && at(text, next) != b'I')
            .filter(|&next| !is_word(at(text, next + 1)));
        push(start, initial.map_or(end, |initial| initial + 1));
    }
}

/// Asked where a sentence or a piece of one may begin with a given name: `Maria reports`, `(Anna)`,
/// `her son, Ahmed, agrees`.
pub(crate) fn find_lone(text: &[u8], word: &Word, spans: &mut Vec<Span>) {
    let i = word.start;
    let apart = i == 0 || is_space(before(text, i)) || before(text, i) == b'(';
    if !apart
        || word.shape != Shape::Title
        || !word.is(Known::GIVEN)
        || word.len() < 4
        || in_place(text, i)
    {
        return;
    }
    let after = word.end + if word.possessive { 2 } else { 0 };
    let goes_on = gap(text, after).is_some_and(|next| at(text, next).is_ascii_lowercase())
        && !is_thing(text, after);
    if goes_on || matches!(at(text, after), b',' | b')') {
        spans.push(Span {
            start: i,
            end: word.end,
            kind: Kind::Name,
        });
    }
}

/// Asked for a plain word: only an initial before it can make a name of it (`John Q. Public`).
pub(crate) fn find_after_initials(text: &[u8], word: &Word, spans: &mut Vec<Span>) {
    let initial = before_initials(text, word.start).0 < word.start;
    if initial && let Some(start) = paired(text, word) {
        spans.push(Span {
            start,
            end: tail(text, word.end, false),
            kind: Kind::Name,
        });
    }
}

/// Asked where one of [`TITLES`] may begin.
pub(crate) fn find_after_title(text: &[u8], at_title: usize, spans: &mut Vec<Span>) {
    if is_word(before(text, at_title)) {
        return;
    }
    let end = run_up_to(text, at_title, 4, is_letter);
    if !TITLES.iter().any(|title| same(text, at_title, end, title)) {
        return;
    }
    let dotted = at(text, end) == b'.';
    // The gate sees no tab behind two letters.
    if end - at_title == 2 && !dotted && at(text, end) != b' ' {
        return;
    }
    let Some(start) = gap(text, end + usize::from(dotted)).or(dotted.then_some(end + 1)) else {
        return;
    };
    // `MR angiogram`, `MS Contin`, `DR imaging`.
    let capitals = before(text, end).is_ascii_uppercase();
    if capitals && !dotted {
        let shouted = word_at(text, start)
            .is_some_and(|word| word.shape == Shape::Caps && word.is(Known::NAME));
        if !shouted {
            return;
        }
    }
    let Some(end) = name(text, start, Proof::Title) else {
        return;
    };
    let kind = Kind::Name;
    spans.push(Span { start, end, kind });
    // `Drs. Kowalski, Nowak and Baker`.
    let several = same(text, at_title, at_title + 3, "drs");
    let mut end = end;
    for _ in 0..=MORE {
        let comma = at(text, end) == b',' && several;
        let Some(and) = gap(text, end + usize::from(comma)) else {
            return;
        };
        let stop = run_up_to(text, and, 4, |c| is_letter(c) || c == b'&');
        let start = if same(text, and, stop, "and") || same(text, and, stop, "&") {
            gap(text, stop)
        } else {
            Some(and).filter(|_| comma)
        };
        let Some(word) = start.and_then(|start| word_at(text, start)) else {
            return;
        };
        if !word.may_name() || !word.is(Known::SURNAME.or(Known::MAYBE_SURNAME)) {
            return;
        }
        end = word.end;
        spans.push(Span {
            start: word.start,
            end,
            kind,
        });
    }
}

fn is_known(text: &[u8], start: usize, end: usize, of: Known) -> bool {
    known(text.get(start..end).unwrap_or_default()).is(of)
}

/// What the words before the one at `i` prove of it.
fn announced(text: &[u8], i: usize, word: &Word) -> Option<Proof> {
    if !matches!(word.shape, Shape::Title | Shape::Caps | Shape::Initial) {
        return None;
    }
    let blanks = run_back_up_to(text, i, 3, is_space);
    let colon = before(text, blanks) == b':';
    let dotted = before(text, blanks) == b'.' && blanks < i;
    let end = if colon {
        run_back_up_to(text, blanks - 1, 2, is_blank)
    } else {
        blanks - usize::from(dotted)
    };
    if !colon && (blanks == i || i - blanks > 2) {
        return None;
    }
    let start = run_back_up_to(text, end, 14, is_letter);
    if start == end || is_word(before(text, start)) {
        return None;
    }
    let known = known(text.get(start..end).unwrap_or_default());
    let lower = at(text, start).is_ascii_lowercase();
    if !lower && known.is(Known::TITLE) && !colon {
        return Some(Proof::Title);
    }
    if dotted && !same(text, start, end, "pt") {
        return None;
    }
    if colon {
        if known.is(Known::FIELD) && named(text, start) {
            return Some(Proof::Field);
        }
        let people = Known::BEFORE.or(Known::RELATION).or(Known::TITLE);
        if known.is(Known::ROLE) {
            return Some(Proof::Role);
        }
        return known.is(people).then_some(Proof::Usual);
    }
    if same(text, start, end, "is")
        && let Some(gap) = gap_before(text, start)
    {
        let name = run_back_up_to(text, gap, 8, is_letter);
        if same(text, name, gap, "name") && named(text, name) {
            return Some(Proof::Field);
        }
    }
    if same(text, start, end, "name") && word.shape == Shape::Caps && named(text, start) {
        return Some(Proof::Usual);
    }
    let opening = same(text, start, end, "dear") || same(text, start, end, "attn");
    if known.is(Known::RELATION) && (lower || opening) {
        let c_o = end - start > 1 || (before(text, start) == b'/' && at_c(text, start));
        return c_o.then_some(Proof::Relation);
    }
    if known.is(Known::ROLE) {
        return Some(Proof::Role);
    }
    // In the midst of a sentence.
    let amid = lower && word.is(Known::GIVEN);
    (amid || known.is(Known::BEFORE)).then_some(Proof::Usual)
}

/// Whether `c/` stands before the `o` at `i`.
fn at_c(text: &[u8], i: usize) -> bool {
    i.checked_sub(2)
        .is_some_and(|c| at(text, c) | 0x20 == b'c' && !is_word(before(text, c)))
}

/// Whether the `name` at `start` may be somebody's.
fn named(text: &[u8], start: usize) -> bool {
    let low_line = start.checked_sub(1).filter(|&i| at(text, i) == b'_');
    let Some(gap) = gap_before(text, start).or(low_line) else {
        return true;
    };
    let end = match before(text, gap) {
        b'\'' => gap - 1,
        _ if matches!(text.get(gap.saturating_sub(2)..gap), Some(b"'s")) => gap - 2,
        _ => gap,
    };
    let before_it = run_back_up_to(text, end, 12, is_letter);
    before_it == end || is_known(text, before_it, end, Known::OWNER)
}

/// The end of a name at `i`.
fn name(text: &[u8], i: usize, proof: Proof) -> Option<usize> {
    let first = after_initials(text, i);
    let start = after_particles(text, first);
    let word = word_at(text, start)?;
    let initials = first > i;
    let unknown = word.known.is_nothing();
    let surname =
        word.is(Known::SURNAME) || (word.is(Known::MAYBE_SURNAME) && !word.is(Known::PLAIN));
    let fits = match (word.shape, proof) {
        (Shape::Title, Proof::Title | Proof::Field) => !word.is_plain(),
        (Shape::Title, Proof::Relation) => {
            word.len() >= 3 && !(word.is(Known::PLAIN) || word.is(Known::CITY))
                || word.is(Known::SURE)
        }
        (Shape::Caps, Proof::Title | Proof::Field) => {
            word.is(Known::NAME) || (unknown && word.len() >= 4)
        }
        (Shape::Title | Shape::Caps, Proof::Role) => word.is(Known::SURE) || surname,
        (Shape::Title | Shape::Caps, _) => word.is(Known::SURE) || (initials && surname),
        (Shape::Lower, Proof::Title) => word.is(Known::SURE) && word.len() >= 3,
        _ => false,
    };
    let weak = matches!(proof, Proof::Usual | Proof::Role);
    if !fits || (weak && is_thing(text, word.end)) {
        return None;
    }
    if word.possessive {
        return Some(word.end);
    }
    let end = tail(text, word.end, !weak);
    if proof == Proof::Field
        && at(text, end) == b','
        && let Some(next) = gap(text, end + 1)
        && let Some(given) = word_at(text, next)
        && given.may_name()
    {
        return Some(tail(text, given.end, true));
    }
    Some(end)
}

/// Behind `J. R. `, `J R ` and the like.
fn after_initials(text: &[u8], i: usize) -> usize {
    let mut i = i;
    for _ in 0..INITIALS {
        let dotted = at(text, i + 1) == b'.';
        if !is_capital(at(text, i))
            || !(dotted || is_blank(at(text, i + 1)))
            || is_word(before(text, i))
        {
            break;
        }
        i = run_up_to(text, i + 1 + usize::from(dotted), 2, is_blank);
    }
    i
}

/// Behind the particles at `i`, if a word in title case or in capitals follows.
fn after_particles(text: &[u8], i: usize) -> usize {
    let mut next = i;
    for _ in 0..3 {
        let end = run_up_to(text, next, 6, is_letter);
        let Some(after) = gap(text, end) else { break };
        if end == next || !is_known(text, next, end, Known::PARTICLE) {
            break;
        }
        next = after;
    }
    if is_capital(at(text, next)) { next } else { i }
}

/// The end of the name whose word before ends at `end`, with the words of names that follow: initials,
/// particles, words of the lists, and where `any` says so words of no list in title case.
fn tail(text: &[u8], end: usize, any: bool) -> usize {
    let mut end = end;
    for _ in 0..MORE {
        let Some(next) = gap(text, end) else { break };
        let initial = is_capital(at(text, next)) && !is_word(at(text, next + 1));
        let after = if initial {
            let dot = next + 1 + usize::from(at(text, next + 1) == b'.');
            run_up_to(text, dot, 2, is_blank)
        } else {
            next
        };
        let Some(word) = word_at(text, after_particles(text, after)) else {
            break;
        };
        let sure = word.is(Known::SURE) || (word.is(Known::NAME) && !word.is(Known::PLAIN));
        let unknown = word.known.is_nothing() && word.shape == Shape::Title;
        if !word.may_name() || !(sure || (any && unknown)) {
            break;
        }
        end = word.end;
        if word.possessive {
            break;
        }
    }
    end
}

/// Whether one or two blanks and a word for a thing follow at `end`.
fn is_thing(text: &[u8], end: usize) -> bool {
    let end = end
        + if text.get(end..end + 2) == Some(b"'s") {
            2
        } else {
            0
        };
    gap(text, end).is_some_and(|start| {
        let end = run_up_to(text, start, 16, is_letter);
        let plural = usize::from(before(text, end) | 0x20 == b's');
        is_known(text, start, end, Known::THING)
            || is_known(text, start, end - plural, Known::THING)
    })
}

/// Whether `St.`, `Saint`, `Lake` … stands before the word at `start`.
fn in_place(text: &[u8], start: usize) -> bool {
    let Some(gap) = gap_before(text, start) else {
        return false;
    };
    let end = gap - usize::from(before(text, gap) == b'.');
    let start = run_back_up_to(text, end, 6, is_letter);
    is_known(text, start, end, Known::SAINT)
}

/// The start of a name that this word ends: the word before and this one, with initials between, or
/// initials before this one.
fn paired(text: &[u8], word: &Word) -> Option<usize> {
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
        let other = first.is(Known::SURNAME) || first.known.is_nothing();
        if first.may_name()
            && ((given && word.may_name())
                || (given && initials && word.shape == Shape::Title)
                || (first.is(Known::MAYBE_GIVEN) && (surname || rare || (free && maybe)))
                || (free && other && (surname || second)))
        {
            return (!is_thing(text, word.end)).then_some(first.start);
        }
    }
    let maybe = word.is(Known::MAYBE_SURNAME) && !word.is(Known::PLAIN);
    let sure = word.may_name() && (maybe || word.is(Known::SURE));
    (initials && sure && word.len() >= 3 && !is_thing(text, word.end)).then_some(end)
}

/// Before one or two initials that end before `start`, the first with a full stop or all without.
fn before_initials(text: &[u8], start: usize) -> (usize, bool) {
    let mut start = start;
    let mut dotted = false;
    for _ in 0..INITIALS {
        let blanks = run_back_up_to(text, start, 3, is_blank);
        let dot = before(text, blanks) == b'.';
        let end = blanks - usize::from(dot);
        let Some(initial) = end.checked_sub(1) else {
            break;
        };
        let apart = blanks < start || dot;
        let lone = at(text, initial).is_ascii_uppercase()
            && !is_word(before(text, initial))
            && !matches!(before(text, initial), b'\'' | b'-' | b'/');
        if !apart || start - blanks > 2 || !lone {
            break;
        }
        dotted = dot;
        start = initial;
    }
    (start, dotted)
}

/// Before up to three particles that end before `start`.
fn before_particles(text: &[u8], start: usize) -> usize {
    let mut start = start;
    for _ in 0..3 {
        let Some(end) = gap_before(text, start) else {
            break;
        };
        let particle = run_back_up_to(text, end, 6, is_letter);
        if particle == end
            || is_word(before(text, particle))
            || !at(text, particle).is_ascii_lowercase()
            || !is_known(text, particle, end, Known::PARTICLE)
        {
            break;
        }
        start = particle;
    }
    start
}

/// The start of a surname that a comma and this given name follow.
fn turned(text: &[u8], word: &Word) -> Option<usize> {
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
    let like = match last.shape {
        Shape::Title => !last.is(Known::PLAIN) && !last.is(Known::CITY),
        Shape::Caps => last.may_name() || (last.known.is_nothing() && last.len() >= 4),
        _ => false,
    };
    let fits = (sure && ((given && word.may_name()) || initial))
        || (like && word.is(Known::GIVEN) && word.may_name());
    fits.then_some(last.start)
}
