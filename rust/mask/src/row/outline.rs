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
    /// Words of two letters or digits.
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

/// Whether a word, or what is left of it, is the two characters at `i` and `j`.
#[inline(always)]
fn is_pair(text: impl Read, i: usize, j: usize) -> bool {
    j == i + 1 && (text.flag(j + 1) & WORD == 0 || text.flag(j + 1) & FIRST != 0)
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

    /// As [`Outline::add`], of plain ASCII that is not long.
    pub(crate) fn add_plain(&mut self, value: &[u8]) {
        let (words, digits) = match value.len() {
            0..=16 => bits::<16>(value),
            17..=64 => bits::<64>(value),
            _ => return self.add(Plain(value), false),
        };
        let mut begins = words & !(words << 1) | digits & !(digits << 1);
        // Numbers that are looked for from their middle on, and those with zeros before them.
        let many = digits.count_ones() as usize >= super::needles::NATIONAL;
        let mut numbers = begins & digits;
        while numbers != 0 && !many {
            if value.get(numbers.trailing_zeros() as usize) == Some(&b'0') {
                break;
            }
            numbers &= numbers - 1;
        }
        if many || numbers != 0 {
            return self.add(Plain(value), false);
        }
        while begins != 0 {
            let bit = begins.trailing_zeros();
            begins &= begins - 1;
            // Without the lowest bit each time: the next letter or digit.
            let seconds = words & (u64::MAX << bit << 1);
            let thirds = seconds & seconds.wrapping_sub(1);
            if seconds == 0 {
                continue;
            }
            let at = |bit: u32| key(value.get(bit as usize).copied().unwrap_or(0));
            let second = seconds.trailing_zeros();
            let (a, b) = (at(bit), at(second));
            self.second(a, b);
            if second == bit + 1 && (words >> second) & 2 == 0 {
                self.short.push((a, b));
            }
            if thirds != 0 {
                self.third(a, b, at(thirds.trailing_zeros()));
            }
        }
    }

    #[inline(always)]
    fn second(&mut self, a: usize, b: usize) {
        if let Some(second) = self.second.get_mut(a) {
            *second |= 1 << b;
            self.used.push(a);
        }
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
        self.second(a, b);
        if is_pair(value, i, j) {
            self.short.push((a, b));
        }
        if let Some(k) = next(value, j, far) {
            self.third(a, b, key(value.byte(k)));
        }
    }

    #[inline(always)]
    fn third(&mut self, a: usize, b: usize, c: usize) {
        let (word, bit) = triple(a, b, c);
        if let Some(third) = self.third.get_mut(word) {
            *third |= bit;
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
        seconds & (1 << b) != 0 && self.after(text, i, j)
    }

    /// Whether the third letter or digit fits the first two, at `i` and `j`.
    #[inline(never)]
    fn after(&self, text: impl Read, i: usize, j: usize) -> bool {
        let (a, b) = (key(text.byte(i)), key(text.byte(j)));
        if is_pair(text, i, j) && self.short.contains(&(a, b)) {
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
            let (words, digits) = bits::<64>(bytes);
            let begins = words & !(words << 1 | before.0) | digits & !(digits << 1 | before.1);
            before = (words >> 63, digits >> 63);
            // Two in a row are looked up at once; what is apart or begins with zeros, step by step.
            let mut pairs = begins & (words >> 1);
            let mut others = begins & !pairs;
            while pairs != 0 {
                let i = chunk * 64 + pairs.trailing_zeros() as usize;
                let bit = pairs & pairs.wrapping_neg();
                pairs &= pairs - 1;
                let Some(&[a, b]) = text.get(i..i + 2) else {
                    break;
                };
                let seconds = self.second.get(key(a)).copied().unwrap_or(0);
                if (seconds >> key(b)) & 1 != 0 && self.after(Plain(text), i, i + 1) {
                    return true;
                }
                others |= if a == b'0' { bit } else { 0 };
            }
            while others != 0 {
                let i = chunk * 64 + others.trailing_zeros() as usize;
                others &= others - 1;
                if self.may_begin(Plain(text), i) {
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

/// Which of up to `N` characters of ASCII, at most 64, are letters or digits, and which are digits.
#[inline(always)]
fn bits<const N: usize>(bytes: &[u8]) -> (u64, u64) {
    let mut padded = [0u8; N];
    let block: &[u8; N] = match bytes.try_into() {
        Ok(block) => block,
        Err(_) => {
            if let Some(start) = padded.get_mut(..bytes.len()) {
                start.copy_from_slice(bytes);
            }
            &padded
        }
    };
    let (eights, _) = block.as_chunks::<8>();
    let (mut words, mut digits) = (0, 0);
    for (i, eight) in eights.iter().enumerate() {
        let text = u64::from_le_bytes(*eight);
        let digit = between(text, b'0', b'9');
        let word = digit | between(text | each(0x20), b'a', b'z');
        digits |= packed(digit) << (8 * i);
        words |= packed(word) << (8 * i);
    }
    (words, digits)
}

/// The same byte eight times.
#[inline(always)]
const fn each(c: u8) -> u64 {
    u64::from_le_bytes([c; 8])
}

/// The highest bit of each byte of ASCII that lies between two others: no byte's sum reaches the next.
#[inline(always)]
fn between(text: u64, first: u8, last: u8) -> u64 {
    let from = text.wrapping_add(each(0x80 - first));
    let after = text.wrapping_add(each(0x7f - last));
    from & !after & each(0x80)
}

/// The highest bit of each byte, gathered.
#[inline(always)]
fn packed(bytes: u64) -> u64 {
    (bytes >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}
