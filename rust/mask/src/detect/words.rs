//! The words that open rules, told from all others by one look into a table.
//!
//! A word is the letters up to what is none; eight of them are compared together as a number. The table
//! has a slot for each of the words, no two of them in the same: the multiplier that spreads them so is
//! looked for when the table is made.

use super::classes::Openings;

/// The letters of a word that are compared together.
pub(super) const COMPARED: usize = 8;
/// Makes each letter small; of what else is in words nothing else becomes.
const SMALL: u64 = 0x2020_2020_2020_2020;

/// What words begin with that open rules, and the words themselves.
pub(super) struct Opening {
    pub(super) beginnings: Openings,
    pub(super) words: Words,
    /// For each of the words what must stand behind it (see `record::may_follow`), if all its rules are
    /// records'.
    pub(super) behind: Vec<Option<u32>>,
}

const BITS: u32 = 11;
const SLOTS: usize = 1 << BITS;

/// From one multiplier to the next: odd, and so all are.
const STEP: u64 = 0x5851_f42d_4c95_7f2d;

/// A set of words, each with its number.
pub(super) struct Words {
    multiplier: u64,
    /// The letters that have this slot; zero where none have.
    slots: Box<[u64; SLOTS]>,
    numbers: Vec<u16>,
    /// From this number on words need no number near them.
    alone: usize,
}

impl Words {
    /// Of letters as [`letters`] gives them, all different; they are numbered in their order. Those
    /// from `alone` on open their rules in a text without a number, too.
    pub(super) fn new(words: &[u64], alone: usize) -> Self {
        let mut table = Self {
            multiplier: STEP,
            slots: Box::new([0; SLOTS]),
            numbers: vec![0; SLOTS],
            alone,
        };
        // Of a few hundred multipliers one spreads a hundred and fifty words.
        while !table.spread(words) {
            table.multiplier = table.multiplier.wrapping_mul(STEP);
        }
        table
    }

    /// Puts each word into its slot; false where two share one.
    fn spread(&mut self, words: &[u64]) -> bool {
        self.slots.fill(0);
        for (number, &letters) in (0..).zip(words) {
            let i = self.slot(letters);
            match (self.slots.get_mut(i), self.numbers.get_mut(i)) {
                (Some(slot @ 0), Some(place)) => (*slot, *place) = (letters, number),
                _ => return false,
            }
        }
        true
    }

    #[inline(always)]
    fn slot(&self, letters: u64) -> usize {
        (letters.wrapping_mul(self.multiplier) >> (64 - BITS)) as usize
    }

    /// Whether these are a word's.
    #[inline(always)]
    pub(super) fn hold(&self, letters: u64) -> bool {
        self.slots.get(self.slot(letters)) == Some(&letters)
    }

    /// Whether the word of this number needs none near it.
    pub(super) fn needs_none(&self, number: usize) -> bool {
        number >= self.alone
    }

    /// The number of the word with these letters.
    pub(super) fn number(&self, letters: u64) -> Option<usize> {
        let number = self.numbers.get(self.slot(letters)).copied();
        number.filter(|_| self.hold(letters)).map(usize::from)
    }
}

/// The first letters of the `length` at `i`, made small, as a number; there is one at least.
#[inline(always)]
pub(super) fn letters(text: &[u8], i: usize, length: usize) -> u64 {
    of_word(eight(text, i), length)
}

/// The characters from `i` on as a number, zeros behind the text's end.
#[inline(always)]
pub(super) fn eight(text: &[u8], i: usize) -> u64 {
    let rest = text.get(i..).unwrap_or_default();
    match rest.first_chunk::<COMPARED>() {
        Some(letters) => u64::from_le_bytes(*letters),
        None => {
            let last = rest.iter().rev();
            last.fold(0, |letters, &c| letters << 8 | u64::from(c))
        }
    }
}

/// The letters of these that are of a word of `length`, made small.
#[inline(always)]
pub(super) fn of_word(eight: u64, length: usize) -> u64 {
    let others = COMPARED.saturating_sub(length).wrapping_mul(8) as u32;
    (eight | SMALL) & u64::MAX.wrapping_shr(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(word: &str) -> u64 {
        letters(word.as_bytes(), 0, word.len())
    }

    #[test]
    fn each_word_has_its_number_and_no_other_has_one() {
        let all: Vec<String> = (b'a'..=b'z')
            .flat_map(|a| [b'a', b'k', b'z'].map(|b| [a, b, a, b]))
            .map(|word| String::from_utf8(word.to_vec()).unwrap())
            .collect();
        let keys: Vec<u64> = all.iter().map(|text| word(text)).collect();
        let words = Words::new(&keys, 70);
        for (number, text) in all.iter().enumerate() {
            assert_eq!(words.number(word(text)), Some(number), "{text}");
            assert_eq!(words.number(word(&text.to_uppercase())), Some(number));
            assert_eq!(words.needs_none(number), number >= 70);
            for other in [&text[..3], &format!("{text}s"), "abcd"] {
                assert_eq!(words.number(word(other)), None, "{other}");
                assert!(!words.hold(word(other)), "{other}");
            }
        }
    }

    #[test]
    fn letters_end_with_the_word_or_the_eighth() {
        assert_eq!(letters(b"MRN: 12345678", 0, 3), word("mrn"));
        assert_eq!(letters(b"a mrn", 2, 3), word("mrn"));
        assert_eq!(letters(b"authorization", 0, 13), word("authoriz"));
    }
}
