//! PostgreSQL's numeric, base 10,000 on the wire: to a scaled integer, or to the text that
//! `numeric_out` prints. Exact or refused; nothing is rounded.

use crate::error::Fault;
use crate::reader::Reader;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const POSITIVE_INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;
/// `NUMERIC_DSCALE_MASK`.
const MAX_DSCALE: u16 = 0x3FFF;

/// One numeric as it came.
struct Numeric<'a> {
    sign: u16,
    weight: i16,
    dscale: u16,
    digits: &'a [u8],
}

impl<'a> Numeric<'a> {
    fn read(cell: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(cell);
        let [a, b, c, d, e, f, g, h] = reader.take_array::<8>().ok_or(Fault::Size)?;
        let count = usize::try_from(i16::from_be_bytes([a, b])).map_err(|_| Fault::Content)?;
        let numeric = Self {
            weight: i16::from_be_bytes([c, d]),
            sign: u16::from_be_bytes([e, f]),
            dscale: u16::from_be_bytes([g, h]),
            digits: reader.rest(),
        };
        if numeric.digits.len() != count * 2 {
            return Err(Fault::Size);
        }
        if numeric.dscale > MAX_DSCALE {
            return Err(Fault::Content);
        }
        match numeric.sign {
            0 | NEGATIVE => Ok(numeric),
            NAN | POSITIVE_INFINITY | NEGATIVE_INFINITY if count == 0 => Ok(numeric),
            _ => Err(Fault::Content),
        }
    }

    /// The groups of four decimal digits, most significant first.
    fn groups(&self) -> impl Iterator<Item = Result<u16, Fault>> + use<'a> {
        self.digits
            .as_chunks::<2>()
            .0
            .iter()
            .map(|pair| match u16::from_be_bytes(*pair) {
                group @ 0..=9999 => Ok(group),
                _ => Err(Fault::Content),
            })
    }
}

/// The value times 10^`scale`, below `limit` in magnitude.
pub(crate) fn decimal(cell: &[u8], limit: i128, scale: i8) -> Result<i128, Fault> {
    let numeric = Numeric::read(cell)?;
    if numeric.sign & 0xC000 == 0xC000 {
        return Err(Fault::NotANumber);
    }
    let total = match short(&numeric, scale) {
        Some(total) => i128::from(total),
        None => long(&numeric, scale)?,
    };
    if total >= limit {
        return Err(Fault::Digits);
    }
    Ok(if numeric.sign == NEGATIVE {
        -total
    } else {
        total
    })
}

/// The magnitude of any number.
fn long(numeric: &Numeric<'_>, scale: i8) -> Result<i128, Fault> {
    let mut total: i128 = 0;
    // The power of ten that the current group's last digit stands for, counted from the scale.
    let mut exponent = (i32::from(numeric.weight) + 1) * 4 + i32::from(scale);
    for group in numeric.groups() {
        let group = i128::from(group?);
        exponent -= 4;
        total = match exponent {
            0.. => shifted(total, 4)?.checked_add(group).ok_or(Fault::Digits)?,
            -3..=-1 => {
                // The scale cuts through this group: what lies behind the cut must be zero.
                let cut = 10_i128.pow(exponent.unsigned_abs());
                if group % cut != 0 {
                    return Err(Fault::Digits);
                }
                shifted(total, exponent + 4)?
                    .checked_add(group / cut)
                    .ok_or(Fault::Digits)?
            }
            _ if group == 0 => total,
            _ => return Err(Fault::Digits),
        };
    }
    if total != 0 && exponent > 0 {
        total = shifted(total, exponent)?;
    }
    Ok(total)
}

/// The magnitude of a number of few digits, which most are, without wide arithmetic. None says
/// nothing: the number may be too long, or no number, or not exact.
#[inline]
fn short(numeric: &Numeric<'_>, scale: i8) -> Option<u64> {
    const FEW: usize = 4; // groups: 16 digits
    if numeric.digits.len() > 2 * FEW {
        return None;
    }
    let mut total = 0;
    // As in `long`.
    let mut exponent = (i32::from(numeric.weight) + 1) * 4 + i32::from(scale);
    for pair in numeric.digits.as_chunks::<2>().0 {
        let group = u64::from(u16::from_be_bytes(*pair));
        if group > 9999 {
            return None;
        }
        total = total * 10_000 + group;
        exponent -= 4;
    }
    Some(match exponent {
        0 => total,
        1 => total * 10,
        2 => total * 100,
        -1 if total % 10 == 0 => total / 10,
        -2 if total % 100 == 0 => total / 100,
        -3 if total % 1000 == 0 => total / 1000,
        _ => return None,
    })
}

fn shifted(value: i128, digits: i32) -> Result<i128, Fault> {
    if value == 0 {
        return Ok(0);
    }
    let power = u32::try_from(digits).map_err(|_| Fault::Digits)?;
    let factor = 10_i128.checked_pow(power).ok_or(Fault::Digits)?;
    value.checked_mul(factor).ok_or(Fault::Digits)
}

/// Appends what `numeric_out` prints.
pub(crate) fn print(cell: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let numeric = Numeric::read(cell)?;
    match numeric.sign {
        NAN => {
            out.extend_from_slice(b"NaN");
            return Ok(());
        }
        POSITIVE_INFINITY => {
            out.extend_from_slice(b"Infinity");
            return Ok(());
        }
        NEGATIVE_INFINITY => {
            out.extend_from_slice(b"-Infinity");
            return Ok(());
        }
        NEGATIVE => out.push(b'-'),
        _ => {}
    }
    let mut groups = numeric.groups();
    let mut next = || groups.next().unwrap_or(Ok(0));
    if numeric.weight < 0 {
        out.push(b'0');
    } else {
        let first = next()?;
        out.extend_from_slice(itoa::Buffer::new().format(first).as_bytes());
        for _ in 0..numeric.weight {
            out.extend_from_slice(&four(next()?));
        }
    }
    if numeric.dscale > 0 {
        out.push(b'.');
        let end = out.len() + usize::from(numeric.dscale);
        // Groups of zeros between the point and a first digit far behind it.
        for _ in 0..(-1 - i32::from(numeric.weight)).clamp(0, i32::from(MAX_DSCALE)) {
            out.extend_from_slice(b"0000");
        }
        while out.len() < end {
            out.extend_from_slice(&four(next()?));
        }
        out.truncate(end);
    }
    Ok(())
}

fn four(group: u16) -> [u8; 4] {
    let digit = |divisor: u16| b'0' + (group / divisor % 10) as u8;
    [digit(1000), digit(100), digit(10), digit(1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(sign: u16, weight: i16, dscale: u16, digits: &[i16]) -> Vec<u8> {
        let mut cell = (digits.len() as i16).to_be_bytes().to_vec();
        cell.extend(weight.to_be_bytes());
        cell.extend(sign.to_be_bytes());
        cell.extend(dscale.to_be_bytes());
        digits.iter().for_each(|d| cell.extend(d.to_be_bytes()));
        cell
    }

    fn decimal(cell: &[u8], precision: u8, scale: i8) -> Result<i128, Fault> {
        super::decimal(cell, 10_i128.pow(u32::from(precision)), scale)
    }

    fn text(cell: &[u8]) -> String {
        let mut out = Vec::new();
        print(cell, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn prints_as_the_server() {
        assert_eq!(text(&wire(0, 0, 0, &[])), "0");
        assert_eq!(text(&wire(0, 0, 2, &[])), "0.00");
        assert_eq!(
            text(&wire(NEGATIVE, 1, 3, &[12, 3456, 7800])),
            "-123456.780"
        );
        assert_eq!(text(&wire(0, -3, 12, &[1])), "0.000000000001");
        assert_eq!(text(&wire(0, -1, 4, &[1])), "0.0001");
        assert_eq!(text(&wire(0, 2, 0, &[1])), "100000000");
        assert_eq!(text(&wire(0, -5, 2, &[])), "0.00");
        assert_eq!(text(&wire(NAN, 0, 0, &[])), "NaN");
        assert_eq!(text(&wire(POSITIVE_INFINITY, 0, 32, &[])), "Infinity");
        assert_eq!(text(&wire(NEGATIVE_INFINITY, 0, 32, &[])), "-Infinity");
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(
            decimal(&wire(NEGATIVE, 1, 3, &[12, 3456, 7800]), 10, 3),
            Ok(-123_456_780)
        );
        assert_eq!(decimal(&wire(0, 0, 2, &[1, 2500]), 10, 2), Ok(125));
        assert_eq!(
            decimal(&wire(0, 0, 3, &[1, 2550]), 10, 2),
            Err(Fault::Digits)
        );
        assert_eq!(
            decimal(&wire(0, 0, 3, &[1, 0, 1]), 10, 2),
            Err(Fault::Digits)
        );
        assert_eq!(decimal(&wire(0, 2, 0, &[1]), 9, 0), Ok(100_000_000));
        assert_eq!(decimal(&wire(0, 2, 0, &[1]), 8, 0), Err(Fault::Digits));
        assert_eq!(
            decimal(&wire(0, 32_767, 0, &[1]), 38, 0),
            Err(Fault::Digits)
        );
        assert_eq!(decimal(&wire(0, 32_767, 0, &[]), 38, 0), Ok(0));
        assert_eq!(
            decimal(&wire(NAN, 0, 0, &[]), 10, 2),
            Err(Fault::NotANumber)
        );
        let nines = wire(
            0,
            9,
            1,
            &[
                999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 99, 9000,
            ],
        );
        assert_eq!(text(&nines), format!("999{}0099.9", "9999".repeat(8)));
        assert!(decimal(&nines, 38, 1).is_err());
        let widest = wire(
            0,
            9,
            1,
            &[
                9, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9000,
            ],
        );
        assert_eq!(decimal(&widest, 38, 1), Ok(10_i128.pow(38) - 1));
    }

    #[test]
    fn numbers_of_few_digits_are_those_of_wide_arithmetic() {
        let groups = [0, 1, 70, 500, 9999, 10_000];
        let mut short_ones = 0;
        for weight in -3..=3 {
            for scale in 0..=6 {
                for case in 0..6_usize.pow(3) {
                    let digits: Vec<i16> = [case % 6, case / 6 % 6, case / 36]
                        .map(|i| groups[i])
                        .to_vec();
                    for digits in [&digits[..], &digits[1..], &digits[3..]] {
                        let cell = wire(0, weight, 0, digits);
                        let numeric = Numeric::read(&cell).unwrap();
                        let wide = long(&numeric, scale);
                        if let Some(total) = short(&numeric, scale) {
                            assert_eq!(wide, Ok(i128::from(total)), "{weight} {scale} {digits:?}");
                            short_ones += 1;
                        }
                    }
                }
            }
        }
        assert!(short_ones > 1000);
    }

    #[test]
    fn torn_cells_are_refused() {
        assert_eq!(decimal(&[0; 7], 10, 2), Err(Fault::Size));
        assert_eq!(decimal(&wire(0, 0, 0, &[1])[..9], 10, 2), Err(Fault::Size));
        assert_eq!(
            decimal(&wire(0, 0, 0, &[10_000]), 10, 2),
            Err(Fault::Content)
        );
        assert_eq!(decimal(&wire(0, 0, 0, &[-1]), 10, 2), Err(Fault::Content));
        assert_eq!(
            decimal(&wire(0x1234, 0, 0, &[1]), 10, 2),
            Err(Fault::Content)
        );
        assert_eq!(decimal(&wire(NAN, 0, 0, &[1]), 10, 2), Err(Fault::Content));
    }
}
