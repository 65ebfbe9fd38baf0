//! Names of towns and of houses where people are treated that are several words, by lists of them: `Fall
//! River`, `Salt Lake City`, `Mass General`. Each of their words is something else too; together they are
//! nothing else but before a thing (`Ann Arbor stage`, `Mayo Clinic score`).

use std::sync::LazyLock;

use super::lexicon::Known;
use super::lexis::{at, before, is_letter, is_word, run_back_up_to, run_up_to, same};
use super::name::is_thing;
use super::spelling::{Shape, Word, gap, gap_before, word_at, word_before};
use super::zip;

/// One a line, in small letters.
pub(super) const TOWNS: &str = include_str!("lexicon/towns.txt");
pub(super) const HOUSES: &str = include_str!("lexicon/houses.txt");

/// The most words of one.
const WORDS: usize = 4;

/// Those whose last word begins with each letter.
struct Phrases([Vec<Vec<&'static str>>; 32]);

impl Phrases {
    fn new(lists: [&'static str; 2]) -> Self {
        let mut by_letter: [Vec<Vec<&'static str>>; 32] = Default::default();
        for line in lists.into_iter().flat_map(str::lines) {
            let words: Vec<&str> = line.split(' ').rev().collect();
            let first = words.first().and_then(|word| word.bytes().next());
            if let Some(lines) = by_letter.get_mut(letter(first.unwrap_or(0))) {
                lines.push(words);
            }
        }
        Self(by_letter)
    }
}

/// Five bits of a letter, whatever its case.
fn letter(c: u8) -> usize {
    usize::from(c & 31)
}

/// The town or house that ends with this word: where it begins and ends.
pub(super) fn find(text: &[u8], word: &Word) -> Option<(usize, usize)> {
    static PHRASES: LazyLock<Phrases> = LazyLock::new(|| Phrases::new([TOWNS, HOUSES]));
    if !word.is(Known::TOWN) || !matches!(word.shape, Shape::Title | Shape::Caps) {
        return None;
    }
    let lines = PHRASES.0.get(letter(at(text, word.start)))?;
    let starts = lines.iter().filter_map(|words| begin(text, word, words));
    let start = starts.min()?;
    let end = onward(text, word.end);
    // `Los Angeles C`, `San Francisco Syncope Rule`.
    let more = gap(text, end).filter(|&next| at(text, next).is_ascii_uppercase());
    let more = more.is_some_and(|next| {
        let stop = run_up_to(text, next, 3, is_letter);
        !zip::is_state(text.get(next..stop).unwrap_or_default())
    });
    // `Johns Hopkins fall risk`.
    let risk = gap(text, end).is_some_and(|next| same(text, next, next + 9, "fall risk"));
    (!more && !risk && !is_thing(text, end)).then_some((start, end))
}

/// Where the words, the last one first, begin that end with this one; a full stop may stand behind `St`.
fn begin(text: &[u8], word: &Word, words: &[&str]) -> Option<usize> {
    let mut words = words.iter();
    let last = words.next()?;
    if !same(text, word.start, word.end, last) {
        return None;
    }
    let mut start = word.start;
    for one in words.take(WORDS) {
        let blanks = gap_before(text, start)?;
        let end = blanks - usize::from(before(text, blanks) == b'.' && *one == "st");
        let from = end.checked_sub(one.len())?;
        let apart = from == 0 || !is_word(before(text, from));
        let small = ["and", "of", "de", "du", "au", "on", "es"].contains(one);
        let cased = small || at(text, from).is_ascii_uppercase();
        (apart && cased && same(text, from, end, one)).then_some(())?;
        start = from;
    }
    Some(start)
}

/// Behind what a house's name may go on with: `Mass General Hospital`, `Kaiser Permanente Oakland`.
fn onward(text: &[u8], end: usize) -> usize {
    let mut end = end;
    for _ in 0..3 {
        let more = gap(text, end).and_then(|next| word_at(text, next));
        let kinds = [
            "medical",
            "center",
            "health",
            "cancer",
            "institute",
            "system",
        ];
        let Some(more) = more.filter(|more| {
            let kind = kinds
                .iter()
                .any(|kind| same(text, more.start, more.end, kind));
            let part = kind || more.is(Known::FACILITY.or(Known::HOUSE_END).or(Known::CITY));
            part && more.shape == Shape::Title
        }) else {
            break;
        };
        end = more.end;
    }
    end
}

/// The house that ends with this word, of which only the last one is known, where somebody is or comes from:
/// `from Xqzt General`, `at Plugh Qwrtz Memorial`.
pub(super) fn house(text: &[u8], word: &Word) -> Option<(usize, usize)> {
    if !word.is(Known::HOUSE_END) || word.shape != Shape::Title {
        return None;
    }
    let mut start = word.start;
    for _ in 0..3 {
        let bracket = start - usize::from(before(text, start) == b'(');
        let blanks = gap_before(text, bracket)?;
        let from = run_back_up_to(text, blanks, 6, |c| c.is_ascii_lowercase());
        let link = ["at", "from", "to", "in", "via"];
        let linked = link.iter().any(|link| same(text, from, blanks, link));
        if (linked || before(text, start) == b'(') && start < word.start {
            let end = onward(text, word.end);
            // `to Adult General Surgery`, not `to Qwrtz Memorial ED`.
            let more = gap(text, end).and_then(|next| word_at(text, next));
            let more = more.filter(|more| {
                let wards = ["ED", "ER", "ICU"];
                let letters = text.get(more.start..more.end).unwrap_or_default();
                !wards.iter().any(|ward| letters == ward.as_bytes())
            });
            let more = more.is_some_and(|more| matches!(more.shape, Shape::Title | Shape::Caps));
            return (!more && !is_thing(text, end)).then_some((start, end));
        }
        let other = Known::TITLE.or(Known::ROLE).or(Known::RELATION);
        let part = word_before(text, blanks)
            .filter(|part| part.shape == Shape::Title && !part.possessive && !part.is(other))?;
        start = part.start;
    }
    None
}
