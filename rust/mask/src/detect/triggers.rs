//! Where the detectors are asked: one pass over a folded text, selective triggers.
//!
//! A run of digits asks only the rules that its length, its neighbours and the digits close behind it
//! can satisfy; a word asks only when its first three letters open a rule. Every gate here is implied
//! by the rules behind it: a gate may let too much through, never too little.
//!
//! Characters are classified before, into bitmaps (`classes`).

use super::classes::Bitmaps;
use super::lexis::{at, before, digits, is_blank, is_letter, is_word, run_back};
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

    /// Asks every rule at each of its triggers in a folded text, whose characters are those from
    /// `first` on in `bitmaps`.
    pub(crate) fn collect(
        &self,
        text: &[u8],
        bitmaps: &Bitmaps,
        first: usize,
        rules: Rules,
        spans: &mut Vec<Span>,
    ) {
        let mut tails = Tails::default();
        let (mut letter_before, mut digit_before) = (0, 0);
        for (base, found) in bitmaps.within(first, first + text.len()) {
            let words = found.letters & !(found.letters << 1 | letter_before);
            for place in ones(words) {
                let i = base.wrapping_add(place);
                let key = opening(text, i);
                if self
                    .opens
                    .get(key / 64)
                    .is_some_and(|bits| bits >> (key % 64) & 1 == 1)
                {
                    self.open(text, i, key, &mut tails, spans);
                }
            }
            if rules == Rules::All {
                let numbers = found.digits & !(found.digits << 1 | digit_before);
                for place in ones(numbers) {
                    at_digits(text, base.wrapping_add(place), spans);
                }
                for place in ones(found.signs) {
                    at_sign(text, base.wrapping_add(place), &mut tails, spans);
                }
            }
            letter_before = found.letters >> 63;
            digit_before = found.digits >> 63;
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

/// Five bits for an ASCII letter whatever its case, zero for anything else.
const FIVE_BITS: [u8; 256] = five_bits();

#[allow(clippy::indexing_slicing)] // evaluated by the compiler: out of bounds would not compile
const fn five_bits() -> [u8; 256] {
    let mut bits = [0; 256];
    let mut letter = 1;
    while letter <= 26 {
        bits[0x40 + letter as usize] = letter;
        bits[0x60 + letter as usize] = letter;
        letter += 1;
    }
    bits
}

/// Five bits for each of the first three characters at `i`.
fn opening(text: &[u8], i: usize) -> usize {
    let letter = |c: u8| usize::from(FIVE_BITS.get(usize::from(c)).copied().unwrap_or(0));
    match text.get(i..i + 3) {
        Some(&[a, b, c]) => letter(a) << 10 | letter(b) << 5 | letter(c),
        _ => letter(at(text, i)) << 10 | letter(at(text, i + 1)) << 5,
    }
}

/// The places of the ones, from the lowest.
fn ones(bits: u64) -> impl Iterator<Item = usize> {
    let mut bits = bits;
    std::iter::from_fn(move || {
        let place = bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
        (place < 64).then_some(usize::try_from(place).unwrap_or(0))
    })
}

/// Asks the rules that begin with the run of digits at `start`.
fn at_digits(text: &[u8], start: usize, spans: &mut Vec<Span>) {
    let end = digits(text, start);
    let length = end - start;
    let mixed = is_letter(before(text, start)) || is_letter(at(text, end));
    if mixed && !before(text, run_back(text, start, is_letter)).is_ascii_digit() {
        shapes::find(text, start, spans);
    }
    if may_be_age(text, start, end) {
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
    if matches!(length, 1 | 2 | 4) && (total >= 6 || may_be_short_date(text, end, total)) {
        date_digits::find(text, start, spans);
    }
    if (length == 4 && total >= 13) || (length == 1 && total >= 9) {
        long_number::find(text, start, spans);
    }
}

/// Whether the number is 90 to 149 and a letter of a unit of age stands close behind it.
fn may_be_age(text: &[u8], start: usize, end: usize) -> bool {
    let old = match end - start {
        2 => at(text, start) == b'9',
        3 => at(text, start) == b'1' && at(text, start + 1) < b'5',
        _ => false,
    };
    let near = |i| matches!(at(text, i) | 0x20, b'y' | b'f' | b'm');
    old && (near(end) || near(end + 1))
}

/// Whether the number that ends at `i` may begin a date of fewer than six digits in all: `3/4`,
/// `3/4/50`, `3-4-50`, `5-2022`.
fn may_be_short_date(text: &[u8], i: usize, total: usize) -> bool {
    let mark = i + usize::from(is_blank(at(text, i)));
    match at(text, mark) {
        b'/' => true,
        b'-' => total >= 4,
        _ => false,
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
fn at_sign(text: &[u8], i: usize, tails: &mut Tails, spans: &mut Vec<Span>) {
    match at(text, i) {
        b'@' => email::find(text, i, spans),
        b':' => {
            network::find_colons(text, i, spans);
            url::find_scheme(text, i, tails, spans);
        }
        b'-' if is_word(before(text, i)) && is_word(at(text, i + 1)) => {
            network::find_dashed_mac(text, i, spans);
        }
        b'.' if is_word(at(text, i + 1)) => {
            // Both its forms have a second dot close behind the first.
            if (2..=5).any(|n| at(text, i + n) == b'.') {
                network::find_dotted(text, i, spans);
            }
            if is_letter(at(text, i + 1)) {
                url::find_domain(text, i, tails, spans);
            }
        }
        _ => {}
    }
}
