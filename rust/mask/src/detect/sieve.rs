//! What the gates let through and a look at a few characters refuses: words that only begin like one that
//! opens a rule, numbers that no rule can want, capitals that begin no name that is told alone.
//!
//! Each kind of trigger is taken out of its bitmap into a list, and the list is gone through without a
//! branch that depends on the text: most triggers of clinical prose end here, and a processor that
//! guesses wrong at each of them would spend more on that than on the rest. As the gates, this may let
//! too much through, never too little.

use super::classes::GROUP;
use super::date_digits::ends_announcing;
use super::gates::{Gated, Runs};
use super::lexicon::{Beginnings, beginnings};
use super::lexis::at;
use super::record;
use super::simd::{self, Engine, Job};
use super::words::{Opening, Words, letters};

/// A list, kept to be filled again.
#[derive(Debug)]
pub(super) struct Sieve {
    /// Characters with a trigger.
    places: Box<[u32; PLACES]>,
}

/// Groups that are gone through together.
const GROUPS: usize = 64;
/// Places that are written at once: those of most blocks have no more words, and no more numbers.
const WORDS: usize = 4;
const NUMBERS: usize = 2;
const NAMES: usize = 1;
/// Each character may begin something: rows of one character do.
const PLACES: usize = GROUPS * GROUP + WORDS;

impl Default for Sieve {
    fn default() -> Self {
        Self {
            places: Box::new([0; PLACES]),
        }
    }
}

impl Sieve {
    /// Leaves in the gates of `text`, whose rows begin at `rows`, what may be more than a trigger.
    pub(super) fn sift(
        &mut self,
        text: &[u8],
        rows: &[[u64; 4]],
        gates: &mut [Gated],
        runs: &Runs,
        opening: &Opening,
    ) {
        simd::best(Sift {
            sieve: self,
            text,
            rows,
            gates,
            runs,
            opening,
            names: beginnings(),
        });
    }

    /// Leaves in the gates from character `first` on those words that open a rule, and of those that need a
    /// number those in a row that has one.
    #[inline(always)]
    fn keep_words(
        &mut self,
        text: &[u8],
        rows: &[[u64; 4]],
        first: usize,
        gates: &mut [Gated],
        runs: &Runs,
        opening: &Opening,
    ) {
        let words = &opening.words;
        let look = WordLook { text, runs, words };
        let kept = self.keep::<WORDS, _>(gates, first, look);
        for &place in self.places.iter().take(kept) {
            let place = place as usize;
            let i = first + place;
            let length = runs.letters(i);
            let word = words.number(letters(text, i, length));
            let (Some(word), Some(gated)) = (word, gates.get_mut(place / GROUP)) else {
                continue;
            };
            let behind = opening.behind.get(word).copied().flatten();
            let follows =
                |initials| record::may_follow(text, i + length, initials, |i| runs.letters(i));
            let bits = if words.needs_none(word) {
                &mut gated.titles
            } else if behind.is_none_or(follows) && runs.numbered(rows, i) {
                &mut gated.words
            } else {
                continue;
            };
            if let Some(bits) = bits.get_mut(place / 64 % 4) {
                *bits |= 1 << (place % 64);
            }
        }
    }

    /// Adds to the capitals from character `first` on those that may be names which are told alone.
    #[inline(always)]
    fn keep_names(
        &mut self,
        text: &[u8],
        first: usize,
        gates: &mut [Gated],
        runs: &Runs,
        names: &Beginnings,
    ) {
        let kept = self.keep::<NAMES, _>(gates, first, NameLook { text, runs, names });
        for &place in self.places.iter().take(kept) {
            let place = place as usize;
            let gated = gates.get_mut(place / GROUP);
            if let Some(bits) = gated.and_then(|gated| gated.capitals.get_mut(place / 64 % 4)) {
                *bits |= 1 << (place % 64);
            }
        }
    }

    /// Leaves in the gates from character `first` on those numbers that a rule may want.
    #[inline(always)]
    fn keep_numbers(&mut self, text: &[u8], first: usize, gates: &mut [Gated], runs: &Runs) {
        let kept = self.keep::<NUMBERS, _>(gates, first, NumberLook { text, runs });
        for &place in self.places.iter().take(kept) {
            let place = place as usize;
            let gated = gates.get_mut(place / GROUP);
            if let Some(bits) = gated.and_then(|gated| gated.numbers.get_mut(place / 64 % 4)) {
                *bits |= 1 << (place % 64);
            }
        }
    }

    /// Lists those of the triggers of a kind, from character `first` on, that may be more; how many they are.
    #[inline(always)]
    fn keep<const AT_ONCE: usize, L: Look>(
        &mut self,
        gates: &mut [Gated],
        first: usize,
        look: L,
    ) -> usize {
        let count = self.list::<AT_ONCE, L>(gates);
        self.compress(count, first, look)
    }

    /// Moves those of the first `count` places, counted from `first` on, that may be more than a trigger
    /// to the front; how many they are.
    #[inline(always)]
    fn compress(&mut self, count: usize, first: usize, look: impl Look) -> usize {
        let places = self.places.get_mut(..count).unwrap_or_default();
        let mut kept = 0;
        for i in 0..places.len() {
            let Some(&place) = places.get(i) else { break };
            if let Some(slot) = places.get_mut(kept) {
                *slot = place;
            }
            kept += usize::from(look.may(first + place as usize));
        }
        kept
    }

    /// Lists the ones of a look's bitmap; how many there are.
    #[inline(always)]
    fn list<const AT_ONCE: usize, L: Look>(&mut self, gates: &mut [Gated]) -> usize {
        // A place for each character, and behind them those that are written along: what found none
        // would be left out.
        const { assert!(PLACES >= GROUPS * GROUP + AT_ONCE) };
        let mut count = 0;
        let mut base = 0u32;
        for gated in gates {
            for mut left in std::mem::take(L::bits(gated)) {
                let ones = left.count_ones() as usize;
                // What is too many is written over.
                let mut written = 0;
                loop {
                    let slots = self.places.get_mut(count + written..);
                    let slots = slots.and_then(|slots| slots.first_chunk_mut::<AT_ONCE>());
                    let Some(slots) = slots else { break };
                    for slot in slots {
                        *slot = base.wrapping_add(left.trailing_zeros());
                        left &= left.wrapping_sub(1);
                    }
                    written += AT_ONCE;
                    if written >= ones {
                        break;
                    }
                }
                count += ones;
                base = base.wrapping_add(64);
            }
        }
        count
    }
}

/// What is done for each of the looks, compiled for the machine's single bits.
struct Sift<'a> {
    sieve: &'a mut Sieve,
    text: &'a [u8],
    rows: &'a [[u64; 4]],
    gates: &'a mut [Gated],
    runs: &'a Runs,
    opening: &'a Opening,
    names: &'a Beginnings,
}

impl Job for Sift<'_> {
    #[inline(always)]
    fn run<E: Engine>(self) {
        let Sift {
            sieve,
            text,
            rows,
            gates,
            runs,
            opening,
            names,
        } = self;
        for (i, gates) in gates.chunks_mut(GROUPS).enumerate() {
            let first = i * GROUPS * GROUP;
            sieve.keep_words(text, rows, first, gates, runs, opening);
            sieve.keep_names(text, first, gates, runs, names);
            sieve.keep_numbers(text, first, gates, runs);
        }
    }
}

/// A look at a trigger.
trait Look: Copy {
    /// The triggers that it is for; inlined always, as the look itself.
    fn bits(gated: &mut Gated) -> &mut [u64; 4];
    /// Whether what is at `i` may be more. Must be `#[inline(always)]`, to be compiled with its loop, and
    /// without a branch.
    fn may(self, i: usize) -> bool;
}

#[derive(Clone, Copy)]
struct WordLook<'a> {
    text: &'a [u8],
    runs: &'a Runs,
    words: &'a Words,
}

impl Look for WordLook<'_> {
    #[inline(always)]
    fn bits(gated: &mut Gated) -> &mut [u64; 4] {
        &mut gated.words
    }

    #[inline(always)]
    fn may(self, i: usize) -> bool {
        let letters = letters(self.text, i, self.runs.letters(i));
        self.words.hold(letters)
    }
}

#[derive(Clone, Copy)]
struct NameLook<'a> {
    text: &'a [u8],
    runs: &'a Runs,
    names: &'a Beginnings,
}

impl Look for NameLook<'_> {
    #[inline(always)]
    fn bits(gated: &mut Gated) -> &mut [u64; 4] {
        &mut gated.begins
    }

    #[inline(always)]
    fn may(self, i: usize) -> bool {
        let length = self.runs.letters(i);
        let behind = at(self.text, i.wrapping_add(length));
        let joined = (behind == b'\'') | (behind == b'-');
        joined | self.names.hold(letters(self.text, i, length))
    }
}

/// See `triggers::at_digits`.
#[derive(Clone, Copy)]
struct NumberLook<'a> {
    text: &'a [u8],
    runs: &'a Runs,
}

impl Look for NumberLook<'_> {
    #[inline(always)]
    fn bits(gated: &mut Gated) -> &mut [u64; 4] {
        &mut gated.numbers
    }

    #[inline(always)]
    fn may(self, i: usize) -> bool {
        let (length, near) = self.runs.digits(i);
        let total = length + near;
        let long = (length >= 7) | (length == 5) | (total >= 7);
        let date = ((length <= 2) | (length == 4)) & (total >= 6);
        // A month and a day need a year behind them or a word before them, and behind their mark are
        // never three digits (`5/325`).
        let [first, second, third, fourth] = around(self.text, i);
        let blank = matches!(third, b' ' | b'\t' | b':' | b'(');
        let announced = blank & (ends_announcing([first, second]) | !second.is_ascii_alphabetic());
        let short = (length <= 2)
            & ((total >= 4) | announced)
            & (self.runs.more_digits(i + length + 1) != 3);
        // From 90 to 149.
        let old = ((length == 2) & (fourth == b'9')) | ((length == 3) & (fourth == b'1'));
        long | date | short | old
    }
}

/// The three characters before `i` and the one there, zeros outside.
#[inline(always)]
fn around(text: &[u8], i: usize) -> [u8; 4] {
    let four = text
        .get(i.wrapping_sub(3)..)
        .and_then(|rest| rest.first_chunk());
    match four {
        Some(four) => *four,
        None => [3, 2, 1, 0].map(|back| at(text, i.wrapping_sub(back))),
    }
}
