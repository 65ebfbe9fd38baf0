//! The oracle of a policy's patterns: at every place of a folded text every text that an expression
//! matches, by an engine of another kind, and every entry, word by word.

use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

use super::Definition;
use crate::detect::Kind;
use crate::naive::{Found, folded};

enum Oracle {
    Regex(PikeVM),
    Words(Vec<Vec<Vec<u8>>>),
}

/// The definitions, each by itself.
pub(super) struct Naive(Vec<Oracle>);

impl Naive {
    pub(super) fn new(definitions: &[Definition]) -> Self {
        let oracle = |one: &Definition| match (&one.regex, &one.words) {
            (Some(regex), _) => Oracle::Regex(
                PikeVM::builder()
                    .syntax(syntax::Config::new().unicode(false).utf8(false))
                    .thompson(regex_automata::nfa::thompson::Config::new().utf8(false))
                    .configure(PikeVM::config().match_kind(MatchKind::All))
                    .build(regex)
                    .unwrap(),
            ),
            (None, words) => Oracle::Words(words.iter().flatten().map(|e| entry(e)).collect()),
        };
        Self(definitions.iter().map(oracle).collect())
    }

    /// Every candidate of the definitions at these places.
    pub(super) fn candidates(&self, text: &[u8], chosen: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        for &place in chosen {
            for start in 0..text.len() {
                for end in start + 1..=text.len() {
                    let is = match &self.0[usize::from(place)] {
                        Oracle::Regex(regex) => matches(regex, text, start, end),
                        Oracle::Words(entries) => {
                            entries.iter().any(|entry| stands(entry, text, start, end))
                        }
                    };
                    if is {
                        found.push((start, end, Kind::Pattern(place)));
                    }
                }
            }
        }
        found
    }
}

fn entry(text: &str) -> Vec<Vec<u8>> {
    let text = folded(text).0.to_ascii_lowercase();
    let words = text.split(u8::is_ascii_whitespace);
    words
        .filter(|word| !word.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

fn matches(regex: &PikeVM, text: &[u8], start: usize, end: usize) -> bool {
    let input = Input::new(text).range(start..end).anchored(Anchored::Yes);
    let found = regex.find_iter(&mut regex.create_cache(), input).next();
    found.is_some_and(|found| found.end() == end)
}

/// Whether `text[start..end]` is the entry, with one to three blanks between its words, and no letter or
/// digit hangs on a letter or digit at its ends.
fn stands(entry: &[Vec<u8>], text: &[u8], start: usize, end: usize) -> bool {
    let word = |c: Option<&u8>| c.is_some_and(|&c| c.is_ascii_alphanumeric() || c == 0x80);
    let inside = &text[start..end];
    let before = start.checked_sub(1).and_then(|i| text.get(i));
    let hangs =
        (word(before) && word(inside.first())) || (word(text.get(end)) && word(inside.last()));
    let blanks = inside.split(|c| !c.is_ascii_whitespace()).map(<[u8]>::len);
    let parts: Vec<_> = inside
        .split(u8::is_ascii_whitespace)
        .filter(|part| !part.is_empty())
        .map(<[u8]>::to_ascii_lowercase)
        .collect();
    let outside = [inside.first(), inside.last()].map(|c| c.is_some_and(u8::is_ascii_whitespace));
    !hangs && outside == [false; 2] && blanks.max() <= Some(3) && parts == entry
}
