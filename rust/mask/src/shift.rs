//! `shift`: a date moved by whole days, as many for every date of one subject.
//!
//! The key is BLAKE3 under the token key, as those of tokens are, of the treatment's context with the
//! most days, the domain and the key id. The offset is BLAKE3 under that key of the subject's value as
//! text, its first 64 bits modulo twice the most days: 1 to that many days, forwards or back, never
//! none. A date whose subject is NULL, or that would leave its type's range, becomes NULL.
//!
//! The days between two dates of one subject stay. It is no Safe Harbor.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal128Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};

use crate::MaskError;
use crate::dictionary::{self, is_enum};
use crate::text::{for_each_text, is_string};
use crate::token::domain_key;
use crate::year::Year;

const CONTEXT: &[u8] = b"maskgate shift 1 days ";
/// The fewest and the most days that an offset may be bounded by.
const DAYS: std::ops::RangeInclusive<u32> = 7..=3650;
const DAY: i64 = 86_400;

/// Days to move the dates of each row by; nothing where nobody is the subject.
type Offsets = Vec<Option<i64>>;

/// The key of one domain, how far it moves at most, and the batch's offsets.
pub(crate) struct Shift {
    key: [u8; 32],
    days: u64,
    offsets: Offsets,
}

impl Shift {
    pub(crate) fn new(
        column: &str,
        token_key: &[u8; 32],
        domain: &str,
        key_id: &str,
        days: u32,
    ) -> Result<Self, MaskError> {
        if !DAYS.contains(&days) {
            return Err(MaskError::Option {
                column: column.to_owned(),
                detail: format!("shift's days are {} to {}", DAYS.start(), DAYS.end()),
            });
        }
        let context = [CONTEXT, &days.to_be_bytes()].concat();
        Ok(Self {
            key: domain_key(column, "shift", &context, token_key, domain, key_id)?,
            days: u64::from(days),
            offsets: Offsets::new(),
        })
    }

    /// Whether dates of this type can be moved.
    pub(crate) fn takes(data_type: &DataType) -> bool {
        Year::takes(data_type)
    }

    /// Whether a value of this type can be the subject.
    pub(crate) fn takes_subject(data_type: &DataType) -> bool {
        is_string(data_type)
            || is_enum(data_type)
            || matches!(
                data_type,
                DataType::Int16
                    | DataType::Int32
                    | DataType::Int64
                    | DataType::Decimal128(_, 0)
                    | DataType::FixedSizeBinary(16)
            )
    }

    /// Whose the next dates are. Equal values of different layouts and widths are one subject.
    pub(crate) fn expect(&mut self, subjects: &ArrayRef) -> Result<(), MaskError> {
        self.offsets = self.offsets(subjects)?;
        Ok(())
    }

    fn offsets(&self, subjects: &ArrayRef) -> Result<Offsets, MaskError> {
        if is_enum(subjects.data_type()) {
            let labels = dictionary::flatten(subjects, &mut |value, _, out| {
                out.extend_from_slice(value.as_bytes());
                Ok(())
            })?;
            return self.offsets(&labels);
        }
        let mut offsets = Offsets::with_capacity(subjects.len());
        match subjects.data_type() {
            text if is_string(text) => for_each_text(subjects, |value| {
                offsets.push(value.map(|value| self.offset(value.as_bytes())));
                Ok(())
            })?,
            DataType::Int16 => self.numbers::<Int16Type>(subjects, &mut offsets)?,
            DataType::Int32 => self.numbers::<Int32Type>(subjects, &mut offsets)?,
            DataType::Int64 => self.numbers::<Int64Type>(subjects, &mut offsets)?,
            DataType::Decimal128(_, 0) => self.numbers::<Decimal128Type>(subjects, &mut offsets)?,
            DataType::FixedSizeBinary(16) => {
                let values = subjects.as_fixed_size_binary().iter();
                offsets.extend(values.map(|value| value.map(|value| self.offset(value))));
            }
            _ => return Err(MaskError::Inconsistent("not the type of a subject")),
        }
        Ok(offsets)
    }

    fn numbers<T: ArrowPrimitiveType>(
        &self,
        subjects: &ArrayRef,
        offsets: &mut Offsets,
    ) -> Result<(), MaskError>
    where
        T::Native: std::fmt::Display,
    {
        let subjects: &PrimitiveArray<T> = typed(subjects)?;
        let text = |value: T::Native| self.offset(value.to_string().as_bytes());
        offsets.extend(subjects.iter().map(|value| value.map(text)));
        Ok(())
    }

    fn offset(&self, subject: &[u8]) -> i64 {
        let hash = blake3::keyed_hash(&self.key, subject);
        let bits = hash.as_bytes().first_chunk().copied().unwrap_or_default();
        let among = u64::from_le_bytes(bits) % (2 * self.days);
        let days = i64::try_from(among % self.days).unwrap_or(0) + 1;
        if among < self.days { days } else { -days }
    }

    /// Each date moved by the offset of its row, and how many were not NULL. `rows` are those of
    /// the dates where they are the elements of lists.
    pub(crate) fn mask(
        &self,
        dates: &ArrayRef,
        rows: Option<&[usize]>,
    ) -> Result<(ArrayRef, u64), MaskError> {
        let spread: Offsets;
        let offsets = match rows {
            None => &self.offsets,
            Some(rows) => {
                let of_row = |row: &usize| self.offsets.get(*row).copied().flatten();
                spread = rows.iter().map(of_row).collect();
                &spread
            }
        };
        if dates.len() != offsets.len() {
            return Err(MaskError::Inconsistent(
                "as many subjects as dates are needed",
            ));
        }
        let moved = match dates.data_type() {
            DataType::Date32 => moved::<Date32Type>(dates, offsets, 1)?,
            DataType::Date64 => moved::<Date64Type>(dates, offsets, DAY * 1_000)?,
            DataType::Timestamp(TimeUnit::Second, _) => {
                moved::<TimestampSecondType>(dates, offsets, DAY)?
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                moved::<TimestampMillisecondType>(dates, offsets, DAY * 1_000)?
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                moved::<TimestampMicrosecondType>(dates, offsets, DAY * 1_000_000)?
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                moved::<TimestampNanosecondType>(dates, offsets, DAY * 1_000_000_000)?
            }
            _ => return Err(MaskError::Inconsistent("not a date")),
        };
        let cells = dates.len().saturating_sub(dates.null_count());
        Ok((
            moved,
            u64::try_from(cells).map_err(|_| MaskError::TooLarge)?,
        ))
    }
}

fn moved<T: ArrowPrimitiveType>(
    dates: &ArrayRef,
    offsets: &[Option<i64>],
    ticks_a_day: i64,
) -> Result<ArrayRef, MaskError>
where
    T::Native: Into<i64> + TryFrom<i64>,
{
    let dates: &PrimitiveArray<T> = typed(dates)?;
    let moved = dates.iter().zip(offsets).map(|(date, days)| {
        let ticks = (*days)?.checked_mul(ticks_a_day)?;
        T::Native::try_from(date?.into().checked_add(ticks)?).ok()
    });
    // NULLs hold nothing but zero.
    let moved = moved.collect::<PrimitiveArray<T>>();
    Ok(Arc::new(moved.with_data_type(dates.data_type().clone())))
}

fn typed<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<&PrimitiveArray<T>, MaskError> {
    array
        .as_primitive_opt::<T>()
        .ok_or(MaskError::Inconsistent("not the type it says"))
}
