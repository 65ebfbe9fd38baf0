//! `year`: a date becomes its year (45 CFR 164.514(b)(2)(i)(C)).
//!
//! A year that would show an age over 89 becomes one bucket. Who was born in the reference year
//! minus 90 turns 90 within it, so that year and all before it read `before 1937` (reference 2026).
//! Years after 9999 are written with all their digits.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};

use crate::MaskError;
use crate::calendar::year_of_day;
use crate::text::TextBuilder;

/// The rule with its reference year.
#[derive(Debug, Clone)]
pub(crate) struct Year {
    /// The earliest year that is told.
    earliest: i64,
    bucket: String,
}

impl Year {
    /// `reference` is the year in which ages are counted.
    pub(crate) fn new(reference: i64) -> Self {
        let earliest = reference.saturating_sub(89);
        Self {
            earliest,
            bucket: format!("before {earliest}"),
        }
    }

    /// Whether the type is a date.
    pub(crate) fn takes(data_type: &DataType) -> bool {
        matches!(
            data_type,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _)
        )
    }

    /// Dates to years as text, and how many were not NULL.
    pub(crate) fn mask(&self, array: &ArrayRef) -> Result<(ArrayRef, u64), MaskError> {
        const DAY: i64 = 86_400;
        match array.data_type() {
            DataType::Date32 => self.years::<Date32Type>(array.as_primitive_opt(), i64::from, 1),
            DataType::Date64 => {
                self.years::<Date64Type>(array.as_primitive_opt(), |ms| ms, DAY * 1_000)
            }
            DataType::Timestamp(unit, _) => match unit {
                TimeUnit::Second => {
                    self.years::<TimestampSecondType>(array.as_primitive_opt(), |s| s, DAY)
                }
                TimeUnit::Millisecond => self.years::<TimestampMillisecondType>(
                    array.as_primitive_opt(),
                    |ms| ms,
                    DAY * 1_000,
                ),
                TimeUnit::Microsecond => self.years::<TimestampMicrosecondType>(
                    array.as_primitive_opt(),
                    |us| us,
                    DAY * 1_000_000,
                ),
                TimeUnit::Nanosecond => self.years::<TimestampNanosecondType>(
                    array.as_primitive_opt(),
                    |ns| ns,
                    DAY * 1_000_000_000,
                ),
            },
            _ => Err(MaskError::Inconsistent("not a date")),
        }
    }

    fn years<T: ArrowPrimitiveType>(
        &self,
        array: Option<&PrimitiveArray<T>>,
        widen: impl Fn(T::Native) -> i64,
        ticks_a_day: i64,
    ) -> Result<(ArrayRef, u64), MaskError> {
        let array = array.ok_or(MaskError::Inconsistent("not the type it says"))?;
        let mut out = TextBuilder::new(array.len(), array.len().saturating_mul(4));
        let mut cells = 0u64;
        for value in array {
            if let Some(value) = value {
                cells += 1;
                let year = year_of_day(widen(value).div_euclid(ticks_a_day));
                if year < self.earliest {
                    out.bytes().extend_from_slice(self.bucket.as_bytes());
                } else {
                    push_year(out.bytes(), year);
                }
            }
            out.end_row()?;
        }
        Ok((out.finish(array.nulls())?, cells))
    }
}

/// Four digits at least. Years that reach here are after `earliest`; a negative one can only come
/// with a reference year in antiquity and is written as PostgreSQL does, with BC.
fn push_year(out: &mut Vec<u8>, year: i64) {
    if year > 0 {
        out.extend_from_slice(format!("{year:04}").as_bytes());
    } else {
        out.extend_from_slice(format!("{:04} BC", 1i64.saturating_sub(year)).as_bytes());
    }
}
