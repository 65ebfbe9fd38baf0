//! ZIP+4 (five and four digits), and five digits after a state's abbreviation.

use super::lexis::{at, before, group, is_blank, is_word, run_back};
use super::{Kind, Span};

/// USPS abbreviations of states, the District and territories.
const STATES: &[u8] =
    b"AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS \
MO MT NE NV NH NJ NM NY NC ND OH OK OR PA PR RI SC SD TN TX UT VT VA VI WA WV WI WY";

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
        push(end);
    } else if after_state(text, at_digit) && !is_word(at(text, five)) {
        push(five);
    }
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
