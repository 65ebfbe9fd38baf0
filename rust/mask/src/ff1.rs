//! FF1, the format-preserving cipher of NIST SP 800-38G revision 1, for the strings whose numbers fit
//! into machine words.
//!
//! It refuses strings of fewer than a million possible values, as the revision does, and strings so
//! long that half of one is a number of more than [`MOST_BITS`] bits.

use std::iter::repeat_n;

use aes::cipher::BlockCipherEncrypt;
use aes::cipher::consts::U16;
use aes::cipher::{Array, BlockSizeUser};

/// The fewest values a domain may have.
const LEAST_DOMAIN: u128 = 1_000_000;
/// Half a string as a number has at most these bits: with one byte more it still fits into 128.
const MOST_BITS: u32 = 119;
const ROUNDS: u8 = 10;

type Block = [u8; 16];

/// A block cipher and a radix.
pub(crate) struct Ff1<C> {
    cipher: C,
    radix: u16,
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>> Ff1<C> {
    pub(crate) fn new(cipher: C, radix: u16) -> Self {
        Self { cipher, radix }
    }

    /// Whether strings of this length have enough values and are not too long.
    pub(crate) fn takes(&self, length: usize) -> bool {
        let long = u32::try_from(length).unwrap_or(u32::MAX);
        let radix = u128::from(self.radix);
        let enough = radix
            .checked_pow(long)
            .is_none_or(|domain| domain >= LEAST_DOMAIN);
        let half = radix.checked_pow(long.div_ceil(2));
        length >= 2 && enough && half.is_some_and(|half| half.ilog2() < MOST_BITS)
    }

    /// Enciphers numerals, each less than the radix, in place; nothing when the length is not taken.
    pub(crate) fn encrypt(&self, tweak: &[u8], numerals: &mut [u8]) -> Option<()> {
        if !self.takes(numerals.len()) {
            return None;
        }
        let length = numerals.len();
        let (left, right) = numerals.split_at_checked(length / 2)?;
        let radix = u128::from(self.radix);
        let modulus = |half: &[u8]| Some(radix.pow(u32::try_from(half.len()).ok()?));
        // The halves change places each round: the modulus goes with the place.
        let (mut modulus_now, mut modulus_next) = (modulus(left)?, modulus(right)?);
        let bytes = usize::try_from((modulus_next - 1).ilog2() / 8 + 1).ok()?;
        let taken = 4 * bytes.div_ceil(4) + 4;
        let (mut now, mut next) = (self.number(left), self.number(right));
        let start = self.start(left.len(), length, tweak.len())?;
        for round in 0..ROUNDS {
            let random = self.random(start, tweak, round, next, bytes);
            let further = if taken > random.len() {
                self.encipher(random, &one())
            } else {
                Block::default()
            };
            let random = random.into_iter().chain(further).take(taken);
            let y = remainder(random, modulus_now);
            (now, next) = (next, (now + y) % modulus_now);
            (modulus_now, modulus_next) = (modulus_next, modulus_now);
        }
        let (left, right) = numerals.split_at_mut_checked(length / 2)?;
        self.numerals(now, left);
        self.numerals(next, right);
        Some(())
    }

    /// The first block of every round, enciphered: the parameters.
    fn start(&self, left: usize, length: usize, tweak: usize) -> Option<Block> {
        let [high, low] = self.radix.to_be_bytes();
        let left = u8::try_from(left).ok()?;
        let length = u32::try_from(length).ok()?.to_be_bytes();
        let tweak = u32::try_from(tweak).ok()?.to_be_bytes();
        let parameters = [1, 2, 1, 0, high, low, ROUNDS, left];
        let mut block = Block::default();
        let all = parameters.iter().chain(&length).chain(&tweak);
        block.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        Some(self.encipher(Block::default(), &block))
    }

    /// The pseudorandom block of a round: tweak, zeros up to the end of a block, the round and the
    /// half's number in so many bytes, chained onto the start.
    fn random(&self, start: Block, tweak: &[u8], round: u8, half: u128, bytes: usize) -> Block {
        let half = half.to_be_bytes();
        let half = half.get(half.len().saturating_sub(bytes)..).unwrap_or(&[]);
        let filled = (tweak.len() + 1 + bytes) % 16;
        let zeros = (16 - filled) % 16;
        let blocks = (tweak.len() + zeros + 1 + bytes) / 16;
        let padded = tweak.iter().copied().chain(repeat_n(0, zeros));
        let mut message = padded.chain([round]).chain(half.iter().copied());
        (0..blocks).fold(start, |chained, _| {
            let mut block = Block::default();
            let places = block.iter_mut().zip(message.by_ref());
            places.for_each(|(to, from)| *to = from);
            self.encipher(chained, &block)
        })
    }

    /// The cipher of two blocks, one added to the other bit by bit.
    fn encipher(&self, mut block: Block, other: &Block) -> Block {
        block
            .iter_mut()
            .zip(other)
            .for_each(|(to, from)| *to ^= from);
        let mut block = Array::from(block);
        self.cipher.encrypt_block(&mut block);
        block.into()
    }

    fn number(&self, numerals: &[u8]) -> u128 {
        let radix = u128::from(self.radix);
        numerals
            .iter()
            .fold(0, |number, &numeral| number * radix + u128::from(numeral))
    }

    fn numerals(&self, mut number: u128, out: &mut [u8]) {
        let radix = u128::from(self.radix);
        for numeral in out.iter_mut().rev() {
            *numeral = u8::try_from(number % radix).unwrap_or(0);
            number /= radix;
        }
    }
}

/// A number of so many bytes, divided by the modulus. Small moduli are the usual ones, and there words
/// can be divided instead of bytes.
fn remainder(mut bytes: impl Iterator<Item = u8>, modulus: u128) -> u128 {
    let Ok(small) = u32::try_from(modulus) else {
        return bytes.fold(0, |y, byte| (y * 256 + u128::from(byte)) % modulus);
    };
    let mut y = 0u64;
    // Four at a time: a round takes a multiple of four bytes.
    while let (Some(a), Some(b), Some(c), Some(d)) =
        (bytes.next(), bytes.next(), bytes.next(), bytes.next())
    {
        y = (y << 32 | u64::from(u32::from_be_bytes([a, b, c, d]))) % u64::from(small);
    }
    u128::from(y)
}

/// The second block of a round is the cipher of the first with this added.
fn one() -> Block {
    1u128.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes::cipher::KeyInit;
    use aes::{Aes128, Aes192, Aes256};
    use proptest::prelude::*;

    const KEY: [u8; 32] = [
        0x2B, 0x7E, 0x15, 0x16, 0x28, 0xAE, 0xD2, 0xA6, 0xAB, 0xF7, 0x15, 0x88, 0x09, 0xCF, 0x4F,
        0x3C, 0xEF, 0x43, 0x59, 0xD8, 0xD5, 0x80, 0xAA, 0x4F, 0x7F, 0x03, 0x6D, 0x6F, 0x04, 0xFC,
        0x6A, 0x94,
    ];

    fn numerals(text: &str) -> Vec<u8> {
        text.chars()
            .map(|c| u8::try_from(c.to_digit(36).unwrap()).unwrap())
            .collect()
    }

    fn sample<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>>(
        cipher: C,
        results: [&str; 3],
    ) {
        let ff1 = Ff1::new(cipher, 10);
        let mut text = numerals("0123456789");
        ff1.encrypt(b"", &mut text).unwrap();
        assert_eq!(text, numerals(results[0]));
        let mut text = numerals("0123456789");
        ff1.encrypt(b"9876543210", &mut text).unwrap();
        assert_eq!(text, numerals(results[1]));
        let ff1 = Ff1::new(ff1.cipher, 36);
        let mut text = numerals("0123456789abcdefghi");
        ff1.encrypt(b"7777pqrs777", &mut text).unwrap();
        assert_eq!(text, numerals(results[2]));
    }

    /// The nine samples that NIST publishes for FF1.
    #[test]
    fn the_samples_of_nist() {
        let aes128 = Aes128::new_from_slice(&KEY[..16]).unwrap();
        sample(aes128, ["2433477484", "6124200773", "a9tv40mll9kdu509eum"]);
        let aes192 = Aes192::new_from_slice(&KEY[..24]).unwrap();
        sample(aes192, ["2830668132", "2496655549", "xbj3kv35jrawxv32ysr"]);
        let aes256 = Aes256::new_from_slice(&KEY).unwrap();
        sample(aes256, ["6657667009", "1001623463", "xs8a0azh2avyalyzuwd"]);
    }

    #[test]
    fn small_domains_and_long_strings_are_refused() {
        let ff1 = |radix| Ff1::new(Aes256::new_from_slice(&KEY).unwrap(), radix);
        let taken = |radix| {
            (0..200)
                .filter(|&n| ff1(radix).takes(n))
                .collect::<Vec<_>>()
        };
        assert_eq!(taken(10), (6..=70).collect::<Vec<_>>());
        assert_eq!(taken(36), (4..=46).collect::<Vec<_>>());
        assert!(!ff1(10).takes(usize::MAX));
        let mut short = [1, 2, 3, 4, 5];
        assert_eq!(ff1(10).encrypt(b"", &mut short), None);
        assert_eq!(short, [1, 2, 3, 4, 5]);
    }

    /// The standard's steps, one by one, on strings of numerals: no number is ever made of them.
    fn naive(key: &[u8; 32], radix: u16, tweak: &[u8], text: &[u8], decrypt: bool) -> Vec<u8> {
        let cipher = Aes256::new_from_slice(key).unwrap();
        let aes = |block: &[u8]| {
            let mut block = Array::try_from(block).unwrap();
            cipher.encrypt_block(&mut block);
            block.to_vec()
        };
        let (n, u) = (text.len(), text.len() / 2);
        let v = n - u;
        let (mut a, mut b) = (text[..u].to_vec(), text[u..].to_vec());
        let size = (v as f64 * f64::from(radix).log2()).ceil() as usize;
        let size = size.div_ceil(8);
        let d = 4 * size.div_ceil(4) + 4;
        let mut p = vec![1, 2, 1, 0];
        p.extend(radix.to_be_bytes());
        p.extend([10, u as u8]);
        p.extend((n as u32).to_be_bytes());
        p.extend((tweak.len() as u32).to_be_bytes());
        let rounds: Vec<u8> = if decrypt {
            (0..10).rev().collect()
        } else {
            (0..10).collect()
        };
        for i in rounds {
            let m = if i % 2 == 0 { u } else { v };
            let (kept, changed) = if decrypt { (&a, &b) } else { (&b, &a) };
            let mut q = tweak.to_vec();
            while !(q.len() + size + 1).is_multiple_of(16) {
                q.push(0);
            }
            q.push(i);
            q.extend(bytes_of(kept, radix, size));
            let mut r = vec![0; 16];
            for block in [p.clone(), q].concat().chunks(16) {
                r = aes(&r.iter().zip(block).map(|(x, y)| x ^ y).collect::<Vec<_>>());
            }
            let mut s = r.clone();
            for j in 1u128..4 {
                let counter = j.to_be_bytes();
                s.extend(aes(&r
                    .iter()
                    .zip(counter)
                    .map(|(x, y)| x ^ y)
                    .collect::<Vec<_>>()));
            }
            let y = last_numerals(&s[..d], radix, m);
            let mut c = vec![0; m];
            let mut carry = 0i32;
            for k in (0..m).rev() {
                let step = if decrypt {
                    -i32::from(y[k])
                } else {
                    i32::from(y[k])
                };
                let sum = i32::from(changed[k]) + step + carry;
                c[k] = sum.rem_euclid(i32::from(radix)) as u8;
                carry = sum.div_euclid(i32::from(radix));
            }
            (a, b) = if decrypt { (c, a) } else { (b, c) };
        }
        [a, b].concat()
    }

    /// A string of numerals as a number in so many bytes.
    fn bytes_of(numerals: &[u8], radix: u16, size: usize) -> Vec<u8> {
        let mut bytes = vec![0u8; size];
        for &numeral in numerals {
            let mut carry = u32::from(numeral);
            for byte in bytes.iter_mut().rev() {
                carry += u32::from(*byte) * u32::from(radix);
                *byte = (carry % 256) as u8;
                carry /= 256;
            }
            assert_eq!(carry, 0);
        }
        bytes
    }

    /// The last numerals of a number of bytes, by division.
    fn last_numerals(bytes: &[u8], radix: u16, count: usize) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let mut numerals = vec![0; count];
        for numeral in numerals.iter_mut().rev() {
            let mut rest = 0u32;
            for byte in &mut bytes {
                rest = rest * 256 + u32::from(*byte);
                *byte = (rest / u32::from(radix)) as u8;
                rest %= u32::from(radix);
            }
            *numeral = rest as u8;
        }
        numerals
    }

    proptest! {
        #[test]
        fn as_the_standard_says_step_by_step(
            key in any::<[u8; 32]>(),
            tweak in prop::collection::vec(any::<u8>(), 0..40),
            seed in prop::collection::vec(any::<u8>(), 4..=70),
        ) {
            for radix in [10u16, 36] {
                let text: Vec<u8> = seed.iter().map(|s| s % radix as u8).collect();
                let ff1 = Ff1::new(Aes256::new_from_slice(&key).unwrap(), radix);
                let mut made = text.clone();
                if ff1.encrypt(&tweak, &mut made).is_some() {
                    prop_assert_eq!(&made, &naive(&key, radix, &tweak, &text, false));
                    prop_assert_eq!(naive(&key, radix, &tweak, &made, true), text);
                } else {
                    prop_assert!(!ff1.takes(text.len()));
                }
            }
        }
    }
}
