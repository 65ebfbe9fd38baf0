//! Where somebody is treated, taught or employed, by the form of its name: proper names before a kind of
//! institution (`Qwrtz Memorial Hospital`, `St. Mary's Medical Center`, `Roosevelt High School`), and
//! what stands behind `works at` and the like. They are places smaller than a state, and employers are
//! on the list of 45 CFR 164.514(b)(2)(i) beside their employees.
//!
//! Left alone: kinds without a proper name (`Community Hospital`, `Wound Clinic`, `Nursing School`),
//! and names that only a list of all of them would tell.

use super::lexicon::{Known, known};
use super::lexis::{at, before, is_blank, is_letter, is_word, run_back_up_to, run_up_to, same};
use super::spelling::{Shape, Word, gap, gap_before, word_at};

/// Words between a proper name and the kind of institution.
const BETWEEN: usize = 5;

/// The institution whose proper name begins with this word: where it begins and ends.
pub(super) fn find(text: &[u8], word: &Word) -> Option<(usize, usize)> {
    if word.shape != Shape::Title || word.is(Known::FACILITY) {
        return None;
    }
    let at_one = linked(text, word.start);
    if let Some(saint) = saint_before(text, word.start).filter(|_| word.possessive)
        && linked(text, saint)
    {
        return Some((saint, word.end + 2));
    }
    // `at Golden Valley Hospital`.
    let sure = proper(word);
    let front = at_one && word.is(Known::HOUSE_FRONT);
    if !(sure || front || at_one && word.is(Known::NAME)) {
        return None;
    }
    let listed = word.is(Known::NAME.or(Known::CITY)) || word.possessive;
    // `at Xqzt Imaging`.
    let at_it =
        gap_before(text, word.start).is_some_and(|end| end > 2 && same(text, end - 3, end, " at"));
    let mut several = false;
    let mut end = word.end + if word.possessive { 2 } else { 0 };
    for words in 0..=BETWEEN {
        if words == 1 {
            // More than one word before the kind.
            several = true;
        }
        let next = gap(text, end)?;
        let stop = run_up_to(text, next, 14, is_letter);
        let found = known(text.get(next..stop)?);
        let capital = at(text, next).is_ascii_uppercase();
        let special = capital && at_it && specialty(text, next, stop);
        if found.is(Known::FACILITY) || (capital && centre(text, next, stop)) || special {
            // `Xqzt Clinic` may be a clinic for anything.
            let clinic = same(text, next, stop, "clinic") && !(at_it && words > 0);
            let school = !capital && !listed;
            let start = saint_before(text, word.start).unwrap_or(word.start);
            // `Elementary School`.
            let more = gap(text, stop).map(|more| (more, run_up_to(text, more, 14, is_letter)));
            let more = more.filter(|&(more, stop)| {
                known(text.get(more..stop).unwrap_or_default()).is(Known::FACILITY)
            });
            let stop = more.map_or(stop, |(_, stop)| stop);
            // `Duke University Hospital`, `Mission Hospital`.
            let hospital = front && same(text, next, stop, "hospital");
            let several = several || more.is_some() || hospital;
            // `King's College criteria`.
            let thing = gap(text, stop).is_some_and(|next| same(text, next, next + 8, "criteria"));
            let apart = !thing && !is_word(at(text, stop)) && (sure || (several && !clinic));
            return ((listed || !clinic) && !school && apart).then_some((start, stop));
        }
        // `Brigham and Women's Hospital`.
        let and = ["and", "of", "for"]
            .iter()
            .any(|and| same(text, next, stop, and));
        let and = and && (listed || front);
        if !(capital || and && words > 0 || and && word.is(Known::NAME)) || stop == next {
            return None;
        }
        end = stop
            + if text.get(stop..stop + 2) == Some(b"'s") {
                2
            } else {
                0
            };
    }
    None
}

/// Whether somebody is at, from or on the way to what begins at `i`.
fn linked(text: &[u8], i: usize) -> bool {
    let links = ["at", "from", "to", "in", "attends", "via"];
    gap_before(text, i).is_some_and(|end| {
        let start = run_back_up_to(text, end, 8, is_letter);
        links
            .iter()
            .any(|link| text.get(start..end) == Some(link.as_bytes()))
    })
}

/// Whether the word is a proper name, or of no list.
fn proper(word: &Word) -> bool {
    let eponym = word.is(Known::EPONYM) && !word.is(Known::CITY);
    let named = word.is(Known::SURNAME.or(Known::GIVEN).or(Known::CITY)) && !eponym;
    let maybe = word.is(Known::NAME) && (!word.is(Known::PLAIN) || word.possessive);
    let merciful = word.is(Known::MAYBE_GIVEN) && word.len() >= 4;
    named || maybe || merciful || (word.known.is_nothing() && word.len() >= 4)
}

/// Whether this is the last word of `Medical Center`, `Health System` and the like.
fn centre(text: &[u8], start: usize, end: usize) -> bool {
    let kinds = [
        "center",
        "centre",
        "system",
        "group",
        "home",
        "infirmary",
        "practice",
        "medicine",
        "physicians",
        "associates",
        "specialists",
        "partners",
        "living",
        "care",
    ];
    if !kinds.iter().any(|kind| same(text, start, end, kind)) {
        return false;
    }
    gap_before(text, start).is_some_and(|end| {
        let start = run_back_up_to(text, end, 14, is_letter);
        let of = [
            "medical",
            "health",
            "cancer",
            "healthcare",
            "rehabilitation",
            "nursing",
            "surgery",
            "family",
            "community",
            "care",
            "assisted",
            "senior",
            "independent",
            "urgent",
            "memory",
            "treatment",
            "recovery",
            "dialysis",
            "imaging",
            "wellness",
            "dental",
        ];
        of.iter().any(|word| same(text, start, end, word))
    })
}

/// What stands behind the proper name of who does it: `at Qwrtz Imaging`.
fn specialty(text: &[u8], start: usize, end: usize) -> bool {
    let kinds = [
        "imaging",
        "diagnostics",
        "orthopedics",
        "orthopaedics",
        "dermatology",
        "pediatrics",
        "cardiology",
        "oncology",
        "dental",
        "pharmacy",
        "labs",
        "laboratories",
        "rehab",
        "rehabilitation",
        "house",
        "high",
        "place",
        "village",
        "commons",
        "terrace",
        "associates",
        "institute",
    ];
    kinds.iter().any(|kind| same(text, start, end, kind))
}

/// The start of `St. ` or the like before `i`.
fn saint_before(text: &[u8], i: usize) -> Option<usize> {
    let end = gap_before(text, i)?;
    let end = end - usize::from(before(text, end) == b'.');
    let start = run_back_up_to(text, end, 6, is_letter);
    let saint =
        known(text.get(start..end)?).is(Known::SAINT) && at(text, start).is_ascii_uppercase();
    saint.then_some(start)
}

/// The end of the employer that begins with this word: `works at Qwrtz Steel`, `employed by Plugh & Sons`,
/// `employer: Qwrtz`.
pub(super) fn employer(text: &[u8], word: &Word) -> Option<usize> {
    let plain = word.is_plain() || word.is(Known::EPONYM) && !word.is(Known::NAME);
    if !matches!(word.shape, Shape::Title | Shape::Caps) || plain && !word.is(Known::COMPANY) {
        return None;
    }
    let comma = |i: usize| run_back_up_to(text, i, 1, |c| c == b',' || c == b':');
    let end = run_back_up_to(text, word.start, 2, is_blank);
    let mark = comma(end);
    let start = run_back_up_to(text, mark, 10, is_letter);
    let employs = same(text, start, mark, "employer") && end < word.start;
    let links = ["at", "for", "by", "with", "from"];
    let linked = mark == end && links.iter().any(|link| same(text, start, mark, link));
    let works = linked
        && gap_before(text, start).is_some_and(|end| {
            let from = run_back_up_to(text, end, 9, is_letter);
            // `works with dogs`.
            let with = same(text, start, mark, "with");
            let verbs = [
                "employed", "works", "work", "worked", "working", "job", "employee",
            ];
            // `retired from Qwrtz Steel`, and from nothing else.
            if same(text, start, mark, "from") {
                return same(text, from, end, "retired");
            }
            let mut verbs = verbs.iter().take(if with { 1 } else { verbs.len() });
            verbs.any(|verb| same(text, from, end, verb))
        });
    if !(employs || works) {
        return None;
    }
    let mut end = word.end;
    for _ in 0..BETWEEN {
        let Some(next) = gap(text, end) else { break };
        let sign = usize::from(at(text, next) == b'&') * 2;
        let Some(more) = word_at(text, next + sign).filter(|more| more.shape == Shape::Title)
        else {
            break;
        };
        end = more.end;
        if gap(text, end).is_none() {
            break;
        }
    }
    Some(end)
}
