//! One byte for each character that counts, so that a detector meets one spelling of each thing.
//!
//! Digits of every script, full-width forms, mathematical alphabets, dashes, blanks and dots of every
//! kind become their ASCII form. What does not show or only changes its neighbour (zero-width
//! characters, controls, combining marks, variation selectors, tags) is left out: it separates
//! nothing. Latin letters lose their accents (`\u{e9}` is `e`, as an `e` with a combining accent is);
//! other letters become [`LETTER`], anything else [`OTHER`].
//!
//! Plain ASCII without controls is its own folding and is never copied.

use crate::detect::lexis::{LETTER, OTHER};

/// Whether the text is its own folding.
pub(crate) fn is_plain(text: &[u8]) -> bool {
    // One pass without a branch, so that it runs in vector registers.
    let strange = |c: u8| c >= 0x7f || (c < b' ' && !matches!(c, b'\t' | b'\n' | b'\r'));
    text.chunks(64)
        .all(|chunk| !chunk.iter().fold(false, |any, &c| any | strange(c)))
}

/// A folded text and where each of its characters stood.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) chars: Vec<u8>,
    /// For each character the bytes `start..end` of the original, with the marks that change it.
    places: Vec<(usize, usize)>,
}

impl Folded {
    /// Folds `text` in the place of what was here.
    pub(crate) fn set(&mut self, text: &str) {
        self.chars.clear();
        self.places.clear();
        for (start, c) in text.char_indices() {
            let end = start + c.len_utf8();
            if let Some(folded) = fold(c) {
                self.chars.push(folded);
                self.places.push((start, end));
            } else if let Some(last) = self.places.last_mut()
                && last.1 == start
                && is_mark(c)
            {
                last.1 = end;
            }
        }
    }

    /// The original bytes of folded characters `start..end`, which are at least one.
    pub(crate) fn original(&self, start: usize, end: usize) -> (usize, usize) {
        let first = self.places.get(start).map_or(0, |place| place.0);
        let last = end
            .checked_sub(1)
            .and_then(|i| self.places.get(i))
            .map_or(first, |p| p.1);
        (first, last)
    }
}

/// The folded form of a character, nothing when it is left out.
pub(crate) fn fold(c: char) -> Option<u8> {
    if c.is_ascii() {
        let c = u8::try_from(c).ok()?;
        return (!c.is_ascii_control() || matches!(c, b'\t' | b'\n' | b'\r')).then_some(c);
    }
    let code = u32::from(c);
    if is_silent(code) {
        return None;
    }
    if let Some(digit) = digit(code) {
        return Some(digit);
    }
    let folded = match code {
        // Full-width forms of ASCII.
        0xFF01..=0xFF5E => u8::try_from(code - 0xFF01 + 0x21).unwrap_or(OTHER),
        // Mathematical alphabets: thirteen times fifty-two letters.
        0x1D400..=0x1D6A3 => {
            let letter = u8::try_from((code - 0x1D400) % 52).unwrap_or(0);
            if letter < 26 {
                b'A' + letter
            } else {
                b'a' + letter - 26
            }
        }
        0x24B6..=0x24CF => b'A' + u8::try_from(code - 0x24B6).unwrap_or(0),
        0x24D0..=0x24E9 => b'a' + u8::try_from(code - 0x24D0).unwrap_or(0),
        0x02D7
        | 0x058A
        | 0x05BE
        | 0x1806
        | 0x2010..=0x2015
        | 0x2043
        | 0x207B
        | 0x208B
        | 0x2212
        | 0x2796
        | 0x2E3A
        | 0x2E3B
        | 0x30FC
        | 0xFE31
        | 0xFE32
        | 0xFE58
        | 0xFE63
        | 0xFF70 => b'-',
        0x0085
        | 0x00A0
        | 0x1680
        | 0x2000..=0x200A
        | 0x2028
        | 0x2029
        | 0x202F
        | 0x205F
        | 0x2800
        | 0x3000 => b' ',
        0x00B7 | 0x2022 | 0x2024 | 0x2027 | 0x2219 | 0x22C5 | 0x3002 | 0x30FB | 0xFE52 | 0xFF61 => {
            b'.'
        }
        0x2044 | 0x2215 | 0x29F8 => b'/',
        0x02D0 | 0x2236 | 0xA789 | 0xFE13 | 0xFE55 => b':',
        0xFE6B => b'@',
        0xFE59 | 0x207D | 0x208D | 0x2768 | 0x276A => b'(',
        0xFE5A | 0x207E | 0x208E | 0x2769 | 0x276B => b')',
        0x207A | 0x208A | 0xFE62 => b'+',
        0x2018 | 0x2019 | 0x02BC => b'\'',
        0x2116 | 0xFE5F => b'#',
        0x201A | 0x3001 | 0xFE50 | 0xFF64 => b',',
        0x201C | 0x201D => b'"',
        _ if c.is_alphabetic() => latin(code).unwrap_or(LETTER),
        _ => OTHER,
    };
    Some(folded)
}

/// The letters from U+00C0 to U+017F without what is above and below them.
const LATIN: &[u8; 192] = b"AAAAAAACEEEEIIIIDNOOOOO.OUUUUYTsaaaaaaaceeeeiiiidnooooo.ouuuuyty\
AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIiIiJjKkkLlLlLlLlLlNnNnNnnNnOoOoOoOoRrRrRr\
SsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";

/// A Latin letter as ASCII has it.
fn latin(code: u32) -> Option<u8> {
    let cased = |small: u8| {
        if code.is_multiple_of(2) {
            small.to_ascii_uppercase()
        } else {
            small
        }
    };
    match code {
        0x00C0..=0x017F => LATIN.get(usize::try_from(code - 0x00C0).ok()?).copied(),
        0x0218 | 0x0219 => Some(cased(b's')),
        0x021A | 0x021B => Some(cased(b't')),
        0x01A0 => Some(b'O'),
        0x01A1 => Some(b'o'),
        0x01AF => Some(b'U'),
        0x01B0 => Some(b'u'),
        // Vietnamese.
        0x1EA0..=0x1EB7 => Some(cased(b'a')),
        0x1EB8..=0x1EC7 => Some(cased(b'e')),
        0x1EC8..=0x1ECB => Some(cased(b'i')),
        0x1ECC..=0x1EE3 => Some(cased(b'o')),
        0x1EE4..=0x1EF1 => Some(cased(b'u')),
        0x1EF2..=0x1EF9 => Some(cased(b'y')),
        _ => None,
    }
}

/// Characters that do not show or only change the one before them, in any script.
pub(crate) fn is_silent(code: u32) -> bool {
    matches!(code,
        0x0080..=0x0084 | 0x0086..=0x009F
        | 0x00AD
        | 0x0300..=0x036F
        | 0x0483..=0x0489
        | 0x061C
        | 0x115F | 0x1160 | 0x17B4 | 0x17B5
        | 0x180B..=0x180F
        | 0x1AB0..=0x1AFF
        | 0x1DC0..=0x1DFF
        | 0x200B..=0x200F
        | 0x202A..=0x202E
        | 0x2060..=0x206F
        | 0x20D0..=0x20FF
        | 0x3164
        | 0xFE00..=0xFE0F
        | 0xFE20..=0xFE2F
        | 0xFEFF | 0xFFA0
        | 0xFFF9..=0xFFFB
        | 0x1BCA0..=0x1BCA3
        | 0x1D165..=0x1D182
        | 0xE0000..=0xE0FFF)
}

/// What is drawn into the character before it, as an accent is: it goes where that goes.
pub(crate) fn is_mark(c: char) -> bool {
    matches!(u32::from(c),
        0x0300..=0x036F
        | 0x0483..=0x0489
        | 0x1AB0..=0x1AFF
        | 0x1DC0..=0x1DFF
        | 0x20D0..=0x20FF
        | 0xFE00..=0xFE0F
        | 0xFE20..=0xFE2F)
}

/// The zeros of the decimal digits of Unicode outside ASCII; nine more follow each.
const ZEROS: [u32; 68] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0x2080, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0,
    0xFF10, 0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0,
    0x11650, 0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x11F50, 0x16A60,
    0x16AC0, 0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0,
    0x1E950, 0x1FBF0,
];

/// The ASCII digit of a digit in another script, raised, lowered or circled.
fn digit(code: u32) -> Option<u8> {
    let value = match code {
        0x00B2 | 0x00B3 => code - 0x00B0,
        0x00B9 => 1,
        0x2070 | 0x2074..=0x2079 => code - 0x2070,
        0x2460..=0x2468 => code - 0x245F,
        0x2474..=0x247C => code - 0x2473,
        0x2488..=0x2490 => code - 0x2487,
        0x24EA | 0x24FF => 0,
        0x24F5..=0x24FD => code - 0x24F4,
        0x2776..=0x277E => code - 0x2775,
        0x2780..=0x2788 => code - 0x277F,
        0x278A..=0x2792 => code - 0x2789,
        _ => {
            let after = ZEROS.partition_point(|&zero| zero <= code);
            let zero = after.checked_sub(1).and_then(|i| ZEROS.get(i))?;
            (code - zero < 10).then_some(code - zero)?
        }
    };
    u8::try_from(value).ok().map(|value| b'0' + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_of_each() {
        let mut folded = Folded::default();
        for (text, expected) in [
            ("１２３－４５－６７８９", "123-45-6789"),
            ("123\u{2011}45\u{2013}6789", "123-45-6789"),
            ("123\u{a0}45\u{202f}6789", "123 45 6789"),
            ("1\u{200b}2\u{ad}3\u{feff}\u{1}\u{7f}", "123"),
            ("٠١٢۳४𝟘𝟏𝟵²₃①", "01234019231"),
            ("ａ＠ｂ．ｃ", "a@b.c"),
            ("𝗠𝗥𝗡 №7", "MRN #7"),
            ("cafe\u{301}", "cafe"),
        ] {
            folded.set(text);
            assert_eq!(String::from_utf8_lossy(&folded.chars), expected, "{text}");
        }
        folded.set("é漢☃");
        assert_eq!(folded.chars, [b'e', LETTER, OTHER]);
    }

    #[test]
    fn places_are_whole_characters() {
        let text = "x１\u{200b}２y";
        let mut folded = Folded::default();
        folded.set(text);
        let (start, end) = folded.original(1, 3);
        assert_eq!(text.get(start..end), Some("１\u{200b}２"));
    }

    #[test]
    fn marks_go_with_what_they_change() {
        let text = "Jose\u{301}\u{323} \u{301}x\u{200b}\u{301}";
        let mut folded = Folded::default();
        folded.set(text);
        let place = |i| folded.original(i, i + 1);
        assert_eq!(place(3), (3, 8));
        assert_eq!(place(4), (8, 11));
        // Behind what does not show nothing is changed.
        assert_eq!(place(5), (11, 12));
    }

    #[test]
    fn plain_is_ascii_without_controls() {
        assert!(is_plain(b"BP 120/80\r\n\tx~"));
        assert!(is_plain(b""));
        for strange in ["\u{7f}", "\u{1}", "é", "\u{a0}"] {
            assert!(!is_plain(
                format!("{}{strange}", "a".repeat(200)).as_bytes()
            ));
        }
    }
}
