//! Dates, times and intervals as text, in the two ways the formats want them.

use std::io::Write;

/// Which of the two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// RFC 3339 and ISO 8601; BC dates and years above 9999 as PostgreSQL writes them.
    Rfc3339,
    /// As PostgreSQL writes them with DateStyle ISO, IntervalStyle postgres, TimeZone UTC.
    Postgres,
}

const DAY_US: i64 = 86_400_000_000;

fn pair(value: u32) -> [u8; 2] {
    [b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]
}

/// The civil date of a day counted from 1970-01-01, in the proleptic Gregorian calendar: eras of
/// 400 years that begin on 1 March of a year divisible by 400.
fn civil(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (
        era * 400 + year_of_era + i64::from(month <= 2),
        month as u32,
        day as u32,
    )
}

/// Writes year-month-day; says whether the year is BC, which PostgreSQL writes at the very end.
fn ymd((year, month, day): (i64, u32, u32), out: &mut Vec<u8>) -> bool {
    let shown = if year > 0 { year } else { 1 - year };
    match u32::try_from(shown) {
        Ok(shown @ 0..=9999) => {
            out.extend_from_slice(&pair(shown / 100));
            out.extend_from_slice(&pair(shown % 100));
        }
        _ => out.extend_from_slice(itoa::Buffer::new().format(shown).as_bytes()),
    }
    out.push(b'-');
    out.extend_from_slice(&pair(month));
    out.push(b'-');
    out.extend_from_slice(&pair(day));
    year <= 0
}

/// A date32.
pub(crate) fn date(days: i32, out: &mut Vec<u8>) {
    if ymd(civil(i64::from(days)), out) {
        out.extend_from_slice(b" BC");
    }
}

/// Microseconds since midnight; a fraction without its trailing zeros.
pub(crate) fn time(us: i64, out: &mut Vec<u8>) {
    let seconds = (us / 1_000_000) as u32;
    out.extend_from_slice(&pair(seconds / 3600));
    out.push(b':');
    out.extend_from_slice(&pair(seconds / 60 % 60));
    out.push(b':');
    out.extend_from_slice(&pair(seconds % 60));
    fraction((us % 1_000_000) as u32, out);
}

fn fraction(us: u32, out: &mut Vec<u8>) {
    if us == 0 {
        return;
    }
    out.push(b'.');
    out.extend_from_slice(&pair(us / 10_000));
    out.extend_from_slice(&pair(us / 100 % 100));
    out.extend_from_slice(&pair(us % 100));
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

/// Microseconds since 1970, in UTC or without a zone.
pub(crate) fn timestamp(us: i64, utc: bool, style: Style, out: &mut Vec<u8>) {
    let day = civil(us.div_euclid(DAY_US));
    let rfc = style == Style::Rfc3339 && (1..=9999).contains(&day.0);
    let bc = ymd(day, out);
    out.push(if rfc { b'T' } else { b' ' });
    time(us.rem_euclid(DAY_US), out);
    match (utc, rfc) {
        (true, true) => out.push(b'Z'),
        (true, false) => out.extend_from_slice(b"+00"),
        (false, _) => {}
    }
    if bc {
        out.extend_from_slice(b" BC");
    }
}

/// Months, days and microseconds.
pub(crate) fn interval(months: i32, days: i32, us: i64, style: Style, out: &mut Vec<u8>) {
    let years = months / 12;
    let months = months % 12;
    let seconds = us / 1_000_000;
    let part = us % 1_000_000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match style {
        Style::Rfc3339 => iso(
            &[i64::from(years), i64::from(months), i64::from(days)],
            hours,
            minutes,
            seconds,
            part,
            out,
        ),
        Style::Postgres => {
            verbose(&[(years, "year"), (months, "mon"), (days, "day")], us, out);
        }
    }
}

/// ISO 8601 with a sign on each part, as PostgreSQL's `iso_8601`.
fn iso(date: &[i64; 3], hours: i64, minutes: i64, seconds: i64, part: i64, out: &mut Vec<u8>) {
    let mut written = false;
    let mut number = |value: i64, unit: u8, out: &mut Vec<u8>| {
        if value != 0 {
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            out.push(unit);
            written = true;
        }
    };
    out.push(b'P');
    for (value, unit) in date.iter().zip(*b"YMD") {
        number(*value, unit, out);
    }
    if hours != 0 || minutes != 0 || seconds != 0 || part != 0 {
        out.push(b'T');
        number(hours, b'H', out);
        number(minutes, b'M', out);
        if seconds != 0 || part != 0 {
            if seconds < 0 || part < 0 {
                out.push(b'-');
            }
            out.extend_from_slice(
                itoa::Buffer::new()
                    .format(seconds.unsigned_abs())
                    .as_bytes(),
            );
            fraction(part.unsigned_abs() as u32, out);
            out.push(b'S');
        }
        written = true;
    }
    if !written {
        out.extend_from_slice(b"T0S");
    }
}

/// PostgreSQL's own style: `1 year 2 mons -3 days +04:05:06.7`.
fn verbose(date: &[(i32, &str); 3], us: i64, out: &mut Vec<u8>) {
    let mut first = true;
    let mut before = false;
    let start = out.len();
    for (value, unit) in date {
        if *value == 0 {
            continue;
        }
        if !first {
            out.push(b' ');
        }
        if before && *value > 0 {
            out.push(b'+');
        }
        out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if *value != 1 {
            out.push(b's');
        }
        before = *value < 0;
        first = false;
    }
    if us != 0 || out.len() == start {
        if !first {
            out.push(b' ');
        }
        if us < 0 {
            out.push(b'-');
        } else if before {
            out.push(b'+');
        }
        let whole = us.unsigned_abs();
        let (hours, minutes, seconds) = (
            whole / 3_600_000_000,
            whole / 60_000_000 % 60,
            whole / 1_000_000 % 60,
        );
        // Writing to a vector cannot fail.
        let _ = write!(out, "{hours:02}:{minutes:02}:{seconds:02}");
        fraction((whole % 1_000_000) as u32, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::tests::said;

    #[test]
    fn dates() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "10000-01-01"),
            (-719_162, "0001-01-01"),
            (-719_163, "0001-12-31 BC"),
            (-2_440_588, "4714-11-24 BC"),
        ] {
            assert_eq!(said(|out| date(days, out)), text);
        }
    }

    #[test]
    fn timestamps() {
        let at = |us, utc, style| said(|out| timestamp(us, utc, style, out));
        assert_eq!(
            at(1_704_164_645_123_456, false, Style::Rfc3339),
            "2024-01-02T03:04:05.123456"
        );
        assert_eq!(
            at(1_704_164_645_120_000, true, Style::Rfc3339),
            "2024-01-02T03:04:05.12Z"
        );
        assert_eq!(
            at(1_704_164_645_000_000, true, Style::Postgres),
            "2024-01-02 03:04:05+00"
        );
        assert_eq!(
            at(-62_135_596_800_000_001, true, Style::Rfc3339),
            "0001-12-31 23:59:59.999999+00 BC"
        );
        assert_eq!(
            at(253_402_300_800_000_000, false, Style::Rfc3339),
            "10000-01-01 00:00:00"
        );
        assert_eq!(at(-1, false, Style::Rfc3339), "1969-12-31T23:59:59.999999");
    }

    #[test]
    fn intervals() {
        let both = |months, days, us| {
            (
                said(|out| interval(months, days, us, Style::Rfc3339, out)),
                said(|out| interval(months, days, us, Style::Postgres, out)),
            )
        };
        let is = |got: (String, String), iso: &str, postgres: &str| {
            assert_eq!((got.0.as_str(), got.1.as_str()), (iso, postgres));
        };
        is(both(0, 0, 0), "PT0S", "00:00:00");
        is(
            both(14, 3, 14_706_700_000),
            "P1Y2M3DT4H5M6.7S",
            "1 year 2 mons 3 days 04:05:06.7",
        );
        is(
            both(-14, 3, -500_000),
            "P-1Y-2M3DT-0.5S",
            "-1 years -2 mons +3 days -00:00:00.5",
        );
        is(both(0, -1, 3_600_000_000), "P-1DT1H", "-1 days +01:00:00");
        is(both(1, 1, 0), "P1M1D", "1 mon 1 day");
        is(both(0, 0, 360_000_000_000), "PT100H", "100:00:00");
        assert_eq!(
            both(i32::MIN, i32::MIN, i64::MIN).0,
            "P-178956970Y-8M-2147483648DT-2562047788H-54.775808S"
        );
    }
}
