//! Where detectors are asked, as bitmaps: which characters of many rows begin something that a rule may
//! want. Arithmetic on 64 characters at a time, so that text without any of it costs no branch.
//!
//! Every gate is implied by the rules behind it: it may let too much through, never too little. Rows
//! lie end to end, so what a gate sees behind a character may belong to the next row; it only ever asks
//! whether something is there, and so a neighbour can open it and never close it. What begins where is
//! the exception: a row's first character begins whatever it is part of.

use super::classes::{AFTER, Block, Characters, Openings};
use super::kinds::Wanted;
use super::lexicon::{Beginnings, beginnings};
use super::simd::{self, Engine, Job, Words};

/// The triggers of 64 characters, the first in the lowest bit.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gates {
    /// All of these but words and digits: what opens something by itself.
    alone: u64,
    /// First digits of numbers.
    pub(super) numbers: u64,
    /// First characters of letters and digits joined.
    pub(super) tokens: u64,
    /// First letters of words that may need a number near them.
    pub(super) words: u64,
    /// First letters of words that need none: `www`, titles, and capitals that may begin or end a name.
    pub(super) www: u64,
    /// `@`, colons, dots and dashes.
    pub(super) signs: u64,
    /// All digits: without one in its row a word opens nothing.
    pub(super) digits: u64,
    /// Digits and what may stand between the groups of a number.
    numeric: u64,
}

/// Four blocks, class by class.
type Group = Characters<[u64; 4]>;

/// Bits and, to be seen when they are moved down, those of the following blocks.
#[derive(Clone, Copy)]
struct Seen<W> {
    here: W,
    next: W,
}

impl<W: Words> Seen<W> {
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self {
            here: self.here.and(other.here),
            next: self.next.and(other.next),
        }
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self {
            here: self.here.or(other.here),
            next: self.next.or(other.next),
        }
    }

    /// At each character whether the one `N` after it is here. `REST` is 64 less `N`.
    #[inline(always)]
    fn after<const N: i32, const REST: i32>(self) -> Self {
        const { assert!(N + REST == 64) };
        Self {
            here: self.here.down::<N>().or(self.next.up::<REST>()),
            next: self.next.down::<N>(),
        }
    }
}

/// What of the characters before matters to capitals (see [`named`]).
#[derive(Clone, Copy)]
struct Before<W> {
    /// One when letters that began with a capital reached the end.
    run: u64,
    opened: W,
    first: W,
    second: W,
    gap: W,
    gaps: W,
}

impl<W: Words> Before<W> {
    fn nothing() -> Self {
        let none = W::load([0; 4]);
        Self {
            run: 0,
            opened: none,
            first: none,
            second: none,
            gap: none,
            gaps: none,
        }
    }
}

/// What is behind each of the letters that begin at `starts`: a sum carries a bit to the end of its run.
#[inline(always)]
fn ends(letters: [u64; 4], starts: [u64; 4], carry: &mut u64) -> [u64; 4] {
    let mut ends = [0; 4];
    for ((end, letters), start) in ends.iter_mut().zip(letters).zip(starts) {
        let (sum, over) = letters.overflowing_add(start);
        let (sum, again) = sum.overflowing_add(*carry);
        *carry = u64::from(over | again);
        *end = sum & !letters;
    }
    ends
}

/// Of the words that begin with a capital those that `capital::asked` lets through: close behind a
/// colon or another such word, or behind a letter or digit and a gap and with no capital after the
/// first. Beside them those at a row's beginning or behind any gap, with no capital after the first.
#[inline(always)]
fn named<W: Words>(
    last: &Group,
    here: &Group,
    rows: W,
    word_begins: W,
    second_capital: W,
    before: &mut Before<W>,
) -> (W, W) {
    let after = |last: W, here: W| here.up::<1>().or(here.preceding(last).down::<63>());
    let starts = word_begins.and(W::load(here.capitals));
    let runs = ends(here.letters, starts.store(), &mut before.run);
    let gaps = W::load(here.gaps);
    let opened = W::load(runs).or(W::load(here.colons));
    let near = after(before.opened, opened);
    let first = near.and(gaps);
    let next = after(before.first, first);
    let second = next.and(gaps);
    let far = after(before.second, second);
    let words = W::load(here.letters).or(W::load(here.digits));
    let last_words = W::load(last.letters).or(W::load(last.digits));
    let gap = after(last_words, words).and(gaps);
    let apart = after(before.gap, gap).without(second_capital);
    let begin = after(before.gaps, gaps).or(rows).without(second_capital);
    *before = Before {
        run: before.run,
        opened,
        first,
        second,
        gap,
        gaps,
    };
    let close = starts.and(near.or(next).or(far).or(apart));
    (close, starts.and(begin).without(close))
}

/// The triggers of the characters `here`, between `last` and `next`; at `rows` rows begin, and at
/// `next_rows` in the next group.
#[inline(always)]
fn gates<W: Words>(
    last: &Group,
    here: &Group,
    next: &Group,
    rows: [u64; 4],
    next_rows: [u64; 4],
    before_here: &mut Before<W>,
    wanted: Wanted,
) -> ([Gates; 4], [u64; 4]) {
    let seen = |class: fn(&Group) -> [u64; 4]| {
        let here = W::load(class(here));
        Seen {
            here,
            next: here.following(W::load(class(next))),
        }
    };
    let rows = W::load(rows);
    // The last characters of rows: the usual full stop opens nothing.
    let ends = rows
        .down::<1>()
        .or(rows.following(W::load(next_rows)).up::<63>());
    // Whether the character before is of the class, in the same row.
    let before = |last: W, here: W| {
        here.up::<1>()
            .or(here.preceding(last).down::<63>())
            .without(rows)
    };
    let begin = |last: W, here: W| here.without(before(last, here));
    let (digits, letters) = (seen(|c| c.digits), seen(|c| c.letters));
    let (dots, dashes) = (seen(|c| c.dots), seen(|c| c.dashes));
    let (slashes, colons) = (seen(|c| c.slashes), seen(|c| c.colons));
    let (gaps, ages) = (seen(|c| c.gaps), seen(|c| c.ages));
    let (last_digits, last_letters) = (W::load(last.digits), W::load(last.letters));
    let words = letters.or(digits);
    let last_words = last_letters.or(last_digits);

    let two = digits.and(digits.after::<1, 63>());
    let four = two.and(two.after::<2, 62>());
    let five = four.and(digits.after::<4, 60>());
    // Seven characters of numbers and of what separates their groups: the fewest that can hold six
    // digits in groups. As many digits alone are five at least.
    let mark = slashes.or(dashes);
    let numeric = digits.or(gaps).or(dots).or(mark);
    let number = numeric.and(numeric.after::<1, 63>());
    let number = number.and(number.after::<2, 62>());
    let seven = number.and(number.after::<3, 61>());
    // A short date: one, two or four digits, perhaps a blank, a slash or dash.
    let mark = mark.or(gaps.and(mark.after::<1, 63>()));
    let date = mark
        .after::<1, 63>()
        .or(two.and(mark.after::<2, 62>()))
        .or(four.and(mark.after::<4, 60>()));
    // An age: two or three digits, the first letter of a unit close behind.
    let unit = ages.or(ages.after::<1, 63>());
    let old = digits.after::<2, 62>().and(unit.after::<3, 61>());
    let age = two.and(unit.after::<2, 62>().or(old));
    let numbers = five.or(seven).or(date).or(age);
    let numbers = begin(last_digits, digits.here).and(numbers.here);

    // Nine letters and digits with a digit among the first seventeen; a printed MBI; the beginning of
    // a printed IBAN.
    let joined = words.and(words.after::<1, 63>());
    let joined = joined.and(joined.after::<2, 62>());
    let joined = joined
        .and(joined.after::<4, 60>())
        .and(words.after::<8, 56>());
    let some = digits.or(digits.after::<1, 63>());
    let some = some.or(some.after::<2, 62>());
    let some = some.or(some.after::<4, 60>());
    let some = some.or(some.after::<8, 56>()).or(digits.after::<16, 48>());
    let mbi = dashes.after::<4, 60>().and(dashes.after::<8, 56>());
    let iban = letters.and(letters.after::<1, 63>());
    let iban = iban.and(two.after::<2, 62>()).and(gaps.after::<4, 60>());
    let tokens = joined.and(some).or(mbi).or(iban);
    let tokens = begin(last_words, words.here).and(tokens.here);

    // `: ` opens nothing; a MAC has dashes three apart.
    let opened = words.or(colons).or(slashes).after::<1, 63>();
    let colons = colons.and(opened).here.without(ends);
    let dashes = dashes
        .and(dashes.after::<3, 61>())
        .and(dashes.after::<6, 58>())
        .here;
    // A dotted address has two dots close to each other, each before a letter or digit; a domain has
    // letters behind its dot and something before it.
    let dots = dots.and(words.after::<1, 63>());
    let second = dots
        .after::<2, 62>()
        .or(dots.after::<3, 61>())
        .or(dots.after::<4, 60>())
        .or(dots.after::<5, 59>());
    let domain = letters
        .after::<1, 63>()
        .here
        .and(before(last_words, words.here));
    let dots = dots.here.and(second.here.or(domain)).without(ends);

    let word_begins = begin(last_letters, letters.here);
    let words = word_begins.and(W::load(here.words));
    let second_capital = seen(|c| c.capitals).after::<1, 63>().here;
    let none = W::load([0; 4]);
    let (names, begins) = if wanted.capitals {
        named(last, here, rows, word_begins, second_capital, before_here)
    } else {
        (none, none)
    };
    let www = word_begins.and(W::load(here.www)).or(names);
    let signs = W::load(here.ats).or(colons).or(dashes).or(dots);
    let only = |wanted: bool, bits: W| if wanted { bits } else { none };
    let (numbers, tokens) = (only(wanted.numbers, numbers), only(wanted.tokens, tokens));
    let signs = only(wanted.signs, signs);
    let alone = numbers.or(tokens).or(www).or(signs).store();
    let all = [numbers, tokens, words, www, signs, numeric.here].map(W::store);
    let lane = |at: fn([u64; 4]) -> u64| {
        let [numbers, tokens, words, www, signs, numeric] = all.map(at);
        Gates {
            alone: at(alone),
            numbers,
            tokens,
            words,
            www,
            signs,
            digits: at(here.digits),
            numeric,
        }
    };
    let gates = [
        lane(|[a, _, _, _]| a),
        lane(|[_, b, _, _]| b),
        lane(|[_, _, c, _]| c),
        lane(|[_, _, _, d]| d),
    ];
    (gates, begins.store())
}

/// Of the words that begin at `begins` in the block from `start` on those that begin like a given name.
#[inline(always)]
fn given(text: &[u8], start: usize, begins: u64, beginnings: &Beginnings) -> u64 {
    let (mut left, mut found) = (begins, 0);
    while left != 0 {
        let place = left.trailing_zeros();
        let begin = start + place as usize;
        found |= u64::from(beginnings.hold(text, begin)) << place;
        left &= left - 1;
    }
    found
}

/// Blocks that are kept for the next text; what a larger one needed is given back.
const KEPT: usize = 1 << 12;

/// The triggers of a text, kept to be filled again.
#[derive(Debug, Default)]
pub(crate) struct Bitmaps {
    groups: Vec<Group>,
    /// Where rows begin.
    rows: Vec<[u64; 4]>,
    gates: Vec<[Gates; 4]>,
    plain: bool,
}

/// Characters of a group.
const GROUP: usize = 256;

impl Bitmaps {
    /// The triggers of `text` in the place of what was here; rows begin at `rows` and at its first
    /// character.
    pub(super) fn set(
        &mut self,
        text: &[u8],
        rows: impl Iterator<Item = usize>,
        openings: &Openings,
        wanted: Wanted,
    ) {
        let count = text.len().div_ceil(GROUP);
        self.groups.clear();
        self.groups.shrink_to(KEPT);
        self.gates.clear();
        self.gates.shrink_to(KEPT);
        self.rows.clear();
        self.rows.shrink_to(KEPT);
        self.rows.resize(count, [0; 4]);
        let blocks = self.rows.as_flattened_mut();
        for row in std::iter::once(0).chain(rows) {
            if let Some(bits) = blocks.get_mut(row / 64) {
                *bits |= 1 << (row % 64);
            }
        }
        simd::best(Fill {
            bitmaps: self,
            text,
            openings,
            wanted,
        });
    }

    /// Whether all of the text is its own folding, were it not folded yet.
    pub(crate) fn plain(&self) -> bool {
        self.plain
    }

    /// The first trigger from character `start` on.
    pub(crate) fn next(&self, start: usize) -> Option<usize> {
        let rest = self.gates.as_flattened().get(start / 64..)?;
        let mut bits = u64::MAX << (start % 64);
        for (i, block) in rest.iter().enumerate() {
            let found = (block.alone | block.words) & bits;
            if found != 0 {
                let place = usize::try_from(found.trailing_zeros()).unwrap_or(0);
                return Some((start / 64 + i) * 64 + place);
            }
            bits = u64::MAX;
        }
        None
    }

    /// How many digits stand from character `start` on, `most` at most, and how many behind them before
    /// anything that is no part of a number. Only 64 characters are looked at, and those behind may
    /// be of the next row.
    pub(super) fn digits(&self, start: usize, most: usize) -> (usize, usize) {
        let blocks = self.gates.as_flattened();
        let block = |i: usize| blocks.get(i).copied().unwrap_or_default();
        let (here, next) = (block(start / 64), block(start / 64 + 1));
        let from = |here: u64, next: u64| match start % 64 {
            0 => here,
            shift => here >> shift | next << (64 - shift),
        };
        let digits = from(here.digits, next.digits);
        let length = (digits.trailing_ones() as usize).min(most);
        if length == 64 {
            return (length, 0);
        }
        let numeric = from(here.numeric, next.numeric) >> length;
        // The characters up to the first that is no part of a number.
        let part = numeric & !numeric.wrapping_add(1);
        let near = (digits >> length) & part;
        (length, near.count_ones() as usize)
    }

    /// Whether anything can be found in characters `start..end`: most words alone open nothing, for
    /// whatever they name has a digit in it.
    pub(crate) fn may_hold(&self, start: usize, end: usize) -> bool {
        let blocks = self.gates.as_flattened().get(start / 64..end.div_ceil(64));
        let Some((last, before)) = blocks.and_then(<[Gates]>::split_last) else {
            return false;
        };
        let mut bits = u64::MAX << (start % 64);
        let (mut alone, mut words, mut digits) = (0, 0, 0);
        let mut add = |block: &Gates, bits: u64| {
            alone |= block.alone & bits;
            words |= block.words & bits;
            digits |= block.digits & bits;
        };
        for block in before {
            add(block, bits);
            bits = u64::MAX;
        }
        add(last, bits & (u64::MAX >> (end.wrapping_neg() % 64)));
        alone != 0 || (words != 0 && digits != 0)
    }

    /// Whether there is a digit among characters `start..end`, or near them.
    pub(super) fn numbered(&self, start: usize, end: usize) -> bool {
        let blocks = self.gates.as_flattened().get(start / 64..end.div_ceil(64));
        let blocks = blocks.unwrap_or_default();
        blocks.iter().fold(0, |all, block| all | block.digits) != 0
    }

    /// The triggers of characters `start..end`, block by block of those that have any: the block's
    /// first character, and what begins in it.
    #[inline(always)]
    pub(super) fn row(&self, start: usize, end: usize) -> impl Iterator<Item = (usize, Gates)> {
        let first = start & !63;
        let blocks = self.gates.as_flattened();
        let blocks = blocks.get(start / 64..end.div_ceil(64));
        let mut base = first.wrapping_sub(64);
        // Ones at the row's characters.
        let mut rest = u64::MAX << (start % 64);
        blocks.into_iter().flatten().filter_map(move |block| {
            base = base.wrapping_add(64);
            let mut bits = std::mem::replace(&mut rest, u64::MAX);
            if end < base.saturating_add(64) {
                bits &= u64::MAX >> (end.wrapping_neg() % 64);
            }
            if (block.alone | block.words) & bits == 0 {
                return None;
            }
            let found = Gates {
                numbers: block.numbers & bits,
                tokens: block.tokens & bits,
                words: block.words & bits,
                www: block.www & bits,
                signs: block.signs & bits,
                ..*block
            };
            Some((base, found))
        })
    }
}

/// Fills bitmaps of which the rows are set.
struct Fill<'a> {
    bitmaps: &'a mut Bitmaps,
    text: &'a [u8],
    openings: &'a Openings,
    wanted: Wanted,
}

impl Job for Fill<'_> {
    #[inline(always)]
    fn run<E: Engine>(self) {
        let Bitmaps {
            groups,
            rows,
            gates: found,
            plain,
        } = self.bitmaps;
        let tables = E::tables(self.openings);
        let wanted = self.wanted;
        let mut rest = self.text;
        while let Some(whole) = rest.first_chunk::<{ GROUP + AFTER }>() {
            groups.push(group::<E>(whole, &tables));
            rest = rest.get(GROUP..).unwrap_or_default();
        }
        // The last ones from a copy with blanks behind.
        let mut strange = 0;
        while !rest.is_empty() {
            let mut last = [b' '; GROUP + AFTER];
            last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            groups.push(group::<E>(&last, &tables));
            rest = rest.get(GROUP..).unwrap_or_default();
        }
        let nothing = Group::default();
        let mut last = &nothing;
        let mut before = Before::nothing();
        let beginnings = beginnings();
        let mut start = 0;
        let nexts = groups.iter().skip(1).chain([&nothing]);
        let next_rows = rows.iter().skip(1).chain([&[0; 4]]);
        for (((here, next), rows), next_rows) in
            groups.iter().zip(nexts).zip(rows.iter()).zip(next_rows)
        {
            let (mut gates, begins) =
                gates::<E::Words>(last, here, next, *rows, *next_rows, &mut before, wanted);
            for (gates, begins) in gates.iter_mut().zip(begins) {
                let given = given(self.text, start, begins, beginnings);
                gates.www |= given;
                gates.alone |= given;
                start += 64;
            }
            found.push(gates);
            strange |= here.strange.iter().fold(0, |all, bits| all | bits);
            last = here;
        }
        *plain = strange == 0;
    }
}

#[inline(always)]
fn group<E: Engine>(text: &[u8; GROUP + AFTER], tables: &E::Tables) -> Group {
    let block = |start: usize| {
        let block = text
            .get(start..)
            .and_then(|rest| rest.first_chunk::<{ size_of::<Block>() }>());
        block.map_or_else(Characters::default, |block| E::classify(block, tables))
    };
    let (first, second) = (block(0), block(64));
    let (third, fourth) = (block(128), block(192));
    let low = first.with(&second, |a, b| [*a, *b]);
    let high = third.with(&fourth, |a, b| [*a, *b]);
    low.with(&high, |[a, b], [c, d]| [*a, *b, *c, *d])
}
