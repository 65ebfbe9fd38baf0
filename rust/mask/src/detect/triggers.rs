//! What is asked at the triggers (see `gates`) of a folded text.
//!
//! A run of digits asks only the rules that its length, its neighbours and the digits close behind it
//! can satisfy; a word asks only when its first three letters open a rule. Every gate here is implied
//! by the rules behind it: a gate may let too much through, never too little.

use std::num::NonZeroU64;

use super::classes::Openings;
use super::gates::Bitmaps;
use super::kinds::{Kinds, Wanted};
use super::lexis::{at, before, digits, is_blank, is_letter, is_word, run};
use super::url::{self, Tails};
use super::{
    Find, Kind, Span, age, capital, date_digits, date_words, device, email, long_number, name,
    network, phone, record, shapes, ssn, zip,
};

/// Which rules are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    All,
    /// Only what a word before it names.
    Named,
}

/// What a word may open.
#[derive(Clone, Copy)]
enum Rule {
    Record(&'static record::Keyword),
    Other(Find),
    Www,
}

/// A rule and the letters that open it.
#[derive(Clone, Copy)]
struct Opened {
    /// The first eight characters of the word, up to a blank inside; zero where there is none.
    letters: u64,
    /// Ones where there is one.
    mask: u64,
    rule: Rule,
}

/// The characters of a word that are compared together.
const COMPARED: usize = 8;
/// Makes each letter small; of what else is in words nothing else becomes.
const SMALL: u64 = 0x2020_2020_2020_2020;

impl Opened {
    fn new(word: &str, rule: Rule) -> Self {
        let (mut letters, mut mask) = ([0; COMPARED], [0; COMPARED]);
        let fixed = word.bytes().take_while(|&c| c != b' ');
        for ((letter, bits), c) in letters.iter_mut().zip(&mut mask).zip(fixed) {
            *letter = c | 0x20;
            *bits = 0xff;
        }
        let [letters, mask] = [letters, mask].map(u64::from_le_bytes);
        Self {
            letters,
            mask,
            rule,
        }
    }
}

/// The words that open rules.
pub(crate) struct Triggers {
    /// What is looked for.
    kinds: Kinds,
    wanted: Wanted,
    openings: Openings,
    /// For five bits of each of the first three letters which of `opened` they open.
    opens: Vec<u16>,
    /// The first is what all other letters open: nothing.
    opened: Vec<Vec<Opened>>,
}

impl Triggers {
    /// The words that open the rules of these kinds.
    pub(crate) fn new(kinds: Kinds) -> Self {
        let mut opens = vec![0u16; 1 << 15];
        let mut opened = vec![Vec::new()];
        let mut open = |word: &str, rule: Rule| {
            let word = Opened::new(word, rule);
            // Behind a word of two letters may stand anything.
            let thirds = if word.mask >> 16 == 0 { 0..32 } else { 0..1 };
            for third in thirds {
                let Some(group) = opens.get_mut(opening(word.letters | third << 16)) else {
                    continue;
                };
                if *group == 0 {
                    *group = u16::try_from(opened.len()).unwrap_or(0);
                    opened.push(Vec::new());
                }
                if let Some(group) = opened.get_mut(usize::from(*group)) {
                    group.push(word);
                }
            }
        };
        let mut begun = Vec::new();
        for keyword in record::KEYWORDS.iter().filter(|one| kinds.hold(one.kind)) {
            begun.push(keyword.phrase);
            open(keyword.phrase, Rule::Record(keyword));
        }
        let months = date_words::MONTHS.map(|(name, _)| name);
        for (kind, words, find) in [
            (
                Kind::Phone,
                phone::WORDS.as_slice(),
                phone::find_after_word as Find,
            ),
            (Kind::Phone, &phone::AFTER, phone::find_before_word),
            (Kind::Date, &months, date_words::find),
            (Kind::Age, &["age"], age::find_after_word),
            (Kind::Age, &age::WORDS, age::find_in_words),
            (Kind::Name, &name::TITLES, name::find_after_title),
        ] {
            if !kinds.hold(kind) {
                continue;
            }
            if kind != Kind::Name {
                begun.extend(words);
            }
            for word in words {
                // What begins with another word is asked there.
                let shorter = |other: &&str| other != word && word.starts_with(*other);
                if !words.iter().any(shorter) {
                    open(word, Rule::Other(find));
                }
            }
        }
        if kinds.hold(Kind::Url) {
            begun.push("www");
            open("www", Rule::Www);
        }
        let mut openings = Openings::new(begun.into_iter());
        if kinds.hold(Kind::Name) {
            openings = name::TITLE_BEGINNINGS
                .into_iter()
                .fold(openings, Openings::with);
        }
        Self {
            kinds,
            wanted: Wanted::by(kinds),
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
        bitmaps.set(text, rows, &self.openings, self.wanted);
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
        let numbered = bitmaps.numbered(first, first + text.len());
        for (base, found) in bitmaps.row(first, first + text.len()) {
            // Bits of the row only are set, and so nothing wraps.
            let at = |place: usize| (base | place).wrapping_sub(first);
            let words = if numbered { found.words } else { 0 };
            for place in ones(found.www | words) {
                let i = at(place);
                let letters = letters(text, i);
                let group = self.opens.get(opening(letters)).copied().unwrap_or(0);
                if group != 0 {
                    self.open(text, i, letters, group, &mut tails, spans);
                }
            }
            if rules == Rules::Named {
                continue;
            }
            let capitals = if self.wanted.capitals { found.www } else { 0 };
            for place in ones(capitals) {
                capital::find(text, at(place), spans);
            }
            for place in ones(found.numbers) {
                let i = at(place);
                let (length, near) = bitmaps.digits(first + i, text.len().saturating_sub(i));
                at_digits(text, i, (length, near), self.kinds, spans);
            }
            for place in ones(found.tokens) {
                at_token(text, at(place), spans);
            }
            for place in ones(found.signs) {
                at_sign(text, at(place), self.kinds, &mut tails, spans);
            }
        }
        if self.kinds != Kinds::ALL {
            // Some rules tell several kinds.
            spans.retain(|span| self.kinds.hold(span.kind));
        }
    }

    #[inline(never)] // seldom
    fn open(
        &self,
        text: &[u8],
        i: usize,
        letters: u64,
        group: u16,
        tails: &mut Tails,
        spans: &mut Vec<Span>,
    ) {
        for opened in self.opened.get(usize::from(group)).into_iter().flatten() {
            if letters & opened.mask != opened.letters {
                continue;
            }
            match opened.rule {
                Rule::Record(keyword) => record::find(text, i, keyword, spans),
                Rule::Other(find) => find(text, i, spans),
                Rule::Www => url::find_www(text, i, tails, spans),
            }
        }
    }
}

/// The first eight characters from `i` on, letters small; zeros made small behind the text's end.
#[inline(always)]
fn letters(text: &[u8], i: usize) -> u64 {
    let rest = text.get(i..).unwrap_or_default();
    let letters = match rest.first_chunk::<COMPARED>() {
        Some(letters) => u64::from_le_bytes(*letters),
        None => {
            let last = rest.iter().rev();
            last.fold(0, |letters, &c| letters << 8 | u64::from(c))
        }
    };
    letters | SMALL
}

/// Five bits of each of the first three of these characters; those of no letter may be a letter's.
#[inline(always)]
fn opening(letters: u64) -> usize {
    let five = |place: u32| (letters >> (8 * place)) as usize & 31;
    five(0) << 10 | five(1) << 5 | five(2)
}

/// The places of the ones, from the lowest.
#[inline(always)]
fn ones(bits: u64) -> impl Iterator<Item = usize> {
    let mut left = NonZeroU64::new(bits);
    std::iter::from_fn(move || {
        let bits = left?;
        left = NonZeroU64::new(bits.get() & (bits.get() - 1));
        Some(bits.trailing_zeros() as usize)
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

/// Asks the rules that begin with the run of digits at `start`: so many of them, 64 for any number from
/// there on; `near` stand behind them with only separators of numbers between.
fn at_digits(
    text: &[u8],
    start: usize,
    (length, near): (usize, usize),
    kinds: Kinds,
    spans: &mut Vec<Span>,
) {
    let end = start + length;
    if kinds.hold(Kind::Age) && may_be_age(text, start, end) {
        age::find(text, start, spans);
    }
    if length >= 9 {
        long_number::find(text, start, spans);
    }
    if length == 5 && kinds.hold(Kind::Zip) {
        zip::find(text, start, spans);
    }
    if length == 8 && kinds.hold(Kind::Date) {
        date_digits::find(text, start, end, spans);
    }
    if length == 2 && at(text, end) == b')' && kinds.hold(Kind::Device) {
        device::find_gs1(text, start, spans);
    }
    let total = length + near;
    if near == 0 && length < 7 {
        return;
    }
    if total >= 7 && kinds.hold(Kind::Phone) {
        phone::find(text, start, length, total, spans);
    }
    if length == 3 && total >= 9 && (kinds.hold(Kind::Ssn) || kinds.hold(Kind::Itin)) {
        ssn::find(text, start, spans);
    }
    if matches!(length, 1 | 2 | 4)
        && kinds.hold(Kind::Date)
        && (total >= 6 || may_be_short_date(text, end, total))
    {
        date_digits::find(text, start, end, spans);
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
fn at_sign(text: &[u8], i: usize, kinds: Kinds, tails: &mut Tails, spans: &mut Vec<Span>) {
    match at(text, i) {
        b'@' if kinds.hold(Kind::Email) => email::find(text, i, spans),
        b':' => {
            network::find_colons(text, i, spans);
            url::find_scheme(text, i, tails, spans);
        }
        b'-' if kinds.hold(Kind::Mac) && is_word(before(text, i)) && is_word(at(text, i + 1)) => {
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
