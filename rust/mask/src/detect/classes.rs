//! What each of up to 64 characters is, as bitmaps, so that triggers come out of arithmetic on words
//! and not out of a branch a byte.
//!
//! Two implementations that a test holds equal: SSE2, which every x86-64 machine has, and eight
//! characters at a time in a plain register for every other machine.

use super::lexis::LETTER;

/// Bitmaps of up to 64 characters, the first in the lowest bit.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Classes {
    pub(super) letters: u64,
    pub(super) digits: u64,
    /// `@` and `:`.
    pub(super) marks: u64,
    /// `.` and `-`.
    pub(super) points: u64,
}

/// The classes of `chunk`, of at most 64 characters.
#[cfg(target_arch = "x86_64")]
pub(super) fn classify(chunk: &[u8]) -> Classes {
    sse2::classify(&padded(chunk))
}

/// The classes of `chunk`, of at most 64 characters.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn classify(chunk: &[u8]) -> Classes {
    plain::classify(&padded(chunk))
}

/// 64 characters; those behind the end are zero, which is in no class.
fn padded(chunk: &[u8]) -> [u8; 64] {
    let mut block = [0u8; 64];
    for (to, from) in block.iter_mut().zip(chunk) {
        *to = *from;
    }
    block
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use super::{Classes, LETTER};
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_sub_epi8,
    };

    #[allow(unsafe_code)] // the one place of this crate; `plain` is its scalar twin, tested equal
    pub(super) fn classify(block: &[u8; 64]) -> Classes {
        // SAFETY: SSE2 belongs to x86-64 itself, so every processor that runs this build has it.
        unsafe { in_registers(block) }
    }

    #[target_feature(enable = "sse2")]
    fn in_registers(block: &[u8; 64]) -> Classes {
        let mut found = Classes::default();
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
            found.points |= mask(_mm_or_si128(same(x, b'.'), same(x, b'-'))) << shift;
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
    use super::{Classes, LETTER};

    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;

    /// Eight characters at a time in one register, each in its own byte.
    pub(super) fn classify(block: &[u8; 64]) -> Classes {
        let mut found = Classes::default();
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
            found.points |= gather(equal(b'.') | equal(b'-')) << shift;
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
    use crate::detect::lexis::is_letter;
    use proptest::prelude::*;

    #[test]
    fn the_bitmaps_are_the_classes() {
        let all: Vec<u8> = (0..=0x81).collect();
        for chunk in all.chunks(64).chain(all.windows(13)) {
            let found = classify(chunk);
            for (i, &c) in chunk.iter().enumerate() {
                let is = |bits: u64| bits >> i & 1 == 1;
                assert_eq!(is(found.letters), is_letter(c), "{c:#x}");
                assert_eq!(is(found.digits), c.is_ascii_digit(), "{c:#x}");
                assert_eq!(is(found.marks), b"@:".contains(&c), "{c:#x}");
                assert_eq!(is(found.points), b".-".contains(&c), "{c:#x}");
            }
            for bits in [found.letters, found.digits, found.marks, found.points] {
                let behind = bits.checked_shr(u32::try_from(chunk.len()).unwrap());
                assert_eq!(behind.unwrap_or(0), 0);
            }
        }
    }

    proptest! {
        #[test]
        fn both_implementations_say_the_same(chunk in prop::collection::vec(any::<u8>(), 0..=64)) {
            prop_assert_eq!(classify(&chunk), plain::classify(&padded(&chunk)));
        }
    }
}
