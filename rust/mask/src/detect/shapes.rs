//! Identifiers of mixed letters and digits that their shape or their check digit tells:
//! MBI (11 characters, no check digit), DEA (check digit), VIN (17 characters, mod 11), IBAN (mod 97,
//! in groups of four or together; behind its word whatever the check says). NPI is told by its word, in
//! `record`, or by its check, in `long_number`.

use super::lexis::{at, before, is_word, run, run_back, run_back_up_to, same};
use super::{Kind, Span, device};

pub(crate) fn find(text: &[u8], at_digit: usize, spans: &mut Vec<Span>) {
    let start = run_back(text, at_digit, is_word);
    let end = run(text, at_digit, is_word);
    let token = text.get(start..end).unwrap_or_default();
    device::find_hibcc(text, start, end, spans);
    if is_mbi(token) {
        spans.push(Span {
            start,
            end,
            kind: Kind::Mbi,
        });
    }
    if let Some(end) = dashed_mbi(text, start) {
        spans.push(Span {
            start,
            end,
            kind: Kind::Mbi,
        });
    }
    if is_dea(token) {
        spans.push(Span {
            start,
            end,
            kind: Kind::Dea,
        });
    }
    if is_vin(token) {
        spans.push(Span {
            start,
            end,
            kind: Kind::Vin,
        });
    }
    if let Some(end) = iban(text, start) {
        spans.push(Span {
            start,
            end,
            kind: Kind::Iban,
        });
    }
}

/// C A AN N A AN N A A N N (CMS): C is 1 to 9, A a letter but S L O I B Z, AN either.
fn is_mbi(token: &[u8]) -> bool {
    token.len() == 11
        && token
            .iter()
            .zip(b"CaxnaxnaanN")
            .all(|(c, shape)| match shape {
                b'C' => matches!(c, b'1'..=b'9'),
                b'a' => mbi_letter(*c),
                b'x' => c.is_ascii_digit() || mbi_letter(*c),
                _ => c.is_ascii_digit(),
            })
}

fn mbi_letter(c: u8) -> bool {
    c.is_ascii_alphabetic()
        && !matches!(
            c.to_ascii_uppercase(),
            b'S' | b'L' | b'O' | b'I' | b'B' | b'Z'
        )
}

/// The printed form, 4-3-4.
fn dashed_mbi(text: &[u8], start: usize) -> Option<usize> {
    let end = start + 13;
    let printed = text.get(start..end)?;
    let mut plain = [0u8; 11];
    let kept = printed
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != 4 && *i != 8)
        .map(|(_, c)| *c);
    plain.iter_mut().zip(kept).for_each(|(to, from)| *to = from);
    let dashes = printed.get(4) == Some(&b'-') && printed.get(8) == Some(&b'-');
    (dashes && is_mbi(&plain) && !is_word(at(text, end)) && !is_word(before(text, start)))
        .then_some(end)
}

/// Two letters (or a letter and a 9) and seven digits; the last is the sum of the first, third and
/// fifth and twice the second, fourth and sixth, mod 10.
fn is_dea(token: &[u8]) -> bool {
    let [first, second, number @ ..] = token else {
        return false;
    };
    let [a, b, c, d, e, f, check] = number else {
        return false;
    };
    let value = |c: &u8| u32::from(c & 15);
    first.is_ascii_alphabetic()
        && (second.is_ascii_alphabetic() || *second == b'9')
        && number.iter().all(u8::is_ascii_digit)
        && (value(a) + value(c) + value(e) + 2 * (value(b) + value(d) + value(f))) % 10
            == value(check)
}

/// Seventeen letters and digits but I, O, Q, some of each (asked at a digit); the ninth is the weighted sum mod 11 (49 CFR 565.15).
fn is_vin(token: &[u8]) -> bool {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    if token.len() != 17 || !token.iter().any(u8::is_ascii_alphabetic) {
        return false;
    }
    let mut sum = 0u32;
    for (c, weight) in token.iter().zip(WEIGHTS) {
        let value = match c.to_ascii_uppercase() {
            c @ b'0'..=b'9' => u32::from(c - b'0'),
            c @ b'A'..=b'H' => u32::from(c - b'A') + 1,
            c @ (b'J'..=b'N' | b'P' | b'R') => u32::from(c - b'J') + 1,
            c @ b'S'..=b'Z' => u32::from(c - b'S') + 2,
            _ => return false,
        };
        sum += value * weight;
    }
    let check = token.get(8).map_or(0, u8::to_ascii_uppercase);
    match sum % 11 {
        10 => check == b'X',
        rest => u32::from(check) == u32::from(b'0') + rest,
    }
}

/// The end of an IBAN at `start`: two letters, two check digits, 11 to 30 letters and digits, together
/// or with a blank after each four.
fn iban(text: &[u8], start: usize) -> Option<usize> {
    let letters =
        at(text, start).is_ascii_alphabetic() && at(text, start + 1).is_ascii_alphabetic();
    let checks = at(text, start + 2).is_ascii_digit() && at(text, start + 3).is_ascii_digit();
    if !letters || !checks {
        return None;
    }
    let together = run(text, start, |c| c.is_ascii_alphanumeric());
    if together - start > 4 {
        let token = text.get(start..together)?;
        let ends = (15..=34).contains(&token.len()) && !is_word(at(text, together));
        return (ends && (mod_97(token) || after_word(text, start))).then_some(together);
    }
    // Printed: groups of four, the last may be shorter. The longest that passes the check is it.
    let mut plain = text.get(start..together)?.to_vec();
    let (mut end, mut found) = (together, None);
    let named = after_word(text, start);
    while at(text, end) == b' ' && plain.len() < 34 && plain.len() % 4 == 0 {
        let stop = run(text, end + 1, |c| c.is_ascii_alphanumeric());
        if !(1..=4).contains(&(stop - end - 1)) {
            break;
        }
        plain.extend_from_slice(text.get(end + 1..stop)?);
        end = stop;
        let ends = (15..=34).contains(&plain.len()) && !is_word(at(text, end));
        if ends && (mod_97(&plain) || named) {
            found = Some(end);
        }
    }
    found
}

/// Whether `IBAN` stands before `i`, with blanks and signs between.
fn after_word(text: &[u8], i: usize) -> bool {
    let end = run_back_up_to(text, i, 4, |c| {
        matches!(c, b' ' | b'\t' | b':' | b'#' | b'=' | b'.' | b'-')
    });
    let start = run_back_up_to(text, end, 5, is_word);
    start < i && same(text, start, end, "iban")
}

/// ISO 13616: the first four characters at the end, letters as 10 to 35, the whole mod 97 is 1.
fn mod_97(token: &[u8]) -> bool {
    let (head, tail) = token.split_at_checked(4).unwrap_or_default();
    let rest = tail
        .iter()
        .chain(head)
        .fold(0u32, |rest, c| match c.to_ascii_uppercase() {
            c @ b'0'..=b'9' => (rest * 10 + u32::from(c - b'0')) % 97,
            c => (rest * 100 + u32::from(c.saturating_sub(b'A')) + 10) % 97,
        });
    rest == 1
}
