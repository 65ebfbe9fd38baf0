//! Regular expressions in one automaton that is made as it is needed: over bytes, ASCII alone, so that a
//! character of the folded text is one byte of it.
//!
//! Forwards it tells where matches end, and of which pattern; backwards, from each such end, how far the
//! longest of them reaches. Memory does not grow with what is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use regex_automata::hybrid::dfa::{Cache, DFA, OverlappingState};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::prefilter::Prefilter;
use regex_automata::{Anchored, Input, MatchError, MatchKind};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::detect::{Kind, Span};

/// The longest text that a pattern may match: what an identifier may be long, and what is read again for
/// each of its ends.
const LONGEST: usize = 256;
/// The longest regular expression as it is written.
const LONGEST_WRITTEN: usize = 1_000;
/// Memory of the compiled expressions, bytes; twice, forwards and backwards.
const SIZE: usize = 4 << 20;
/// Nested groups.
const DEEPEST: u32 = 50;

/// Regular expressions on their way into one automaton.
#[derive(Default)]
pub(super) struct Builder {
    hirs: Vec<Hir>,
    places: Vec<u8>,
}

impl Builder {
    /// Err says what is wrong with it.
    pub(super) fn add(&mut self, place: u8, regex: &str) -> Result<(), String> {
        if regex.len() > LONGEST_WRITTEN {
            return Err(format!(
                "the regex has {} characters; at most {LONGEST_WRITTEN}",
                regex.len()
            ));
        }
        if !regex.bytes().all(|c| matches!(c, b' '..=b'~')) {
            return Err(
                "the regex has characters beside printable ASCII, and no text that it reads has: \
                 accents are folded away, e for é"
                    .to_owned(),
            );
        }
        let hir = ParserBuilder::new()
            .unicode(false)
            .utf8(false)
            .nest_limit(DEEPEST)
            .build()
            .parse(regex)
            .map_err(|error| format!("the regex is none: {}", sentence(&error)))?;
        if !readable(&hir) {
            return Err(
                "the regex asks for a character that no text has that it reads: accents are folded \
                 away, e for é, dashes are - and what is no Latin letter is met by . alone"
                    .to_owned(),
            );
        }
        let shape = hir.properties();
        match shape.minimum_len() {
            None => return Err("the regex matches no text at all".to_owned()),
            Some(0) => {
                return Err(
                    "the regex matches the empty text: something in it must be there, so write \
                     {1,9} for * and leave no part optional that all depends on"
                        .to_owned(),
                );
            }
            Some(_) => {}
        }
        match shape.maximum_len() {
            None => {
                return Err(format!(
                    "the regex matches texts of any length: write {{1,40}} for + and {{0,40}} for \
                     *, at most {LONGEST} characters in all"
                ));
            }
            Some(length) if length > LONGEST => {
                return Err(format!(
                    "the regex matches up to {length} characters; at most {LONGEST}"
                ));
            }
            Some(_) => {}
        }
        // Alone: who is too large by itself is named.
        automaton(std::slice::from_ref(&hir), false)?;
        self.hirs.push(hir);
        self.places.push(place);
        Ok(())
    }

    /// All of them; nothing when there is none.
    pub(super) fn build(self) -> Result<Option<Shapes>, String> {
        if self.hirs.is_empty() {
            return Ok(None);
        }
        Ok(Some(Shapes {
            forwards: automaton(&self.hirs, false)?,
            backwards: automaton(&self.hirs, true)?,
            places: self.places,
            literals: literals(&self.hirs),
            hirs: self.hirs,
            parts: Mutex::default(),
        }))
    }
}

/// The first line of the parser's words that says what is wrong.
fn sentence(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => "it cannot be read".to_owned(),
    }
}

/// Whether folded text can have what an expression names: `\u{e9}` and `\x00` are in none. Classes that take
/// every character beyond ASCII, as `.` and `[^a]` do, name none of them.
fn readable(hir: &Hir) -> bool {
    let told = |c: &u8| matches!(c, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.iter().all(told),
        HirKind::Class(Class::Bytes(class)) => class
            .iter()
            .all(|range| range.end() < 0x80 || (range.start() <= 0x80 && range.end() == 0xff)),
        HirKind::Class(Class::Unicode(class)) => class.is_ascii(),
        HirKind::Repetition(repetition) => readable(&repetition.sub),
        HirKind::Capture(capture) => readable(&capture.sub),
        HirKind::Concat(hirs) | HirKind::Alternation(hirs) => hirs.iter().all(readable),
        HirKind::Empty | HirKind::Look(_) => true,
    }
}

fn automaton(hirs: &[Hir], backwards: bool) -> Result<DFA, String> {
    let too_large = |_| "the regular expressions take too much memory: use smaller repetitions";
    let nfa = thompson::Config::new()
        .utf8(false)
        .reverse(backwards)
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(Some(SIZE));
    let nfa: NFA = thompson::Compiler::new()
        .configure(nfa)
        .build_many_from_hir(hirs)
        .map_err(|_| too_large(()))?;
    let config = DFA::config().match_kind(MatchKind::All);
    let dfa = DFA::builder().configure(config).build_from_nfa(nfa);
    Ok(dfa.map_err(|_| too_large(()))?)
}

/// Bytes of a literal that are looked for, the most that there can be of them first, and how many
/// literals at once: so many are found many bytes at a time.
const LITERAL: [usize; 3] = [4, 3, 2];
const LITERALS: usize = 64;

/// Texts of which each match of each pattern has one; nothing where that cannot be said, or says little.
fn literals(hirs: &[Hir]) -> Option<Prefilter> {
    let texts = LITERAL.into_iter().find_map(|length| {
        let mut all = Vec::new();
        for hir in hirs {
            all.extend(ends(hir, length)?);
        }
        all.sort_unstable();
        all.dedup();
        (all.len() <= LITERALS).then_some(all)
    });
    Prefilter::new(MatchKind::LeftmostFirst, &texts?).filter(Prefilter::is_fast)
}

/// The literals at that end of a pattern which says more.
fn ends(hir: &Hir, length: usize) -> Option<Vec<Vec<u8>>> {
    let mut prefixes = Extractor::new().kind(ExtractKind::Prefix).extract(hir);
    prefixes.keep_first_bytes(length);
    let mut suffixes = Extractor::new().kind(ExtractKind::Suffix).extract(hir);
    suffixes.keep_last_bytes(length);
    let told = [prefixes, suffixes].into_iter().filter_map(|found| {
        let texts = found
            .literals()?
            .iter()
            .map(|text| text.as_bytes().to_vec());
        let texts: BTreeSet<Vec<u8>> = texts.collect();
        (!texts.is_empty() && texts.iter().all(|text| says_something(text))).then_some(texts)
    });
    let shortest = |texts: &BTreeSet<Vec<u8>>| texts.iter().map(Vec::len).min();
    let best = told.max_by_key(|texts| (shortest(texts), std::cmp::Reverse(texts.len())));
    Some(best?.into_iter().collect())
}

/// Two characters or more, and not digits alone, which clinical text is full of.
fn says_something(text: &[u8]) -> bool {
    let common = |c: &u8| c.is_ascii_digit() || c.is_ascii_whitespace();
    text.len() >= 2 && !text.iter().all(common)
}

/// Regular expressions, compiled.
#[derive(Debug)]
pub(super) struct Shapes {
    forwards: DFA,
    backwards: DFA,
    /// Of each expression the place among the definitions.
    places: Vec<u8>,
    literals: Option<Prefilter>,
    hirs: Vec<Hir>,
    /// Some of them, by the set of their places, as they were asked for.
    parts: Mutex<BTreeMap<u128, Arc<Shapes>>>,
}

/// What the automata have made so far.
#[derive(Debug)]
pub(super) struct Caches {
    forwards: Cache,
    backwards: Cache,
}

impl Shapes {
    /// Those of the chosen places, compiled at the first time they are asked for: among others each would
    /// need a way back of its own from every end. Nothing when none is chosen.
    pub(super) fn only(self: &Arc<Self>, chosen: u128) -> Option<Arc<Self>> {
        let mut part = Builder::default();
        let mut set = 0;
        for (hir, &place) in self.hirs.iter().zip(&self.places) {
            if chosen >> place & 1 != 0 {
                part.hirs.push(hir.clone());
                part.places.push(place);
                set |= 1 << place;
            }
        }
        if part.places.len() == self.places.len() {
            return Some(Arc::clone(self));
        }
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = parts.get(&set) {
            return Some(Arc::clone(known));
        }
        // What is less than these is no larger. Were it refused, all would be looked for.
        let built = part.build().map(|part| part.map(Arc::new));
        let built = built.unwrap_or_else(|_| Some(Arc::clone(self)))?;
        parts.insert(set, Arc::clone(&built));
        Some(built)
    }

    pub(super) fn caches(&self) -> Caches {
        Caches {
            forwards: self.forwards.create_cache(),
            backwards: self.backwards.create_cache(),
        }
    }

    /// Where from `from` on something may lie that is a part of a match, at the earliest.
    pub(super) fn next(&self, text: &[u8], from: usize) -> Option<usize> {
        match &self.literals {
            _ if from >= text.len() => None,
            Some(literals) => literals
                .find(text, (from..text.len()).into())
                .map(|found| found.start),
            None => Some(from),
        }
    }

    /// For every place at which matches end the longest of them.
    pub(super) fn collect(&self, text: &[u8], caches: &mut Caches, spans: &mut Vec<Span>) {
        let before = spans.len();
        if self.matches(text, caches, spans).is_err() {
            // No such automaton fails. If one does, the text is not let through.
            spans.truncate(before);
            spans.extend(self.places.first().map(|&place| Span {
                start: 0,
                end: text.len(),
                kind: Kind::Pattern(place),
            }));
        }
    }

    fn matches(
        &self,
        text: &[u8],
        caches: &mut Caches,
        spans: &mut Vec<Span>,
    ) -> Result<(), MatchError> {
        let input = Input::new(text);
        // Whether there is any is told faster than which.
        let any = input.clone().earliest(true);
        let first = self.forwards.try_search_fwd(&mut caches.forwards, &any)?;
        if first.is_none() {
            return Ok(());
        }
        let mut state = OverlappingState::start();
        let mut last = 0;
        loop {
            let cache = &mut caches.forwards;
            self.forwards
                .try_search_overlapping_fwd(cache, &input, &mut state)?;
            let Some(end) = state.get_match().map(|end| end.offset()) else {
                return Ok(());
            };
            // Of all patterns together one way back is enough; the first of equally long ones is told.
            if std::mem::replace(&mut last, end) == end {
                continue;
            }
            let back = Input::new(text)
                .range(end.saturating_sub(LONGEST)..end)
                .anchored(Anchored::Yes);
            let cache = &mut caches.backwards;
            let Some(start) = self.backwards.try_search_rev(cache, &back)? else {
                continue;
            };
            let place = self.places.get(start.pattern().as_usize());
            spans.extend(place.map(|&place| Span {
                start: start.offset(),
                end,
                kind: Kind::Pattern(place),
            }));
        }
    }
}
