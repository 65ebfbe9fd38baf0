//! The ways of this crate to look at many characters at once, and the choice between them: AVX-512
//! or AVX2 where the processor has it, NEON on ARM, and plain words everywhere else. A test holds them equal.

#![allow(unsafe_code)] // the one place of this crate; `Plain` is the scalar twin

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

#[cfg(target_arch = "x86_64")]
use std::sync::OnceLock;

use super::classes::{AFTER, GROUP, Group, Openings, blocks, plain};

/// Four times 64 characters' bits.
pub(super) trait Words: Copy {
    fn load(words: [u64; 4]) -> Self;
    fn store(self) -> [u64; 4];
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    /// The bits of `self` that are not in `other`.
    fn without(self, other: Self) -> Self;
    /// The bits of `self`, and all that are not in `other`.
    fn or_not(self, other: Self) -> Self;
    /// Each word's bits `N` places higher.
    fn up<const N: i32>(self) -> Self;
    /// Each word's bits `N` places lower.
    fn down<const N: i32>(self) -> Self;
    /// The word behind each: the last one's is the first of `next`.
    fn following(self, next: Self) -> Self;
    /// The word before each: the first one's is the last of `last`.
    fn preceding(self, last: Self) -> Self;
}

/// Eight numbers of 32 bits.
pub(crate) trait Lanes: Copy {
    fn load(numbers: [u32; 8]) -> Self;
    fn store(self) -> [u32; 8];
    /// Sums, wrapping.
    fn plus(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    /// Each number's bits `N` places lower, those that fall out come in above. `REST` is 32 less `N`.
    fn turned<const N: i32, const REST: i32>(self) -> Self;
}

/// What is done with numbers on the machine's best engine.
pub(crate) trait LanesJob {
    /// Must be `#[inline(always)]`, as [`Job::run`].
    fn run<L: Lanes>(self);
}

/// Does the job with AVX2 where the processor has it, and number by number everywhere else.
pub(crate) fn on_lanes(job: impl LanesJob) {
    #[cfg(test)]
    if PLAIN.get() {
        return job.run::<[u32; 8]>();
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        if std::arch::is_x86_feature_detected!("avx512vl") {
            // SAFETY: the processor has both, as was just asked.
            return unsafe { avx2::run_on_wide_lanes(job) };
        }
        // SAFETY: the processor has AVX2, as was just asked.
        return unsafe { avx2::run_on_lanes(job) };
    }
    job.run::<[u32; 8]>();
}

/// How a machine does it.
pub(super) trait Engine {
    type Words: Words;
    type Tables: Copy;
    fn tables(openings: &Openings) -> Self::Tables;
    /// What each character of a group is; two more follow it.
    fn classify(text: &[u8; GROUP + AFTER], tables: &Self::Tables, group: &mut Group);
}

/// What is looked up, in registers of a kind: a character's classes, and what a word may have in its first
/// places.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code)
)]
pub(super) struct Loaded<V> {
    classes: Pair<V>,
    kinds: Pair<V>,
    openings: [[Pair<V>; 1 + AFTER]; 2],
}

/// [`super::classes::Halves`] or [`super::classes::Letters`] in registers.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code)
)]
struct Pair<V> {
    low: V,
    high: V,
}

/// What is done on the machine's best engine.
pub(super) trait Job {
    /// Must be `#[inline(always)]`, so that it is compiled for the engine's processor.
    fn run<E: Engine>(self);
}

/// Does the job on the best engine.
pub(super) fn best(job: impl Job) {
    #[cfg(test)]
    if PLAIN.get() {
        return job.run::<Plain>();
    }
    #[cfg(target_arch = "aarch64")]
    return job.run::<neon::Neon>();
    #[cfg(target_arch = "x86_64")]
    {
        static HAS_AVX512: OnceLock<bool> = OnceLock::new();
        static HAS_AVX2: OnceLock<bool> = OnceLock::new();
        #[cfg(test)]
        let narrow = NARROW.get();
        #[cfg(not(test))]
        let narrow = false;
        if !narrow && *HAS_AVX512.get_or_init(avx512::is_there) {
            // SAFETY: the processor has what is needed, as was just asked.
            return unsafe { avx512::run(job) };
        }
        if *HAS_AVX2.get_or_init(avx2::is_there) {
            // SAFETY: the processor has what is needed, as was just asked.
            return unsafe { avx2::run(job) };
        }
    }
    #[cfg(not(target_arch = "aarch64"))]
    job.run::<Plain>();
}

#[cfg(test)]
thread_local! {
    static PLAIN: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    #[cfg(target_arch = "x86_64")]
    static NARROW: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Has this thread do it as a machine without AVX-512 would.
#[cfg(test)]
pub(crate) fn narrowly<T>(run: impl FnOnce() -> T) -> T {
    #[cfg(target_arch = "x86_64")]
    NARROW.set(true);
    let done = run();
    #[cfg(target_arch = "x86_64")]
    NARROW.set(false);
    done
}

/// Has this thread do it as a machine without AVX2 and NEON would.
#[cfg(test)]
pub(crate) fn plainly<T>(run: impl FnOnce() -> T) -> T {
    PLAIN.set(true);
    let done = run();
    PLAIN.set(false);
    done
}

/// One character after the other, one word after the other.
#[cfg_attr(target_arch = "aarch64", allow(dead_code))] // there it is what tests compare with
pub(super) struct Plain;

impl Engine for Plain {
    type Words = [u64; 4];
    type Tables = Openings;

    fn tables(openings: &Openings) -> Openings {
        *openings
    }

    fn classify(text: &[u8; GROUP + AFTER], openings: &Openings, group: &mut Group) {
        for (lane, block) in blocks(text) {
            group.put(lane, &plain(block, openings));
        }
    }
}

impl Words for [u64; 4] {
    #[inline(always)]
    fn load(words: [u64; 4]) -> Self {
        words
    }

    #[inline(always)]
    fn store(self) -> [u64; 4] {
        self
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self, other);
        [a & e, b & f, c & g, d & h]
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self, other);
        [a | e, b | f, c | g, d | h]
    }

    #[inline(always)]
    fn without(self, other: Self) -> Self {
        self.and(other.map(|word| !word))
    }

    #[inline(always)]
    fn or_not(self, other: Self) -> Self {
        self.or(other.map(|word| !word))
    }

    #[inline(always)]
    fn up<const N: i32>(self) -> Self {
        self.map(|word| word << N)
    }

    #[inline(always)]
    fn down<const N: i32>(self) -> Self {
        self.map(|word| word >> N)
    }

    #[inline(always)]
    fn following(self, next: Self) -> Self {
        let ([_, b, c, d], [e, ..]) = (self, next);
        [b, c, d, e]
    }

    #[inline(always)]
    fn preceding(self, last: Self) -> Self {
        let ([b, c, d, _], [.., a]) = (self, last);
        [a, b, c, d]
    }
}

impl Lanes for [u32; 8] {
    #[inline(always)]
    fn load(numbers: [u32; 8]) -> Self {
        numbers
    }

    #[inline(always)]
    fn store(self) -> [u32; 8] {
        self
    }

    #[inline(always)]
    fn plus(mut self, other: Self) -> Self {
        let both = self.iter_mut().zip(other);
        both.for_each(|(a, b)| *a = a.wrapping_add(b));
        self
    }

    #[inline(always)]
    fn xor(mut self, other: Self) -> Self {
        self.iter_mut().zip(other).for_each(|(a, b)| *a ^= b);
        self
    }

    #[inline(always)]
    fn turned<const N: i32, const REST: i32>(self) -> Self {
        const { assert!(N + REST == 32) };
        self.map(|number| number >> N | number << REST)
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_loadu_si128, _mm256_add_epi8, _mm256_add_epi32, _mm256_and_si256,
        _mm256_andnot_si256, _mm256_blend_epi32, _mm256_blendv_epi8, _mm256_broadcastsi128_si256,
        _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_permute4x64_epi64, _mm256_set1_epi8, _mm256_set1_epi64x,
        _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_slli_epi32,
        _mm256_slli_epi64, _mm256_srli_epi16, _mm256_srli_epi32, _mm256_srli_epi64,
        _mm256_storeu_si256, _mm256_xor_si256,
    };

    use super::super::classes::{
        AFTER, AT, BRIEF, Block, CLASSED, COLON, Characters, DASH, DIGIT, DOT, GAPS, GROUP, Group,
        KIND, LETTERS, LINE, Letters, Openings, SEXES, SLASH, YEARS, blocks,
    };
    use super::{Engine, Job, Lanes, LanesJob, Loaded, Words};

    /// Whether the processor has AVX2, and what every one with it has for single bits.
    pub(super) fn is_there() -> bool {
        std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("bmi1")
            && std::arch::is_x86_feature_detected!("bmi2")
            && std::arch::is_x86_feature_detected!("lzcnt")
            && std::arch::is_x86_feature_detected!("popcnt")
    }

    /// [`Job::run`] for processors with AVX2.
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn run(job: impl Job) {
        job.run::<Avx2>();
    }

    /// [`LanesJob::run`] for processors with AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) fn run_on_lanes(job: impl LanesJob) {
        job.run::<Eight>();
    }

    /// The same where AVX-512 has twice the registers for them, and turns numbers in one step.
    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    pub(super) fn run_on_wide_lanes(job: impl LanesJob) {
        job.run::<Eight>();
    }

    /// Used by [`run`] alone, and so only where there is AVX2: that is what every block below relies on.
    pub(super) struct Avx2;

    type Tables = Loaded<__m256i>;
    type Pair = super::Pair<__m256i>;

    #[derive(Clone, Copy)]
    pub(in super::super) struct Four(__m256i);

    impl Words for Four {
        #[inline(always)]
        fn load(words: [u64; 4]) -> Self {
            // SAFETY: AVX2 as above; 32 bytes are read, from an array of 32, however aligned.
            Self(unsafe { _mm256_loadu_si256(words.as_ptr().cast::<__m256i>()) })
        }

        #[inline(always)]
        fn store(self) -> [u64; 4] {
            let mut words = [0; 4];
            // SAFETY: AVX2 as above; 32 bytes are written, to an array of 32, however aligned.
            unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast::<__m256i>(), self.0) };
            words
        }

        #[inline(always)]
        fn and(self, other: Self) -> Self {
            // SAFETY: AVX2 as above.
            Self(unsafe { _mm256_and_si256(self.0, other.0) })
        }

        #[inline(always)]
        fn or(self, other: Self) -> Self {
            // SAFETY: AVX2 as above.
            Self(unsafe { _mm256_or_si256(self.0, other.0) })
        }

        #[inline(always)]
        fn without(self, other: Self) -> Self {
            // SAFETY: AVX2 as above.
            Self(unsafe { _mm256_andnot_si256(other.0, self.0) })
        }

        #[inline(always)]
        fn or_not(self, other: Self) -> Self {
            // SAFETY: AVX2 as above.
            Self(unsafe {
                _mm256_or_si256(self.0, _mm256_xor_si256(other.0, _mm256_set1_epi64x(-1)))
            })
        }

        #[inline(always)]
        fn up<const N: i32>(self) -> Self {
            // SAFETY: AVX2 as above.
            Self(unsafe { _mm256_slli_epi64::<N>(self.0) })
        }

        #[inline(always)]
        fn down<const N: i32>(self) -> Self {
            // SAFETY: AVX2 as above.
            Self(unsafe { _mm256_srli_epi64::<N>(self.0) })
        }

        #[inline(always)]
        fn following(self, next: Self) -> Self {
            // SAFETY: AVX2 as above.
            Self(unsafe {
                let mixed = _mm256_blend_epi32::<0b0000_0011>(self.0, next.0);
                _mm256_permute4x64_epi64::<0b00_11_10_01>(mixed)
            })
        }

        #[inline(always)]
        fn preceding(self, last: Self) -> Self {
            // SAFETY: AVX2 as above.
            Self(unsafe {
                let mixed = _mm256_blend_epi32::<0b1100_0000>(self.0, last.0);
                _mm256_permute4x64_epi64::<0b10_01_00_11>(mixed)
            })
        }
    }

    /// Used by [`run_on_lanes`] alone, as [`Avx2`] by [`run`].
    #[derive(Clone, Copy)]
    pub(super) struct Eight(__m256i);

    impl Lanes for Eight {
        #[inline(always)]
        fn load(numbers: [u32; 8]) -> Self {
            // SAFETY: AVX2 as above; 32 bytes are read, from an array of 32, however aligned.
            Self(unsafe { _mm256_loadu_si256(numbers.as_ptr().cast::<__m256i>()) })
        }

        #[inline(always)]
        fn store(self) -> [u32; 8] {
            let mut numbers = [0; 8];
            // SAFETY: AVX2 as above; 32 bytes are written, to an array of 32, however aligned.
            unsafe { _mm256_storeu_si256(numbers.as_mut_ptr().cast::<__m256i>(), self.0) };
            numbers
        }

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            // SAFETY: AVX2 as above.
            Self(unsafe { _mm256_add_epi32(self.0, other.0) })
        }

        #[inline(always)]
        fn xor(self, other: Self) -> Self {
            // SAFETY: AVX2 as above.
            Self(unsafe { _mm256_xor_si256(self.0, other.0) })
        }

        #[inline(always)]
        fn turned<const N: i32, const REST: i32>(self) -> Self {
            const { assert!(N + REST == 32) };
            // SAFETY: AVX2 as above.
            Self(unsafe {
                _mm256_or_si256(
                    _mm256_srli_epi32::<N>(self.0),
                    _mm256_slli_epi32::<REST>(self.0),
                )
            })
        }
    }

    impl Engine for Avx2 {
        type Words = Four;
        type Tables = Tables;

        #[inline(always)]
        fn tables(openings: &Openings) -> Tables {
            // SAFETY: AVX2 as above.
            unsafe {
                Tables {
                    classes: pair(&CLASSED.low, &CLASSED.high),
                    kinds: pair(&KIND.low, &KIND.high),
                    openings: openings
                        .halves
                        .map(|places| places.map(|one| letters(&one))),
                }
            }
        }

        #[inline(always)]
        fn classify(text: &[u8; GROUP + AFTER], tables: &Tables, group: &mut Group) {
            // SAFETY: AVX2 as above.
            unsafe { classify(text, tables, group) }
        }
    }

    /// Not inlined: of four blocks at once the compiler makes something far slower.
    #[target_feature(enable = "avx2")]
    #[inline(never)]
    fn classify(text: &[u8; GROUP + AFTER], tables: &Tables, group: &mut Group) {
        for (lane, block) in blocks(text) {
            let (low, high) = (half::<0>(block, tables), half::<32>(block, tables));
            let found = low.with(&high, |low, high| u64::from(*low) | u64::from(*high) << 32);
            group.put(lane, &found);
        }
    }

    #[target_feature(enable = "avx2")]
    fn pair(low: &[u8; 16], high: &[u8; 16]) -> Pair {
        let load = |table: &[u8; 16]| {
            // SAFETY: sixteen bytes are read, from an array of sixteen, however aligned.
            let table = unsafe { _mm_loadu_si128(table.as_ptr().cast::<__m128i>()) };
            _mm256_broadcastsi128_si256(table)
        };
        Pair {
            low: load(low),
            high: load(high),
        }
    }

    /// Those below sixteen, and the others.
    #[target_feature(enable = "avx2")]
    fn letters(table: &Letters) -> Pair {
        let [low, high] = [0, 16].map(|i| {
            let half = table.0.get(i..).and_then(|half| half.first_chunk());
            half.copied().unwrap_or_default()
        });
        pair(&low, &high)
    }

    /// The characters of a block from `START` on, 32 of them.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn half<const START: usize>(block: &Block, tables: &Tables) -> Characters<u32> {
        const { assert!(START + AFTER + 32 <= size_of::<Block>()) };
        let x = load::<START, 0>(block);
        let class = looked_up(x, tables.classes);
        let four = [
            x,
            load::<START, 1>(block),
            load::<START, 2>(block),
            load::<START, 3>(block),
        ];
        let [long, others] = tables.openings;
        let (long, others) = (opens(four, long), opens(four, others));
        let kind = looked_up(x, tables.kinds);
        // Bits are moved to the top of their bytes and joined there. Comparisons joined instead become
        // vectors of single bits to the compiler, and those it takes apart one by one.
        let (spaces, low_line) = GAPS;
        let gaps = _mm256_or_si256(any_of(spaces, class), top(low_line, kind));
        // Signed, so that what is not ASCII is below too; line ends have the highest bit.
        const { assert!(LINE == 1 << 7) };
        let low = _mm256_andnot_si256(class, _mm256_cmpgt_epi8(all(b' '), x));
        let strange = _mm256_or_si256(low, _mm256_cmpeq_epi8(x, all(0x7f)));
        let brief = all(BRIEF);
        let words = reaching(_mm256_or_si256(long, _mm256_andnot_si256(brief, others)));
        let brief = reaching(_mm256_and_si256(brief, others));
        let letters = any_of(LETTERS, kind);
        Characters {
            letters: mask(letters),
            // A small letter has this bit, a capital and what is not ASCII has not.
            capitals: mask(_mm256_andnot_si256(top(0x20, x), letters)),
            digits: mask(top(DIGIT, class)),
            dots: mask(top(DOT, class)),
            dashes: mask(top(DASH, class)),
            slashes: mask(top(SLASH, class)),
            colons: mask(top(COLON, class)),
            ats: mask(top(AT, class)),
            gaps: mask(gaps),
            years: mask(top(YEARS, kind)),
            sexes: mask(top(SEXES, kind)),
            strange: mask(strange),
            words: mask(words),
            brief: mask(brief),
        }
    }

    /// Where any of these bits is the highest bit is set.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn any_of<const N: usize>(bits: [u8; N], x: __m256i) -> __m256i {
        let mut any = _mm256_setzero_si256();
        for bit in bits {
            any = _mm256_or_si256(any, top(bit, x));
        }
        any
    }

    /// The bit moved to the highest of its byte; what is below it is anything.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn top(bit: u8, x: __m256i) -> __m256i {
        match bit.leading_zeros() {
            0 => x,
            1 => _mm256_slli_epi16::<1>(x),
            2 => _mm256_slli_epi16::<2>(x),
            3 => _mm256_slli_epi16::<3>(x),
            4 => _mm256_slli_epi16::<4>(x),
            5 => _mm256_slli_epi16::<5>(x),
            6 => _mm256_slli_epi16::<6>(x),
            _ => _mm256_slli_epi16::<7>(x),
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load<const START: usize, const LATER: usize>(block: &Block) -> __m256i {
        const { assert!(START + LATER + 32 <= size_of::<Block>()) };
        let start = block.as_ptr().wrapping_add(START + LATER);
        // SAFETY: the 32 bytes end within the block, as is asserted above; however aligned.
        unsafe { _mm256_loadu_si256(start.cast::<__m256i>()) }
    }

    /// [`Halves::of`] of each byte.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn looked_up(x: __m256i, tables: Pair) -> __m256i {
        let half = all(15);
        let low = _mm256_and_si256(x, half);
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(x), half);
        _mm256_and_si256(
            _mm256_shuffle_epi8(tables.low, low),
            _mm256_shuffle_epi8(tables.high, high),
        )
    }

    /// [`Openings::of`] of each byte and those behind it, for a half.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn opens(four: [__m256i; 1 + AFTER], tables: [Pair; 1 + AFTER]) -> __m256i {
        let [a, b, c, d] = four;
        let [first, second, third, fourth] = tables;
        _mm256_and_si256(
            _mm256_and_si256(letter(a, first), letter(b, second)),
            _mm256_and_si256(letter(c, third), letter(d, fourth)),
        )
    }

    /// [`Letters::of`] of each byte.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn letter(x: __m256i, table: Pair) -> __m256i {
        let place = _mm256_and_si256(x, all(15));
        _mm256_blendv_epi8(
            _mm256_shuffle_epi8(table.low, place),
            _mm256_shuffle_epi8(table.high, place),
            top(16, x),
        )
    }

    /// Where any bit is the highest bit is set; what is below it is anything.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn reaching(x: __m256i) -> __m256i {
        let low = all(0x7f);
        _mm256_or_si256(x, _mm256_add_epi8(_mm256_and_si256(x, low), low))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn all(byte: u8) -> __m256i {
        _mm256_set1_epi8(byte.cast_signed())
    }

    /// The high bit of each byte.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn mask(x: __m256i) -> u32 {
        _mm256_movemask_epi8(x).cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexis::LETTER;
    use super::*;
    use proptest::prelude::*;

    const PHRASES: [&str; 8] = [
        "www", "mr", "a/c", "pt id", "mrn", "account", "may", "visit",
    ];

    /// What engine `E` says of a block and of words.
    fn engine<E: Engine>(text: &Text) -> Group {
        let mut group = Group::default();
        let tables = E::tables(&Openings::new(PHRASES.into_iter()));
        E::classify(text, &tables, &mut group);
        group
    }

    struct Classified<'a>(&'a Text, &'a mut Group);

    impl Job for Classified<'_> {
        #[inline(always)]
        fn run<E: Engine>(self) {
            *self.1 = engine::<E>(self.0);
        }
    }

    fn best_of(text: &Text) -> Group {
        let mut found = Group::default();
        best(Classified(text, &mut found));
        found
    }

    fn moved<W: Words>(a: [u64; 4], b: [u64; 4]) -> [[u64; 4]; 9] {
        let (a, b) = (W::load(a), W::load(b));
        [
            a.and(b),
            a.or(b),
            a.without(b),
            a.or_not(b),
            a.up::<1>(),
            a.up::<48>(),
            a.down::<5>(),
            a.following(b),
            a.preceding(b),
        ]
        .map(W::store)
    }

    struct Moved<'a>([u64; 4], [u64; 4], &'a mut [[u64; 4]; 9]);

    impl Job for Moved<'_> {
        #[inline(always)]
        fn run<E: Engine>(self) {
            *self.2 = moved::<E::Words>(self.0, self.1);
        }
    }

    type Text = [u8; GROUP + AFTER];

    fn text() -> impl Strategy<Value = Text> {
        let signs = prop::sample::select(b"@:./-_() \t\n019aymfwWctrnMR".to_vec());
        let bytes = prop::collection::vec(prop_oneof![any::<u8>(), signs], GROUP + AFTER);
        bytes.prop_map(|bytes| bytes.try_into().unwrap())
    }

    /// Whether the bit of character `i` is set.
    fn is(bits: [u64; 4], i: usize) -> bool {
        bits[i / 64] >> (i % 64) & 1 == 1
    }

    proptest! {
        #[test]
        fn every_engine_says_the_same(text in text(), a in any::<[u64; 4]>(), b in any::<[u64; 4]>()) {
            prop_assert_eq!(best_of(&text), engine::<Plain>(&text));
            prop_assert_eq!(narrowly(|| best_of(&text)), engine::<Plain>(&text));
            let mut of_best = Default::default();
            best(Moved(a, b, &mut of_best));
            prop_assert_eq!(of_best, moved::<[u64; 4]>(a, b));
        }

        #[test]
        fn each_class_holds_its_characters(text in text()) {
            let found = best_of(&text);
            prop_assert_eq!(narrowly(|| best_of(&text)), found);
            for (i, &c) in text.iter().take(GROUP).enumerate() {
                prop_assert_eq!(is(found.letters, i), c.is_ascii_alphabetic() || c == LETTER);
                prop_assert_eq!(is(found.capitals, i), c.is_ascii_uppercase() || c == LETTER);
                prop_assert_eq!(is(found.digits, i), c.is_ascii_digit());
                prop_assert_eq!(is(found.dots, i), c == b'.');
                prop_assert_eq!(is(found.dashes, i), c == b'-');
                prop_assert_eq!(is(found.slashes, i), c == b'/');
                prop_assert_eq!(is(found.colons, i), c == b':');
                prop_assert_eq!(is(found.ats, i), c == b'@');
                prop_assert_eq!(is(found.gaps, i), b" \t\n\r()_".contains(&c));
                prop_assert_eq!(is(found.years, i), b"yY".contains(&c));
                prop_assert_eq!(is(found.sexes, i), b"fFmM".contains(&c));
                let strange = !c.is_ascii() || (c.is_ascii_control() && !b"\t\n\r".contains(&c));
                prop_assert_eq!(is(found.strange, i), strange);
            }
        }

        #[test]
        fn no_opening_is_missed(
            before in "[a-z ]{0,240}",
            upper in any::<bool>(),
            after in "[ .-]?[0-9a-z]{0,5}",
        ) {
            for phrase in PHRASES {
                let word = if upper { phrase.to_uppercase() } else { phrase.to_owned() };
                let written = format!("{before}{word}{after}");
                let mut text = [b' '; GROUP + AFTER];
                text.iter_mut().zip(written.bytes()).for_each(|(to, from)| *to = from);
                let found = best_of(&text);
                let letters = phrase.bytes().take_while(u8::is_ascii_lowercase).count();
                let opens = if letters < 4 { found.brief } else { found.words };
                prop_assert!(is(opens, before.len()), "{}", written);
            }
        }
    }
}
