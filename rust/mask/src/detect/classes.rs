//! What each character of a text is, as bitmaps of 64, so that triggers come out of arithmetic on words
//! and not out of a branch a byte (see `simd` for how, `gates` for what for).

// `plain` and what it takes are for processors without another engine, the rest for those with one;
// only x86 is built with both, and tests.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]

use super::lexis::LETTER;

/// What characters are by themselves, the first in the lowest bit: 64 of them, or several times 64.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Characters<T> {
    pub(super) letters: T,
    /// Capital letters, and letters outside ASCII.
    pub(super) capitals: T,
    pub(super) digits: T,
    pub(super) dots: T,
    pub(super) dashes: T,
    pub(super) slashes: T,
    pub(super) colons: T,
    /// `@`.
    pub(super) ats: T,
    /// What else may stand between the groups of a number: blanks, line ends, parentheses, `_`.
    pub(super) gaps: T,
    /// The first letters of units of age: `y`; `f` and `m`.
    pub(super) years: T,
    pub(super) sexes: T,
    /// What is not its own folding: controls, and everything that is not ASCII.
    pub(super) strange: T,
    /// What a word of four letters or more that opens a rule may begin with, by it and the characters
    /// after it; see [`Openings`]. Some of these are no such word.
    pub(super) words: T,
    /// Likewise for words of up to three letters, whose end is not looked at.
    pub(super) brief: T,
}

impl<T> Characters<T> {
    /// Each class of both, joined.
    #[inline(always)]
    pub(super) fn with<U>(&self, other: &Self, join: impl Fn(&T, &T) -> U) -> Characters<U> {
        Characters {
            letters: join(&self.letters, &other.letters),
            capitals: join(&self.capitals, &other.capitals),
            digits: join(&self.digits, &other.digits),
            dots: join(&self.dots, &other.dots),
            dashes: join(&self.dashes, &other.dashes),
            slashes: join(&self.slashes, &other.slashes),
            colons: join(&self.colons, &other.colons),
            ats: join(&self.ats, &other.ats),
            gaps: join(&self.gaps, &other.gaps),
            years: join(&self.years, &other.years),
            sexes: join(&self.sexes, &other.sexes),
            strange: join(&self.strange, &other.strange),
            words: join(&self.words, &other.words),
            brief: join(&self.brief, &other.brief),
        }
    }
}

/// Characters of a group of four blocks.
pub(super) const GROUP: usize = 256;
/// Four blocks, class by class.
pub(super) type Group = Characters<[u64; 4]>;

impl Group {
    /// Puts what is known of a block into its place among the four.
    #[inline(always)]
    pub(super) fn put(&mut self, lane: usize, block: &Characters<u64>) {
        let put = |four: &mut [u64; 4], bits: u64| {
            if let Some(place) = four.get_mut(lane) {
                *place = bits;
            }
        };
        put(&mut self.letters, block.letters);
        put(&mut self.capitals, block.capitals);
        put(&mut self.digits, block.digits);
        put(&mut self.dots, block.dots);
        put(&mut self.dashes, block.dashes);
        put(&mut self.slashes, block.slashes);
        put(&mut self.colons, block.colons);
        put(&mut self.ats, block.ats);
        put(&mut self.gaps, block.gaps);
        put(&mut self.years, block.years);
        put(&mut self.sexes, block.sexes);
        put(&mut self.strange, block.strange);
        put(&mut self.words, block.words);
        put(&mut self.brief, block.brief);
    }
}

/// The four blocks of a group, each with what follows it.
#[inline(always)]
pub(super) fn blocks(text: &[u8; GROUP + AFTER]) -> impl Iterator<Item = (usize, &Block)> {
    let block = |start: usize| text.get(start..).and_then(|rest| rest.first_chunk());
    (0..4).filter_map(move |lane| block(lane * 64).map(|block| (lane, block)))
}

/// Characters after a block that say of its last ones what they open.
pub(super) const AFTER: usize = 3;
/// A block and what follows it.
pub(super) type Block = [u8; 64 + AFTER];

// A class is a bit, and each is the product of a set of low and a set of high halves of a byte.
pub(super) const DIGIT: u8 = 1;
pub(super) const DOT: u8 = 1 << 1;
pub(super) const DASH: u8 = 1 << 2;
pub(super) const SLASH: u8 = 1 << 3;
pub(super) const COLON: u8 = 1 << 4;
pub(super) const AT: u8 = 1 << 5;
const GAP: u8 = 1 << 6; // blank and parentheses
pub(super) const LINE: u8 = 1 << 7; // tab and line ends

const CLASSES: [(u8, &[u8]); 8] = [
    (DIGIT, b"0123456789"),
    (DOT, b"."),
    (DASH, b"-"),
    (SLASH, b"/"),
    (COLON, b":"),
    (AT, b"@"),
    (GAP, b" ()"),
    (LINE, b"\t\n\r"),
];

// What a second table tells: letters in two products, and some characters by themselves.
const FIRST_LETTERS: u8 = 1; // to `o`
const LAST_LETTERS: u8 = 1 << 1;
const OTHER_LETTER: u8 = 1 << 2;
pub(super) const YEARS: u8 = 1 << 3;
pub(super) const SEXES: u8 = 1 << 4;
const LOW_LINE: u8 = 1 << 5;
pub(super) const LETTERS: [u8; 3] = [FIRST_LETTERS, LAST_LETTERS, OTHER_LETTER];
/// Of the first table and of the second.
pub(super) const GAPS: ([u8; 2], u8) = ([GAP, LINE], LOW_LINE);

const KINDS: [(u8, &[u8]); 6] = [
    (FIRST_LETTERS, b"abcdefghijklmnoABCDEFGHIJKLMNO"),
    (LAST_LETTERS, b"pqrstuvwxyzPQRSTUVWXYZ"),
    (OTHER_LETTER, &[LETTER]),
    (YEARS, b"yY"),
    (SEXES, b"fmFM"),
    (LOW_LINE, b"_"),
];

/// For the low and the high half of a byte the bits it may have; it has those in both.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Halves {
    pub(super) low: [u8; 16],
    pub(super) high: [u8; 16],
}

impl Halves {
    #[allow(clippy::indexing_slicing)] // half a byte indexes sixteen
    const fn with(mut self, bit: u8, byte: u8) -> Self {
        self.low[(byte & 15) as usize] |= bit;
        self.high[(byte >> 4) as usize] |= bit;
        self
    }

    #[allow(clippy::indexing_slicing)] // half a byte indexes sixteen
    pub(super) const fn of(&self, byte: u8) -> u8 {
        self.low[(byte & 15) as usize] & self.high[(byte >> 4) as usize]
    }
}

pub(super) const CLASSED: Halves = classed(&CLASSES);
pub(super) const KIND: Halves = classed(&KINDS);

#[allow(clippy::indexing_slicing)] // evaluated by the compiler: out of bounds would not compile
const fn classed(classes: &[(u8, &[u8])]) -> Halves {
    let mut halves = Halves {
        low: [0; 16],
        high: [0; 16],
    };
    let mut class = 0;
    while class < classes.len() {
        let (bit, bytes) = classes[class];
        let mut i = 0;
        while i < bytes.len() {
            halves = halves.with(bit, bytes[i]);
            i += 1;
        }
        class += 1;
    }
    halves
}

/// For the lowest five bits of a character the bits it may have: they tell letters apart, whatever their
/// case, and take what is no letter for one.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Letters(pub(super) [u8; 32]);

impl Letters {
    fn add(&mut self, bit: u8, byte: u8) {
        if let Some(bits) = self.0.get_mut(usize::from(byte & 31)) {
            *bits |= bit;
        }
    }

    #[inline(always)]
    pub(super) fn of(&self, byte: u8) -> u8 {
        self.0.get(usize::from(byte & 31)).copied().unwrap_or(0)
    }
}

/// The first four characters of the words that open rules, in sixteen groups of like words, eight in each
/// half: what a group may begin with is, a character a table, what its words have there.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Openings {
    pub(super) halves: [[Letters; 1 + AFTER]; 2],
}

/// The groups of words of up to three letters, in the second half.
pub(super) const BRIEF: u8 = 0b1111_0000;
/// Of them by their first letters.
const BRIEF_FIRSTS: [&[u8]; 4] = [b"ahnt", b"dmsy", b"prz", b""];
/// Of all other words by theirs: together, these let the fewest others through that clinical notes and
/// letters are full of.
const FIRSTS: [&[u8]; 12] = [
    b"a", b"bl", b"c", b"dor", b"fjty", b"guv", b"h", b"in", b"m", b"p", b"s", b"",
];

impl Openings {
    /// Of the first words of these phrases, in lower case.
    pub(super) fn new<'a>(phrases: impl Iterator<Item = &'a str>) -> Self {
        let mut openings = Self::default();
        for phrase in phrases {
            let phrase = phrase.as_bytes();
            let letters = phrase.iter().take_while(|c| c.is_ascii_lowercase()).count();
            let first = phrase.first().copied().unwrap_or(0);
            let group = |groups: &[&[u8]]| {
                let of = groups.iter().position(|group| group.contains(&first));
                of.unwrap_or(groups.len() - 1)
            };
            if letters <= AFTER {
                // What is behind a word may be anything; `a/c` is longer than its first word.
                let fixed = phrase.split(|&c| c == b' ').next().unwrap_or_default();
                let fixed = fixed.get(..AFTER).unwrap_or(fixed);
                openings.add(fixed, FIRSTS.len() + group(&BRIEF_FIRSTS));
            } else {
                openings.add(phrase, group(&FIRSTS));
            }
        }
        openings
    }

    fn add(&mut self, fixed: &[u8], group: usize) {
        let bit = 1 << (group % 8);
        let Some(places) = self.halves.get_mut(group / 8) else {
            return;
        };
        for (i, place) in places.iter_mut().enumerate() {
            match fixed.get(i) {
                Some(c) => place.add(bit, *c),
                None => (0..32).for_each(|c| place.add(bit, c)),
            }
        }
    }

    /// The groups in each half that may begin with these four characters.
    #[inline(always)]
    fn of(&self, four: [u8; 1 + AFTER]) -> [u8; 2] {
        let mut found = [u8::MAX; 2];
        for (found, places) in found.iter_mut().zip(&self.halves) {
            for (place, c) in places.iter().zip(four) {
                *found &= place.of(c);
            }
        }
        found
    }
}

/// One character after the other.
pub(super) fn plain(block: &Block, openings: &Openings) -> Characters<u64> {
    let mut found = Characters::default();
    for (i, four) in block.windows(1 + AFTER).enumerate() {
        let &[c, next, after, last] = four else {
            continue;
        };
        let class = CLASSED.of(c);
        let [long, others] = openings.of([c, next, after, last]);
        let lower = c | 0x20;
        let put = |bits: &mut u64, is: bool| *bits |= u64::from(is) << i;
        put(
            &mut found.letters,
            lower.is_ascii_lowercase() || c == LETTER,
        );
        put(&mut found.capitals, c.is_ascii_uppercase() || c == LETTER);
        put(&mut found.digits, class & DIGIT != 0);
        put(&mut found.dots, class & DOT != 0);
        put(&mut found.dashes, class & DASH != 0);
        put(&mut found.slashes, class & SLASH != 0);
        put(&mut found.colons, class & COLON != 0);
        put(&mut found.ats, class & AT != 0);
        put(&mut found.gaps, class & (GAP | LINE) != 0 || c == b'_');
        put(&mut found.years, lower == b'y');
        put(&mut found.sexes, matches!(lower, b'f' | b'm'));
        put(
            &mut found.strange,
            !(b' '..0x7f).contains(&c) && class & LINE == 0,
        );
        put(&mut found.words, (long | others & !BRIEF) != 0);
        put(&mut found.brief, others & BRIEF != 0);
    }
    found
}

/// All of these bits.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) const fn joined<const N: usize>(bits: &[u8; N]) -> u8 {
    let mut all = 0;
    let mut rest = bits.as_slice();
    while let [bit, others @ ..] = rest {
        all |= *bit;
        rest = others;
    }
    all
}
