//! Sixteen characters at a time on ARM, where every processor of the target has NEON.

use std::arch::aarch64::{
    uint8x16_t, uint8x16x2_t, vandq_u8, vbicq_u8, vcgeq_u8, vcltq_u8, vdupq_n_u8, vgetq_lane_u64,
    vld1q_u8, vorrq_u8, vpaddq_u8, vqtbl1q_u8, vqtbl2q_u8, vreinterpretq_u64_u8, vshrq_n_u8,
    vtstq_u8,
};

use super::super::classes::{
    AFTER, AT, BRIEF, Block, CLASSED, COLON, Characters, DASH, DIGIT, DOT, GAPS, GROUP, Group,
    Halves, KIND, LETTERS, LINE, Letters, Openings, SEXES, SLASH, YEARS, blocks, joined,
};
use super::{Engine, Loaded};

pub(super) struct Neon;

type Tables = Loaded<uint8x16_t>;
type Pair = super::Pair<uint8x16_t>;

/// What stands for each of 64 characters.
type Four = [uint8x16_t; 4];

impl Engine for Neon {
    /// Arithmetic on words the compiler puts into registers of two by itself.
    type Words = [u64; 4];
    type Tables = Tables;

    #[inline(always)]
    fn tables(openings: &Openings) -> Tables {
        // SAFETY: every processor of this target has NEON.
        unsafe { tables(openings) }
    }

    #[inline(always)]
    fn classify(text: &[u8; GROUP + AFTER], tables: &Tables, group: &mut Group) {
        for (lane, block) in blocks(text) {
            // SAFETY: as above.
            group.put(lane, &unsafe { classify(block, tables) });
        }
    }
}

#[target_feature(enable = "neon")]
fn tables(openings: &Openings) -> Tables {
    Tables {
        classes: Pair::of(&CLASSED),
        kinds: Pair::of(&KIND),
        openings: openings
            .halves
            .map(|places| places.map(|one| Pair::of_letters(&one))),
    }
}

#[target_feature(enable = "neon")]
fn classify(block: &Block, tables: &Tables) -> Characters<u64> {
    let x = load::<0>(block);
    let class = x.map(|x| tables.classes.of_each(x));
    let kind = x.map(|x| tables.kinds.of_each(x));
    let four = [x, load::<1>(block), load::<2>(block), load::<3>(block)];
    let [long, others] = tables.openings;
    let (long, others) = (opens(four, long), opens(four, others));
    let [a, b, c, d] = any(long, u8::MAX);
    let [e, f, g, h] = any(others, !BRIEF);
    let words = [
        vorrq_u8(a, e),
        vorrq_u8(b, f),
        vorrq_u8(c, g),
        vorrq_u8(d, h),
    ];
    let (spaces, low_line) = GAPS;
    let (space, line) = (any(class, joined(&spaces)), any(kind, low_line));
    let [a, b, c, d] = space;
    let [e, f, g, h] = line;
    let gaps = [
        vorrq_u8(a, e),
        vorrq_u8(b, f),
        vorrq_u8(c, g),
        vorrq_u8(d, h),
    ];
    let beyond = x.map(|x| {
        let low = vcltq_u8(x, vdupq_n_u8(b' '));
        vorrq_u8(low, vcgeq_u8(x, vdupq_n_u8(0x7f)))
    });
    let [a, b, c, d] = beyond;
    let [e, f, g, h] = any(class, LINE);
    let strange = [
        vbicq_u8(a, e),
        vbicq_u8(b, f),
        vbicq_u8(c, g),
        vbicq_u8(d, h),
    ];
    let letters = any(kind, joined(&LETTERS));
    // A small letter has this bit, a capital and what is not ASCII has not.
    let [a, b, c, d] = letters;
    let [e, f, g, h] = any(x, 0x20);
    let capitals = [
        vbicq_u8(a, e),
        vbicq_u8(b, f),
        vbicq_u8(c, g),
        vbicq_u8(d, h),
    ];
    Characters {
        letters: mask(letters),
        capitals: mask(capitals),
        digits: mask(any(class, DIGIT)),
        dots: mask(any(class, DOT)),
        dashes: mask(any(class, DASH)),
        slashes: mask(any(class, SLASH)),
        colons: mask(any(class, COLON)),
        ats: mask(any(class, AT)),
        gaps: mask(gaps),
        years: mask(any(kind, YEARS)),
        sexes: mask(any(kind, SEXES)),
        strange: mask(strange),
        words: mask(words),
        brief: mask(any(others, BRIEF)),
    }
}

/// [`Openings::of`] of each byte and those behind it, for a half.
#[target_feature(enable = "neon")]
#[inline]
fn opens(four: [Four; 1 + AFTER], tables: [Pair; 1 + AFTER]) -> Four {
    let [a, b, c, d] = four;
    let [first, second, third, fourth] = tables;
    let begin = a.map(|x| first.of_letter(x));
    let begin = both(begin, b.map(|x| second.of_letter(x)));
    let begin = both(begin, c.map(|x| third.of_letter(x)));
    both(begin, d.map(|x| fourth.of_letter(x)))
}

impl Pair {
    #[target_feature(enable = "neon")]
    #[inline]
    fn of(halves: &Halves) -> Self {
        Self {
            low: sixteen(&halves.low),
            high: sixteen(&halves.high),
        }
    }

    /// Those below sixteen, and the others.
    #[target_feature(enable = "neon")]
    #[inline]
    fn of_letters(table: &Letters) -> Self {
        let [low, high] = [0, 16].map(|i| {
            let half = table.0.get(i..).and_then(|half| half.first_chunk());
            half.copied().unwrap_or_default()
        });
        Self {
            low: sixteen(&low),
            high: sixteen(&high),
        }
    }

    /// [`Letters::of`] of each byte.
    #[target_feature(enable = "neon")]
    #[inline]
    fn of_letter(self, x: uint8x16_t) -> uint8x16_t {
        vqtbl2q_u8(
            uint8x16x2_t(self.low, self.high),
            vandq_u8(x, vdupq_n_u8(31)),
        )
    }

    /// [`Halves::of`] of each byte.
    #[target_feature(enable = "neon")]
    #[inline]
    fn of_each(self, x: uint8x16_t) -> uint8x16_t {
        let low = vqtbl1q_u8(self.low, vandq_u8(x, vdupq_n_u8(15)));
        vandq_u8(low, vqtbl1q_u8(self.high, vshrq_n_u8::<4>(x)))
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn sixteen(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: sixteen bytes are read, from an array of sixteen, however aligned.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

/// The 64 characters from `LATER` on.
#[target_feature(enable = "neon")]
#[inline]
fn load<const LATER: usize>(block: &Block) -> Four {
    const { assert!(LATER + 64 <= size_of::<Block>()) };
    [0, 16, 32, 48].map(|start| {
        let start = block.as_ptr().wrapping_add(LATER + start);
        // SAFETY: the 16 bytes end within the block, as is asserted above; however aligned.
        unsafe { vld1q_u8(start) }
    })
}

#[target_feature(enable = "neon")]
#[inline]
fn both(left: Four, right: Four) -> Four {
    let ([a, b, c, d], [e, f, g, h]) = (left, right);
    [
        vandq_u8(a, e),
        vandq_u8(b, f),
        vandq_u8(c, g),
        vandq_u8(d, h),
    ]
}

/// All ones where any of these bits is.
#[target_feature(enable = "neon")]
#[inline]
fn any(x: Four, bits: u8) -> Four {
    x.map(|x| vtstq_u8(x, vdupq_n_u8(bits)))
}

/// A bit for each of 64 bytes that are all ones or zero: each keeps its own bit, and neighbours are
/// added three times.
#[target_feature(enable = "neon")]
#[inline]
fn mask(x: Four) -> u64 {
    const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
    let bits = sixteen(&BITS);
    let [a, b, c, d] = x.map(|x| vandq_u8(x, bits));
    let sum = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
    vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)))
}
