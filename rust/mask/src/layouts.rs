//! Layouts that PostgreSQL's decoder never makes and other producers of Arrow do, brought to those
//! that the treatments know.
//!
//! A dictionary of anything but text becomes its values, a run-end encoded array of text becomes a
//! dictionary (its runs' values are treated, not its rows) and any other its values, a list view
//! becomes a list. Neither the order of a dictionary nor where runs begin leaves with the result. It
//! refuses unions: which member holds a value is part of the value.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Float16Type, Float32Type, Int8Type, Int16Type,
    Int32Type, Int64Type, RunEndIndexType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, GenericListArray, Int32Array, OffsetSizeTrait, RunArray,
    UInt64Array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;
use arrow_select::take::take;

use crate::MaskError;
use crate::dictionary::is_enum;
use crate::owned::fresh_nulls;
use crate::text::is_string;

/// Elements that list views upon each other may come to in one batch.
const MOST_REPEATED: usize = 1 << 24;

/// What arrays of this type are brought to before any treatment; nothing when they stay.
pub(crate) fn plain(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Dictionary(_, value) if !is_enum(data_type) => Some(value.as_ref().clone()),
        DataType::RunEndEncoded(_, values) if is_string(values.data_type()) => {
            let text = Box::new(values.data_type().clone());
            Some(DataType::Dictionary(Box::new(DataType::Int32), text))
        }
        DataType::RunEndEncoded(_, values) => Some(values.data_type().clone()),
        DataType::ListView(item) => Some(DataType::List(Arc::clone(item))),
        DataType::LargeListView(item) => Some(DataType::LargeList(Arc::clone(item))),
        _ => None,
    }
}

/// A wider type that holds the same numbers, for treatments that make a text of each. Nothing where a
/// value could be lost.
pub(crate) fn wider(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Int8 | DataType::UInt8 => Some(DataType::Int16),
        DataType::UInt16 => Some(DataType::Int32),
        DataType::UInt32 => Some(DataType::Int64),
        DataType::UInt64 => Some(DataType::Decimal128(20, 0)),
        DataType::Float16 => Some(DataType::Float32),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            Some(DataType::Decimal128(*precision, *scale))
        }
        _ => None,
    }
}

/// The array as `to`, which [`plain`] or [`wider`] gave for its type.
pub(crate) fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, MaskError> {
    match array.data_type() {
        same if same == to => Ok(Arc::clone(array)),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            Ok(take(dictionary.values(), dictionary.keys(), None)?)
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => rows_of_runs::<Int16Type>(array.as_run_opt()),
            DataType::Int32 => rows_of_runs::<Int32Type>(array.as_run_opt()),
            DataType::Int64 => rows_of_runs::<Int64Type>(array.as_run_opt()),
            _ => Err(MaskError::Inconsistent("run ends of an odd type")),
        },
        DataType::ListView(_) => list_of_view::<i32>(array, to),
        DataType::LargeListView(_) => list_of_view::<i64>(array, to),
        _ => widen(array, to),
    }
}

fn rows_of_runs<R: RunEndIndexType>(array: Option<&RunArray<R>>) -> Result<ArrayRef, MaskError> {
    let array = array.ok_or(MaskError::Inconsistent("not the runs it says"))?;
    let mut keys: Vec<i32> = Vec::with_capacity(array.len());
    for (run, end) in array.run_ends().sliced_values().enumerate() {
        let run = i32::try_from(run).map_err(|_| MaskError::TooLarge)?;
        let end = arrow_buffer::ArrowNativeType::as_usize(end).min(array.len());
        keys.resize(end.max(keys.len()), run);
    }
    if keys.len() != array.len() {
        return Err(MaskError::Inconsistent("run ends"));
    }
    let values = array.values_slice();
    let keys = Int32Array::from(keys);
    if !is_string(values.data_type()) {
        return Ok(take(&values, &keys, None)?);
    }
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(
        keys, values,
    )?))
}

fn list_of_view<O: OffsetSizeTrait>(
    array: &ArrayRef,
    to: &DataType,
) -> Result<ArrayRef, MaskError> {
    let view = array
        .as_list_view_opt::<O>()
        .ok_or(MaskError::Inconsistent("a list view that is none"))?;
    let (DataType::List(item) | DataType::LargeList(item)) = to else {
        return Err(MaskError::Inconsistent("a list view of another type"));
    };
    let shown = |row: usize, size: O| {
        if view.is_valid(row) {
            size.as_usize()
        } else {
            0
        }
    };
    let sizes = view.sizes().iter().enumerate();
    let lengths: Vec<usize> = sizes.map(|(row, &size)| shown(row, size)).collect();
    // Views may lie upon each other: a few bytes can stand for any number of elements.
    let total = lengths.iter().fold(0usize, |sum, n| sum.saturating_add(*n));
    if total > view.values().len().max(MOST_REPEATED) || i32::try_from(total).is_err() {
        return Err(MaskError::TooLarge);
    }
    let mut places: Vec<u64> = Vec::with_capacity(total);
    for (start, size) in view.offsets().iter().zip(&lengths) {
        let start = start.as_usize();
        for place in start..start.saturating_add(*size) {
            places.push(u64::try_from(place).map_err(|_| MaskError::TooLarge)?);
        }
    }
    let values = take(view.values(), &UInt64Array::from(places), None)?;
    let offsets = OffsetBuffer::<O>::from_lengths(lengths);
    let nulls = fresh_nulls(view.nulls());
    let list = GenericListArray::<O>::try_new(Arc::clone(item), offsets, values, nulls)?;
    Ok(Arc::new(list))
}

fn widen(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, MaskError> {
    macro_rules! widened {
        ($from:ty, $into:ty, $with:expr) => {{
            let array = array
                .as_primitive_opt::<$from>()
                .ok_or(MaskError::Inconsistent("not the type it says"))?;
            let wide = array.unary::<_, $into>($with);
            Ok(Arc::new(wide.with_data_type(to.clone())))
        }};
    }
    match array.data_type() {
        DataType::Int8 => widened!(Int8Type, Int16Type, i16::from),
        DataType::UInt8 => widened!(UInt8Type, Int16Type, i16::from),
        DataType::UInt16 => widened!(UInt16Type, Int32Type, i32::from),
        DataType::UInt32 => widened!(UInt32Type, Int64Type, i64::from),
        DataType::UInt64 => widened!(UInt64Type, Decimal128Type, i128::from),
        DataType::Float16 => widened!(Float16Type, Float32Type, |value| value.to_f32()),
        DataType::Decimal32(_, _) => widened!(Decimal32Type, Decimal128Type, i128::from),
        DataType::Decimal64(_, _) => widened!(Decimal64Type, Decimal128Type, i128::from),
        _ => Err(MaskError::Inconsistent("a type that is not widened")),
    }
}
