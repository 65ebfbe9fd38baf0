//! What the gates let through and a look at a few characters refuses: words that only begin like one that
//! opens a rule, numbers that no rule can want, capitals that begin no given name.
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
use super::words::{Opening, Words, letters};

/// A list, kept to be filled again.
#[derive(Debug)]
pub(super) struct Sieve {
    /// Characters with a trigger.
    places: Box<[u32; PLACES]>,
}

/// Groups that are gone through together.
const GROUPS: usize = 64;
/// Places that are written at once: those of most blocks.
const AT_ONCE: usize = 4;
/// Of two characters beside each other only one begins something.
const PLACES: usize = GROUPS * GROUP / 2 + AT_ONCE;

impl Default for Sieve {
    fn default() -> Self {
        Self {
            places: Box::new([0; PLACES]),
        }
    }
}

impl Sieve {
    /// Leaves in the gates of `text` what may be more than a trigger.
    #[inline(always)]
    pub(super) fn sift(
        &mut self,
        text: &[u8],
        gates: &mut [Gated],
        runs: &Runs,
        opening: &Opening,
    ) {
        let beginnings = beginnings();
        for (i, gates) in gates.chunks_mut(GROUPS).enumerate() {
            let first = i * GROUPS * GROUP;
            self.keep::<Openers>(text, first, gates, runs, &opening.words);
            self.keep::<Titles>(text, first, gates, runs, &opening.words);
            self.keep::<Given>(text, first, gates, runs, beginnings);
            self.keep::<Numbers>(text, first, gates, runs, &());
        }
    }

    /// Takes what is looked at out of its bitmap and puts back what may be more than a trigger. The
    /// gates are those from character `first` on.
    #[inline(always)]
    fn keep<L: Look>(
        &mut self,
        text: &[u8],
        first: usize,
        gates: &mut [Gated],
        runs: &Runs,
        with: &L::With,
    ) {
        let count = self.list::<L>(gates);
        let places = self.places.get_mut(..count).unwrap_or_default();
        let mut kept = 0;
        for i in 0..places.len() {
            let Some(&place) = places.get(i) else { break };
            if let Some(slot) = places.get_mut(kept) {
                *slot = place;
            }
            kept += usize::from(L::may(text, runs, first + place as usize, with));
        }
        for &place in places.iter().take(kept) {
            let place = place as usize;
            if let Some(gated) = gates.get_mut(place / GROUP)
                && let Some(bits) = L::to(gated).get_mut(place / 64 % 4)
            {
                *bits |= 1 << (place % 64);
            }
        }
    }

    /// Lists the ones of a bitmap, which is empty afterwards; how many there are.
    #[inline(always)]
    fn list<L: Look>(&mut self, gates: &mut [Gated]) -> usize {
        let mut count = 0;
        let mut base = 0u32;
        for gated in gates {
            for bits in L::from(gated) {
                let mut left = std::mem::take(bits);
                let after = count + left.count_ones() as usize;
                while count < after {
                    // Too many are written, and written over.
                    let slots = self.places.get_mut(count..count + AT_ONCE);
                    for slot in slots.unwrap_or_default() {
                        *slot = base.wrapping_add(left.trailing_zeros());
                        left &= left.wrapping_sub(1);
                    }
                    count += AT_ONCE;
                }
                count = after;
                base = base.wrapping_add(64);
            }
        }
        count
    }
}

/// A kind of trigger and the look at it.
trait Look {
    /// What is known beforehand.
    type With: ?Sized;
    fn from(gated: &mut Gated) -> &mut [u64; 4];
    fn to(gated: &mut Gated) -> &mut [u64; 4];
    /// Whether a trigger at `i` may be more. Must be `#[inline(always)]`, and without a branch.
    fn may(text: &[u8], runs: &Runs, i: usize, with: &Self::With) -> bool;
}

/// Words that open a rule.
struct Openers;

impl Look for Openers {
    type With = Words;

    #[inline(always)]
    fn from(gated: &mut Gated) -> &mut [u64; 4] {
        &mut gated.words
    }

    #[inline(always)]
    fn to(gated: &mut Gated) -> &mut [u64; 4] {
        &mut gated.words
    }

    #[inline(always)]
    fn may(text: &[u8], runs: &Runs, i: usize, words: &Words) -> bool {
        words.hold(letters(text, i, runs.letters(i)))
    }
}

/// Those that need no number.
struct Titles;

impl Look for Titles {
    type With = Words;

    #[inline(always)]
    fn from(gated: &mut Gated) -> &mut [u64; 4] {
        &mut gated.titles
    }

    #[inline(always)]
    fn to(gated: &mut Gated) -> &mut [u64; 4] {
        &mut gated.titles
    }

    #[inline(always)]
    fn may(text: &[u8], runs: &Runs, i: usize, words: &Words) -> bool {
        words.hold(letters(text, i, runs.letters(i)))
    }
}

/// Given names at the beginning of something.
struct Given;

impl Look for Given {
    type With = Beginnings;

    #[inline(always)]
    fn from(gated: &mut Gated) -> &mut [u64; 4] {
        &mut gated.begins
    }

    #[inline(always)]
    fn to(gated: &mut Gated) -> &mut [u64; 4] {
        &mut gated.capitals
    }

    #[inline(always)]
    fn may(text: &[u8], runs: &Runs, i: usize, beginnings: &Beginnings) -> bool {
        let length = runs.letters(i);
        // Of a word in pieces only the first is told.
        let joined = matches!(at(text, i + length), b'\'' | b'-');
        joined | beginnings.hold(letters(text, i, length))
    }
}

/// Numbers; see `triggers::at_digits`.
struct Numbers;

impl Look for Numbers {
    type With = ();

    #[inline(always)]
    fn from(gated: &mut Gated) -> &mut [u64; 4] {
        &mut gated.numbers
    }

    #[inline(always)]
    fn to(gated: &mut Gated) -> &mut [u64; 4] {
        &mut gated.numbers
    }

    #[inline(always)]
    fn may(text: &[u8], runs: &Runs, i: usize, (): &()) -> bool {
        let (length, near) = runs.digits(i);
        let total = length + near;
        let long = (length >= 7) | (length == 5) | (total >= 7);
        let date = ((length <= 2) | (length == 4)) & (total >= 6);
        // A month and a day need a year behind them or a word before them.
        let [first, second, third, fourth] = around(text, i);
        let blank = matches!(third, b' ' | b'\t' | b':' | b'(');
        let announced = blank & (ends_announcing([first, second]) | !second.is_ascii_alphabetic());
        // Behind its mark are never three digits (`5/325`).
        let short =
            (length <= 2) & ((total >= 4) | announced) & (runs.more_digits(i + length + 1) != 3);
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
