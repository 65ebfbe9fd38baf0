//! What is asked at the triggers (see `gates`) of a folded text.
//!
//! A run of digits asks only the rules that its length, its neighbours and the digits close behind it
//! can satisfy; a word asks only when its first three letters open a rule. Every gate here is implied
//! by the rules behind it: a gate may let too much through, never too little.

use std::sync::{Arc, Mutex, PoisonError};

use super::classes::Openings;
use super::gates::Bitmaps;
use super::kinds::{Kinds, Wanted};
use super::lexis::{at, before, digits, is_blank, is_letter, is_word, run, run_up_to};
use super::url::{self, Tails};
use super::words::{Opening, Words, letters};
use super::{
    Find, Kind, Span, age, capital, date_digits, date_words, device, email, hl7, long_number, name,
    network, phone, record, shapes, spoken, ssn, subject, zip,
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
    /// With the first letter of the phrase's second word, if it has one.
    Record(&'static record::Keyword, Option<u8>),
    Other(Find),
    Www,
}

/// A word and the rules that it opens.
struct Word {
    letters: u64,
    /// Whether one of them needs no number in the text.
    alone: bool,
    rules: Vec<Rule>,
}

impl Word {
    /// What must stand behind it, if all its rules are records'.
    fn behind(&self) -> Option<u32> {
        self.rules.iter().try_fold(0, |all, rule| match rule {
            Rule::Record(keyword, _) => Some(all | record::behind(keyword)?),
            Rule::Other(_) | Rule::Www => None,
        })
    }
}

/// The words that open rules.
pub(crate) struct Triggers {
    /// What is looked for.
    kinds: Kinds,
    wanted: Wanted,
    opening: Opening,
    /// For each of the words what it opens.
    opened: Vec<Vec<Rule>>,
}

/// What was made for each choice of detectors: policies make few of them, statements none.
static MADE: Mutex<Vec<Arc<Triggers>>> = Mutex::new(Vec::new());
/// How many are kept.
const MOST_KEPT: usize = 64;

impl Triggers {
    /// The words that open the rules of these kinds, made once.
    pub(crate) fn of(kinds: Kinds) -> Arc<Self> {
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.iter().find(|one| one.kinds == kinds) {
            return Arc::clone(known);
        }
        let new = Arc::new(Self::new(kinds));
        if made.len() < MOST_KEPT {
            made.push(Arc::clone(&new));
        }
        new
    }

    fn new(kinds: Kinds) -> Self {
        let mut begun = Vec::new();
        let mut known: Vec<Word> = Vec::new();
        let mut open = |phrase: &str, alone: bool, rule: Rule| {
            let phrase = phrase.as_bytes();
            let letters = letters(phrase, 0, run(phrase, 0, is_letter));
            match known.iter_mut().find(|word| word.letters == letters) {
                Some(word) => {
                    word.alone |= alone;
                    word.rules.push(rule);
                }
                None => known.push(Word {
                    letters,
                    alone,
                    rules: vec![rule],
                }),
            }
        };
        for keyword in record::KEYWORDS.iter().filter(|one| kinds.hold(one.kind)) {
            begun.push(keyword.phrase);
            let second = keyword.phrase.split(' ').nth(1);
            let second = second.and_then(|word| word.bytes().next());
            open(keyword.phrase, false, Rule::Record(keyword, second));
        }
        let months = date_words::MONTHS.map(|(name, _)| name);
        for (kind, words, find) in [
            (
                Kind::Phone,
                phone::WORDS.as_slice(),
                phone::find_after_word as Find,
            ),
            (Kind::Phone, &phone::AFTER, phone::find_before_word),
            (Kind::Phone, &phone::EXTENSIONS, phone::find_extension),
            (Kind::Date, &months, date_words::find),
            (
                Kind::Date,
                &date_digits::BIRTHS,
                date_digits::find_after_birth,
            ),
            (Kind::Age, &["age", "aged"], age::find_after_word),
            (Kind::Age, &["birthday"], spoken::find_birthday),
            (Kind::Zip, &zip::WORDS, zip::find_after_word),
        ] {
            if !kinds.hold(kind) {
                continue;
            }
            for word in words {
                begun.push(word);
                open(word, false, Rule::Other(find));
            }
        }
        // These need no number, or are of several kinds.
        for (kind, words, find) in [
            (Kind::Age, age::WORDS.as_slice(), age::find_in_words as Find),
            (Kind::Age, &spoken::AGES, spoken::find_age),
            (Kind::Date, &months, spoken::find_day),
            (Kind::Date, &spoken::HOLIDAYS, spoken::find_holiday),
        ] {
            for word in words.iter().filter(|_| kinds.hold(kind)) {
                begun.push(word);
                open(word, true, Rule::Other(find));
            }
        }
        for word in hl7::WORDS {
            begun.push(word);
            open(word, false, Rule::Other(hl7::find));
        }
        if kinds.hold(Kind::Url) {
            begun.push("www");
            open("www", true, Rule::Www);
        }
        if kinds.hold(Kind::Name) {
            for title in name::TITLES {
                begun.push(title);
                open(title, true, Rule::Other(name::find_after_title));
            }
            for (word, says) in subject::WORDS {
                begun.push(word);
                let alone = says != subject::Says::Age;
                open(word, alone, Rule::Other(subject::find));
            }
        }
        let beginnings = Openings::new(begun.into_iter());
        known.sort_by_key(|word| word.alone);
        let letters: Vec<u64> = known.iter().map(|word| word.letters).collect();
        let words = Words::new(&letters, known.partition_point(|word| !word.alone));
        Self {
            kinds,
            wanted: Wanted::by(kinds),
            opening: Opening {
                beginnings,
                words,
                behind: known.iter().map(Word::behind).collect(),
            },
            opened: known.into_iter().map(|word| word.rules).collect(),
        }
    }

    /// Whether names are looked for.
    pub(crate) fn names(&self) -> bool {
        self.kinds.hold(Kind::Name)
    }

    /// The triggers of a folded text of rows that begin at `rows` and at its first character.
    pub(crate) fn find(
        &self,
        text: &[u8],
        rows: impl Iterator<Item = usize>,
        bitmaps: &mut Bitmaps,
    ) {
        bitmaps.set(text, rows, &self.opening, self.wanted);
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
        let end = first + text.len();
        let mut from = first;
        while let Some(place) = bitmaps.next(from)
            && place < end
        {
            from = place + 1;
            let (found, i) = (bitmaps.at(place), place - first);
            if (found.titles | found.words) != 0 {
                self.open(text, i, bitmaps.letters(place), &mut tails, spans);
            }
            if rules == Rules::Named {
                continue;
            }
            if found.capitals != 0 {
                capital::find(text, i, spans);
            }
            if found.numbers != 0 {
                at_digits(
                    text,
                    i,
                    bitmaps.digits(place),
                    bitmaps.groups(place),
                    self.kinds,
                    spans,
                );
            }
            if found.tokens != 0 {
                at_token(text, i, spans);
            }
            if found.signs != 0 {
                at_sign(text, i, self.kinds, &mut tails, spans);
            }
        }
        if self.kinds != Kinds::ALL {
            // Some rules tell several kinds.
            spans.retain(|span| self.kinds.hold(span.kind));
        }
    }

    /// Asks the rules that the word at `i` opens: of so many letters, 64 for any number from there on.
    #[inline(never)] // seldom
    fn open(&self, text: &[u8], i: usize, length: usize, tails: &mut Tails, spans: &mut Vec<Span>) {
        let word = self.opening.words.number(letters(text, i, length));
        let rules = word.and_then(|word| self.opened.get(word));
        let word_end = match length {
            64 => run(text, i, is_letter),
            _ => i + length,
        };
        // What may be a phrase's second word begins behind a full stop and up to two blanks or dashes.
        let dot = word_end + usize::from(at(text, word_end) == b'.');
        let next = run_up_to(text, dot, 2, |c| is_blank(c) || c == b'-');
        let next = at(text, next).to_ascii_lowercase();
        for rule in rules.into_iter().flatten() {
            match *rule {
                Rule::Record(_, Some(second)) if second != next => {}
                Rule::Record(keyword, _) => record::find(text, i, word_end, keyword, spans),
                Rule::Other(find) => find(text, i, spans),
                Rule::Www => url::find_www(text, i, tails, spans),
            }
        }
    }
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
/// there on; `near` stand behind them with only separators of numbers between, in `groups` of so many.
fn at_digits(
    text: &[u8],
    start: usize,
    (length, near): (usize, usize),
    groups: [u32; 4],
    kinds: Kinds,
    spans: &mut Vec<Span>,
) {
    let end = start + length;
    if kinds.hold(Kind::Age) && may_be_age(text, start, end) {
        age::find(text, start, spans);
    }
    if length >= 9 || length >= 7 && at(text, start) == b'0' {
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
        phone::find(text, start, groups, total, spans);
    }
    if groups.starts_with(&[3, 2, 4]) && (kinds.hold(Kind::Ssn) || kinds.hold(Kind::Itin)) {
        ssn::find(text, start, spans);
    }
    if matches!(groups, [1 | 2, 1 | 2 | 4, ..] | [4, 1 | 2, ..])
        && kinds.hold(Kind::Date)
        && (total >= 6 || may_be_short_date(text, end, total))
    {
        date_digits::find(text, start, end, spans);
    }
    if matches!(groups, [4, 4, 4, 1..=7] | [4, 6, 4 | 5, _] | [1, 1, 1, 1]) {
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
