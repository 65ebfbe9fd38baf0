//! Numbers that a word before them names: medical records, accounts, members, policies, cases,
//! licences, plates, devices, vehicles; NPI, DEA and MBI; SSN in any shape, its last digits included.
//!
//! After the word may stand fillers (`number`, `no.`, `#`, `id`, `is`, `:` …). Then the value: letters
//! and digits with dashes inside, at least one digit, plus groups of digits that a blank sets apart.
//!
//! Words differ in how much they prove, and so do fillers: `number`, `no`, `id` and `#` mark a number,
//! `:` and `=` hint at one. After a `Strong` word any value of two characters counts. After a `Weak`
//! one three characters with a mark and four with a hint; without either, five digits, or five letters
//! and digits mixed of which three are digits. After a `Marked` one three characters with a mark; what
//! a hint alone announces must be as long as after a `Weak` word without, and without either it must be
//! capitals and digits joined (`DL D1234567`). A number before a unit
//! (`Order: 250 mL`) counts after `Strong` words only, and `12-34-56` is a chart's by
//! itself, as `SP-18-4432` is a laboratory's.

use super::lexis::{
    at, before, digits, is_blank, is_letter, is_word, quantity, run, run_up_to, same,
};
use super::words::COMPARED;
use super::{Kind, Span};

/// How much a keyword proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Strong,
    Weak,
    Marked,
}

/// A word or words that name a number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyword {
    /// In lower case; a blank stands for one or two blanks or dashes, perhaps after a full stop.
    pub(crate) phrase: &'static str,
    pub(crate) kind: Kind,
    pub(crate) weight: Weight,
}

const fn strong(phrase: &'static str, kind: Kind) -> Keyword {
    Keyword {
        phrase,
        kind,
        weight: Weight::Strong,
    }
}

const fn weak(phrase: &'static str, kind: Kind) -> Keyword {
    Keyword {
        phrase,
        kind,
        weight: Weight::Weak,
    }
}

const fn marked(phrase: &'static str, kind: Kind) -> Keyword {
    Keyword {
        phrase,
        kind,
        weight: Weight::Marked,
    }
}

/// Every keyword. Where one is the beginning of another both are tried.
pub(crate) const KEYWORDS: [Keyword; 112] = [
    strong("m.r.n", Kind::Mrn),
    strong("mrn", Kind::Mrn),
    strong("mrns", Kind::Mrn),
    strong("medical record", Kind::Mrn),
    strong("medical rec", Kind::Mrn),
    strong("med record", Kind::Mrn),
    strong("med rec", Kind::Mrn),
    strong("medrec", Kind::Mrn),
    strong("health record", Kind::Mrn),
    strong("patient id", Kind::Mrn),
    strong("patient identifier", Kind::Mrn),
    strong("patient number", Kind::Mrn),
    strong("patient no", Kind::Mrn),
    strong("pt id", Kind::Mrn),
    strong("hospital number", Kind::Mrn),
    marked("record", Kind::Mrn),
    marked("chart", Kind::Mrn),
    marked("mr", Kind::Mrn),
    marked("patient", Kind::Mrn),
    strong("ssn", Kind::Ssn),
    strong("s.s.n", Kind::Ssn),
    strong("ssns", Kind::Ssn),
    strong("social security", Kind::Ssn),
    strong("soc sec", Kind::Ssn),
    marked("ss", Kind::Ssn),
    strong("itin", Kind::Itin),
    strong("taxpayer id", Kind::Itin),
    strong("taxpayer identification", Kind::Itin),
    weak("tax id", Kind::Itin),
    weak("account", Kind::Account),
    weak("acct", Kind::Account),
    weak("a/c", Kind::Account),
    weak("aba", Kind::Account),
    weak("routing", Kind::Account),
    weak("member", Kind::Member),
    weak("insurance", Kind::Member),
    weak("subscriber", Kind::Member),
    weak("beneficiary", Kind::Member),
    weak("insured", Kind::Member),
    weak("policyholder", Kind::Member),
    weak("medicaid", Kind::Member),
    weak("medicare", Kind::Mbi),
    strong("mbi", Kind::Mbi),
    strong("hicn", Kind::Mbi),
    weak("policy", Kind::Policy),
    marked("group", Kind::Policy),
    marked("plan", Kind::Policy),
    weak("case", Kind::Case),
    weak("claim", Kind::Case),
    weak("encounter", Kind::Case),
    weak("accession", Kind::Case),
    weak("confirmation", Kind::Case),
    weak("authorization", Kind::Case),
    marked("file", Kind::Case),
    marked("visit", Kind::Case),
    marked("order", Kind::Case),
    marked("specimen", Kind::Case),
    marked("incident", Kind::Case),
    marked("reference", Kind::Case),
    marked("ref", Kind::Case),
    marked("rx", Kind::Case),
    strong("npi", Kind::Npi),
    strong("national provider", Kind::Npi),
    marked("dea", Kind::Dea),
    weak("license", Kind::License),
    weak("licence", Kind::License),
    weak("passport", Kind::License),
    weak("national id", Kind::License),
    weak("student id", Kind::License),
    weak("voter id", Kind::License),
    weak("certificate", Kind::License),
    marked("dl", Kind::License),
    marked("state id", Kind::License),
    marked("employee", Kind::License),
    weak("badge", Kind::License),
    strong("license plate", Kind::Plate),
    marked("plate", Kind::Plate),
    marked("plates", Kind::Plate),
    marked("registration", Kind::Plate),
    weak("imei", Kind::Device),
    weak("udi", Kind::Device),
    weak("serial", Kind::Device),
    weak("s/n", Kind::Device),
    marked("device", Kind::Device),
    strong("vin", Kind::Vin),
    strong("vehicle identification", Kind::Vin),
    strong("vehicle id", Kind::Vin),
    weak("mac address", Kind::Mac),
    weak("sort code", Kind::Account),
    strong("unit no", Kind::Mrn),
    strong("unit number", Kind::Mrn),
    strong("chart no", Kind::Mrn),
    strong("hospital no", Kind::Mrn),
    marked("report", Kind::Case),
    strong("pager", Kind::Phone),
    strong("beeper", Kind::Phone),
    weak("har", Kind::Account),
    weak("fin", Kind::Account),
    weak("auth", Kind::Case),
    weak("health card", Kind::Member),
    weak("phn", Kind::Member),
    weak("ohip", Kind::Member),
    weak("aadhaar", Kind::License),
    weak("curp", Kind::License),
    weak("ein", Kind::Id),
    weak("sn", Kind::Device),
    marked("path", Kind::Case),
    marked("pt", Kind::Mrn),
    strong("hosp no", Kind::Mrn),
    marked("number", Kind::Id),
    marked("unit", Kind::Mrn),
    marked("hospital", Kind::Mrn),
];

/// Fillers that mark what follows as a number.
const MARKS: [&str; 9] = [
    "number",
    "numbers",
    "num",
    "no",
    "nbr",
    "nr",
    "id",
    "ids",
    "identifier",
];
/// Fillers that may stand between any keyword and its number.
const LINKS: [&str; 4] = ["is", "was", "card", "code"];
/// Fillers that may stand between a strong keyword and its number.
const FAR_LINKS: [&str; 22] = [
    "of", "on", "file", "for", "patient", "pt", "the", "this", "last", "four", "ending", "in",
    "as", "under", "at", "hospital", "clinic", "our", "his", "her", "listed", "recorded",
];

/// The letters of `identifier`.
const LONGEST_FILLER: usize = 10;

/// The most signs in a row: those of `: ***-**-6789`.
const SIGNS: usize = 10;

/// The most fillers between a keyword and its number.
const FILLERS: usize = 6;

/// Asked for a keyword of [`KEYWORDS`] where its first letters stand; the word there ends at `word_end`.
pub(crate) fn find(
    text: &[u8],
    at_word: usize,
    word_end: usize,
    keyword: &Keyword,
    spans: &mut Vec<Span>,
) {
    // `n/a` and `w/file` are words of their own; `Name/MRN: 4471` is not.
    let slashed = before(text, at_word) == b'/' && keyword.weight != Weight::Strong;
    if is_word(before(text, at_word)) || slashed {
        return;
    }
    if let Some(end) = phrase(text, at_word, word_end, keyword.phrase)
        && let Some((start, end)) = numbered(text, end, keyword)
    {
        spans.push(Span {
            start,
            end,
            kind: keyword.kind,
        });
    }
}

/// The end of a phrase at `i`, where a word ends at `word_end` whose first letters are the phrase's: all of
/// its letters whatever their case, `\.?[ \t-]{1,2}` for each blank, and no letter after it.
fn phrase(text: &[u8], i: usize, word_end: usize, phrase: &str) -> Option<usize> {
    let (first, rest) = phrase.as_bytes().split_at_checked(word_end - i)?;
    let mut end = word_end;
    for &c in rest {
        if c == b' ' {
            let dot = end + usize::from(at(text, end) == b'.');
            end = run_up_to(text, dot, 2, |c| is_blank(c) || c == b'-');
            (end > dot).then_some(())?;
        } else {
            at(text, end).eq_ignore_ascii_case(&c).then_some(())?;
            end += 1;
        }
    }
    let more = first.get(COMPARED..).unwrap_or_default();
    let same = more.is_empty() || same_letters(text, i + COMPARED, more);
    (same && !is_letter(at(text, end))).then_some(end)
}

fn same_letters(text: &[u8], i: usize, letters: &[u8]) -> bool {
    text.get(i..i + letters.len())
        .is_some_and(|found| found.eq_ignore_ascii_case(letters))
}

/// For each letter whether one of the words begins with it, `a` the lowest bit but one.
const fn initials(words: &[&str]) -> u32 {
    let mut initials = 0;
    let mut rest = words;
    while let [word, others @ ..] = rest {
        if let [first, ..] = word.as_bytes() {
            initials |= 1 << (*first & 31);
        }
        rest = others;
    }
    initials
}

/// What fillers begin with: most words are none for their first letters.
const INITIALS: u32 = initials(&MARKS) | initials(&LINKS);
const FAR_INITIALS: u32 = INITIALS | initials(&FAR_LINKS);

/// What may begin behind the first word of a keyword, beside a value: a bit for each first letter of the
/// phrase's second word and of fillers. Nothing is said of phrases with signs inside, and of plates, whose
/// letters stand apart.
pub(super) fn behind(keyword: &Keyword) -> Option<u32> {
    if keyword.kind == Kind::Plate || keyword.phrase.contains(['.', '/']) {
        return None;
    }
    let fillers = match keyword.weight {
        Weight::Strong => FAR_INITIALS,
        _ => INITIALS,
    };
    let second = keyword.phrase.split(' ').nth(1);
    Some(fillers | second.map_or(0, |word| initials(&[word])))
}

/// Whether behind a first word of keywords that ends at `i` may stand what it opens: a value, or what
/// begins with one of `initials`. `letters` tells how many letters a word has, up to 64.
#[inline(always)]
pub(super) fn may_follow(
    text: &[u8],
    i: usize,
    initials: u32,
    letters: impl Fn(usize) -> usize,
) -> bool {
    let i = run_up_to(text, i, SIGNS, is_sign);
    let first = at(text, i);
    if !is_letter(first) {
        return first.is_ascii_digit();
    }
    let length = letters(i);
    let next = at(text, i + length);
    let apart = is_blank(next) && length <= 3 && at(text, i + length + 1).is_ascii_digit();
    initials >> (first & 31) & 1 == 1
        || matches!(next, b'0'..=b'9' | b'-' | b'_')
        || apart
        || length >= 64
}

/// The value after a keyword that ends at `i`.
fn numbered(text: &[u8], i: usize, keyword: &Keyword) -> Option<(usize, usize)> {
    let weight = keyword.weight;
    let mut i = i;
    let (mut mark, mut hint) = (false, false);
    let initials = match weight {
        Weight::Strong => FAR_INITIALS,
        _ => INITIALS,
    };
    for _ in 0..FILLERS {
        let signs = run_up_to(text, i, SIGNS, is_sign);
        for &sign in text.get(i..signs).unwrap_or_default() {
            mark |= sign == b'#';
            hint |= matches!(sign, b':' | b'=');
        }
        i = signs;
        if initials >> (at(text, i) & 31) & 1 == 0 {
            break;
        }
        let end = run(text, i, is_letter);
        if end == i || is_word(at(text, end)) || end - i > LONGEST_FILLER {
            break;
        }
        let first = at(text, i) | 0x20;
        let one_of = |words: &[&str]| {
            let mut like = words
                .iter()
                .filter(|word| word.as_bytes().first() == Some(&first));
            like.any(|word| same(text, i, end, word))
        };
        if one_of(&MARKS) {
            mark = true;
        } else if !one_of(&LINKS) && (weight != Weight::Strong || !one_of(&FAR_LINKS)) {
            break;
        }
        i = end;
    }
    let (end, counts) = value(text, i, keyword.kind)?;
    let long =
        counts.digits >= 5 || (counts.word >= 5 && (3..counts.word).contains(&counts.digits));
    // `Ref: 135-145` gives limits, not a number.
    let range = counts.word == counts.digits && counts.digits <= 6 && end - i == counts.digits + 1;
    let enough = match weight {
        Weight::Strong => counts.word >= 2,
        Weight::Weak | Weight::Marked if mark => counts.word >= 3,
        Weight::Weak => long || (hint && counts.word >= 4),
        Weight::Marked => {
            let body = text.get(i..end).unwrap_or_default();
            // `PT: AMB 150 FT`.
            let apart = body.contains(&b' ') && counts.digits < 5;
            (long && hint && !range && !apart && keyword.kind != Kind::Id)
                || is_code(body, keyword.kind)
                || (keyword.kind == Kind::Mrn && is_grouped(body))
                || (keyword.kind == Kind::Case && is_accession(body))
        }
    };
    let quantity = weight != Weight::Strong && quantity(text, end);
    (enough && !quantity).then_some((i, end))
}

/// Whether this is a number as charts have it, `12-34-56`, and no date with a year of four digits.
fn is_grouped(body: &[u8]) -> bool {
    let mut groups = body.split(|&c| c == b'-');
    let mut next = || {
        let group = groups.next();
        let digits = group.filter(|group| group.iter().all(u8::is_ascii_digit));
        digits.map(|group| (2..=3).contains(&group.len()))
    };
    let three = [next(), next(), next()];
    three == [Some(true); 3] && groups.next().is_none()
}

/// Whether these are capitals and digits as only numbers of cards and files have them, `D1234567`,
/// `ST-248663`, or plates, `7ABC123`.
fn is_code(body: &[u8], kind: Kind) -> bool {
    let digits = body.iter().filter(|c| c.is_ascii_digit()).count();
    let letters = body.iter().filter(|c| c.is_ascii_uppercase()).count();
    let enough = match kind {
        Kind::Plate => digits >= 3 && letters >= 2,
        _ => digits >= 6 && letters >= 1,
    };
    let dashes = body.iter().filter(|&&c| c == b'-').count();
    enough && digits + letters + dashes == body.len() && digits + letters >= 6
}

/// Whether a laboratory numbers its cases so: `SP-18-4432`, `C19-22817`.
fn is_accession(body: &[u8]) -> bool {
    let letters = body.iter().take_while(|c| c.is_ascii_uppercase()).count();
    let rest = body.get(letters..).unwrap_or_default();
    let rest = rest.strip_prefix(b"-").unwrap_or(rest);
    let [a, b, b'-', number @ ..] = rest else {
        return false;
    };
    let year = a.is_ascii_digit() && b.is_ascii_digit();
    let digits = number.iter().all(u8::is_ascii_digit);
    (1..=3).contains(&letters) && year && digits && (3..=7).contains(&number.len())
}

fn is_sign(c: u8) -> bool {
    is_blank(c)
        || matches!(
            c,
            b':' | b'#' | b'=' | b'.' | b'(' | b')' | b'[' | b'"' | b'\'' | b'-' | b'*'
        )
}

struct Counts {
    /// Letters and digits.
    word: usize,
    digits: usize,
}

/// The longest value; what is longer is cut, and is no number that a person reads out.
const LONGEST: usize = 128;

/// A value at `i`: letters and digits with single dashes or underscores inside, at least one digit.
/// When it is two or three capitals a blank and three digits or more belong to it; when it is four
/// digits or fewer, groups of two to four digits that a blank sets apart; of a plate, what [`plate`] says.
fn value(text: &[u8], i: usize, kind: Kind) -> Option<(usize, Counts)> {
    let mut end = joined(text, i)?;
    if (2..=3).contains(&(end - i))
        && text
            .get(i..end)
            .is_some_and(|prefix| prefix.iter().all(u8::is_ascii_uppercase))
        && is_blank(at(text, end))
        && digits(text, end + 1) >= end + 4
    {
        end = joined(text, end + 1)?;
    } else if end - i <= 4 && digits(text, i) == end {
        while is_blank(at(text, end)) {
            let stop = digits(text, end + 1);
            let fraction = matches!(at(text, stop), b'/' | b'.' | b'%')
                && (at(text, stop) == b'%' || at(text, stop + 1).is_ascii_digit());
            if !(2..=4).contains(&(stop - end - 1)) || is_word(at(text, stop)) || fraction {
                break;
            }
            end = stop;
        }
    }
    if kind == Kind::Plate {
        end = plate(text, i, end);
    }
    let body = text.get(i..end).unwrap_or_default();
    let counts = Counts {
        word: body.iter().filter(|&&c| is_word(c)).count(),
        digits: body.iter().filter(|c| c.is_ascii_digit()).count(),
    };
    let fraction = matches!(at(text, end), b'/' | b'.') && at(text, end + 1).is_ascii_digit();
    (counts.digits > 0 && !(fraction && counts.word <= 3)).then_some((end, counts))
}

/// The letters and digits of the longest plates.
const PLATE: usize = 7;

/// The end of a plate at `i` whose first group ends at `end`: further groups of up to four capitals and
/// digits, each behind one blank, until there are seven.
fn plate(text: &[u8], i: usize, mut end: usize) -> usize {
    let of_plate = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit();
    let count = |end| {
        let body = text.get(i..end).unwrap_or_default();
        body.iter().filter(|&&c| is_word(c)).count()
    };
    while count(end) < PLATE && is_blank(at(text, end)) {
        let stop = run_up_to(text, end + 1, 5, of_plate);
        if !(1..=4).contains(&(stop - end - 1)) || is_word(at(text, stop)) {
            break;
        }
        end = stop;
    }
    end
}

/// The end of letters and digits with single dashes or underscores inside.
fn joined(text: &[u8], i: usize) -> Option<usize> {
    let most = i + LONGEST;
    let mut end = run_up_to(text, i, LONGEST, is_word);
    (end > i).then_some(())?;
    while end + 1 < most && matches!(at(text, end), b'-' | b'_') && is_word(at(text, end + 1)) {
        end = run_up_to(text, end + 1, most - end - 1, is_word);
    }
    Some(end)
}
