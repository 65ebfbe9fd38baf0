//! Dates and time stamps as the server itself writes them: `2024-03-01`, `2024-03-01 09:30:00.5+00`,
//! with `T` in JSON. In a text that is made of date columns too, they are those columns' values, and a
//! policy that lets the columns through has said what becomes of them.
//!
//! Nobody's handwriting is told from the server's here: who asks has to know that the server wrote
//! dates into the text. Every other form of a date stays an identifier.

use super::Span;
use super::lexis::{at, before, digits};

/// The most characters of one: a date, its time with fractions and its offset.
const LONGEST: usize = 40;
/// The most digits that the server writes of a second.
const FRACTION: usize = 6;

/// Whether a candidate lies in a date or time stamp of that form.
pub(crate) fn holds(text: &[u8], span: Span) -> bool {
    let first = span.start.saturating_sub(LONGEST);
    (first..=span.start).any(|start| stamp(text, start).is_some_and(|end| span.end <= end))
}

/// The end of the time stamp that begins at `start`.
fn stamp(text: &[u8], start: usize) -> Option<usize> {
    let day = date(text, start)?;
    if joined(
        before(text, start),
        start.checked_sub(2).map_or(0, |i| at(text, i)),
    ) {
        return None;
    }
    let end = time(text, day).unwrap_or(day);
    (!joined(at(text, end), at(text, end + 1))).then_some(end)
}

/// Whether a neighbour belongs to the same word or number; `beyond` stands on its other side.
fn joined(neighbour: u8, beyond: u8) -> bool {
    let hangs = matches!(neighbour, b'-' | b'/' | b'.' | b'+') && beyond.is_ascii_digit();
    neighbour.is_ascii_alphanumeric() || neighbour == b'_' || hangs
}

/// `yyyy-mm-dd`, of a year that a clinic has seen.
fn date(text: &[u8], start: usize) -> Option<usize> {
    let year = number(text, start, 4)?;
    let month = number(text, after(text, start + 4, b'-')?, 2)?;
    let day = number(text, after(text, start + 7, b'-')?, 2)?;
    let possible =
        (1800..2200).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    possible.then_some(start + 10)
}

/// ` hh:mm:ss.ffffff+hh:mm` after a date.
fn time(text: &[u8], start: usize) -> Option<usize> {
    if !matches!(at(text, start), b' ' | b'T' | b't') {
        return None;
    }
    let minute = after(text, start + 3, b':')?;
    let second = after(text, start + 6, b':')?;
    let clock = [
        number(text, start + 1, 2)? < 25,
        number(text, minute, 2)? < 60,
        number(text, second, 2)? < 61,
    ];
    if clock.contains(&false) {
        return None;
    }
    let mut end = start + 9;
    if at(text, end) == b'.' {
        let fraction = digits(text, end + 1);
        // The server writes microseconds. More digits are another number behind a point, and then
        // nothing here is a time of the server's.
        if !(end + 2..=end + 1 + FRACTION).contains(&fraction) {
            return None;
        }
        end = fraction;
    }
    if matches!(at(text, end), b'+' | b'-') && number(text, end + 1, 2).is_some() {
        end += 3;
        if let Some(minutes) = after(text, end, b':')
            && number(text, minutes, 2).is_some()
        {
            end = minutes + 2;
        }
    }
    Some(end)
}

fn after(text: &[u8], i: usize, expected: u8) -> Option<usize> {
    (at(text, i) == expected).then_some(i + 1)
}

/// The number of exactly so many digits.
fn number(text: &[u8], start: usize, length: usize) -> Option<u32> {
    if digits(text, start) != start + length {
        return None;
    }
    std::str::from_utf8(text.get(start..start + length)?)
        .ok()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Kind;

    /// Whether the first date-like stretch of digits is the server's.
    fn held(text: &str, part: &str) -> bool {
        let start = text.find(part).unwrap();
        let end = start + part.len();
        holds(
            text.as_bytes(),
            Span {
                start,
                end,
                kind: Kind::Date,
            },
        )
    }

    #[test]
    fn what_the_server_writes() {
        for (text, part) in [
            ("2024-03-01", "2024-03-01"),
            ("aspirin since 2024-03-01.", "2024-03-01"),
            ("(1,2024-03-01,x)", "2024-03-01"),
            ("2024-03-01..2024-04-01", "2024-04-01"),
            ("2024-03-01 09:30:00", "2024-03-01 09:30:00"),
            (
                "at: 2024-03-01t09:30:00.123456+00:00",
                "2024-03-01t09:30:00.123456+00:00",
            ),
            ("2024-03-01T09:30:00-05, x", "30:00-05"),
            ("2024-03-01 10:15", "2024-03-01"),
        ] {
            assert!(held(text, part), "{text}");
        }
    }

    #[test]
    fn what_it_does_not() {
        for (text, part) in [
            ("03/01/2024", "03/01/2024"),
            ("2024/03/01", "2024/03/01"),
            ("2024-13-01", "2024-13-01"),
            ("1234-12-12", "1234-12-12"),
            ("2024-03-01-77", "2024-03-01"),
            ("55-2024-03-01", "2024-03-01"),
            ("x2024-03-01", "2024-03-01"),
            ("2024-03-011", "2024-03-01"),
            ("2024-03-01 555-010-1234", "2024-03-01 555-010-1234"),
            ("mrn 2024-03-01", "mrn 2024-03-01"),
            ("2024-03-01 09:30:00.5550100001", "5550100001"),
            ("2024-03-01 09:30:00.5550100001+00", "5550100001"),
            ("2024-03-01 09:30:00.1234567", "1234567"),
        ] {
            assert!(!held(text, part), "{text}");
        }
    }
}
