//! RFC 3339 times in UTC, in one form that compares as text.

use crate::fault::shown;

/// `YYYY-MM-DDTHH:MM:SS`, at most six digits of a second, `Z` or `+00:00`: a day of the calendar and
/// a second of a day without leap seconds. Given back with all six digits and without the zone.
pub(crate) fn moment(text: &str) -> Result<String, String> {
    read(text).ok_or_else(|| format!("not an RFC 3339 time in UTC: {}", shown(text, 60)))
}

fn read(text: &str) -> Option<String> {
    let local = text
        .strip_suffix('Z')
        .or_else(|| text.strip_suffix("+00:00"))?;
    let (seconds, fraction) = local.split_at_checked(19)?;
    let digits = match fraction {
        "" => "",
        _ => fraction.strip_prefix('.').filter(|digits| {
            (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
        })?,
    };
    let form = seconds
        .bytes()
        .zip(*b"0000-00-00T00:00:00")
        .all(|(byte, like)| {
            if like == b'0' {
                byte.is_ascii_digit()
            } else {
                byte == like
            }
        });
    let part = |from: usize, to: usize| seconds.get(from..to)?.parse::<u32>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let days = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let exists = year > 0 && (1..=days).contains(&day) && hour < 24 && minute < 60 && second < 60;
    (form && exists).then(|| format!("{seconds}.{digits:0<6}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_utc_are_read_and_compare() {
        for (text, expected) in [
            ("2026-11-22T12:00:00Z", "2026-11-22T12:00:00.000000"),
            ("2026-11-22T12:00:00.5+00:00", "2026-11-22T12:00:00.500000"),
            ("2024-02-29T23:59:59.999999Z", "2024-02-29T23:59:59.999999"),
            ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000000"),
        ] {
            assert_eq!(moment(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "later",
            "2026-11-22T12:00:00",
            "2026-11-22t12:00:00z",
            "2026-11-22 12:00:00Z",
            "2026-11-22T12:00:00+02:00",
            "2026-11-22T12:00:00-00:00",
            "2026-11-22T12:00:00.Z",
            "2026-11-22T12:00:00.1234567Z",
            "2026-11-22T12:00:00,5Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T12:60:00Z",
            "2026-11-22T12:00:60Z",
            "2026-02-29T12:00:00Z",
            "1900-02-29T12:00:00Z",
            "2026-13-01T12:00:00Z",
            "2026-00-01T12:00:00Z",
            "2026-01-00T12:00:00Z",
            "0000-01-01T12:00:00Z",
            "+026-01-01T12:00:00Z",
            "2026-11-22T12:00:0é",
            "٢٠٢٦-11-22T12:00:00Z",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
