//! `bucket`: a number becomes the range it lies in, written as PostgreSQL writes a range: `[40,50)` is
//! 40 and more but less than 50, `[90,)` is 90 and more, `(,18)` is less than 18.
//!
//! Every bound is a whole number, so the whole part of a number (the largest whole number that is not
//! above it) decides for every type alike. NaN, numbers beyond all ranges and text that is no number
//! are masked whole. Ranges narrower than [`NARROWEST`] are refused: they would be the value.

use crate::MaskError;
use crate::cells::{Cell, NOT_OF_THE_FORM};

/// The least width of a range.
const NARROWEST: i64 = 5;
/// No bound is larger: far beyond what is measured, and sums of bounds stay far from overflow.
const FARTHEST: i64 = 1_000_000_000_000_000;
/// No width or magnitude of a number is compared beyond this, which a float64 holds exactly.
const BEYOND: i128 = 1 << 100;
const MOST_EDGES: usize = 1_000;

/// The ranges of a column.
#[derive(Debug, Clone)]
pub(crate) enum Bucket {
    /// From `origin` in both directions, each as wide as the other.
    Even { width: i128, origin: i128 },
    /// Between edges that rise; open below the first and above the last.
    Edges(Vec<i128>),
}

/// The whole part of a number, as far as it can matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    /// Less than every bound.
    Below,
    At(i128),
    /// More than every bound.
    Above,
    /// Not a number.
    None,
}

impl Bucket {
    /// Either `width`, with an origin, or `edges`.
    pub(crate) fn new(
        column: &str,
        width: Option<i64>,
        origin: Option<i64>,
        edges: Option<&[i64]>,
    ) -> Result<Self, MaskError> {
        let refuse = |detail: String| {
            Err(MaskError::Option {
                column: column.to_owned(),
                detail,
            })
        };
        let far = |bound: &i64| !(-FARTHEST..=FARTHEST).contains(bound);
        match (width, origin, edges) {
            (Some(width), origin, None) => {
                let origin = origin.unwrap_or(0);
                if width < NARROWEST || far(&width) || far(&origin) {
                    return refuse(format!(
                        "bucket's width is {NARROWEST} to {FARTHEST}, and its origin no farther \
                         from 0"
                    ));
                }
                Ok(Self::Even {
                    width: i128::from(width),
                    origin: i128::from(origin),
                })
            }
            (None, None, Some(edges)) => {
                let apart = edges
                    .windows(2)
                    .all(|pair| matches!(pair, [a, b] if b.saturating_sub(*a) >= NARROWEST));
                let count = 1..=MOST_EDGES;
                if !apart || !count.contains(&edges.len()) || edges.iter().any(far) {
                    return refuse(format!(
                        "bucket's edges are 1 to {MOST_EDGES} whole numbers of at most {FARTHEST}, \
                         each at least {NARROWEST} above the one before"
                    ));
                }
                Ok(Self::Edges(
                    edges.iter().map(|&edge| i128::from(edge)).collect(),
                ))
            }
            _ => refuse("bucket takes a width, with an origin if need be, or edges".to_owned()),
        }
    }

    /// Appends the range.
    pub(crate) fn push(&self, cell: Cell, out: &mut Vec<u8>) {
        let (low, high) = match (self, whole(cell)) {
            (Self::Even { width, origin }, Whole::At(number)) => {
                let low = origin + (number - origin).div_euclid(*width) * width;
                (Some(low), Some(low + width))
            }
            (Self::Edges(edges), Whole::At(number)) => {
                let place = edges.partition_point(|&edge| edge <= number);
                let low = place.checked_sub(1).and_then(|i| edges.get(i));
                (low.copied(), edges.get(place).copied())
            }
            (Self::Edges(edges), Whole::Below) => (None, edges.first().copied()),
            (Self::Edges(edges), Whole::Above) => (edges.last().copied(), None),
            (Self::Even { .. }, Whole::Below | Whole::Above) | (_, Whole::None) => {
                out.extend_from_slice(NOT_OF_THE_FORM.as_bytes());
                return;
            }
        };
        let bound = |bound: Option<i128>| bound.map(|b| b.to_string()).unwrap_or_default();
        out.push(if low.is_some() { b'[' } else { b'(' });
        out.extend_from_slice(bound(low).as_bytes());
        out.push(b',');
        out.extend_from_slice(bound(high).as_bytes());
        out.push(b')');
    }
}

fn whole(cell: Cell) -> Whole {
    match cell {
        Cell::Integer(number) => Whole::At(i128::from(number)),
        Cell::Decimal(mantissa, scale) => whole_of_decimal(mantissa, scale),
        Cell::Float(number) => whole_of_float(number),
        Cell::Text(text) => whole_of_text(text),
    }
}

fn at(number: i128) -> Whole {
    match number {
        number if number >= BEYOND => Whole::Above,
        number if number <= -BEYOND => Whole::Below,
        number => Whole::At(number),
    }
}

fn whole_of_decimal(mantissa: i128, scale: i8) -> Whole {
    let places = u32::from(scale.unsigned_abs());
    match 10i128.checked_pow(places) {
        Some(unit) if scale >= 0 => at(mantissa.div_euclid(unit)),
        Some(unit) => at(mantissa.saturating_mul(unit)),
        None if scale >= 0 => at(if mantissa < 0 { -1 } else { 0 }),
        None => at(mantissa.signum().saturating_mul(BEYOND)),
    }
}

/// A float of 2^100 or more is a whole number that no bound reaches; below, its whole part is exact.
fn whole_of_float(number: f64) -> Whole {
    if number.is_nan() {
        return Whole::None;
    }
    // `as` saturates, and both ends are far beyond.
    at(number.floor() as i128)
}

/// A number as PostgreSQL writes it: an unconstrained numeric comes as text.
fn whole_of_text(text: &str) -> Whole {
    let text = text.trim_matches(' ');
    match text {
        "Infinity" => return Whole::Above,
        "-Infinity" => return Whole::Below,
        _ => {}
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (units, places) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    if !plain(units) || !plain(places) {
        return Whole::None;
    }
    let units = units.bytes().fold(0i128, |number, c| {
        number
            .saturating_mul(10)
            .saturating_add(i128::from(c - b'0'))
    });
    let part = places.bytes().any(|c| c != b'0');
    match (negative, part) {
        (false, _) => at(units),
        (true, false) => at(-units),
        (true, true) => at((-units).saturating_sub(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bucket: &Bucket, cell: Cell) -> String {
        let mut out = Vec::new();
        bucket.push(cell, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn even(width: i64, origin: i64) -> Bucket {
        Bucket::new("c", Some(width), Some(origin), None).unwrap()
    }

    fn edges(edges: &[i64]) -> Bucket {
        Bucket::new("c", None, None, Some(edges)).unwrap()
    }

    #[test]
    fn even_ranges_in_both_directions() {
        for (number, expected) in [
            (40, "[40,50)"),
            (49, "[40,50)"),
            (50, "[50,60)"),
            (0, "[0,10)"),
            (-1, "[-10,0)"),
            (-10, "[-10,0)"),
            (-11, "[-20,-10)"),
        ] {
            assert_eq!(text(&even(10, 0), Cell::Integer(number)), expected);
            assert_eq!(text(&even(10, 50), Cell::Integer(number)), expected);
        }
        assert_eq!(text(&even(7, 3), Cell::Integer(2)), "[-4,3)");
        assert_eq!(text(&even(7, 3), Cell::Integer(3)), "[3,10)");
        let most = "[9223372036854775800,9223372036854775810)";
        assert_eq!(text(&even(10, 0), Cell::Integer(i64::MAX)), most);
        let least = "[-9223372036854775810,-9223372036854775800)";
        assert_eq!(text(&even(10, 0), Cell::Integer(i64::MIN)), least);
    }

    #[test]
    fn edges_are_open_at_both_ends() {
        let ages = edges(&[18, 40, 90]);
        for (number, expected) in [
            (-1, "(,18)"),
            (17, "(,18)"),
            (18, "[18,40)"),
            (89, "[40,90)"),
            (90, "[90,)"),
            (104, "[90,)"),
        ] {
            assert_eq!(text(&ages, Cell::Integer(number)), expected);
        }
        assert_eq!(text(&edges(&[65]), Cell::Integer(64)), "(,65)");
        assert_eq!(text(&edges(&[65]), Cell::Integer(65)), "[65,)");
    }

    #[test]
    fn one_number_has_one_range_whatever_holds_it() {
        for bucket in [even(10, 0), edges(&[0, 40, 50])] {
            for (tenths, expected) in [(399, 39), (400, 40), (499, 49), (-1, -1), (-100, -10)] {
                let expected = text(&bucket, Cell::Integer(expected));
                let float = f64::from(i32::try_from(tenths).unwrap()) / 10.0;
                assert_eq!(text(&bucket, Cell::Float(float)), expected);
                assert_eq!(text(&bucket, Cell::Decimal(tenths, 1)), expected);
                assert_eq!(text(&bucket, Cell::Decimal(tenths * 1_000, 4)), expected);
                let written = format!("{float:.1}");
                assert_eq!(text(&bucket, Cell::Text(&written)), expected, "{written}");
            }
        }
        assert_eq!(text(&even(10, 0), Cell::Float(-0.0)), "[0,10)");
        assert_eq!(text(&even(10, 0), Cell::Text("-0.00")), "[0,10)");
        assert_eq!(text(&even(10, 0), Cell::Decimal(5, -1)), "[50,60)");
    }

    #[test]
    fn what_is_in_no_range() {
        let (even, edges) = (even(10, 0), edges(&[0, 50]));
        let numeric = "1".repeat(400);
        for (cell, of_even, of_edges) in [
            (Cell::Float(f64::NAN), "[REDACTED]", "[REDACTED]"),
            (Cell::Text("NaN"), "[REDACTED]", "[REDACTED]"),
            (Cell::Float(f64::INFINITY), "[REDACTED]", "[50,)"),
            (Cell::Text("Infinity"), "[REDACTED]", "[50,)"),
            (Cell::Float(f64::NEG_INFINITY), "[REDACTED]", "(,0)"),
            (Cell::Text("-Infinity"), "[REDACTED]", "(,0)"),
            (Cell::Float(1e300), "[REDACTED]", "[50,)"),
            (Cell::Float(-1e300), "[REDACTED]", "(,0)"),
            (Cell::Text(&numeric), "[REDACTED]", "[50,)"),
            (Cell::Decimal(i128::MAX, 0), "[REDACTED]", "[50,)"),
            (Cell::Decimal(i128::MIN, 0), "[REDACTED]", "(,0)"),
            (Cell::Decimal(i128::MAX, 38), "[0,10)", "[0,50)"),
            (Cell::Decimal(i128::MIN, 127), "[-10,0)", "(,0)"),
            (Cell::Decimal(1, i8::MIN), "[REDACTED]", "[50,)"),
            (Cell::Decimal(0, i8::MIN), "[0,10)", "[0,50)"),
        ] {
            assert_eq!(text(&even, cell), of_even, "{cell:?}");
            assert_eq!(text(&edges, cell), of_edges, "{cell:?}");
        }
        for given in [
            "", " ", "-", ".", "5.", ".5", "+5", "1e3", "0x10", "5 kg", "$5", "1,000", "٤٢", "--5",
            "5-", "5.5.5", "Anna",
        ] {
            assert_eq!(text(&even, Cell::Text(given)), "[REDACTED]", "{given}");
            assert_eq!(text(&edges, Cell::Text(given)), "[REDACTED]", "{given}");
        }
    }

    #[test]
    fn ranges_that_would_be_the_value_are_refused() {
        let made = |width, origin, edges| Bucket::new("c", width, origin, edges).is_ok();
        assert!(made(Some(5), None, None));
        assert!(made(None, None, Some(&[0, 5, 10])));
        assert!(made(None, None, Some(&[0])));
        assert!(!made(Some(4), None, None));
        assert!(!made(Some(0), None, None));
        assert!(!made(Some(-10), None, None));
        assert!(!made(Some(i64::MAX), None, None));
        assert!(!made(Some(10), Some(i64::MIN), None));
        assert!(!made(None, None, None));
        assert!(!made(None, Some(5), None));
        assert!(!made(Some(10), None, Some(&[0, 10])));
        assert!(!made(None, Some(1), Some(&[0, 10])));
        assert!(!made(None, None, Some(&[])));
        assert!(!made(None, None, Some(&[0, 4])));
        assert!(!made(None, None, Some(&[10, 0])));
        assert!(!made(None, None, Some(&[i64::MIN, 0])));
        let many: Vec<i64> = (0..1_001).map(|i| i * 5).collect();
        assert!(made(None, None, many.get(1..)));
        assert!(!made(None, None, Some(&many)));
    }

    /// The rule once more: ranges are tried one after the other, by comparison alone.
    fn naive(width: i64, origin: i64, inside: impl Fn(i64, i64) -> bool) -> String {
        let mut low = origin;
        loop {
            if inside(low, low + width) {
                return format!("[{low},{})", low + width);
            }
            low = if low >= origin {
                2 * origin - low - width
            } else {
                2 * origin - low
            };
        }
    }

    fn naive_edges(edges: &[i64], reaches: impl Fn(i64) -> bool) -> String {
        let below: Vec<_> = edges.iter().filter(|&&edge| reaches(edge)).collect();
        let above: Vec<_> = edges.iter().filter(|&&edge| !reaches(edge)).collect();
        match (below.last(), above.first()) {
            (Some(low), Some(high)) => format!("[{low},{high})"),
            (Some(low), None) => format!("[{low},)"),
            (None, high) => format!("(,{})", high.unwrap()),
        }
    }

    proptest! {
        #[test]
        fn as_the_plain_rule_says(
            width in 5i64..50,
            origin in -100i64..100,
            gaps in prop::collection::vec(5i64..60, 1..8),
            hundredths in -50_000i64..50_000,
        ) {
            let number = |bound: i64| bound * 100 <= hundredths;
            let expected = naive(width, origin, |low, high| number(low) && !number(high));
            let mut cut = Vec::new();
            gaps.iter().fold(-200, |edge, gap| {
                cut.push(edge + gap);
                edge + gap
            });
            let expected_edges = naive_edges(&cut, number);
            let sign = if hundredths < 0 { "-" } else { "" };
            let (units, places) = (hundredths.abs() / 100, hundredths.abs() % 100);
            let written = format!("{sign}{units}.{places:02}");
            let float: f64 = written.parse().unwrap();
            for cell in [
                Cell::Decimal(i128::from(hundredths), 2),
                Cell::Float(float),
                Cell::Text(&written),
                Cell::Integer(hundredths.div_euclid(100)),
            ] {
                prop_assert_eq!(&text(&even(width, origin), cell), &expected);
                prop_assert_eq!(&text(&edges(&cut), cell), &expected_edges);
            }
        }

        #[test]
        fn whatever_comes_nothing_breaks(
            width in 5i64..1_000_000_000_000_000,
            origin in -1_000_000_000_000_000i64..1_000_000_000_000_000,
            mantissa in any::<i128>(),
            scale in any::<i8>(),
            bits in any::<u64>(),
            given in "-?[0-9]{0,60}[.]?[0-9]{0,60}",
        ) {
            for bucket in [even(width, origin), edges(&[origin])] {
                let decimal = text(&bucket, Cell::Decimal(mantissa, scale));
                let float = text(&bucket, Cell::Float(f64::from_bits(bits)));
                let written = text(&bucket, Cell::Text(&given));
                for range in [decimal, float, written] {
                    let open = range.starts_with('[') || range.starts_with("(,");
                    prop_assert!(open && (range.ends_with(')') || range == "[REDACTED]"));
                }
            }
        }
    }
}
