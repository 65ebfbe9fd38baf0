//! What each character of a text is, as bitmaps of 64, so that triggers come out of arithmetic on words
//! and not out of a branch a byte. Many rows are classified at once: each is a range of bits.
//!
//! Two implementations that a test holds equal: SSE2, which every x86-64 machine has, and eight
//! characters at a time in a plain register for every other machine.

use super::lexis::LETTER;

/// What 64 characters are by themselves, the first in the lowest bit.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Characters {
    letters: u64,
    digits: u64,
    /// `@` and `:`.
    marks: u64,
    dots: u64,
    dashes: u64,
}

/// What 64 characters are to the triggers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Classes {
    pub(super) letters: u64,
    pub(super) digits: u64,
    /// `@`, `:`, and dots and dashes before a letter or digit.
    pub(super) signs: u64,
    /// What a text must have for any rule to find anything, by itself, and with what follows it: see
    /// [`Bitmaps::may_hold`].
    alone: u64,
    followed: u64,
}

impl Classes {
    fn of(here: &Characters, next: &Characters) -> Self {
        let words = |c: &Characters| c.letters | c.digits;
        let before_word = words(here) >> 1 | words(next) << 63;
        let before_dash = here.dashes >> 3 | next.dashes << 61;
        let dots = here.dots & before_word;
        Self {
            letters: here.letters,
            digits: here.digits,
            signs: here.marks | dots | (here.dashes & before_word),
            alone: here.digits | here.marks,
            followed: dots | (here.dashes & before_dash),
        }
    }

    /// The classes of a row that has only `bits` of these characters.
    fn only(&self, bits: u64) -> Self {
        Self {
            letters: self.letters & bits,
            digits: self.digits & bits,
            signs: self.signs & bits,
            alone: self.alone & bits,
            followed: self.followed & bits,
        }
    }
}

/// Blocks that are kept for the next text; what a larger one needed is given back.
const KEPT: usize = 1 << 14;

/// The classes of a text, kept to be filled again: half as large as the text.
#[derive(Debug, Default)]
pub(crate) struct Bitmaps {
    blocks: Vec<Classes>,
}

impl Bitmaps {
    /// Classifies `text` in the place of what was here.
    pub(crate) fn set(&mut self, text: &[u8]) {
        self.blocks.clear();
        self.blocks.shrink_to(KEPT);
        let (whole, rest) = text.as_chunks::<64>();
        self.blocks.reserve(whole.len() + 1);
        let mut last = [0u8; 64]; // zero is in no class
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let mut blocks = whole.iter().chain([&last]).map(classify);
        let Some(mut here) = blocks.next() else {
            return;
        };
        for next in blocks {
            self.blocks.push(Classes::of(&here, &next));
            here = next;
        }
        self.blocks.push(Classes::of(&here, &Characters::default()));
    }

    /// Whether any rule could find anything in characters `start..end`. Each of them asks for a digit,
    /// an `@`, a colon, a dot before a letter or digit (domains, addresses), or dashes three apart (a
    /// MAC of letters alone). A text without any of these, as many clinical sentences are, costs this
    /// look and nothing else. Its last character is followed by nothing of it.
    pub(crate) fn may_hold(&self, start: usize, end: usize) -> bool {
        if start >= end {
            return false;
        }
        let blocks = self.blocks.get(start / 64..end.div_ceil(64));
        let Some((last, before)) = blocks.and_then(<[Classes]>::split_last) else {
            return true;
        };
        let mut bits = u64::MAX << (start % 64);
        let mut found = 0;
        for block in before {
            found |= (block.alone | block.followed) & bits;
            bits = u64::MAX;
        }
        let last_bit = (end - 1) % 64;
        bits &= u64::MAX >> (63 - last_bit);
        let followed = last.followed & !(1 << last_bit);
        found | ((last.alone | followed) & bits) != 0
    }

    /// The blocks that hold characters `start..end`: where each begins relative to `start` (it can be
    /// before it), and its classes within the range.
    pub(super) fn within(
        &self,
        start: usize,
        end: usize,
    ) -> impl Iterator<Item = (usize, Classes)> {
        self.blocks_of(start, end)
            .map(move |(first, block, bits)| (first.wrapping_sub(start), block.only(bits)))
    }

    fn blocks_of(&self, start: usize, end: usize) -> impl Iterator<Item = (usize, &Classes, u64)> {
        let (first, last) = (start / 64, end.div_ceil(64));
        let blocks = self.blocks.get(first..last).unwrap_or_default();
        blocks.iter().enumerate().map(move |(i, block)| {
            let begins = (first + i) * 64;
            let after = u64::MAX << start.saturating_sub(begins);
            let behind = (begins + 64).saturating_sub(end);
            (begins, block, after & (u64::MAX >> behind))
        })
    }
}

#[cfg(target_arch = "x86_64")]
fn classify(block: &[u8; 64]) -> Characters {
    sse2::classify(block)
}

#[cfg(not(target_arch = "x86_64"))]
fn classify(block: &[u8; 64]) -> Characters {
    plain::classify(block)
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use super::{Characters, LETTER};
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_sub_epi8,
    };

    #[allow(unsafe_code)] // the one place of this crate; `plain` is its scalar twin, tested equal
    pub(super) fn classify(block: &[u8; 64]) -> Characters {
        // SAFETY: SSE2 belongs to x86-64 itself, so every processor that runs this build has it.
        unsafe { in_registers(block) }
    }

    #[target_feature(enable = "sse2")]
    fn in_registers(block: &[u8; 64]) -> Characters {
        let mut found = Characters::default();
        for (place, sixteen) in block.as_chunks::<16>().0.iter().enumerate() {
            let bits = u128::from_le_bytes(*sixteen);
            let x = _mm_set_epi64x((bits >> 64) as i64, bits as i64);
            let shift = place * 16;
            let letters = _mm_or_si128(
                within(_mm_or_si128(x, all(0x20)), b'a', b'z'),
                within(x, 0x80, LETTER),
            );
            found.letters |= mask(letters) << shift;
            found.digits |= mask(within(x, b'0', b'9')) << shift;
            found.marks |= mask(_mm_or_si128(same(x, b'@'), same(x, b':'))) << shift;
            found.dots |= mask(same(x, b'.')) << shift;
            found.dashes |= mask(same(x, b'-')) << shift;
        }
        found
    }

    #[target_feature(enable = "sse2")]
    fn all(byte: u8) -> __m128i {
        _mm_set1_epi8(byte.cast_signed())
    }

    #[target_feature(enable = "sse2")]
    fn same(x: __m128i, byte: u8) -> __m128i {
        _mm_cmpeq_epi8(x, all(byte))
    }

    /// All ones where `first <= x <= last`, unsigned.
    #[target_feature(enable = "sse2")]
    fn within(x: __m128i, first: u8, last: u8) -> __m128i {
        let above = _mm_sub_epi8(x, all(first));
        _mm_cmpeq_epi8(_mm_min_epu8(above, all(last - first)), above)
    }

    /// The high bit of each byte; sixteen bits.
    #[target_feature(enable = "sse2")]
    fn mask(x: __m128i) -> u64 {
        u64::from(_mm_movemask_epi8(x).cast_unsigned())
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    use super::{Characters, LETTER};

    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;

    /// Eight characters at a time in one register, each in its own byte.
    pub(super) fn classify(block: &[u8; 64]) -> Characters {
        let mut found = Characters::default();
        for (place, eight) in block.as_chunks::<8>().0.iter().enumerate() {
            let x = u64::from_le_bytes(*eight);
            let (high, low) = (x & HIGH, x & !HIGH);
            let lower = low | (0x20 * ONES);
            let digits = at_least(low, b'0') & !at_least(low, b'9' + 1) & !high;
            let ascii = at_least(lower, b'a') & !at_least(lower, b'z' + 1) & !high;
            let other = high & !at_least(low, LETTER - 0x80 + 1);
            let equal = |c: u8| !at_least(low ^ (u64::from(c) * ONES), 1) & HIGH & !high;
            let shift = place * 8;
            found.digits |= gather(digits) << shift;
            found.letters |= gather(ascii | other) << shift;
            found.marks |= gather(equal(b'@') | equal(b':')) << shift;
            found.dots |= gather(equal(b'.')) << shift;
            found.dashes |= gather(equal(b'-')) << shift;
        }
        found
    }

    /// The high bit of every byte of `low` (each below 0x80) that is `least` or more.
    fn at_least(low: u64, least: u8) -> u64 {
        low.wrapping_add(u64::from(0x80 - least) * ONES) & HIGH
    }

    /// The high bits of eight bytes as eight bits.
    fn gather(high: u64) -> u64 {
        (high >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::lexis::{at, is_letter, is_word};
    use proptest::prelude::*;

    fn of(text: &[u8]) -> Bitmaps {
        let mut bitmaps = Bitmaps::default();
        bitmaps.set(text);
        bitmaps
    }

    /// The characters of `text[start..end]`, from `start` on, that the bitmaps say are of a class.
    fn said(text: &[u8], start: usize, end: usize, class: fn(Classes) -> u64) -> Vec<usize> {
        let mut places = Vec::new();
        for (begins, block) in of(text).within(start, end) {
            let bits = class(block);
            places.extend(
                (0..64)
                    .filter(|bit| bits >> bit & 1 == 1)
                    .map(|bit| begins.wrapping_add(bit)),
            );
        }
        places
    }

    fn character() -> impl Strategy<Value = u8> {
        prop_oneof![0u8..=0x81, prop::sample::select(b"@:.-19aZ".to_vec())]
    }

    proptest! {
        #[test]
        fn the_bitmaps_of_a_range_are_its_classes(
            text in prop::collection::vec(character(), 0..300),
            cut in any::<[prop::sample::Index; 2]>(),
        ) {
            let [a, b] = cut.map(|cut| cut.index(text.len() + 1));
            let (start, end) = (a.min(b), a.max(b));
            let places = |class: &dyn Fn(usize) -> bool| -> Vec<usize> {
                (0..end - start).filter(|i| class(start + i)).collect()
            };
            let said = |class| said(&text, start, end, class);
            prop_assert_eq!(said(|c| c.letters), places(&|i| is_letter(text[i])));
            prop_assert_eq!(said(|c| c.digits), places(&|i| text[i].is_ascii_digit()));
            let before_word = |i| is_word(at(&text, i + 1));
            let mark = |i: usize| b"@:".contains(&text[i]);
            let sign = |i: usize| mark(i) || (b".-".contains(&text[i]) && before_word(i));
            prop_assert_eq!(said(|c| c.signs), places(&sign));
            let hot = |i: usize| text[i].is_ascii_digit()
                || mark(i)
                || (i + 1 < end && text[i] == b'.' && before_word(i))
                || (i + 1 < end && text[i] == b'-' && at(&text, i + 3) == b'-');
            prop_assert_eq!(of(&text).may_hold(start, end), !places(&hot).is_empty());
        }

        #[test]
        fn both_implementations_say_the_same(
            block in prop::array::uniform::<_, 64>(prop_oneof![character(), any::<u8>()])
        ) {
            prop_assert_eq!(classify(&block), plain::classify(&block));
        }
    }
}
