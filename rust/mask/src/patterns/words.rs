//! Lists of words: each counts where it stands whole, whatever its case and accents, for both are told
//! in folded text. Between the words of one entry may stand up to three blanks or line ends.
//!
//! The first word of every entry is looked for in one automaton, the others behind it where it stands.

use std::collections::BTreeMap;
use std::ops::Bound;

use aho_corasick::{AhoCorasick, Input};

use crate::detect::lexis::{at, before, is_space, is_word, run_up_to};
use crate::detect::{Kind, Span};
use crate::fold::fold;

/// Entries of all lists together.
const MOST: usize = 50_000;
/// Characters of an entry.
const LONGEST: usize = 256;
/// The fewest: one letter would mask text, not people.
const SHORTEST: usize = 2;
/// Blanks between two words of an entry.
const BLANKS: usize = 3;

/// What may stand behind a first word: the other words, with one blank before each, folded and in small
/// letters, to ones at the places of their lists among the definitions.
#[derive(Debug, Default)]
struct Rests {
    lists: BTreeMap<Vec<u8>, u128>,
    longest: usize,
}

/// Lists on their way into one automaton.
#[derive(Default)]
pub(super) struct Builder {
    entries: BTreeMap<Vec<u8>, Rests>,
    count: usize,
}

impl Builder {
    /// Err says what is wrong with which entry, by its number and without its words.
    pub(super) fn add(&mut self, place: u8, list: &[String]) -> Result<(), String> {
        if list.is_empty() {
            return Err("the list has no word".to_owned());
        }
        self.count = self.count.saturating_add(list.len());
        if self.count > MOST {
            return Err(format!(
                "with this list there are {} words; at most {MOST} in all lists",
                self.count
            ));
        }
        for (entry, number) in list.iter().zip(1usize..) {
            let wrong = |detail: &str| format!("entry {number} {detail}");
            let mut words = folded(entry).map_err(|detail| wrong(&detail))?.into_iter();
            let first = words.next().ok_or_else(|| wrong("is empty"))?;
            let rest: Vec<u8> = words.flat_map(|word| [b" ", &word[..]].concat()).collect();
            let rests = self.entries.entry(first).or_default();
            rests.longest = rests.longest.max(rest.len());
            *rests.lists.entry(rest).or_default() |= 1 << place;
        }
        Ok(())
    }

    /// All of them; nothing when there is none.
    pub(super) fn build(self) -> Result<Option<Words>, String> {
        if self.entries.is_empty() {
            return Ok(None);
        }
        let (first, entries): (Vec<_>, Vec<_>) = self.entries.into_iter().unzip();
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(first)
            .map_err(|_| "the lists of words take too much memory".to_owned())?;
        Ok(Some(Words { automaton, entries }))
    }
}

/// The words of an entry as a folded text has them, in small letters.
fn folded(entry: &str) -> Result<Vec<Vec<u8>>, String> {
    let text: Vec<u8> = entry.chars().filter_map(fold).collect();
    if !text.is_ascii() {
        return Err(
            "has letters or signs of other scripts than Latin, which folded text does not tell \
             apart"
                .to_owned(),
        );
    }
    let words: Vec<Vec<u8>> = text
        .split(|&c| is_space(c))
        .filter(|word| !word.is_empty())
        .map(<[u8]>::to_ascii_lowercase)
        .collect();
    let letters = text.iter().filter(|&&c| is_word(c)).count();
    if !(SHORTEST..=LONGEST).contains(&letters) || text.len() > LONGEST {
        return Err(format!(
            "has {letters} letters and digits in {} characters; {SHORTEST} to {LONGEST} are taken",
            text.len()
        ));
    }
    Ok(words)
}

/// Lists of words, compiled.
#[derive(Debug)]
pub(super) struct Words {
    automaton: AhoCorasick,
    /// For each first word of the automaton.
    entries: Vec<Rests>,
}

impl Words {
    /// Where in `from..to` a first word of an entry stands whole; texts end and begin at an `edge`.
    pub(super) fn next(
        &self,
        text: &[u8],
        (from, to): (usize, usize),
        edge: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let input = Input::new(text).range(from.min(to)..to);
        let found = self.automaton.find_overlapping_iter(input);
        found
            .map(|found| (found.start(), found.end()))
            .find(|&(start, end)| {
                (begins(text, start) || edge(start)) && (ends(text, end) || edge(end))
            })
            .map(|(start, _)| start)
    }

    /// Every entry of a chosen list that stands in the text.
    pub(super) fn collect(&self, text: &[u8], chosen: u128, spans: &mut Vec<Span>) {
        for found in self.automaton.find_overlapping_iter(text) {
            let (start, first) = (found.start(), found.end());
            if !begins(text, start) || !ends(text, first) {
                continue;
            }
            if let Some(rests) = self.entries.get(found.pattern().as_usize()) {
                rests.collect(text, (start, first), chosen, spans);
            }
        }
    }
}

impl Rests {
    /// The entries of chosen lists whose first word stands at these places. However many begin with that
    /// word, the text behind it is read once.
    fn collect(
        &self,
        text: &[u8],
        (start, first): (usize, usize),
        chosen: u128,
        spans: &mut Vec<Span>,
    ) {
        let mut read = Vec::new();
        let mut i = first;
        loop {
            if ends(text, i) {
                let from = (Bound::Included(&read[..]), Bound::Unbounded);
                let next = self.lists.range::<[u8], _>(from).next();
                let Some((rest, lists)) = next.filter(|(rest, _)| rest.starts_with(&read)) else {
                    return;
                };
                let lists = if *rest == read { lists & chosen } else { 0 };
                let places = (0u8..128).filter(|place| lists >> place & 1 != 0);
                spans.extend(places.map(|place| Span {
                    start,
                    end: i,
                    kind: Kind::Pattern(place),
                }));
            }
            if read.len() >= self.longest || i >= text.len() {
                return;
            }
            let blanks = run_up_to(text, i, BLANKS, is_space);
            if blanks > i {
                read.push(b' ');
                i = blanks;
                // The word behind is no blank, and where there are more of them there is none.
                if is_space(at(text, i)) {
                    return;
                }
            } else {
                read.push(at(text, i).to_ascii_lowercase());
                i += 1;
            }
        }
    }
}

/// Whether no word goes on before `i`, where one begins.
fn begins(text: &[u8], i: usize) -> bool {
    !is_word(at(text, i)) || !is_word(before(text, i))
}

/// Whether no word goes on at `i`, where one ends.
fn ends(text: &[u8], i: usize) -> bool {
    !is_word(before(text, i)) || !is_word(at(text, i))
}
