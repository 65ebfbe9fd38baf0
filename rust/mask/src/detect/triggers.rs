//! What is asked at the triggers (see `gates`) of a folded text.
//!
//! A run of digits asks only the rules that its length, its neighbours and the digits close behind it
//! can satisfy; a word asks only when its first three letters open a rule. Every gate here is implied
//! by the rules behind it: a gate may let too much through, never too little.

use super::classes::Openings;
use super::gates::Bitmaps;
use super::lexis::{at, before, digits, is_blank, is_letter, is_word, run};
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

/// The words that open rules.
pub(crate) struct Triggers {
    openings: Openings,
    /// For the first three letters, of five bits each, which of `opened` they open.
    opens: Vec<u8>,
    /// The first is what all other letters open: nothing.
    opened: Vec<Vec<Opened>>,
}

impl Triggers {
    pub(crate) fn new() -> Self {
        let mut opens = vec![0u8; 1 << 15];
        let mut opened = vec![Vec::new()];
        let mut open = |word: &str, what: Opened| {
            let Some(group) = opens.get_mut(opening(word.as_bytes(), 0)) else {
                return;
            };
            if *group == 0 {
                *group = u8::try_from(opened.len()).unwrap_or(0);
                opened.push(Vec::new());
            }
            if let Some(group) = opened.get_mut(usize::from(*group)) {
                group.push(what);
            }
        };
        for keyword in &record::KEYWORDS {
            open(keyword.phrase, Opened::Record(keyword));
        }
        for (words, find) in [
            (phone::WORDS.as_slice(), phone::find_after_word as Find),
            (&date_words::MONTHS.map(|(name, _)| name), date_words::find),
            (&["age"], age::find_after_word),
        ] {
            let mut letters: Vec<&str> = words.iter().map(|w| w.get(..3).unwrap_or(w)).collect();
            letters.sort_unstable();
            letters.dedup();
            for word in letters {
                open(word, Opened::Other(find));
            }
        }
        open("www", Opened::Www);
        let words = record::KEYWORDS.iter().map(|keyword| keyword.phrase);
        let words = words.chain(phone::WORDS);
        let words = words.chain(date_words::MONTHS.map(|(name, _)| name));
        let openings = Openings::new(words.chain(["age", "www"]));
        Self {
            openings,
            opens,
            opened,
        }
    }

    /// The triggers of a folded text of rows that begin at `rows` and at its first character.
    pub(crate) fn find(
        &self,
        text: &[u8],
        rows: impl Iterator<Item = usize>,
        bitmaps: &mut Bitmaps,
    ) {
        bitmaps.set(text, rows, &self.openings);
    }

    /// Asks every rule at each of its triggers in a folded row, whose characters are those from
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
        let row = bitmaps.row(first, text.len());
        for (base, found) in row {
            for place in ones(found.www | found.words) {
                let i = base + place;
                let group = self.opens.get(opening(text, i)).copied().unwrap_or(0);
                if group != 0 {
                    self.open(text, i, group, &mut tails, spans);
                }
            }
            if rules == Rules::Named {
                continue;
            }
            for place in ones(found.numbers) {
                at_digits(
                    text,
                    base + place,
                    |end| bitmaps.digits_near(first + end),
                    spans,
                );
            }
            for place in ones(found.tokens) {
                at_token(text, base + place, spans);
            }
            for place in ones(found.signs) {
                at_sign(text, base + place, &mut tails, spans);
            }
        }
    }

    #[inline(never)] // seldom
    fn open(&self, text: &[u8], i: usize, group: u8, tails: &mut Tails, spans: &mut Vec<Span>) {
        for opened in self.opened.get(usize::from(group)).into_iter().flatten() {
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
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (place < 64).then_some(place)
    })
}

/// Asks the rules of letters and digits joined, where they begin, if there are both.
fn at_token(text: &[u8], start: usize, spans: &mut Vec<Span>) {
    let digit = run(text, start, is_letter);
    let end = digits(text, digit);
    if end > digit && (digit > start || is_letter(at(text, end))) {
        shapes::find(text, digit, spans);
    }
}

/// Asks the rules that begin with the run of digits at `start`. `digits_near` tells how many digits
/// from a place on only separators of numbers stand between.
fn at_digits(
    text: &[u8],
    start: usize,
    digits_near: impl Fn(usize) -> usize,
    spans: &mut Vec<Span>,
) {
    let end = digits(text, start);
    let length = end - start;
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
    let near = digits_near(end);
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
