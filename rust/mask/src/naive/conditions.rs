//! The conditions of the oracle's rules: what a pattern cannot say, one function a rule.

use super::{RANGE_TAIL, compile, ends};
use crate::detect::lexis::quantity;
use crate::detect::{Kind, date_digits, phone};

pub(super) fn digit(text: &[u8], i: usize) -> bool {
    text.get(i).is_some_and(u8::is_ascii_digit)
}

pub(super) fn letter(text: &[u8], i: usize) -> bool {
    text.get(i)
        .is_some_and(|c| c.is_ascii_alphabetic() || *c == 0x80)
}

pub(super) fn word(text: &[u8], i: usize) -> bool {
    digit(text, i) || letter(text, i)
}

pub(super) fn is(text: &[u8], i: usize, set: &[u8]) -> bool {
    text.get(i).is_some_and(|c| set.contains(c))
}

/// `i - n`, a place outside every text when there is none.
pub(super) fn back(i: usize, n: usize) -> usize {
    i.checked_sub(n).unwrap_or(usize::MAX)
}

pub(super) fn number(digits: &[u8]) -> u32 {
    let text: String = digits.iter().map(|&c| char::from(c)).collect();
    text.parse().unwrap_or(u32::MAX)
}

pub(super) fn month_and_day(a: u32, b: u32) -> bool {
    (1..=12).contains(&a.min(b)) && (1..=31).contains(&a.max(b)) && a.min(b) >= 1
}

/// No digit on either side.
pub(super) fn alone(text: &[u8], start: usize, end: usize) -> bool {
    !digit(text, back(start, 1)) && !digit(text, end)
}

/// No drug's number.
pub(super) fn zip_and_four(text: &[u8], start: usize, end: usize) -> bool {
    alone(text, start, end) && !phone::is_drug(text, start)
}

/// A telephone's groups, and no series.
pub(super) fn dashed(text: &[u8], start: usize, end: usize) -> bool {
    alone(text, start, end) && !phone::is_series(text, start, end)
}

pub(super) fn fraction(text: &[u8], start: usize) -> bool {
    is(text, back(start, 1), b".") && digit(text, back(start, 2))
}

/// The numbers of a text, in order.
pub(super) fn numbers(text: &[u8]) -> Vec<&[u8]> {
    text.split(|c| !c.is_ascii_digit())
        .filter(|n| !n.is_empty())
        .collect()
}

pub(super) fn long_kind(number: &[u8]) -> Kind {
    let luhn = number.iter().rev().enumerate().fold(0, |sum, (i, c)| {
        let n = u32::from(c - b'0') * (1 + u32::try_from(i % 2).unwrap());
        sum + n / 10 + n % 10
    });
    match number.len() {
        9 => Kind::Ssn,
        10 if number[0] == b'1' && (luhn + 24) % 10 == 0 => Kind::Npi,
        10 => Kind::Phone,
        11 if number[0] == b'1' => Kind::Phone,
        13..=19 if luhn % 10 == 0 => Kind::Card,
        _ => Kind::Id,
    }
}

/// The character between the first two numbers that is no blank; a blank when there is no other.
pub(super) fn mark_of(date: &[u8]) -> u8 {
    let between = date.iter().skip_while(|c| c.is_ascii_digit());
    let mut between = between.take_while(|c| !c.is_ascii_digit());
    *between
        .find(|c| !matches!(c, b' ' | b'\t'))
        .unwrap_or(&b' ')
}

/// Not the piece of something longer with the same mark before it.
pub(super) fn whole_date(text: &[u8], start: usize, end: usize) -> bool {
    let mark = mark_of(&text[start..end]);
    alone(text, start, end) && !(is(text, back(start, 1), &[mark]) && digit(text, back(start, 2)))
}

pub(super) fn full_date(text: &[u8], start: usize, end: usize) -> bool {
    let n = numbers(&text[start..end]);
    let mark = mark_of(&text[start..end]);
    let two = n[0].len() == 2 && n[1].len() == 2;
    whole_date(text, start, end)
        && month_and_day(number(n[0]), number(n[1]))
        && match n[2].len() {
            4 => {
                (1800..2200).contains(&number(n[2]))
                    && (mark != b' ' || (two && !quantity(text, end)))
            }
            _ => {
                mark != b' '
                    && (mark != b'.' || two)
                    && !(is(text, end, &[mark]) && digit(text, end + 1))
                    && !quantity(text, end)
            }
        }
}

pub(super) fn month_year(text: &[u8], start: usize, end: usize) -> bool {
    let n = numbers(&text[start..end]);
    whole_date(text, start, end)
        && (1..=12).contains(&number(n[0]))
        && (1900..2100).contains(&number(n[1]))
        && !(is(text, end, b"/-") && digit(text, end + 1))
        && !quantity(text, end)
}

pub(super) fn month_day(text: &[u8], start: usize, end: usize) -> bool {
    let n = numbers(&text[start..end]);
    whole_date(text, start, end)
        && month_and_day(number(n[0]), number(n[1]))
        && !(is(text, end, b"/.") && digit(text, end + 1))
        && !quantity(text, end)
        && (date_digits::after_announcing_word(text, start)
            || !ends(&compile(RANGE_TAIL), text, end).is_empty()
            || date_digits::likely(text, start, end))
}

pub(super) fn iso(text: &[u8], start: usize, end: usize) -> bool {
    let n = numbers(&text[start..end]);
    alone(text, start, end)
        && (1800..2200).contains(&number(n[0]))
        && (1..=12).contains(&number(n[1]))
        && (1..=31).contains(&number(n[2]))
}

/// A date of the form year, month, day, with its time, ended where a digit may follow.
pub(super) fn iso_time(text: &[u8], start: usize, end: usize) -> bool {
    let date = text[start..end]
        .split(|c| c.eq_ignore_ascii_case(&b't'))
        .next()
        .unwrap();
    iso(text, start, start + date.len())
}

pub(super) fn year_month(text: &[u8], start: usize, end: usize) -> bool {
    let n = numbers(&text[start..end]);
    alone(text, start, end)
        && (1900..2100).contains(&number(n[0]))
        && (1..=12).contains(&number(n[1]))
        && !(is(text, end, b"/-") && digit(text, end + 1))
        && !word(text, end)
        && !quantity(text, end)
}

pub(super) fn eight(text: &[u8], start: usize, end: usize) -> bool {
    let n = |from: usize, to: usize| number(&text[start + from..start + to]);
    let year_first = (1900..2100).contains(&n(0, 4))
        && (1..=12).contains(&n(4, 6))
        && (1..=31).contains(&n(6, 8));
    let year_last = (1900..2100).contains(&n(4, 8)) && month_and_day(n(0, 2), n(2, 4));
    alone(text, start, end)
        && (year_first || year_last)
        && !fraction(text, start)
        && !quantity(text, end)
}

pub(super) fn email(text: &[u8], start: usize, end: usize) -> bool {
    let address = &text[start..end];
    let sign = address.iter().position(|&c| c == b'@').unwrap();
    let domain = &address[sign + 1..];
    domain[1..].contains(&b'.') && domain.iter().any(|c| c.is_ascii_alphabetic() || *c == 0x80)
}

/// The characters before the dot of the top level.
pub(super) fn labels(url: &[u8]) -> usize {
    let domain = url.split(|&c| c == b'/').next().unwrap();
    domain.iter().rposition(|&c| c == b'.').unwrap()
}

pub(super) fn ipv4(text: &[u8], start: usize, end: usize) -> bool {
    numbers(&text[start..end]).iter().all(|n| number(n) <= 255)
        && !word(text, back(start, 1))
        && !(is(text, back(start, 1), b".") && word(text, back(start, 2)))
        && !word(text, end)
        && !(is(text, end, b".") && digit(text, end + 1))
}

pub(super) fn dotted_mac(text: &[u8], start: usize, end: usize) -> bool {
    !word(text, back(start, 1))
        && !(is(text, back(start, 1), b".") && word(text, back(start, 2)))
        && !word(text, end)
        && !(is(text, end, b".") && word(text, end + 1))
}

pub(super) fn dashed_mac(text: &[u8], start: usize, end: usize) -> bool {
    if text[start] != b'0' && phone::is_series(text, start, end) {
        return false;
    }
    !word(text, back(start, 1))
        && !(is(text, back(start, 1), b"-") && word(text, back(start, 2)))
        && !word(text, end)
        && !is(text, end, b"-")
}

/// The whole of a run of hexadecimal digits, colons and dots, less dots at its ends and one colon.
pub(super) fn colons(text: &[u8], start: usize, end: usize) -> bool {
    let of_address = |i: usize| {
        text.get(i)
            .is_some_and(|c| c.is_ascii_hexdigit() || b":.".contains(c))
    };
    let mut from = start;
    while is(text, back(from, 1), b".") {
        from -= 1;
    }
    let mut to = end;
    if is(text, to, b":") && !is(text, back(to, 1), b":") {
        to += 1;
    }
    while is(text, to, b".") {
        to += 1;
    }
    to - from <= 48
        && !word(text, back(from, 1))
        && !of_address(back(from, 1))
        && !of_address(to)
        && !word(text, to)
}

pub(super) fn ipv6(text: &[u8], start: usize, end: usize) -> bool {
    let address = std::str::from_utf8(&text[start..end]).unwrap();
    colons(text, start, end)
        && address.parse::<std::net::Ipv6Addr>().is_ok()
        && address.split(':').filter(|group| !group.is_empty()).count() >= 2
}

/// The elements are taken as they come: none that goes on, none left behind.
pub(super) fn gs1(text: &[u8], _: usize, end: usize) -> bool {
    !digit(text, end)
}

pub(super) fn hibcc(text: &[u8], start: usize, end: usize) -> bool {
    let code = text[start + 1..end].iter();
    let code: Vec<&u8> = code.take_while(|c| c.is_ascii_alphanumeric()).collect();
    code.iter().filter(|c| c.is_ascii_digit()).count() >= 4
        && !word(text, back(start, 1))
        && !word(text, start + 1 + code.len())
}

pub(super) fn token(text: &[u8], start: usize, end: usize) -> bool {
    !word(text, back(start, 1)) && !word(text, end)
}

pub(super) fn dea(text: &[u8], start: usize, end: usize) -> bool {
    let n: Vec<u32> = text[start + 2..end]
        .iter()
        .map(|c| u32::from(c - b'0'))
        .collect();
    token(text, start, end) && (n[0] + n[2] + n[4] + 2 * (n[1] + n[3] + n[5])) % 10 == n[6]
}

pub(super) fn vin(text: &[u8], start: usize, end: usize) -> bool {
    let values = "0123456789.ABCDEFGH..JKLMN.P.R..STUVWXYZ";
    let weights = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let vin = text[start..end].to_ascii_uppercase();
    let sum: usize = vin
        .iter()
        .zip(weights)
        .map(|(&c, weight)| weight * (values.find(char::from(c)).unwrap() % 10))
        .sum();
    let check = "0123456789X".as_bytes()[sum % 11];
    token(text, start, end)
        && vin[8] == check
        && vin.iter().any(u8::is_ascii_alphabetic)
        && vin.iter().any(u8::is_ascii_digit)
}

pub(super) fn iban(text: &[u8], start: usize, end: usize) -> bool {
    let plain: Vec<u8> = text[start..end]
        .iter()
        .copied()
        .filter(|&c| c != b' ')
        .collect();
    let mut rest = 0;
    for &c in plain[4..].iter().chain(&plain[..4]) {
        let value = char::from(c).to_digit(36).unwrap();
        rest = (if value > 9 { rest * 100 } else { rest * 10 } + value) % 97;
    }
    let before = text[..start].to_ascii_lowercase();
    let signs = before.iter().rev().take(4);
    let signs = signs.take_while(|c| b" \t:#=.-".contains(c)).count();
    let word_before = &before[..start - signs];
    let named = signs > 0
        && word_before.ends_with(b"iban")
        && !word(word_before, back(word_before.len(), 5));
    token(text, start, end) && (15..=34).contains(&plain.len()) && (rest == 1 || named)
}

/// Whether a number of the shape of an SSN is one that the IRS gives out.
pub(super) fn itin(number: &[u8]) -> bool {
    let digits: Vec<u8> = number.iter().copied().filter(u8::is_ascii_digit).collect();
    let middle = (digits[3] - b'0') * 10 + digits[4] - b'0';
    let groups = (50..=65).chain(70..=88).chain(90..=92).chain(94..=99);
    let printed = digits.starts_with(b"98765432");
    digits[0] == b'9' && !printed && groups.into_iter().any(|group| group == middle)
}

/// Every end of a plate at `start` whose first group ends at `end`.
pub(super) fn plate(text: &[u8], start: usize, mut end: usize) -> usize {
    loop {
        let words = (start..end).filter(|&i| word(text, i)).count();
        let group = (end + 1..=end + 5)
            .take_while(|&i| {
                text.get(i)
                    .is_some_and(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
            })
            .count();
        let next = end + 1 + group;
        if words >= 7 || !is(text, end, b" \t") || !(1..=4).contains(&group) || word(text, next) {
            return end;
        }
        end = next;
    }
}

/// Capitals and digits that are of a plate, or of a card.
pub(super) fn code(body: &[u8], kind: Kind) -> bool {
    let letters = body.iter().filter(|c| c.is_ascii_uppercase()).count();
    let digits = body.iter().filter(|c| c.is_ascii_digit()).count();
    let (least, few) = if kind == Kind::Plate { (3, 2) } else { (6, 1) };
    let dashes = body.iter().filter(|&&c| c == b'-').count();
    letters + digits + dashes == body.len()
        && letters + digits >= 6
        && digits >= least
        && letters >= few
}
