//! Sixty-four characters at a time, for processors with AVX-512 and its byte permutations (Ice Lake and
//! Zen 4 on): one look-up tells what a character is, and a test of its bits gives the bitmap.

use std::arch::x86_64::{
    __m512i, __mmask64, _mm512_and_si512, _mm512_cmpeq_epi8_mask, _mm512_loadu_si512,
    _mm512_mask_blend_epi8, _mm512_movepi8_mask, _mm512_permutex2var_epi8, _mm512_permutexvar_epi8,
    _mm512_set1_epi8, _mm512_test_epi8_mask,
};

use super::super::classes::{
    AFTER, AT, BRIEF, Block, CLASSED, COLON, Characters, DASH, DIGIT, DOT, GAPS, GROUP, Group,
    KIND, LETTERS, LINE, Letters, Openings, SEXES, SLASH, YEARS, blocks, joined,
};
use super::super::lexis::LETTER;
use super::avx2::Four;
use super::{Engine, Job};

/// Whether the processor has all that [`run`] is compiled for.
pub(super) fn is_there() -> bool {
    super::avx2::is_there()
        && std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512vbmi")
}

/// [`Job::run`] for processors with AVX-512.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi")]
pub(super) fn run(job: impl Job) {
    job.run::<Avx512>();
}

/// Used by [`run`] alone, and so only where there is AVX-512: that is what every block below relies on.
pub(super) struct Avx512;

/// What a byte below 128 is, and what all others are.
#[derive(Clone, Copy)]
struct Table {
    low: __m512i,
    high: __m512i,
    beyond: __m512i,
}

#[derive(Clone, Copy)]
pub(super) struct Tables {
    classes: Table,
    kinds: Table,
    openings: [[__m512i; 1 + AFTER]; 2],
}

// Bits of the second table that no other engine needs.
const STRANGE: u8 = 1 << 6;
const CAPITAL: u8 = 1 << 7;

impl Engine for Avx512 {
    /// Four words are what a group has: of AVX-512 they take the registers and the ternary logic.
    type Words = Four;
    type Tables = Tables;

    #[inline(always)]
    fn tables(openings: &Openings) -> Tables {
        // SAFETY: AVX-512 as above.
        unsafe {
            Tables {
                classes: table(&CLASS, 0),
                kinds: table(&SECOND, STRANGE),
                openings: openings
                    .halves
                    .map(|places| places.map(|one| letters(&one))),
            }
        }
    }

    #[inline(always)]
    fn classify(text: &[u8; GROUP + AFTER], tables: &Tables, group: &mut Group) {
        // SAFETY: AVX-512 as above.
        unsafe { classify(text, tables, group) }
    }
}

/// What each character of ASCII is, in two halves.
type Ascii = [[u8; 64]; 2];
const CLASS: Ascii = ascii(false);
const SECOND: Ascii = ascii(true);

#[allow(clippy::indexing_slicing)] // evaluated by the compiler: out of bounds would not compile
const fn ascii(second: bool) -> Ascii {
    let mut of = [[0; 64]; 2];
    let mut c = 0u8;
    while c < 128 {
        of[(c / 64) as usize][(c % 64) as usize] = if second { kind(c) } else { class(c) };
        c += 1;
    }
    of
}

const fn class(c: u8) -> u8 {
    let (spaces, low_line) = GAPS;
    let [space, _] = spaces;
    if KIND.of(c) & low_line == 0 {
        CLASSED.of(c)
    } else {
        space
    }
}

const fn kind(c: u8) -> u8 {
    let (_, low_line) = GAPS;
    let strange = c == 0x7f || (c < b' ' && CLASSED.of(c) & LINE == 0);
    let capital = c.is_ascii_uppercase();
    (KIND.of(c) & !low_line) | if strange { STRANGE } else { 0 } | if capital { CAPITAL } else { 0 }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn table([low, high]: &Ascii, beyond: u8) -> Table {
    Table {
        low: sixty_four(low),
        high: sixty_four(high),
        beyond: all(beyond),
    }
}

/// Twice the same: the look-up goes by six bits.
#[target_feature(enable = "avx512f,avx512bw")]
fn letters(table: &Letters) -> __m512i {
    let mut twice = [0; 64];
    let both = twice.iter_mut().zip(table.0.iter().cycle());
    both.for_each(|(to, from)| *to = *from);
    sixty_four(&twice)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
fn classify(text: &[u8; GROUP + AFTER], tables: &Tables, group: &mut Group) {
    for (lane, block) in blocks(text) {
        group.put(lane, &characters(block, tables));
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
#[inline]
fn characters(block: &Block, tables: &Tables) -> Characters<u64> {
    let x = load::<0>(block);
    let class = looked_up(x, tables.classes);
    let kind = looked_up(x, tables.kinds);
    let four = [x, load::<1>(block), load::<2>(block), load::<3>(block)];
    let [long, others] = tables.openings;
    let (long, others) = (opens(four, long), opens(four, others));
    let other_letters = _mm512_cmpeq_epi8_mask(x, all(LETTER));
    let (spaces, _) = GAPS;
    Characters {
        letters: any(kind, joined(&LETTERS)) | other_letters,
        capitals: any(kind, CAPITAL) | other_letters,
        digits: any(class, DIGIT),
        dots: any(class, DOT),
        dashes: any(class, DASH),
        slashes: any(class, SLASH),
        colons: any(class, COLON),
        ats: any(class, AT),
        gaps: any(class, joined(&spaces)),
        years: any(kind, YEARS),
        sexes: any(kind, SEXES),
        strange: any(kind, STRANGE),
        words: any(long, u8::MAX) | any(others, !BRIEF),
        brief: any(others, BRIEF),
    }
}

/// [`Openings::of`] of each byte and those behind it, for a half.
#[target_feature(enable = "avx512f,avx512vbmi")]
#[inline]
fn opens(four: [__m512i; 1 + AFTER], tables: [__m512i; 1 + AFTER]) -> __m512i {
    let [a, b, c, d] = four;
    let [first, second, third, fourth] = tables;
    let begin = _mm512_and_si512(letter(a, first), letter(b, second));
    _mm512_and_si512(begin, _mm512_and_si512(letter(c, third), letter(d, fourth)))
}

/// [`Letters::of`] of each byte.
#[target_feature(enable = "avx512f,avx512vbmi")]
#[inline]
fn letter(x: __m512i, table: __m512i) -> __m512i {
    _mm512_permutexvar_epi8(x, table)
}

/// What the table says of each byte.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn looked_up(x: __m512i, table: Table) -> __m512i {
    // The highest bit does not count for the look-up.
    let found = _mm512_permutex2var_epi8(table.low, x, table.high);
    _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), found, table.beyond)
}

/// A bit for each byte that has any of these.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn any(x: __m512i, bits: u8) -> __mmask64 {
    _mm512_test_epi8_mask(x, all(bits))
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn all(byte: u8) -> __m512i {
    _mm512_set1_epi8(byte.cast_signed())
}

#[target_feature(enable = "avx512f")]
#[inline]
fn sixty_four(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: 64 bytes are read, from an array of 64, however aligned.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast::<__m512i>()) }
}

/// The 64 characters from `LATER` on.
#[target_feature(enable = "avx512f")]
#[inline]
fn load<const LATER: usize>(block: &Block) -> __m512i {
    const { assert!(LATER + 64 <= size_of::<Block>()) };
    let start = block.as_ptr().wrapping_add(LATER);
    // SAFETY: the 64 bytes end within the block, as is asserted above; however aligned.
    unsafe { _mm512_loadu_si512(start.cast::<__m512i>()) }
}
