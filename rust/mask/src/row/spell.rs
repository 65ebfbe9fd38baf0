//! One spelling of each letter: what [`crate::fold`] does for digits and marks, done for letters too.
//!
//! Case, accents and width go; `ß` is `ss`, `æ` is `ae`, `ø` is `o`. What does not show is left out,
//! anything that is neither letter nor digit is one separator. Scripts that are written without blanks
//! have a boundary at each character.

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

use crate::fold::{fold, is_plain};

/// Part of a word.
pub(crate) const WORD: u8 = 1;
/// A digit.
pub(crate) const DIGIT: u8 = 2;
/// A capital in the original.
pub(crate) const CAPITAL: u8 = 4;
/// A word may begin here, whatever stands before.
pub(crate) const FIRST: u8 = 8;

/// The flags of ASCII.
static FLAGS: [u8; 256] = flags();

#[allow(clippy::indexing_slicing)] // evaluated by the compiler: out of bounds would not compile
const fn flags() -> [u8; 256] {
    let mut flags = [0; 256];
    let mut c = 0u8;
    while c < 0x80 {
        flags[c as usize] = if c.is_ascii_digit() {
            WORD | DIGIT
        } else if c.is_ascii_uppercase() {
            WORD | CAPITAL
        } else if c.is_ascii_lowercase() {
            WORD
        } else {
            0
        };
        c += 1;
    }
    flags
}

/// The flags of an ASCII character.
#[inline(always)]
pub(crate) fn ascii(c: u8) -> u8 {
    FLAGS.get(usize::from(c)).copied().unwrap_or(0)
}

/// A text in its one spelling, and where each byte of it stood, with its marks.
#[derive(Debug, Default)]
pub(crate) struct Spelled {
    pub(crate) bytes: Vec<u8>,
    pub(crate) flags: Vec<u8>,
    /// Empty where every byte stands where it stood.
    places: Vec<(usize, usize)>,
}

impl Spelled {
    /// Spells `text` in the place of what was here.
    pub(crate) fn set(&mut self, text: &str) {
        self.set_plain(&[]);
        if is_plain(text.as_bytes()) {
            return self.set_plain(text.as_bytes());
        }
        let mut dense = false;
        for (start, c) in text.char_indices() {
            let place = (start, start + c.len_utf8());
            if c.is_ascii() {
                let Ok(byte) = u8::try_from(c) else { continue };
                if fold(c).is_some() {
                    let first = if dense { FIRST } else { 0 };
                    self.push(byte.to_ascii_lowercase(), ascii(byte) | first, place);
                    dense = false;
                }
                continue;
            }
            self.push_strange(c, place, &mut dense);
        }
    }

    /// As [`Spelled::set`], of a text that is its own folding.
    pub(crate) fn set_plain(&mut self, text: &[u8]) {
        self.bytes.clear();
        self.flags.clear();
        self.places.clear();
        self.bytes.extend(text.iter().map(u8::to_ascii_lowercase));
        self.flags.extend(text.iter().map(|&c| ascii(c)));
    }

    fn push(&mut self, byte: u8, flags: u8, place: (usize, usize)) {
        self.bytes.push(byte);
        self.flags.push(flags);
        self.places.push(place);
    }

    /// A character outside ASCII; `dense` says that the one before is of a script without blanks.
    fn push_strange(&mut self, c: char, place: (usize, usize), dense: &mut bool) {
        if is_combining_mark(c) {
            return self.widen(place);
        }
        let Some(folded) = fold(c) else { return };
        let capital = if c.is_uppercase() { CAPITAL } else { 0 };
        if folded.is_ascii_digit() || (folded.is_ascii() && !c.is_alphanumeric()) {
            let flags = ascii(folded) | if *dense { FIRST } else { 0 };
            self.push(folded.to_ascii_lowercase(), flags, place);
            *dense = false;
            return;
        }
        let before = self.bytes.len();
        let solid = is_dense(c);
        let mut first = *dense || solid;
        letters(c, &mut |letter| {
            let mut buffer = [0; 4];
            for &byte in letter.encode_utf8(&mut buffer).as_bytes() {
                let digit = if letter.is_ascii_digit() { DIGIT } else { 0 };
                let flags = WORD | digit | capital | if first { FIRST } else { 0 };
                self.push(byte, flags, place);
                first = false;
            }
        });
        if self.bytes.len() == before {
            self.push(b'?', 0, place);
        }
        *dense = solid;
    }

    /// A mark at `place` goes where the character goes that it stands right behind.
    fn widen(&mut self, place: (usize, usize)) {
        let Some(&base) = self.places.last() else {
            return;
        };
        if base.1 == place.0 {
            let letters = self.places.iter_mut().rev();
            let letters = letters.take_while(|letter| **letter == base);
            letters.for_each(|letter| letter.1 = place.1);
        }
    }

    /// The original bytes of `start..end`, which are at least one.
    pub(crate) fn original(&self, start: usize, end: usize) -> (usize, usize) {
        if self.places.is_empty() {
            return (start, end);
        }
        let first = self.places.get(start).map_or(0, |place| place.0);
        let last = end.checked_sub(1).and_then(|i| self.places.get(i));
        (first, last.map_or(first, |place| place.1))
    }

    /// The byte at `i`, 0 outside.
    pub(crate) fn byte(&self, i: usize) -> u8 {
        self.bytes.get(i).copied().unwrap_or(0)
    }

    /// The flags at `i`, none outside.
    pub(crate) fn flag(&self, i: usize) -> u8 {
        self.flags.get(i).copied().unwrap_or(0)
    }

    /// The end of the word that begins at `start`.
    pub(crate) fn word_end(&self, start: usize) -> usize {
        let mut end = start + 1;
        while self.flag(end) & WORD != 0 && self.flag(end) & FIRST == 0 {
            end += 1;
        }
        end
    }
}

/// The letters and digits that `c` is written with, in lower case and without their marks.
pub(crate) fn letters(c: char, emit: &mut dyn FnMut(char)) {
    decompose_compatible(c, |part| {
        for lower in part.to_lowercase() {
            let plain = match lower {
                'ß' => "ss",
                'æ' => "ae",
                'œ' => "oe",
                'ø' => "o",
                'đ' | 'ð' => "d",
                'ħ' => "h",
                'ı' => "i",
                'ł' => "l",
                'ŧ' => "t",
                'þ' => "th",
                'ŋ' => "ng",
                _ => "",
            };
            if !plain.is_empty() {
                plain.chars().for_each(&mut *emit);
            } else if lower.is_alphanumeric() && !is_combining_mark(lower) {
                emit(lower);
            }
        }
    });
}

/// Scripts whose words are not set apart: Han, kana, and Hangul, whose particles hang on the word.
pub(crate) fn is_dense(c: char) -> bool {
    matches!(u32::from(c),
        0x1100..=0x11FF | 0x3040..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF
        | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x2_0000..=0x3_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_of_each() {
        let mut spelled = Spelled::default();
        for (text, expected) in [
            ("GarcÍa", "garcia"),
            ("Garci\u{301}a", "garcia"),
            ("STRAẞE straße", "strasse strasse"),
            ("Søren Łukasz Ærø", "soren lukasz aero"),
            ("İbrahim ışık", "ibrahim isik"),
            ("Ｍａｒｉａ　𝐆ᵃ", "maria ga"),
            ("Ga\u{200b}r\u{ad}cia", "garcia"),
            ("١٢٣", "123"),
            ("O’Brien–Núñez", "o'brien-nunez"),
            ("ИВАНОВ", "иванов"),
            ("ﬁn ☃", "fin ?"),
        ] {
            spelled.set(text);
            assert_eq!(String::from_utf8_lossy(&spelled.bytes), expected, "{text}");
            assert_eq!(spelled.bytes.len(), spelled.flags.len());
        }
    }

    #[test]
    fn capitals_and_places_are_those_of_the_original() {
        let mut spelled = Spelled::default();
        spelled.set("xÉ\u{200b}ßy");
        assert_eq!(spelled.bytes, b"xessy");
        let capitals = spelled.flags.iter().map(|flags| flags & CAPITAL != 0);
        assert!(capitals.eq([false, true, false, false, false]));
        assert_eq!(spelled.original(1, 3), (1, 8));
        assert_eq!(spelled.original(2, 3), (6, 8));
        // A mark is no tail of what it stands on, however many letters that is.
        spelled.set("a\u{308}\u{301}ß\u{301} \u{301}b\u{200b}\u{301}");
        assert_eq!(spelled.bytes, b"ass b");
        assert_eq!(spelled.original(0, 1), (0, 5));
        assert_eq!(spelled.original(1, 2), (5, 9));
        assert_eq!(spelled.original(1, 3), (5, 9));
        assert_eq!(spelled.original(4, 5), (12, 13));
    }

    #[test]
    fn scripts_without_blanks_have_boundaries_everywhere() {
        let mut spelled = Spelled::default();
        spelled.set("患者王伟x");
        let begins: Vec<usize> = (0..spelled.bytes.len())
            .filter(|&i| spelled.flag(i) & FIRST != 0)
            .collect();
        assert_eq!(begins, [0, 3, 6, 9, 12]);
    }
}
