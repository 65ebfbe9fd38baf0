//! Names of people. A name of the lists (see `lexicon`) by itself proves nothing; what counts is
//!
//! - a title before it (`Mr. Smith`, `dr. garcia`, `Nurse Kowalski`);
//! - a word before it that people's names follow: `name: X`, `my name is X`, `patient X`, `daughter X`,
//!   `husband (X)`, `signed by X`, `d/w X`, `dear X`; how much such a word proves is said in [`Proof`];
//! - what somebody writes behind their name (`Anna Xqzt, MD`), or two words of no list that do what only
//!   people do (`Xqzt Plugh denies pain`);
//! - a second name beside it: given name and surname, either of them out of no list (`Anna Xqzt`,
//!   `Xqzt Kowalski`), with initials between or before (`John Q. Public`, `J. R. Kowalski`), with
//!   particles (`Anna van der Berg`), or the surname first and a comma (`Kowalski, Anna`).
//!
//! Left alone: plain words and eponyms without such proof (`Crohn disease`, `Will follow`), a pair before
//! a word that makes it something else (`Anna Jaques Hospital`), names in small letters but after `mr`,
//! `mrs`, `ms` and `dr` (see `again`), and single names that nothing announces (see `lone`).
//!
//! Asked where a word begins with a capital; looks a few words back and forth, never farther.

use super::lexicon::{Known, known};
use super::lexis::{
    at, before, is_blank, is_letter, is_space, is_word, run_back_up_to, run_up_to, same,
};
use super::pair::{acting, credited, lettered, paired, signed, turned};
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
    /// What somebody is called: one that may be a name, before a comma or the like.
    Called,
    /// A relative: any word in title case that is no plain word in any sense.
    Relation,
    /// What somebody is: one that is sure, or that is nothing but a name and a thing.
    Role,
    /// Words that a name often follows: one that is sure.
    Usual,
    /// A heading for people, or what somebody did to the text: one that is sure, or one of no list that
    /// stands like a name: before a comma, a line's end, what somebody writes behind their name.
    Label,
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
    if let Some(start) = credited(text, word) {
        push(start, word.end);
    }
    if let Some(start) = acting(text, word) {
        push(start, word.end);
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

/// Asked for a plain word: only an initial before it can make a name of it (`John Q. Public`).
pub(crate) fn find_after_initials(text: &[u8], word: &Word, spans: &mut Vec<Span>) {
    let (initial, _) = before_initials(text, word.start);
    let two = lettered(text, initial) && signed(text, word.end);
    let paired = paired(text, word).or(two.then_some(initial));
    if initial < word.start
        && let Some(start) = paired
    {
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
        let small = word.shape == Shape::Lower && word.is(Known::SURE);
        let surname = word.is(Known::SURNAME.or(Known::MAYBE_SURNAME));
        if !(word.may_name() && surname || small && word.is(Known::SURNAME)) {
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

pub(super) fn is_known(text: &[u8], start: usize, end: usize, of: Known) -> bool {
    known(text.get(start..end).unwrap_or_default()).is(of)
}

/// What the words before the one at `i` prove of it.
fn announced(text: &[u8], i: usize, word: &Word) -> Option<Proof> {
    if !matches!(word.shape, Shape::Title | Shape::Caps | Shape::Initial) {
        return None;
    }
    let bracket = usize::from(before(text, i) == b'(');
    let blanks = run_back_up_to(text, i - bracket, 3, is_space);
    if bracket == 1 {
        // `husband (Tom)`.
        let start = run_back_up_to(text, blanks, 14, is_letter);
        let relation = blanks < i - 1 && is_known(text, start, blanks, Known::RELATION);
        return relation.then_some(Proof::Relation);
    }
    let colon = matches!(before(text, blanks), b':' | b'?');
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
    // `appt w/ Kowalski`.
    if start == end && blanks < i && slashed_with(text, blanks) {
        return Some(Proof::Usual);
    }
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
        return known.is(people.or(Known::ROLE)).then_some(Proof::Label);
    }
    if same(text, start, end, "by") && !colon && acted(text, start) {
        return Some(Proof::Label);
    }
    if greeted(text, start, end) && at(text, word.end) == b',' {
        return Some(Proof::Called);
    }
    if goes_by(text, start, end) && closed(text, word) {
        return Some(Proof::Relation);
    }
    let baby = text.get(start..end) == Some(b"BB") || text.get(start..end) == Some(b"BG");
    if baby && word.is(Known::SURE) || newborn(text, start, end) && word.known.is_nothing() {
        return Some(Proof::Relation);
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
    let shouted = word.shape == Shape::Caps && word.is(Known::SURE);
    if known.is(Known::RELATION) && !lower && !opening && amid(text, word) {
        return Some(Proof::Called);
    }
    if same(text, start, end, "and") && beside_given(text, start) && closed(text, word) {
        return Some(Proof::Called);
    }
    if reported(text, start, end) {
        return Some(Proof::Label);
    }
    if known.is(Known::RELATION) && (lower || opening || shouted) {
        let c_o = end - start > 1 || (before(text, start) == b'/' && at_c(text, start));
        return c_o.then_some(Proof::Relation);
    }
    // `paged Xqzt Plugh`, not `with Xqzt Plugh`.
    let pt = ["pt", "am", "m"]
        .iter()
        .any(|one| same(text, start, end, one));
    let people = known.is(Known::BEFORE.or(Known::ROLE)) && (pt || end - start > 2);
    let link = ["with", "from", "for", "and"];
    if people && !link.iter().any(|link| same(text, start, end, link)) && two_unknown(text, word) {
        return Some(Proof::Relation);
    }
    if known.is(Known::ROLE) {
        return Some(Proof::Role);
    }
    // `d/w Kowalski`.
    let slashed = before(text, start) == b'/' && same(text, start, end, "w");
    let told = start.checked_sub(2).map_or(0, |i| at(text, i)) | 0x20;
    if slashed && matches!(told, b'd' | b's') {
        return Some(Proof::Usual);
    }
    // `sister-in-law Anna`.
    if same(text, start, end, "law") && before(text, start) == b'-' {
        return Some(Proof::Relation);
    }
    // In the midst of a sentence.
    let amid = lower && word.is(Known::GIVEN) && !word.is(Known::EPONYM);
    (amid || known.is(Known::BEFORE)).then_some(Proof::Usual)
}

/// Whether this is a word of no list in title case before another such word or a name.
fn two_unknown(text: &[u8], word: &Word) -> bool {
    let unknown = |word: &Word| word.known.is_nothing() && word.shape == Shape::Title;
    let second = gap(text, word.end).and_then(|next| word_at(text, next));
    unknown(word) && second.is_some_and(|second| unknown(&second) || second.is(Known::SURE))
}

/// What people do whose name stands behind `by`.
const ACTS: [&str; 22] = [
    "signed",
    "dictated",
    "performed",
    "referred",
    "seen",
    "reviewed",
    "interpreted",
    "read",
    "called",
    "notified",
    "assisted",
    "witnessed",
    "transcribed",
    "authored",
    "verified",
    "collected",
    "evaluated",
    "cosigned",
    "accompanied",
    "examined",
    "approved",
    "entered",
];

/// Whether one of [`ACTS`] stands before the `by` at `i`.
fn acted(text: &[u8], i: usize) -> bool {
    let Some(end) = gap_before(text, i) else {
        return false;
    };
    let start = run_back_up_to(text, end, 12, is_letter);
    ACTS.iter().any(|act| same(text, start, end, act))
}

/// Whether this is what letters and messages begin with.
fn greeted(text: &[u8], start: usize, end: usize) -> bool {
    let greetings = [
        "hi",
        "hello",
        "hey",
        "dear",
        "morning",
        "afternoon",
        "evening",
        "thanks",
        "thank",
    ];
    greetings.iter().any(|word| same(text, start, end, word))
}

/// Whether a sentence goes on behind this word in small letters: `Friend Skip drove him`.
fn amid(text: &[u8], word: &Word) -> bool {
    let small = gap(text, word.end).is_some_and(|next| {
        at(text, next).is_ascii_lowercase() && at(text, next + 1).is_ascii_lowercase()
    });
    small && word.shape == Shape::Title && !word.is_plain() && word.len() >= 3
}

/// Whether a given name ends before the `and` at `i`.
fn beside_given(text: &[u8], i: usize) -> bool {
    let last = gap_before(text, i).and_then(|end| word_before(text, end));
    last.is_some_and(|last| last.shape == Shape::Title && last.is(Known::GIVEN))
}

/// Whether these are the last words of `report from`, `handoff to` and the like.
fn reported(text: &[u8], start: usize, end: usize) -> bool {
    if !["from", "to"]
        .iter()
        .any(|link| same(text, start, end, link))
    {
        return false;
    }
    gap_before(text, start).is_some_and(|end| {
        let from = run_back_up_to(text, end, 9, is_letter);
        let told = ["report", "handoff", "signout", "handover"];
        told.iter().any(|told| same(text, from, end, told))
    })
}

/// The end of a name that a comma sets apart from a relative before it: `her mother, Grace, called`.
pub(super) fn set_apart(text: &[u8], word: &Word) -> Option<usize> {
    let comma = gap_before(text, word.start).filter(|&end| before(text, end) == b',')? - 1;
    let start = run_back_up_to(text, comma, 14, is_letter);
    let relation = is_known(text, start, comma, Known::RELATION);
    (relation && closed(text, word)).then(|| tail(text, word.end, false))
}

/// Whether a name that ends a clause ends with this word.
fn closed(text: &[u8], word: &Word) -> bool {
    matches!(
        at(text, tail(text, word.end, false)),
        0 | b',' | b'.' | b';' | b')' | b'"' | b'\n' | b'\r'
    )
}

/// Whether `w/` ends at `i` behind what people do with each other.
fn slashed_with(text: &[u8], i: usize) -> bool {
    let Some(with) = i.checked_sub(2).filter(|&with| same(text, with, i, "w/")) else {
        return false;
    };
    let doings = [
        "appt",
        "appointment",
        "spoke",
        "met",
        "visit",
        "discussed",
        "talked",
        "reviewed",
        "call",
        "seen",
        "session",
        "lives",
    ];
    gap_before(text, with).is_some_and(|end| {
        let start = run_back_up_to(text, end, 12, is_letter);
        doings.iter().any(|doing| same(text, start, end, doing))
    })
}

/// Whether these are the last words of `goes by`, `be called`, `nickname is`.
fn goes_by(text: &[u8], start: usize, end: usize) -> bool {
    let pairs = [
        ("by", "goes"),
        ("by", "go"),
        ("called", "be"),
        ("is", "nickname"),
        ("me", "call"),
        ("me", "calls"),
        ("him", "named"),
        ("her", "named"),
    ];
    let before_it =
        gap_before(text, start).map(|end| (run_back_up_to(text, end, 9, is_letter), end));
    before_it.is_some_and(|(from, to)| {
        pairs
            .iter()
            .any(|(second, first)| same(text, start, end, second) && same(text, from, to, first))
    })
}

/// Whether this is the second word of `Baby Girl`.
fn newborn(text: &[u8], start: usize, end: usize) -> bool {
    let child = same(text, start, end, "girl") || same(text, start, end, "boy");
    child
        && gap_before(text, start).is_some_and(|end| {
            let from = run_back_up_to(text, end, 5, is_letter);
            same(text, from, end, "baby")
        })
}

/// Whether `c/` stands before the `o` at `i`.
fn at_c(text: &[u8], i: usize) -> bool {
    i.checked_sub(2)
        .is_some_and(|c| at(text, c) | 0x20 == b'c' && !is_word(before(text, c)))
}

/// Whether the `name` at `start` may be somebody's.
pub(super) fn named(text: &[u8], start: usize) -> bool {
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
    // `Ms. St. Clair`.
    if proof == Proof::Title
        && same(text, start, word.end, "st")
        && at(text, word.end) == b'.'
        && let Some(next) = gap(text, word.end + 1).and_then(|next| word_at(text, next))
    {
        return next.may_name().then_some(next.end);
    }
    let initials = first > i;
    let unknown = word.known.is_nothing();
    let surname =
        word.is(Known::SURNAME) || (word.is(Known::MAYBE_SURNAME) && !word.is(Known::PLAIN));
    let fits = match (word.shape, proof) {
        (Shape::Title, Proof::Title | Proof::Field) => !word.is_plain(),
        (Shape::Title, Proof::Called) => {
            word.is(Known::SURE) || (word.is(Known::NAME) && !auxiliary(text, &word)) || unknown
        }
        (Shape::Title, Proof::Relation) => {
            word.len() >= 3 && !(word.is(Known::PLAIN) || word.is(Known::CITY))
                || word.is(Known::SURE)
                || (word.is(Known::MAYBE_GIVEN) && !auxiliary(text, &word))
        }
        (Shape::Caps, Proof::Title | Proof::Field) => {
            word.is(Known::NAME) && !auxiliary(text, &word) || (unknown && word.len() >= 4)
        }
        (Shape::Title | Shape::Caps, Proof::Role) => word.is(Known::SURE) || surname,
        (Shape::Title, Proof::Label)
            if (unknown || word.is(Known::COMMON)) && !initials && word.len() >= 3 =>
        {
            stands_like_name(text, &word)
        }
        (Shape::Title | Shape::Caps, Proof::Label) => {
            word.is(Known::SURE) || surname || (initials && unknown)
        }
        (Shape::Title | Shape::Caps, _) => word.is(Known::SURE) || (initials && surname),
        (Shape::Lower, Proof::Title) => word.is(Known::SURE) && word.len() >= 3,
        _ => false,
    };
    // `Attending: Ng, Desmond`.
    let turned = matches!(proof, Proof::Field | Proof::Label) && at(text, word.end) == b',';
    let given = gap(text, word.end + 1).filter(|_| turned);
    let given = given.and_then(|next| word_at(text, next));
    let before_given = given.is_some_and(|given| given.is(Known::GIVEN) && given.may_name());
    let fits = fits || before_given && word.may_name();
    let weak = matches!(proof, Proof::Usual | Proof::Role | Proof::Label);
    if !fits || (weak && is_thing(text, word.end)) {
        return None;
    }
    if word.possessive {
        return Some(word.end);
    }
    let end = tail(text, word.end, !weak || proof == Proof::Label);
    if matches!(proof, Proof::Field | Proof::Label)
        && at(text, end) == b','
        && let Some(next) = gap(text, end + 1)
        && let Some(given) = word_at(text, next)
        && (given.may_name()
            || word.shape == Shape::Caps
                && given.shape == Shape::Caps
                && given.known.is_nothing()
                && given.len() >= 3)
    {
        return Some(tail(text, given.end, true));
    }
    Some(end)
}

/// Whether a given name is one of the verbs that stand behind people: `his wife Will call`.
pub(super) fn auxiliary(text: &[u8], word: &Word) -> bool {
    let verbs = [
        "will", "may", "can", "am", "has", "does", "do", "in", "see", "say", "an", "as",
    ];
    verbs
        .iter()
        .any(|verb| same(text, word.start, word.end, verb))
}

/// Whether a word of no list has behind it what names have: the end of a line or clause, a second name,
/// what somebody writes behind their name.
fn stands_like_name(text: &[u8], word: &Word) -> bool {
    let blanks = run_up_to(text, word.end, 3, is_blank);
    let ends = matches!(
        at(text, blanks),
        0 | b'\n' | b'\r' | b',' | b';' | b'(' | b'/' | b'.'
    );
    let double = blanks - word.end > 1;
    let second = word_at(text, blanks).is_some_and(|second| {
        second.may_name() || second.is(Known::CREDENTIAL) || second.shape == Shape::Initial
    });
    let on = ["on", "at", "and"];
    let stop = run_up_to(text, blanks, 4, is_letter);
    let dated = on.iter().any(|on| same(text, blanks, stop, on));
    word.possessive || ends || double || (blanks > word.end && (second || dated))
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
pub(super) fn tail(text: &[u8], end: usize, any: bool) -> usize {
    let mut end = end;
    for words in 0..MORE {
        let Some(next) = gap(text, end) else { break };
        let initial = is_capital(at(text, next)) && !is_word(at(text, next + 1));
        let after = if initial {
            let dot = next + 1 + usize::from(at(text, next + 1) == b'.');
            run_up_to(text, dot, 2, is_blank)
        } else {
            next
        };
        // `Anna K.`
        let abbreviated =
            words == 0 && initial && at(text, next + 1) == b'.' && at(text, next) != b'I';
        let alone = if abbreviated { next + 1 } else { end };
        let particles = after_particles(text, after);
        let Some(word) = word_at(text, particles) else {
            end = alone;
            break;
        };
        let sure = word.is(Known::SURE) || (word.is(Known::NAME) && !word.is(Known::PLAIN));
        let unknown = word.known.is_nothing() && word.shape == Shape::Title;
        // `Tran Van Hung was`.
        let named = word.is(Known::NAME) || unknown;
        let last = named && word.shape == Shape::Title && said_of(text, &word);
        // `Vasquez de la Torre`.
        let last = last || unknown && particles > after + 2;
        if !word.may_name() || !(sure || last || (any && unknown)) {
            end = alone;
            break;
        }
        end = word.end;
        if word.possessive {
            break;
        }
    }
    end
}

/// Whether a sentence goes on behind this word as behind its subject.
fn said_of(text: &[u8], word: &Word) -> bool {
    let verbs = [
        "was",
        "is",
        "has",
        "denies",
        "states",
        "presented",
        "presents",
        "reports",
    ];
    gap(text, word.end).is_some_and(|next| {
        let stop = run_up_to(text, next, 10, is_letter);
        verbs
            .iter()
            .any(|verb| text.get(next..stop) == Some(verb.as_bytes()))
    })
}

/// Whether one or two blanks and a word for a thing follow at `end`.
pub(super) fn is_thing(text: &[u8], end: usize) -> bool {
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
pub(super) fn in_place(text: &[u8], start: usize) -> bool {
    let Some(gap) = gap_before(text, start) else {
        return false;
    };
    let end = gap - usize::from(before(text, gap) == b'.');
    let start = run_back_up_to(text, end, 6, is_letter);
    is_known(text, start, end, Known::SAINT)
}

/// Before one or two initials that end before `start`, the first with a full stop or all without.
pub(super) fn before_initials(text: &[u8], start: usize) -> (usize, bool) {
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
pub(super) fn before_particles(text: &[u8], start: usize) -> usize {
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
