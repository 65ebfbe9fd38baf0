//! Arrays one value at a time, for treatments that make a text of each: every layout that holds the
//! same value gives the same [`Cell`].
//!
//! It refuses types that have no such form; under a NULL nothing is read.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_schema::DataType;

use crate::MaskError;
use crate::dictionary::{self, is_enum};
use crate::text::{TextBuilder, for_each_text, is_string};

/// What a value becomes that is not of the form which its treatment asks for.
pub(crate) const NOT_OF_THE_FORM: &str = crate::DEFAULT_LABEL;

/// One value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    Text(&'a str),
    Integer(i64),
    /// Mantissa and scale.
    Decimal(i128, i8),
    Float(f64),
}

/// Whether the type holds text or whole numbers. JSON is text in Arrow's eyes: the caller asks.
pub(crate) fn is_text_or_integer(data_type: &DataType) -> bool {
    is_string(data_type)
        || is_enum(data_type)
        || matches!(
            data_type,
            DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Decimal128(_, 0)
        )
}

/// Whether the type holds text or numbers of any kind.
pub(crate) fn is_text_or_number(data_type: &DataType) -> bool {
    is_text_or_integer(data_type)
        || matches!(
            data_type,
            DataType::Decimal128(_, _) | DataType::Float32 | DataType::Float64
        )
}

/// The text that `write` makes of each value that is not NULL, and how many those are. A dictionary's
/// value is written once, and the result is plain text: there would be little left to encode.
pub(crate) fn to_text(
    array: &ArrayRef,
    mut write: impl FnMut(Cell, &mut Vec<u8>),
) -> Result<(ArrayRef, u64), MaskError> {
    if is_enum(array.data_type()) {
        let mut cells = 0u64;
        let out = dictionary::flatten(array, &mut |value, uses, out| {
            cells = cells.saturating_add(uses);
            write(Cell::Text(value), out);
            Ok(())
        })?;
        return Ok((out, cells));
    }
    let rows = array.len();
    let mut out = TextBuilder::new(rows, rows.saturating_mul(8));
    match array.data_type() {
        text if is_string(text) => for_each_text(array, |value| {
            if let Some(value) = value {
                write(Cell::Text(value), out.bytes());
            }
            out.end_row()
        })?,
        DataType::Int16 => each::<Int16Type>(array, &mut out, |v, o| {
            write(Cell::Integer(i64::from(v)), o);
        })?,
        DataType::Int32 => each::<Int32Type>(array, &mut out, |v, o| {
            write(Cell::Integer(i64::from(v)), o);
        })?,
        DataType::Int64 => each::<Int64Type>(array, &mut out, |v, o| {
            write(Cell::Integer(v), o);
        })?,
        DataType::Decimal128(_, scale) => each::<Decimal128Type>(array, &mut out, |v, o| {
            write(Cell::Decimal(v, *scale), o);
        })?,
        DataType::Float32 => each::<Float32Type>(array, &mut out, |v, o| {
            write(Cell::Float(f64::from(v)), o);
        })?,
        DataType::Float64 => each::<Float64Type>(array, &mut out, |v, o| {
            write(Cell::Float(v), o);
        })?,
        _ => return Err(MaskError::Inconsistent("neither text nor a number")),
    }
    let cells = rows.saturating_sub(array.null_count());
    let cells = u64::try_from(cells).map_err(|_| MaskError::TooLarge)?;
    Ok((out.finish(array.nulls())?, cells))
}

fn each<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    out: &mut TextBuilder,
    mut write: impl FnMut(T::Native, &mut Vec<u8>),
) -> Result<(), MaskError> {
    let array = array
        .as_primitive_opt::<T>()
        .ok_or(MaskError::Inconsistent("not the type it says"))?;
    for value in array {
        if let Some(value) = value {
            write(value, out.bytes());
        }
        out.end_row()?;
    }
    Ok(())
}
