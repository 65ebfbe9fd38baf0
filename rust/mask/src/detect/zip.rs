//! ZIP+4 (five and four digits), five digits after a state or before or behind a town, and the post codes
//! of any country after `zip`, `postal code` and the like.

use super::lexicon::Known;
use super::lexis::{
    at, before, group, is_blank, is_letter, is_space, is_word, quantity, run_back, run_up_to, same,
};
use super::phone::is_drug;
use super::spelling::{Shape, Word, gap, gap_before, word_at, word_before};
use super::{Kind, Span, states};

/// USPS abbreviations of states, the District, territories and the forces.
const STATES: &[u8] =
    b"AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS \
MO MT NE NV NH NJ NM NY NC ND OH OK OR PA PR RI SC SD TN TX UT VT VA VI WA WV WI WY AA AE AP";

pub(crate) fn find(text: &[u8], at_digit: usize, spans: &mut Vec<Span>) {
    let Some(five) = group(text, at_digit, 5) else {
        return;
    };
    if before(text, at_digit).is_ascii_digit() {
        return;
    }
    let mut push = |end| {
        spans.push(Span {
            start: at_digit,
            end,
            kind: Kind::Zip,
        })
    };
    if at(text, five) == b'-'
        && let Some(end) = group(text, five + 1, 4)
    {
        if !is_drug(text, at_digit) {
            push(end);
        }
    } else if !is_word(at(text, five))
        && (after_state(text, at_digit) || beside_town(text, at_digit, five))
    {
        push(five);
    }
}

/// Whether a town that is nothing else stands before the digits, or right behind them: `Boston 02139`,
/// `10969 Berlin`; or a state by its full name before them.
pub(crate) fn beside_town(text: &[u8], start: usize, end: usize) -> bool {
    let town =
        |word: Word| word.is(Known::CITY) && matches!(word.shape, Shape::Title | Shape::Caps);
    let last = gap_before(text, start).and_then(|end| {
        let end = end - usize::from(before(text, end) == b',');
        word_before(text, end)
    });
    let state = |word: &Word| {
        let letters = text.get(word.start..word.end).unwrap_or_default();
        word.shape == Shape::Title
            && states::last_words().any(|word| letters.eq_ignore_ascii_case(word.as_bytes()))
    };
    let next = gap(text, end).and_then(|next| word_at(text, next));
    if is_word(before(text, start)) || quantity(text, end) {
        return false;
    }
    last.is_some_and(|last| state(&last) || town(last)) || next.is_some_and(town)
}

/// What a post code is called.
pub(crate) const WORDS: [&str; 7] = [
    "zip",
    "zipcode",
    "postal",
    "postcode",
    "postleitzahl",
    "plz",
    "eircode",
];

/// Words that may stand between that and the code.
const FILLERS: [&str; 10] = [
    "code", "codes", "is", "was", "of", "number", "no", "on", "file", "my",
];

/// `ZIP code on file is 02139`.
pub(crate) fn find_after_word(text: &[u8], at_word: usize, spans: &mut Vec<Span>) {
    if is_word(before(text, at_word)) {
        return;
    }
    let end = run_up_to(text, at_word, 14, is_letter);
    if !WORDS.iter().any(|word| same(text, at_word, end, word)) {
        return;
    }
    let signs = |i| {
        run_up_to(text, i, 4, |c| {
            is_space(c) || matches!(c, b':' | b'=' | b'#' | b'/' | b'.')
        })
    };
    let mut i = signs(end);
    for _ in 0..4 {
        let stop = run_up_to(text, i, 8, is_letter);
        if !FILLERS.iter().any(|filler| same(text, i, stop, filler)) {
            break;
        }
        i = signs(stop);
    }
    if i > end
        && let Some(end) = code(text, i)
    {
        spans.push(Span {
            start: i,
            end,
            kind: Kind::Zip,
        });
    }
}

/// The end of a post code at `i`: two pieces of at most five letters and digits, each with a digit but for
/// the two letters of the Netherlands; at least three digits and letters.
pub(super) fn code(text: &[u8], i: usize) -> Option<usize> {
    let piece = |i: usize| run_up_to(text, i, 7, is_word);
    let digits = |from: usize, to: usize| {
        let digits = text.get(from..to).unwrap_or_default();
        digits.iter().filter(|c| c.is_ascii_digit()).count()
    };
    let first = piece(i);
    let count = digits(i, first);
    let letters = first - i - count;
    if count == 0 || !(2..=6).contains(&(first - i)) || is_word(before(text, i)) {
        return None;
    }
    let sign = first + usize::from(matches!(at(text, first), b' ' | b'-'));
    let second = piece(sign);
    let more = digits(sign, second);
    let coded = match (letters, second - sign - more) {
        // `394 13`, `53-320`, `02139-4307`.
        (0, 0) => (2..=4).contains(&more) && (3..=5).contains(&count),
        // `7412 SL`.
        (0, 2) => {
            count == 4 && more == 0 && text.get(sign..second)?.iter().all(u8::is_ascii_uppercase)
        }
        // `S10 2QT`, `B0J 2H0`.
        (1.., 1..=2) => (1..=2).contains(&more) && second - sign == 3 && letters <= 3,
        _ => false,
    };
    if coded && sign > first {
        return Some(second);
    }
    let fraction = at(text, first) == b'.' && at(text, first + 1).is_ascii_digit();
    (letters == 0 && (3..=6).contains(&count) && !fraction).then_some(first)
}

/// Whether these capitals are a state's.
pub(super) fn is_state(letters: &[u8]) -> bool {
    STATES.split(|&c| c == b' ').any(|state| state == letters)
}

/// A city's comma or word, a blank, two capitals that are a state, and one or two blanks before `i`.
fn after_state(text: &[u8], i: usize) -> bool {
    let end = run_back(text, i, is_blank);
    let start = run_back(text, end, is_word);
    if !(1..=2).contains(&(i - end)) || end - start != 2 {
        return false;
    }
    let state = text.get(start..end).unwrap_or_default();
    let known = is_state(state);
    let blanks = run_back(text, start, is_blank);
    let city = before(text, blanks);
    known && (city == b',' || (blanks < start && city.is_ascii_lowercase()))
}
