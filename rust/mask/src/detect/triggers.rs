//! Where the detectors are asked: one pass over a folded text, selective triggers.
//!
//! A run of digits asks only the rules that its length, its neighbours and the digits close behind it
//! can satisfy; a word asks only when its first three letters open a rule. Every gate here is implied
//! by the rules behind it: a gate may let too much through, never too little.

use super::lexis::{at, before, digits, is_letter, is_word, run};
use super::url::{self, Tails};
use super::{
    Find, Span, age, date_digits, date_words, email, long_number, network, phone, record, shapes,
    ssn, zip,
};

/// Which rules are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    All,
    /// Only what a word before it names.
    Named,
}

/// What a word may open.
enum Opened {
    Record(&'static record::Keyword),
    Other(Find),
    Www,
}

/// The words that open rules, by their first three letters of five bits each.
pub(crate) struct Triggers {
    /// A bit for each three letters that open something.
    opens: Vec<u64>,
    /// What they open, sorted by the letters.
    opened: Vec<(usize, Opened)>,
}

impl Triggers {
    pub(crate) fn new() -> Self {
        let mut opened = Vec::new();
        for keyword in &record::KEYWORDS {
            opened.push((
                opening(keyword.phrase.as_bytes(), 0),
                Opened::Record(keyword),
            ));
        }
        let mut open = |words: &[&str], find: Find| {
            let mut keys: Vec<usize> = words.iter().map(|w| opening(w.as_bytes(), 0)).collect();
            keys.sort_unstable();
            keys.dedup();
            opened.extend(keys.into_iter().map(|key| (key, Opened::Other(find))));
        };
        open(&phone::WORDS, phone::find_after_word);
        open(&date_words::MONTHS.map(|(name, _)| name), date_words::find);
        open(&["age"], age::find_after_word);
        opened.push((opening(b"www", 0), Opened::Www));
        opened.sort_by_key(|(key, _)| *key);
        let mut opens = vec![0u64; (1 << 15) / 64];
        for (key, _) in &opened {
            if let Some(bits) = opens.get_mut(key / 64) {
                *bits |= 1 << (key % 64);
            }
        }
        Self { opens, opened }
    }

    /// Asks every rule at each of its triggers in folded text.
    pub(crate) fn collect(&self, text: &[u8], rules: Rules, spans: &mut Vec<Span>) {
        let shapes = rules == Rules::All;
        let mut tails = Tails::default();
        let mut i = 0;
        // Whether the word of letters and digits at hand has had digits before.
        let mut digits_before = false;
        while let Some(&c) = text.get(i) {
            if is_letter(c) {
                if !is_word(before(text, i)) {
                    digits_before = false;
                }
                let key = opening(text, i);
                if self
                    .opens
                    .get(key / 64)
                    .is_some_and(|bits| bits >> (key % 64) & 1 == 1)
                {
                    self.open(text, i, key, &mut tails, spans);
                }
                i = run(text, i + 1, is_letter);
            } else if c.is_ascii_digit() {
                if !is_word(before(text, i)) {
                    digits_before = false;
                }
                let end = digits(text, i);
                if shapes {
                    at_digits(text, i, end, spans);
                    let mixed = is_letter(before(text, i)) || is_letter(at(text, end));
                    if mixed && !digits_before {
                        shapes::find(text, i, spans);
                    }
                }
                digits_before = true;
                i = end;
            } else {
                if shapes {
                    at_sign(text, i, c, &mut tails, spans);
                }
                i += 1;
            }
        }
    }

    fn open(&self, text: &[u8], i: usize, key: usize, tails: &mut Tails, spans: &mut Vec<Span>) {
        let first = self.opened.partition_point(|(other, _)| *other < key);
        let rest = self.opened.get(first..).unwrap_or_default();
        for (_, opened) in rest.iter().take_while(|(other, _)| *other == key) {
            match opened {
                Opened::Record(keyword) => record::find(text, i, keyword, spans),
                Opened::Other(find) => find(text, i, spans),
                Opened::Www => url::find_www(text, i, tails, spans),
            }
        }
    }
}

/// Five bits for each of the first three letters at `i`, zero after the end of the word.
fn opening(text: &[u8], i: usize) -> usize {
    let mut key = 0;
    let mut inside = true;
    for place in 0..3 {
        let c = at(text, i + place);
        inside &= c.is_ascii_alphabetic();
        key = key << 5 | if inside { usize::from(c & 31) } else { 0 };
    }
    key
}

/// Asks the rules that begin with the run of digits `start..end`.
fn at_digits(text: &[u8], start: usize, end: usize, spans: &mut Vec<Span>) {
    let length = end - start;
    if matches!(length, 2 | 3) && matches!(at(text, start), b'9' | b'1') {
        age::find(text, start, spans);
    }
    if length >= 9 {
        long_number::find(text, start, spans);
    }
    if length == 5 {
        zip::find(text, start, spans);
    }
    if length == 8 {
        date_digits::find(text, start, spans);
    }
    let near = digits_near(text, end);
    let total = length + near;
    if near == 0 && length < 7 {
        return;
    }
    if total >= 7 {
        phone::find(text, start, spans);
    }
    if length == 3 && total >= 9 {
        ssn::find(text, start, spans);
    }
    if matches!(length, 1 | 2 | 4) {
        date_digits::find(text, start, spans);
    }
    if (length == 4 && total >= 13) || (length == 1 && total >= 9) {
        long_number::find(text, start, spans);
    }
}

/// The digits after `i` that only separators of numbers stand between, up to the first five other
/// characters in a row and to sixteen digits or a little more.
fn digits_near(text: &[u8], i: usize) -> usize {
    let mut count = 0;
    let mut apart = 0;
    for &c in text.get(i..).unwrap_or_default() {
        match c {
            b'0'..=b'9' => {
                count += 1;
                apart = 0;
                if count >= 16 {
                    break;
                }
            }
            b' ' | b'\t' | b'\r' | b'\n' | b'-' | b'.' | b'_' | b'/' | b'(' | b')' => {
                apart += 1;
                if apart > 6 {
                    break;
                }
            }
            _ => break,
        }
    }
    count
}

/// Asks the rules that a sign opens.
fn at_sign(text: &[u8], i: usize, c: u8, tails: &mut Tails, spans: &mut Vec<Span>) {
    match c {
        b'@' => email::find(text, i, spans),
        b':' => {
            network::find_colons(text, i, spans);
            url::find_scheme(text, i, tails, spans);
        }
        b'-' if is_word(before(text, i)) && is_word(at(text, i + 1)) => {
            network::find_dashed_mac(text, i, spans);
        }
        b'.' if is_word(at(text, i + 1)) => {
            network::find_dotted(text, i, spans);
            if is_letter(at(text, i + 1)) {
                url::find_domain(text, i, tails, spans);
            }
        }
        _ => {}
    }
}
