//! The cheap question before the search: does any word of the text begin as something that is looked
//! for? Most rows are answered here, with a bit for each first pair and each first triple of letters
//! or digits, separators skipped on both sides.
//!
//! It may say yes for nothing, never no where the search would find something.

use super::spell::{DIGIT, FIRST, WORD, ascii};

/// The most separators between two letters or digits of a value.
pub(crate) const GAP: usize = 3;

/// The beginnings of what is looked for.
#[derive(Debug)]
pub(crate) struct Outline {
    /// For each first character the second ones.
    second: [u64; 64],
    /// A few bits of each first triple.
    third: [u64; 4],
    /// Pairs after which anything may stand.
    short: Vec<(usize, usize)>,
    /// The first characters in `second`, to be taken out again.
    used: Vec<usize>,
}

impl Default for Outline {
    fn default() -> Self {
        Self {
            second: [0; 64],
            third: [0; 4],
            short: Vec::new(),
            used: Vec::new(),
        }
    }
}

/// Letters without their case, and digits, apart from each other.
#[inline(always)]
fn key(c: u8) -> usize {
    usize::from((c & 0x1f) | ((c & 0x40) >> 1))
}

#[inline(always)]
fn triple(a: usize, b: usize, c: usize) -> (usize, u64) {
    let hash = a.wrapping_mul(7) ^ b.wrapping_mul(37) ^ c.wrapping_mul(101);
    ((hash >> 6) & 3, 1 << (hash & 63))
}

/// A text as the outline reads it: the bytes, and what each of them is.
pub(crate) trait Read: Copy {
    fn len(self) -> usize;
    fn byte(self, i: usize) -> u8;
    fn flag(self, i: usize) -> u8;
}

/// Plain ASCII.
#[derive(Clone, Copy)]
pub(crate) struct Plain<'a>(pub(crate) &'a [u8]);

impl Read for Plain<'_> {
    #[inline(always)]
    fn len(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn byte(self, i: usize) -> u8 {
        self.0.get(i).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn flag(self, i: usize) -> u8 {
        ascii(self.byte(i))
    }
}

impl Read for &super::spell::Spelled {
    fn len(self) -> usize {
        self.bytes.len()
    }

    fn byte(self, i: usize) -> u8 {
        super::spell::Spelled::byte(self, i)
    }

    fn flag(self, i: usize) -> u8 {
        super::spell::Spelled::flag(self, i)
    }
}

/// The letter or digit after the one at `i`, at most `most` separators away.
#[inline(always)]
fn next(text: impl Read, i: usize, most: usize) -> Option<usize> {
    if text.flag(i + 1) & WORD != 0 {
        return Some(i + 1);
    }
    let end = (i + 1).saturating_add(most).min(text.len());
    (i + 2..=end).find(|&j| text.flag(j) & WORD != 0)
}

/// Whether a word or a run of digits begins at `i`.
#[inline(always)]
fn begins(text: impl Read, i: usize, before: u8) -> bool {
    let flags = text.flag(i);
    flags & WORD != 0
        && (before & WORD == 0 || flags & FIRST != 0 || (flags & DIGIT != 0 && before & DIGIT == 0))
}

impl Outline {
    pub(crate) fn clear(&mut self) {
        for first in self.used.drain(..) {
            if let Some(second) = self.second.get_mut(first) {
                *second = 0;
            }
        }
        self.third = [0; 4];
        self.short.clear();
    }

    /// Takes in the beginnings of one value. Of a long one only its own.
    pub(crate) fn add(&mut self, value: impl Read, long: bool) {
        let mut before = 0;
        let mut digits = 0usize;
        for i in 0..value.len() {
            let flags = value.flag(i);
            if begins(value, i, before) {
                self.begin(value, i);
                if flags & DIGIT != 0 && value.byte(i) == b'0' {
                    let mut first = i;
                    while value.byte(first) == b'0' && value.flag(first) & DIGIT != 0 {
                        first += 1;
                    }
                    if value.flag(first) & DIGIT != 0 {
                        self.begin(value, first);
                    }
                }
                if long {
                    return;
                }
            }
            digits += usize::from(flags & DIGIT != 0);
            before = flags;
        }
        if digits >= super::needles::NATIONAL {
            // The ends of long numbers are looked for too.
            for i in (0..value.len()).filter(|&i| value.flag(i) & DIGIT != 0) {
                self.begin(value, i);
            }
        }
    }

    fn begin(&mut self, value: impl Read, i: usize) {
        let far = usize::MAX - value.len() - 2;
        let Some(j) = next(value, i, far) else {
            return;
        };
        let (a, b) = (key(value.byte(i)), key(value.byte(j)));
        if let Some(second) = self.second.get_mut(a) {
            *second |= 1 << b;
            self.used.push(a);
        }
        let ends = j == i + 1 && (value.flag(j + 1) & WORD == 0 || value.flag(j + 1) & FIRST != 0);
        match next(value, j, far) {
            Some(k) => {
                let (word, bit) = triple(a, b, key(value.byte(k)));
                if let Some(third) = self.third.get_mut(word) {
                    *third |= bit;
                }
                if ends {
                    self.short.push((a, b));
                }
            }
            None => self.short.push((a, b)),
        }
    }

    /// Whether something of the text's may begin at `i`, where a word or a run of digits begins.
    #[inline(always)]
    fn at(&self, text: impl Read, i: usize) -> bool {
        let a = key(text.byte(i));
        let seconds = self.second.get(a).copied().unwrap_or(0);
        if seconds == 0 {
            return false;
        }
        let Some(j) = next(text, i, GAP) else {
            return false;
        };
        let b = key(text.byte(j));
        seconds & (1 << b) != 0 && self.after(text, a, b, j)
    }

    #[inline(never)]
    fn after(&self, text: impl Read, a: usize, b: usize, j: usize) -> bool {
        if self.short.contains(&(a, b)) {
            return true;
        }
        next(text, j, GAP).is_some_and(|k| {
            let (word, bit) = triple(a, b, key(text.byte(k)));
            self.third.get(word).is_some_and(|third| third & bit != 0)
        })
    }

    /// As [`Outline::at`], for a run of digits also without its zeros.
    #[inline(always)]
    fn may_begin(&self, text: impl Read, i: usize) -> bool {
        self.at(text, i) || (text.byte(i) == b'0' && self.at_digits(text, i))
    }

    #[inline(never)]
    fn at_digits(&self, text: impl Read, i: usize) -> bool {
        let mut first = i;
        while text.byte(first) == b'0' {
            first += 1;
        }
        text.flag(first) & DIGIT != 0 && self.at(text, first)
    }

    /// Whether the search may find anything in plain ASCII.
    pub(crate) fn may_hold_plain(&self, text: &[u8]) -> bool {
        let mut before = (0, 0);
        for (chunk, bytes) in text.chunks(64).enumerate() {
            let (words, digits) = bits(bytes);
            let begins = words & !(words << 1 | before.0) | digits & !(digits << 1 | before.1);
            before = (words >> 63, digits >> 63);
            let mut rest = begins;
            while rest != 0 {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                if self.may_begin(Plain(text), chunk * 64 + bit as usize) {
                    return true;
                }
            }
        }
        false
    }

    /// Whether the search may find anything.
    pub(crate) fn may_hold(&self, text: impl Read) -> bool {
        let mut before = 0;
        (0..text.len()).any(|i| {
            let begins = begins(text, i, before);
            before = text.flag(i);
            begins && self.may_begin(text, i)
        })
    }
}

/// Which of up to 64 characters are letters or digits, and which are digits.
#[inline(always)]
fn bits(bytes: &[u8]) -> (u64, u64) {
    let mut padded = [0u8; 64];
    let block: &[u8; 64] = match bytes.try_into() {
        Ok(block) => block,
        Err(_) => {
            for (to, from) in padded.iter_mut().zip(bytes) {
                *to = *from;
            }
            &padded
        }
    };
    let digit = block.map(|c| u8::from(c.wrapping_sub(b'0') < 10));
    let letter = block.map(|c| u8::from((c | 0x20).wrapping_sub(b'a') < 26));
    let digits = packed(&digit);
    (digits | packed(&letter), digits)
}

/// The lowest bit of each byte.
#[inline(always)]
fn packed(bytes: &[u8; 64]) -> u64 {
    let (eights, _) = bytes.as_chunks::<8>();
    let mut packed = 0;
    for (i, eight) in eights.iter().enumerate() {
        let gathered = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        packed |= gathered << (8 * i);
    }
    packed
}
