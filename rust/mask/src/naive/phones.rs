//! Telephone numbers that are told by more than one shape, in the plainest way.

use super::conditions::*;
use super::{Found, Naive, ends};
use crate::detect::{Kind, phone};

impl Naive {
    pub(super) fn phones(&self, text: &[u8], start: usize, found: &mut Vec<Found>) {
        if digit(text, start) && !digit(text, back(start, 1)) {
            let (from, plus) = opening(text, start);
            let zero = text[start] == b'0' || is(text, back(start, 1), b"(");
            for end in ends(&self.groups, text, start) {
                let digits = text[start..end]
                    .iter()
                    .filter(|c| c.is_ascii_digit())
                    .count();
                let whole = !digit(text, end);
                let international = plus && (8..=15).contains(&digits);
                let national =
                    !plus && zero && (9..=15).contains(&digits) && regular(&text[start..end]);
                let other = phone::is_series(text, start, end) || phone::is_drug(text, start);
                let national = national && !other;
                if whole && (international || national) {
                    found.push((from, end, Kind::Phone));
                }
            }
        }
        if digit(text, start) && !digit(text, back(start, 1)) {
            for end in ends(&self.before_word, text, start) {
                let number = text[start..end]
                    .iter()
                    .rposition(|c| c.is_ascii_digit())
                    .unwrap()
                    + 1;
                let digits = text[start..end]
                    .iter()
                    .filter(|c| c.is_ascii_digit())
                    .count();
                let over = end == text.len() || is(text, end, b"\r\n,;)\\");
                if (7..=15).contains(&digits) && over {
                    found.push((opening(text, start).0, start + number, Kind::Phone));
                }
            }
        }
        if letter(text, start) && !letter(text, back(start, 1)) {
            for number in ends(&self.after_word, text, start) {
                let name_ends = (start..number)
                    .find(|&i| !letter(text, i))
                    .unwrap_or(number);
                let name = text[start..name_ends].to_ascii_lowercase();
                let named = phone::WORDS.iter().any(|w| w.as_bytes() == name);
                if !named || !digit(text, number) {
                    continue;
                }
                for end in ends(&self.groups, text, number) {
                    let digits = text[number..end]
                        .iter()
                        .filter(|c| c.is_ascii_digit())
                        .count();
                    if (7..=15).contains(&digits) && !digit(text, end) {
                        found.push((opening(text, number).0, end, Kind::Phone));
                    }
                }
            }
        }
    }
}

/// Groups of two digits or more, two of them or more; the separators after the first are equal; after
/// a dot as the first, three groups or more.
fn regular(number: &[u8]) -> bool {
    let groups = numbers(number);
    let joints: Vec<Vec<u8>> = number
        .split(u8::is_ascii_digit)
        .filter(|joint| !joint.is_empty())
        .map(|joint| {
            joint
                .iter()
                .copied()
                .filter(|c| b"-. ".contains(c))
                .collect()
        })
        .collect();
    groups.len() >= 2
        && groups.iter().all(|group| group.len() >= 2)
        && joints[1..].windows(2).all(|pair| pair[0] == pair[1])
        && (joints[0] != b"." || groups.len() >= 3)
}

/// Where a number begins that has `+`, `(` or both before its first digit; whether there is a `+`.
pub(super) fn opening(text: &[u8], first: usize) -> (usize, bool) {
    let start = first - usize::from(is(text, back(first, 1), b"("));
    if is(text, back(start, 1), b"+") {
        (start - 1, true)
    } else if is(text, back(start, 1), b" ") && is(text, back(start, 2), b"+") {
        (start - 2, true)
    } else {
        (start, false)
    }
}
