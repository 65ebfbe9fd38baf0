//! `fpe`: a value becomes another of the same form, by FF1 under a key of its domain: digits stay
//! digits, letters letters, and separators stay where they are.
//!
//! Equal values stay equal inside the domain, and whoever has the key can go back: it is a pseudonym
//! and no Safe Harbor. What is not of the form (other characters, too few symbols for a million
//! values, too many) is masked whole, never passed on.

use aes::Aes256;
use aes::cipher::KeyInit;

use crate::MaskError;
use crate::cells::{Cell, NOT_OF_THE_FORM};
use crate::ff1::Ff1;
use crate::token::domain_key;
use crate::treatment::Letters;

const CONTEXT: &[u8] = b"maskgate fpe 1 radix ";

/// The cipher of one domain and the form of its values.
pub(crate) struct Fpe {
    cipher: Ff1<Aes256>,
    radix: u16,
    letters: u8,
    separators: Vec<u8>,
    /// The symbols of the value at hand; kept to be used again.
    symbols: Vec<u8>,
}

/// The key of a domain and a radix.
pub(crate) fn key(
    column: &str,
    token_key: &[u8; 32],
    domain: &str,
    key_id: &str,
    radix: u16,
) -> Result<[u8; 32], MaskError> {
    let context = [CONTEXT, &radix.to_be_bytes()].concat();
    domain_key(column, "fpe", &context, token_key, domain, key_id)
}

impl Fpe {
    /// Refuses another radix than 10 and 36, and separators that are symbols or cannot be seen.
    pub(crate) fn new(
        column: &str,
        key: &[u8; 32],
        radix: u16,
        letters: Letters,
        separators: &str,
    ) -> Result<Self, MaskError> {
        let option = |detail: &str| MaskError::Option {
            column: column.to_owned(),
            detail: detail.to_owned(),
        };
        if ![10, 36].contains(&radix) {
            return Err(option("fpe's radix is 10 or 36"));
        }
        let sign = |c: u8| c == b' ' || c.is_ascii_punctuation();
        if !separators.bytes().all(sign) {
            return Err(option("fpe's separators are blanks and ASCII punctuation"));
        }
        let cipher = Aes256::new_from_slice(key)
            .map_err(|_| MaskError::Inconsistent("a key of another length"))?;
        Ok(Self {
            cipher: Ff1::new(cipher, radix),
            radix,
            letters: match letters {
                Letters::Upper => b'A',
                Letters::Lower => b'a',
            },
            separators: separators.as_bytes().to_vec(),
            symbols: Vec::new(),
        })
    }

    /// Appends the value's pseudonym.
    pub(crate) fn push(&mut self, cell: Cell, out: &mut Vec<u8>) {
        let done = match cell {
            // Blanks around it are those of a column of fixed width.
            Cell::Text(text) => self.text(text.trim_matches(' ').as_bytes(), out),
            Cell::Integer(number) => self.text(number.to_string().as_bytes(), out),
            Cell::Decimal(number, 0) => self.text(number.to_string().as_bytes(), out),
            Cell::Decimal(..) | Cell::Float(_) => None,
        };
        if done.is_none() {
            out.extend_from_slice(NOT_OF_THE_FORM.as_bytes());
        }
    }

    /// Appends nothing when the text is not of the form.
    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
        self.symbols.clear();
        for &c in text {
            match self.symbol(c) {
                Some(symbol) => self.symbols.push(symbol),
                None if self.separators.contains(&c) => {}
                None => return None,
            }
        }
        self.cipher.encrypt(&[], &mut self.symbols)?;
        let mut symbols = self.symbols.iter();
        for &c in text {
            out.push(match self.symbol(c) {
                Some(_) => match symbols.next() {
                    Some(&symbol @ 0..=9) => b'0' + symbol,
                    Some(&symbol) => self.letters + (symbol - 10),
                    None => return None,
                },
                None => c,
            });
        }
        Some(())
    }

    fn symbol(&self, c: u8) -> Option<u8> {
        match c {
            b'0'..=b'9' => Some(c - b'0'),
            _ if self.radix == 36 => c
                .checked_sub(self.letters)
                .filter(|&letter| letter < 26)
                .map(|letter| letter + 10),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn fpe(radix: u16, letters: Letters, separators: &str) -> Fpe {
        let key = key("c", &[7; 32], "d", "k", radix).unwrap();
        Fpe::new("c", &key, radix, letters, separators).unwrap()
    }

    fn text(fpe: &mut Fpe, cell: Cell) -> String {
        let mut out = Vec::new();
        fpe.push(cell, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Fixed for ever: a changed pseudonym breaks every join with what was released before.
    #[test]
    fn pseudonyms_of_known_values() {
        let mut digits = fpe(10, Letters::Upper, "-");
        assert_eq!(text(&mut digits, Cell::Text("123-45-6789")), "016-08-3141");
        assert_eq!(text(&mut digits, Cell::Integer(1_234_567)), "7220947");
        let mut record = fpe(36, Letters::Upper, "-");
        assert_eq!(text(&mut record, Cell::Text("ST-998877")), "34-YEZBEG");
    }

    #[test]
    fn the_form_stays_and_equal_values_stay_equal() {
        let mut digits = fpe(10, Letters::Upper, "- ()");
        let plain = text(&mut digits, Cell::Text("6175551212"));
        assert!(plain.len() == 10 && plain.bytes().all(|c| c.is_ascii_digit()));
        assert_ne!(plain, "6175551212");
        let apart = text(&mut digits, Cell::Text("(617) 555-1212"));
        assert_eq!(apart.replace(['(', ')', ' ', '-'], ""), plain);
        assert_eq!((&apart[..1], &apart[4..6], &apart[9..10]), ("(", ") ", "-"));
        assert_eq!(text(&mut digits, Cell::Integer(6_175_551_212)), plain);
        assert_eq!(text(&mut digits, Cell::Decimal(6_175_551_212, 0)), plain);
        assert_eq!(text(&mut digits, Cell::Text("  6175551212   ")), plain);
        let lower = text(&mut fpe(36, Letters::Lower, ""), Cell::Text("st998877"));
        let upper = text(&mut fpe(36, Letters::Upper, ""), Cell::Text("ST998877"));
        assert_eq!(lower.to_uppercase(), upper);
        let made: BTreeSet<_> = (100_000..102_000)
            .map(|number| text(&mut digits, Cell::Integer(number)))
            .collect();
        assert_eq!(made.len(), 2_000);
    }

    #[test]
    fn what_is_not_of_the_form_is_masked_whole() {
        let long = "1".repeat(71);
        for given in [
            "",
            " ",
            "12345",
            "1-2-3-4-5",
            "12345a",
            "12345６",
            "123456\n",
            "١٢٣٤٥٦",
            "-123456",
            "1234.56",
            "Anna Schmidt",
            &long,
        ] {
            let mut digits = fpe(10, Letters::Upper, "");
            assert_eq!(
                text(&mut digits, Cell::Text(given)),
                "[REDACTED]",
                "{given}"
            );
        }
        for given in ["ABC", "st998877", "St998877", "ST 998877", "STÄ98877"] {
            let mut record = fpe(36, Letters::Upper, "-");
            assert_eq!(
                text(&mut record, Cell::Text(given)),
                "[REDACTED]",
                "{given}"
            );
        }
        let mut digits = fpe(10, Letters::Upper, "-");
        assert_eq!(text(&mut digits, Cell::Text("1-2-3-4-5")), "[REDACTED]");
        for number in [99_999, 0, -1, -1_234_567, i64::MIN] {
            let mut plain = fpe(10, Letters::Upper, "");
            assert_eq!(text(&mut plain, Cell::Integer(number)), "[REDACTED]");
        }
        assert_eq!(
            text(&mut digits, Cell::Decimal(12_345_678, 2)),
            "[REDACTED]"
        );
        assert_eq!(text(&mut digits, Cell::Float(12_345_678.0)), "[REDACTED]");
    }

    #[test]
    fn keys_are_of_their_domain() {
        let of = |key: [u8; 32]| {
            let mut fpe = Fpe::new("c", &key, 10, Letters::Upper, "").unwrap();
            text(&mut fpe, Cell::Text("123456789012"))
        };
        let made = BTreeSet::from([
            of(key("c", &[7; 32], "d", "k", 10).unwrap()),
            of(key("c", &[8; 32], "d", "k", 10).unwrap()),
            of(key("c", &[7; 32], "e", "k", 10).unwrap()),
            of(key("c", &[7; 32], "d", "k2", 10).unwrap()),
            of(key("c", &[7; 32], "dk", "2", 10).unwrap()),
            of(key("c", &[7; 32], "d", "k", 36).unwrap()),
        ]);
        assert_eq!(made.len(), 6);
        assert!(key("c", &[7; 32], "", "k", 10).is_err());
        assert!(key("c", &[7; 32], "d", "", 10).is_err());
    }

    #[test]
    fn odd_options_are_refused() {
        let made =
            |radix, separators| Fpe::new("c", &[0; 32], radix, Letters::Upper, separators).is_ok();
        assert!(made(10, "-. /()"));
        for radix in [0, 1, 2, 9, 26, 62, u16::MAX] {
            assert!(!made(radix, ""));
        }
        for separators in ["a", "5", "\n", "–", "\u{200b}"] {
            assert!(!made(10, separators), "{separators:?}");
        }
    }

    proptest! {
        /// By the plainest way: symbols out, cipher, symbols in, one place after the other.
        #[test]
        fn as_the_plain_rule_says(given in "[ ]{0,2}[0-9A-Za-b]{0,12}[-]?[0-9A-Z]{0,50}[.]?") {
            for radix in [10u16, 36] {
                let mut made = fpe(radix, Letters::Upper, "-");
                let trimmed = given.trim_matches(' ');
                let numeral = |c: char| c.to_digit(u32::from(radix)).filter(|_| !c.is_lowercase());
                let known = trimmed.chars().all(|c| c == '-' || numeral(c).is_some());
                let mut symbols: Vec<u8> = trimmed
                    .chars()
                    .filter_map(numeral)
                    .map(|n| u8::try_from(n).unwrap())
                    .collect();
                let fits = made.cipher.encrypt(&[], &mut symbols).is_some();
                let mut expected: Vec<char> = trimmed.chars().collect();
                let places = expected.iter_mut().filter(|c| **c != '-');
                for (place, symbol) in places.zip(symbols) {
                    let digit = char::from_digit(u32::from(symbol), 36).unwrap();
                    *place = digit.to_ascii_uppercase();
                }
                let expected: String = expected.into_iter().collect();
                let expected = if known && fits { expected } else { "[REDACTED]".into() };
                prop_assert_eq!(text(&mut made, Cell::Text(&given)), expected);
            }
        }
    }
}
