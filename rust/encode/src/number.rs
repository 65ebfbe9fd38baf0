//! Numbers as text: shortest digits that read back as the same value.
//!
//! PostgreSQL's shortest digits never lie on the edge of the interval that rounds to the value, so for
//! a few values (1e23) it writes one digit more than is written here. Both read back the same.

/// A float as JSON: a number, or a string where JSON has no number.
pub(crate) fn json_float(finite: bool, nan: bool, negative: bool, digits: &str, out: &mut Vec<u8>) {
    if finite {
        out.extend_from_slice(digits.as_bytes());
    } else {
        out.push(b'"');
        out.extend_from_slice(not_finite(nan, negative));
        out.push(b'"');
    }
}

/// PostgreSQL's name of a value that is not finite.
pub(crate) fn not_finite(nan: bool, negative: bool) -> &'static [u8] {
    match (nan, negative) {
        (true, _) => b"NaN",
        (false, true) => b"-Infinity",
        (false, false) => b"Infinity",
    }
}

/// Rewrites shortest digits in PostgreSQL's layout: an exponent of at least two digits from
/// 10^`wide` on and below 10^-4, plain digits otherwise, no `.0`.
pub(crate) fn postgres_float(shortest: &str, wide: i32, out: &mut Vec<u8>) {
    let unsigned = shortest.strip_prefix('-').unwrap_or(shortest);
    if unsigned.len() != shortest.len() {
        out.push(b'-');
    }
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = Vec::with_capacity(32);
    digits.extend_from_slice(whole.as_bytes());
    digits.extend_from_slice(part.as_bytes());
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.drain(..zeros);
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    let Some((first, rest)) = digits.split_first() else {
        out.push(b'0');
        return;
    };
    // The power of ten of the first digit.
    let power = exponent + whole.len() as i32 - zeros as i32 - 1;
    if power < -4 || power >= wide {
        out.push(*first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.extend_from_slice(if power < 0 { b"e-" } else { b"e+" });
        if power.unsigned_abs() < 10 {
            out.push(b'0');
        }
        out.extend_from_slice(itoa::Buffer::new().format(power.unsigned_abs()).as_bytes());
    } else if power < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + power.unsigned_abs() as usize - 1, b'0');
        out.extend_from_slice(&digits);
    } else {
        let before = power as usize + 1;
        match digits.split_at_checked(before) {
            Some((whole, [])) => out.extend_from_slice(whole),
            Some((whole, part)) => {
                out.extend_from_slice(whole);
                out.push(b'.');
                out.extend_from_slice(part);
            }
            None => {
                out.extend_from_slice(&digits);
                out.resize(out.len() + before - digits.len(), b'0');
            }
        }
    }
}

/// A scaled integer with exactly `scale` digits behind the point.
pub(crate) fn decimal(value: i128, scale: usize, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let magnitude = value.unsigned_abs();
    // 128-bit division is slow, and few amounts need it.
    let digits = match u64::try_from(magnitude) {
        Ok(small) => buffer.format(small),
        Err(_) => buffer.format(magnitude),
    }
    .as_bytes();
    match digits.len().checked_sub(scale) {
        Some(0) | None => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + scale - digits.len(), b'0');
            out.extend_from_slice(digits);
        }
        Some(_) if scale == 0 => out.extend_from_slice(digits),
        Some(at) => {
            let (whole, part) = digits.split_at_checked(at).unwrap_or((digits, &[]));
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What one of the crate's printers writes.
    pub(crate) fn said(f: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        f(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_as_postgresql_lays_them_out() {
        let double =
            |x: f64| said(|out| postgres_float(zmij::Buffer::new().format_finite(x), 15, out));
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (100.0, "100"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.25e-7, "1.25e-07"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (1234.5678, "1234.5678"),
            (999999999999999.9, "999999999999999.9"),
        ] {
            assert_eq!(double(value), text);
        }
        let single =
            |x: f32| said(|out| postgres_float(zmij::Buffer::new().format_finite(x), 6, out));
        assert_eq!(single(1e6), "1e+06");
        assert_eq!(single(123_456.7), "123456.7");
        assert_eq!(single(1_234_567.0), "1.234567e+06");
    }

    #[test]
    fn decimals_keep_their_scale() {
        for (value, scale, text) in [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (-5, 2, "-0.05"),
            (12_345, 2, "123.45"),
            (7, 0, "7"),
            (50, 2, "0.50"),
            (100, 2, "1.00"),
        ] {
            assert_eq!(said(|out| decimal(value, scale, out)), text);
        }
        let widest = 10_i128.pow(38) - 1;
        assert_eq!(
            said(|out| decimal(-widest, 38, out)),
            format!("-0.{}", "9".repeat(38))
        );
    }
}
