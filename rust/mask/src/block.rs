//! Keyed BLAKE3 of texts that fit into one block, eight at a time: what the blake3 crate does for one
//! such text after the other, each step waiting for the last.
//!
//! The crate takes many texts at once only when all of them fill their blocks. Its own hash is the
//! oracle: a test holds every length and both ways to it. Longer texts are left to it.

use crate::detect::simd::{Lanes, LanesJob, on_lanes};

/// Bytes of a block.
pub(crate) const BLOCK: usize = 64;
/// Texts that are hashed together.
pub(crate) const LANES: usize = 8;
/// Words of a hash that are given.
pub(crate) const GIVEN: usize = 5;

/// The initial value, which is SHA-256's; the specification of BLAKE3, section 2.2.
const IV: [u32; 4] = [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A];
/// The only block of the only chunk, keyed: CHUNK_START, CHUNK_END, ROOT and KEYED_HASH.
const FLAGS: u32 = 1 | 2 | 8 | 16;
const ROUNDS: usize = 7;

/// Texts that wait to be hashed, word by word of all of them.
#[derive(Default)]
pub(crate) struct Blocks {
    words: [[u32; LANES]; BLOCK / 4],
    lengths: [u32; LANES],
}

impl Blocks {
    /// Puts a text that begins with `tag` into a lane that is empty; false when it is too long.
    pub(crate) fn put(&mut self, lane: usize, tag: u8, text: &[u8]) -> bool {
        let length = 1 + text.len();
        if length > BLOCK {
            return false;
        }
        // Each word begins with the last byte of the text's word before it, the first with the tag: put
        // together in registers, for bytes that were just written are slow to read as a word.
        let mut before = u32::from(tag);
        let (words, rest) = text.as_chunks::<4>();
        let rest = rest
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u32::from(byte));
        let words = words.iter().map(|word| u32::from_le_bytes(*word));
        for (lanes, word) in self.words.iter_mut().zip(words.chain([rest])) {
            if let Some(place) = lanes.get_mut(lane) {
                *place = before | word << 8;
            }
            before = word >> 24;
        }
        if let Some(place) = self.lengths.get_mut(lane) {
            *place = u32::try_from(length).unwrap_or(0);
        }
        true
    }

    /// The first words of each lane's hash. The lanes are empty afterwards.
    pub(crate) fn hash(&mut self, key: &[u32; 8]) -> [[u32; LANES]; GIVEN] {
        let mut out = [[0; LANES]; GIVEN];
        on_lanes(Hashed {
            key,
            blocks: self,
            out: &mut out,
        });
        *self = Self::default();
        out
    }
}

/// A key or a hash as its words.
pub(crate) fn words(key: &[u8; 32]) -> [u32; 8] {
    let mut words = [0; 8];
    let bytes = key.as_chunks::<4>().0;
    words
        .iter_mut()
        .zip(bytes)
        .for_each(|(word, bytes)| *word = u32::from_le_bytes(*bytes));
    words
}

struct Hashed<'a> {
    key: &'a [u32; 8],
    blocks: &'a Blocks,
    out: &'a mut [[u32; LANES]; GIVEN],
}

impl LanesJob for Hashed<'_> {
    /// The compression function; the specification of BLAKE3, section 2.2.
    #[inline(always)]
    fn run<L: Lanes>(self) {
        // Not `map`: its closures are compiled as functions of their own, for any processor.
        let zero = L::load([0; LANES]);
        let mut m = [zero; BLOCK / 4];
        for (lanes, words) in m.iter_mut().zip(&self.blocks.words) {
            *lanes = L::load(*words);
        }
        let [k0, k1, k2, k3, k4, k5, k6, k7] = filled::<L, 8>(*self.key);
        let [i0, i1, i2, i3] = filled::<L, 4>(IV);
        let lengths = L::load(self.blocks.lengths);
        let [flags] = filled::<L, 1>([FLAGS]);
        let mut rows = [
            [k0, k1, k2, k3],
            [k4, k5, k6, k7],
            [i0, i1, i2, i3],
            [zero, zero, lengths, flags],
        ];
        for _ in 0..ROUNDS {
            let [a, b, c, d, e, f, g, h, i, j, k, l, n, o, p, q] = m;
            rows = mixed(rows, [a, c, e, g], [b, d, f, h]);
            let [r0, [b0, b1, b2, b3], [c0, c1, c2, c3], [d0, d1, d2, d3]] = rows;
            let (r1, r2, r3) = ([b1, b2, b3, b0], [c2, c3, c0, c1], [d3, d0, d1, d2]);
            rows = mixed([r0, r1, r2, r3], [i, k, n, p], [j, l, o, q]);
            let [r0, [b1, b2, b3, b0], [c2, c3, c0, c1], [d3, d0, d1, d2]] = rows;
            rows = [r0, [b0, b1, b2, b3], [c0, c1, c2, c3], [d0, d1, d2, d3]];
            m = [c, g, d, k, h, a, e, o, b, l, n, f, j, p, q, i];
        }
        let [[a0, a1, a2, a3], [b0, ..], [c0, c1, c2, c3], [d0, ..]] = rows;
        let words = [a0.xor(c0), a1.xor(c1), a2.xor(c2), a3.xor(c3), b0.xor(d0)];
        for (out, lanes) in self.out.iter_mut().zip(words) {
            *out = lanes.store();
        }
    }
}

/// Each of the words in all lanes.
#[inline(always)]
fn filled<L: Lanes, const N: usize>(words: [u32; N]) -> [L; N] {
    let mut all = [L::load([0; LANES]); N];
    for (lanes, word) in all.iter_mut().zip(words) {
        *lanes = L::load([word; LANES]);
    }
    all
}

/// One row of words of the state, four columns wide.
type Row<L> = [L; 4];

/// The mixing of all four columns with their message words.
#[inline(always)]
fn mixed<L: Lanes>(rows: [Row<L>; 4], x: Row<L>, y: Row<L>) -> [Row<L>; 4] {
    let [mut a, mut b, mut c, mut d] = rows;
    a = plus(plus(a, b), x);
    d = turned::<L, 16, 16>(xor(d, a));
    c = plus(c, d);
    b = turned::<L, 12, 20>(xor(b, c));
    a = plus(plus(a, b), y);
    d = turned::<L, 8, 24>(xor(d, a));
    c = plus(c, d);
    b = turned::<L, 7, 25>(xor(b, c));
    [a, b, c, d]
}

#[inline(always)]
fn plus<L: Lanes>(a: Row<L>, b: Row<L>) -> Row<L> {
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a, b);
    [a0.plus(b0), a1.plus(b1), a2.plus(b2), a3.plus(b3)]
}

#[inline(always)]
fn xor<L: Lanes>(a: Row<L>, b: Row<L>) -> Row<L> {
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a, b);
    [a0.xor(b0), a1.xor(b1), a2.xor(b2), a3.xor(b3)]
}

#[inline(always)]
fn turned<L: Lanes, const N: i32, const REST: i32>([a, b, c, d]: Row<L>) -> Row<L> {
    [
        a.turned::<N, REST>(),
        b.turned::<N, REST>(),
        c.turned::<N, REST>(),
        d.turned::<N, REST>(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::plainly;

    /// The same words from the blake3 crate.
    fn of_one(key: &[u8; 32], text: &[u8]) -> Vec<u32> {
        let hash = blake3::keyed_hash(key, text);
        let words = hash.as_bytes().as_chunks::<4>().0.iter().take(GIVEN);
        words.map(|word| u32::from_le_bytes(*word)).collect()
    }

    #[test]
    fn eight_at_once_are_as_one_after_the_other() {
        let mut blocks = Blocks::default();
        for round in 0..200_usize {
            let key: [u8; 32] = std::array::from_fn(|i| (i * 37 + round * 11) as u8);
            let text = |lane: usize| -> Vec<u8> {
                let length = (round + lane * 9) % BLOCK;
                (0..=length)
                    .map(|i| (i * 101 + lane * 7 + round) as u8)
                    .collect()
            };
            let mut put = || {
                for lane in 0..LANES {
                    let text = text(lane);
                    assert!(blocks.put(lane, text[0], &text[1..]));
                }
                blocks.hash(&words(&key))
            };
            let (best, plain) = (put(), plainly(put));
            assert_eq!(best, plain);
            for lane in 0..LANES {
                let words: Vec<u32> = best.iter().map(|lanes| lanes[lane]).collect();
                assert_eq!(
                    words,
                    of_one(&key, &text(lane)),
                    "round {round}, lane {lane}"
                );
            }
        }
    }

    #[test]
    fn longer_texts_are_not_taken() {
        let mut blocks = Blocks::default();
        assert!(blocks.put(0, b't', &[7; BLOCK - 1]));
        assert!(!blocks.put(0, b't', &[7; BLOCK]));
        assert!(!blocks.put(0, b't', &[7; 1000]));
    }
}
