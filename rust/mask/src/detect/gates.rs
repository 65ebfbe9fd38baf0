//! Where detectors are asked, as bitmaps: which characters of many rows begin something that a rule may
//! want. Arithmetic on 64 characters at a time, so that text without any of it costs no branch.
//!
//! Every gate is implied by the rules behind it: it may let too much through, never too little. Rows
//! lie end to end, so what a gate sees behind a character may belong to the next row; it only ever asks
//! whether something is there, and so a neighbour can open it and never close it. Where it asks that
//! nothing follows, or where something begins, it is told where rows end.

use super::classes::{AFTER, GROUP, Group, Openings};
use super::kinds::Wanted;
use super::sieve::Sieve;
use super::simd::{self, Engine, Job, Words};
use super::words::Opening;

/// The triggers of 64 characters, the first in the lowest bit, or of four times as many.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gates<T> {
    /// First letters of words that open a rule and need a number near them.
    pub(super) words: T,
    /// First letters of words that need none: `www`, titles, ages in words. Until they are sifted they are among
    /// `words`.
    pub(super) titles: T,
    /// Capitals that may begin or end a name.
    pub(super) capitals: T,
    /// First digits of numbers.
    pub(super) numbers: T,
    /// First characters of letters and digits joined.
    pub(super) tokens: T,
    /// `@`, colons, dots and dashes.
    pub(super) signs: T,
    /// Capitals behind a gap or at a row's beginning, which make a name only of one that is told alone. They are
    /// among `capitals` once they are sifted.
    pub(super) begins: T,
}

/// What goes on from one character to the next, and where it ends: for a group each.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// All digits: without one in its row a word opens nothing.
    digits: Vec<[u64; 4]>,
    /// Where no letter goes on a word: no letter, or another row's.
    no_letter: Vec<[u64; 4]>,
    /// Likewise digits, and what may stand in and between the groups of a number.
    no_digit: Vec<[u64; 4]>,
    no_number: Vec<[u64; 4]>,
}

/// How far a digit is looked for.
const FAR: usize = 256;

/// More than any rule lets stand between two groups of one number.
const APART: u32 = 8;

impl Runs {
    fn clear(&mut self) {
        let all = [&mut self.digits, &mut self.no_letter];
        for bits in all
            .into_iter()
            .chain([&mut self.no_digit, &mut self.no_number])
        {
            bits.clear();
            bits.shrink_to(KEPT);
        }
    }

    /// Behind the text nothing goes on.
    fn end(&mut self) {
        self.digits.push([0; 4]);
        for bits in [&mut self.no_letter, &mut self.no_digit, &mut self.no_number] {
            bits.push([u64::MAX; 4]);
        }
    }

    /// How many letters the word has that begins at `i`, 64 for any number from there on.
    #[inline(always)]
    pub(super) fn letters(&self, i: usize) -> usize {
        // A row may begin here.
        (bits_from(&self.no_letter, i) & !1).trailing_zeros() as usize
    }

    /// Where words begin from character `from` up to `to`: letters behind what is none. Behind a row's
    /// first character one is said to begin, too; there itself none is.
    fn word_begins(&self, from: usize, to: usize) -> impl Iterator<Item = usize> {
        let begins = |i: usize| {
            let before = match i.checked_sub(1) {
                Some(before) => bits_from(&self.no_letter, before),
                None => bits_from(&self.no_letter, 0) << 1 | 1,
            };
            !bits_from(&self.no_letter, i) & before
        };
        let (mut first, mut left) = (from, begins(from));
        std::iter::from_fn(move || {
            while left == 0 {
                first += 64;
                (first < to).then_some(())?;
                left = begins(first);
            }
            let begin = first + left.trailing_zeros() as usize;
            left &= left - 1;
            (begin < to).then_some(begin)
        })
    }

    /// Whether the row of character `i` has a digit; of one far longer than [`FAR`], whether it may have
    /// one.
    #[inline(always)]
    pub(super) fn numbered(&self, rows: &[[u64; 4]], i: usize) -> bool {
        let (rows, digits) = (rows.as_flattened(), self.digits.as_flattened());
        let of = |bits: &[u64], block: usize| bits.get(block).copied().unwrap_or(0);
        let block = i / 64;
        let upper = u64::MAX << (i % 64) << 1;
        // Up to where the next row begins, then back to where this one does.
        let mut part = upper;
        for block in block..=block + FAR / 64 {
            let begins = of(rows, block) & part;
            part &= begins.wrapping_sub(1) & !begins;
            if of(digits, block) & part != 0 {
                return true;
            }
            if begins != 0 || block >= rows.len() {
                part = 0;
                break;
            }
            part = u64::MAX;
        }
        if part != 0 {
            return true;
        }
        let mut part = !upper;
        for block in (block.saturating_sub(FAR / 64)..=block).rev() {
            let begins = of(rows, block) & part;
            // From the last of them on.
            part &= u64::MAX << 63_u32.saturating_sub(begins.leading_zeros());
            if of(digits, block) & part != 0 {
                return true;
            }
            if begins != 0 {
                return false;
            }
            part = u64::MAX;
        }
        true
    }

    /// How many digits go on at `i`.
    #[inline(always)]
    pub(super) fn more_digits(&self, i: usize) -> usize {
        bits_from(&self.no_digit, i).trailing_zeros() as usize
    }

    /// How many digits each of the groups has that stand from character `i` on, the first there and the
    /// others each at most [`APART`] behind the one before; of the same row, zeros where there are no
    /// more. Only 64 characters are looked at.
    #[inline(always)]
    fn groups(&self, i: usize) -> [u32; 4] {
        let mut groups = [0; 4];
        let mut digits = !(bits_from(&self.no_digit, i) & !1);
        for group in &mut groups {
            *group = digits.trailing_ones();
            digits = digits.checked_shr(*group).unwrap_or(0);
            let gap = digits.trailing_zeros();
            if gap > APART {
                break;
            }
            digits >>= gap;
        }
        groups
    }

    /// How many digits stand from character `i` on, and how many behind them before anything that is no
    /// part of a number or another row's. Only 64 characters are looked at.
    #[inline(always)]
    pub(super) fn digits(&self, i: usize) -> (usize, usize) {
        let length = (bits_from(&self.no_digit, i) & !1).trailing_zeros() as usize;
        let ends = bits_from(&self.no_number, i) & !1;
        // The characters up to the first that is no part of the number.
        let part = ends.wrapping_sub(1) & !ends;
        let digits = (bits_from(&self.digits, i) & part).count_ones() as usize;
        (length, digits.saturating_sub(length))
    }
}

/// 64 bits from `start` on.
#[inline(always)]
fn bits_from(bits: &[[u64; 4]], start: usize) -> u64 {
    let (i, shift) = (start / 64, start % 64);
    match bits.as_flattened().get(i..i.wrapping_add(2)) {
        Some(&[here, next]) => here >> shift | next << 1 << (63 - shift),
        _ => 0,
    }
}

/// The triggers of a group: see [`Gates`].
pub(super) type Gated = Gates<[u64; 4]>;

impl Gated {
    /// Takes out what opens rules of what is not looked for; of words none of them are known.
    fn keep(&mut self, wanted: Wanted) {
        for (is_wanted, bits) in [
            (wanted.capitals, &mut self.capitals),
            (wanted.capitals, &mut self.begins),
            (wanted.numbers, &mut self.numbers),
            (wanted.tokens, &mut self.tokens),
            (wanted.signs, &mut self.signs),
        ] {
            if !is_wanted {
                *bits = [0; 4];
            }
        }
    }

    /// All of its triggers.
    #[inline(always)]
    fn any(&self) -> [u64; 4] {
        let mut any = self.words;
        for bits in [
            &self.titles,
            &self.capitals,
            &self.numbers,
            &self.tokens,
            &self.signs,
        ] {
            any.iter_mut()
                .zip(bits)
                .for_each(|(any, bits)| *any |= bits);
        }
        any
    }
}

/// Bits and, to be seen when they are moved down, those of the following blocks.
#[derive(Clone, Copy)]
struct Seen<W> {
    here: W,
    next: W,
}

impl<W: Words> Seen<W> {
    #[inline(always)]
    fn of(here: &[u64; 4], next: &[u64; 4]) -> Self {
        let here = W::load(*here);
        Self {
            here,
            next: here.following(W::load(*next)),
        }
    }

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

    #[inline(always)]
    fn without(self, other: Self) -> Self {
        Self {
            here: self.here.without(other.here),
            next: self.next.without(other.next),
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

/// Whether the character before is here, or in the last group for the first.
#[inline(always)]
fn after_one<W: Words>(last: W, here: W) -> W {
    here.up::<1>().or(here.preceding(last).down::<63>())
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
    numbered: W,
    before: &mut Before<W>,
) -> (W, W) {
    let capitals = word_begins.and(W::load(here.capitals));
    let runs = ends(here.letters, capitals.store(), &mut before.run);
    // No word that is asked has a digit behind its first letter; it opens the next one all the same.
    let starts = capitals.without(numbered);
    let gaps = W::load(here.gaps);
    let opened = W::load(runs).or(W::load(here.colons));
    let near = after_one(before.opened, opened);
    let first = near.and(gaps);
    let next = after_one(before.first, first);
    let second = next.and(gaps);
    let far = after_one(before.second, second);
    let words = W::load(here.letters).or(W::load(here.digits));
    let last_words = W::load(last.letters).or(W::load(last.digits));
    let gap = after_one(last_words, words).and(gaps);
    let apart = after_one(before.gap, gap).without(second_capital);
    let begin = after_one(before.gaps, gaps)
        .or(rows)
        .without(second_capital);
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

/// Behind one digit or two, perhaps a blank between.
#[inline(always)]
fn close<W: Words>(mark: Seen<W>, two: Seen<W>, gaps: Seen<W>) -> Seen<W> {
    let mark = mark.or(gaps.and(mark.after::<1, 63>()));
    mark.after::<1, 63>().or(two.and(mark.after::<2, 62>()))
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
    runs: &mut Runs,
) -> Gated {
    let begins = Seen::<W>::of(&rows, &next_rows);
    let rows = begins.here;
    // The last characters of rows: what stands behind them is of another one.
    let ends = begins.after::<1, 63>();
    // Whether the character before is of the class, in the same row.
    let (digits, letters) = (
        Seen::<W>::of(&here.digits, &next.digits),
        Seen::<W>::of(&here.letters, &next.letters),
    );
    let (dots, dashes) = (
        Seen::<W>::of(&here.dots, &next.dots),
        Seen::<W>::of(&here.dashes, &next.dashes),
    );
    let (slashes, colons) = (
        Seen::<W>::of(&here.slashes, &next.slashes),
        Seen::<W>::of(&here.colons, &next.colons),
    );
    let (gaps, years, sexes) = (
        Seen::<W>::of(&here.gaps, &next.gaps),
        Seen::<W>::of(&here.years, &next.years),
        Seen::<W>::of(&here.sexes, &next.sexes),
    );
    let (last_digits, last_letters) = (W::load(last.digits), W::load(last.letters));
    let words = letters.or(digits);
    let behind = gaps.or(dots);
    let last_words = last_letters.or(last_digits);

    let two = digits.and(digits.after::<1, 63>());
    let three = two.and(digits.after::<2, 62>());
    let four = two.and(two.after::<2, 62>());
    let five = four.and(digits.after::<4, 60>());
    // Digits in groups and what separates them. Of three digits at first, no number has fewer than nine
    // characters but `555-1212`; of one, two or four no date with dots or blanks fewer than eight, and
    // no other number fewer than nine. As many digits alone are five at least.
    let mark = slashes.or(dashes);
    let numeric = digits.or(gaps).or(dots).or(mark);
    let number = numeric.and(numeric.after::<1, 63>());
    let number = number.and(number.after::<2, 62>());
    let eight = number.and(number.after::<4, 60>());
    let nine = eight.and(numeric.after::<8, 56>());
    let grouped = nine
        .or(eight.without(three).or(eight.and(four)))
        .or(three.and(four.after::<4, 60>()));
    // A date with slashes: one or two digits, perhaps a blank, a slash. With dashes it has two of them,
    // or four digits behind the first. The year first: at least a month of two digits behind it.
    let pair = dashes.or(dashes.after::<1, 63>());
    let second = pair.or(pair.after::<2, 62>()).or(pair.after::<4, 60>());
    let year = four.or(four.after::<1, 63>());
    let year = year.or(year.after::<2, 62>());
    let dashed = close(dashes, two, gaps).and(second.after::<3, 61>().or(year.after::<2, 62>()));
    let year_first = four.and(mark.after::<4, 60>()).and(two.after::<5, 59>());
    let date = close(slashes, two, gaps).or(dashed).or(year_first);
    // An age: two or three digits, a unit close behind. `f` and `m` are letters by themselves.
    let unit = years.or(sexes.without(letters.after::<1, 63>().without(ends)));
    let unit = unit.or(unit.after::<1, 63>());
    let old = digits.after::<2, 62>().and(unit.after::<3, 61>());
    let age = two.and(unit.after::<2, 62>().or(old));
    let numbers = five.or(grouped).or(date).or(age);
    let numbers = digits
        .here
        .without(after_one(last_digits, digits.here).without(rows))
        .and(numbers.here);

    // Nine letters and digits with a digit among the first seventeen of them; a printed MBI; the
    // beginning of a printed IBAN.
    let joined2 = words.and(words.after::<1, 63>());
    let joined4 = joined2.and(joined2.after::<2, 62>());
    let joined8 = joined4.and(joined4.after::<4, 60>());
    let some2 = digits.or(words.and(digits.after::<1, 63>()));
    let some4 = some2.or(joined2.and(some2.after::<2, 62>()));
    let some8 = some4.or(joined4.and(some4.after::<4, 60>()));
    let some16 = some8.or(joined8.and(some8.after::<8, 56>()));
    let joined16 = joined8.and(joined8.after::<8, 56>());
    let some = some16.or(joined16.and(digits.after::<16, 48>()));
    let joined = joined8.and(words.after::<8, 56>());
    let mbi = dashes.after::<4, 60>().and(dashes.after::<8, 56>());
    let iban = letters.and(letters.after::<1, 63>());
    let iban = iban.and(two.after::<2, 62>()).and(gaps.after::<4, 60>());
    let tokens = joined.and(some).or(mbi).or(iban);
    let tokens = words
        .here
        .without(after_one(last_words, words.here).without(rows))
        .and(tokens.here);

    // `: ` opens nothing; a MAC has dashes three apart.
    let opened = words.or(colons).or(slashes).after::<1, 63>();
    let opening_colons = colons.and(opened).without(ends).here;
    let macs = dashes
        .and(dashes.after::<3, 61>())
        .and(dashes.after::<6, 58>())
        .here;
    // A dotted address has two dots close to each other, each before a letter or digit; a domain has
    // letters behind its dot and something before it.
    let dots = dots.and(words.after::<1, 63>()).without(ends);
    let second = dots.after::<2, 62>().or(dots.after::<3, 61>());
    let second = second.or(second.after::<2, 62>());
    let domain = letters
        .after::<1, 63>()
        .here
        .and(after_one(last_words, words.here).without(rows));
    let dots = dots.here.and(second.here.or(domain));

    let word_begins = letters
        .here
        .without(after_one(last_letters, letters.here).without(rows));
    // Words of four letters or more, and of fewer.
    let more = letters.after::<1, 63>().without(ends);
    let two_more = more.and(more.after::<1, 63>());
    let three_more = two_more.and(more.after::<2, 62>()).here;
    let openers = W::load(here.words)
        .and(three_more)
        .or(W::load(here.brief).without(three_more))
        .and(word_begins);
    let second_capital = Seen::<W>::of(&here.capitals, &next.capitals)
        .after::<1, 63>()
        .without(ends)
        .here;
    let numbered = digits.after::<1, 63>().without(ends).here;
    let (capitals, name_begins) = named(
        last,
        here,
        rows,
        word_begins,
        second_capital,
        numbered,
        before_here,
    );
    // No word of fewer than four letters is a name by itself.
    let short = behind.after::<1, 63>().here;
    let short = short.or(more.and(behind.after::<2, 62>()).here);
    let short = short.or(two_more.and(behind.after::<3, 61>()).here);
    let signs = W::load(here.ats).or(opening_colons).or(macs).or(dots);
    runs.digits.push(here.digits);
    runs.no_letter.push(rows.or_not(letters.here).store());
    runs.no_digit.push(rows.or_not(digits.here).store());
    runs.no_number.push(rows.or_not(numeric.here).store());
    Gates {
        words: openers.store(),
        titles: [0; 4],
        capitals: capitals.store(),
        numbers: numbers.store(),
        tokens: tokens.store(),
        signs: signs.store(),
        begins: name_begins.without(short).store(),
    }
}

/// Blocks that are kept for the next text; what a larger one needed is given back.
const KEPT: usize = 1 << 12;

/// The triggers of a text, kept to be filled again.
#[derive(Debug, Default)]
pub(crate) struct Bitmaps {
    /// Where rows begin.
    rows: Vec<[u64; 4]>,
    gates: Vec<Gated>,
    /// Where any of the gates is open.
    open: Vec<[u64; 4]>,
    runs: Runs,
    sieve: Sieve,
    plain: bool,
}

impl Bitmaps {
    /// The triggers of `text` in the place of what was here; rows begin at `rows` and at its first
    /// character.
    pub(super) fn set(
        &mut self,
        text: &[u8],
        rows: impl Iterator<Item = usize>,
        opening: &Opening,
        wanted: Wanted,
    ) {
        let count = text.len().div_ceil(GROUP);
        self.gates.clear();
        self.gates.shrink_to(KEPT);
        self.open.clear();
        self.open.shrink_to(KEPT);
        self.runs.clear();
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
            beginnings: &opening.beginnings,
        });
        if wanted != Wanted::ALL {
            for gated in &mut self.gates {
                gated.keep(wanted);
            }
        }
        self.sieve
            .sift(text, &self.rows, &mut self.gates, &self.runs, opening);
        self.open.extend(self.gates.iter().map(Gated::any));
    }

    /// Whether all of the text is its own folding, were it not folded yet.
    pub(crate) fn plain(&self) -> bool {
        self.plain
    }

    /// The first trigger from character `start` on.
    #[inline(always)]
    pub(crate) fn next(&self, start: usize) -> Option<usize> {
        let (mut i, mut bits) = (start / 64, u64::MAX << (start % 64));
        let blocks = self.open.as_flattened();
        loop {
            let found = blocks.get(i)? & bits;
            if found != 0 {
                return Some(i * 64 + found.trailing_zeros() as usize);
            }
            (i, bits) = (i + 1, u64::MAX);
        }
    }

    /// What the trigger at `i` is, each a bit in the lowest place.
    #[inline(always)]
    pub(super) fn at(&self, i: usize) -> Gates<u64> {
        let Some(gates) = self.gates.get(i / GROUP) else {
            return Gates::default();
        };
        let bit = |bits: &[u64; 4]| bits.get(i / 64 % 4).map_or(0, |bits| bits >> (i % 64) & 1);
        Gates {
            words: bit(&gates.words),
            titles: bit(&gates.titles),
            capitals: bit(&gates.capitals),
            numbers: bit(&gates.numbers),
            tokens: bit(&gates.tokens),
            signs: bit(&gates.signs),
            begins: 0,
        }
    }

    /// See [`Runs::digits`].
    pub(super) fn digits(&self, start: usize) -> (usize, usize) {
        self.runs.digits(start)
    }

    /// See [`Runs::letters`].
    pub(super) fn letters(&self, start: usize) -> usize {
        self.runs.letters(start)
    }

    /// See [`Runs::word_begins`].
    pub(super) fn word_begins(&self, from: usize, to: usize) -> impl Iterator<Item = usize> {
        self.runs.word_begins(from, to)
    }

    /// See [`Runs::groups`].
    pub(super) fn groups(&self, start: usize) -> [u32; 4] {
        self.runs.groups(start)
    }
}

/// Fills bitmaps of which the rows are set.
struct Fill<'a> {
    bitmaps: &'a mut Bitmaps,
    text: &'a [u8],
    beginnings: &'a Openings,
}

impl Job for Fill<'_> {
    #[inline(always)]
    fn run<E: Engine>(self) {
        let Bitmaps {
            rows,
            gates: found,
            runs,
            plain,
            ..
        } = self.bitmaps;
        let tables = E::tables(self.beginnings);
        let mut strange = [0; 4];
        let mut before = Before::nothing();
        let mut rest = self.text;
        let mut groups = [Group::default(); 3];
        let [last, here, next] = &mut groups;
        let (mut last, mut here, mut next) = (last, here, next);
        classify::<E>(&mut rest, &tables, next);
        let next_rows = rows.iter().skip(1).chain([&[0; 4]]);
        for (rows, next_rows) in rows.iter().zip(next_rows) {
            (last, here, next) = (here, next, last);
            classify::<E>(&mut rest, &tables, next);
            found.push(gates::<E::Words>(
                last,
                here,
                next,
                *rows,
                *next_rows,
                &mut before,
                runs,
            ));
            for (all, bits) in strange.iter_mut().zip(here.strange) {
                *all |= bits;
            }
        }
        runs.end();
        *plain = strange == [0; 4];
    }
}

/// The next group of `rest`, with blanks behind the last; nothing where there is none.
#[inline(always)]
fn classify<E: Engine>(rest: &mut &[u8], tables: &E::Tables, group: &mut Group) {
    if let Some(whole) = rest.first_chunk::<{ GROUP + AFTER }>() {
        E::classify(whole, tables, group);
    } else if rest.is_empty() {
        *group = Group::default();
    } else {
        let mut last = [b' '; GROUP + AFTER];
        last.iter_mut()
            .zip(*rest)
            .for_each(|(to, from)| *to = *from);
        E::classify(&last, tables, group);
    }
    *rest = rest.get(GROUP..).unwrap_or_default();
}
