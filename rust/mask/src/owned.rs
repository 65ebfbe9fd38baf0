//! Arrays that hold their own rows and nothing else.
//!
//! A slice, a view, a dictionary and a validity bitmap each leave bytes behind that no row shows and
//! every export carries. What leaves this crate is therefore rebuilt unless its buffers hold exactly
//! the visible rows: the bytes under a NULL are zero, the bits after the last row are zero, a
//! dictionary has only the values that rows use, in the order of their first use.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ByteArrayType;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryViewArray, BooleanArray, FixedSizeBinaryArray,
    GenericByteArray, NullArray, PrimitiveArray, StringViewArray, downcast_primitive_array,
};
use arrow_buffer::{
    ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer,
};
use arrow_schema::DataType;

use crate::{MaskError, dictionary, lists};

/// Whether `clear` knows how to copy this type.
pub(crate) fn can_own(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => true,
        DataType::Dictionary(_, _) => dictionary::is_enum(data_type),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => can_own(item.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| can_own(field.data_type())),
        DataType::Null => true,
        primitive => primitive.is_primitive(),
    }
}

/// The visible rows of `array`, in buffers that hold nothing else.
pub(crate) fn owned(array: &ArrayRef) -> Result<ArrayRef, MaskError> {
    let any: &dyn Array = array.as_ref();
    downcast_primitive_array!(
        any => Ok(primitive(any)),
        DataType::Boolean => Ok(boolean(array.as_boolean())),
        DataType::Utf8 => bytes(array.as_string::<i32>()),
        DataType::LargeUtf8 => bytes(array.as_string::<i64>()),
        DataType::Binary => bytes(array.as_binary::<i32>()),
        DataType::LargeBinary => bytes(array.as_binary::<i64>()),
        // A view of twelve bytes or fewer holds its value even in a NULL row: copied value by value.
        DataType::Utf8View => {
            Ok(Arc::new(array.as_string_view().iter().collect::<StringViewArray>()))
        }
        DataType::BinaryView => {
            Ok(Arc::new(array.as_binary_view().iter().collect::<BinaryViewArray>()))
        }
        DataType::FixedSizeBinary(_) => fixed(array.as_fixed_size_binary()),
        DataType::Dictionary(_, _) => {
            dictionary::rebuild(array, &mut |value, _, out| {
                out.extend_from_slice(value.as_bytes());
                Ok(())
            })
        }
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(_, _)
        | DataType::Map(_, _) => lists::map_elements(array, None, &mut |child| owned(child)),
        DataType::Struct(_) => lists::map_fields(array, None, &mut |_, child| owned(child)),
        DataType::Null => Ok(Arc::new(NullArray::new(array.len()))),
        _ => Err(MaskError::Inconsistent("a type nobody can copy")),
    )
}

/// A copy of the visible validity bits, nothing when every row is valid.
pub(crate) fn fresh_nulls(nulls: Option<&NullBuffer>) -> Option<NullBuffer> {
    let nulls = nulls.filter(|n| n.null_count() > 0)?;
    Some(NullBuffer::new(fresh_bits(nulls.inner())))
}

/// The visible bits in a buffer of their own, zero after the last.
fn fresh_bits(bits: &BooleanBuffer) -> BooleanBuffer {
    let words: Vec<u64> = bits.bit_chunks().iter_padded().collect();
    let mut buffer = Buffer::from_vec(words);
    buffer.shrink_to_fit();
    BooleanBuffer::new(
        buffer.slice_with_length(0, bits.len().div_ceil(8)),
        0,
        bits.len(),
    )
}

fn primitive<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> ArrayRef {
    if array.null_count() == 0 && array.values().inner().ptr_offset() == 0 {
        let values = array.values().clone();
        let copy = PrimitiveArray::<T>::new(values, None);
        return Arc::new(copy.with_data_type(array.data_type().clone()));
    }
    let values: Vec<T::Native> = array.iter().map(Option::unwrap_or_default).collect();
    let copy = PrimitiveArray::<T>::new(ScalarBuffer::from(values), fresh_nulls(array.nulls()));
    Arc::new(copy.with_data_type(array.data_type().clone()))
}

fn boolean(array: &BooleanArray) -> ArrayRef {
    let values = match array.nulls() {
        None => fresh_bits(array.values()),
        Some(nulls) => array.values() & nulls.inner(),
    };
    Arc::new(BooleanArray::new(
        fresh_bits(&values),
        fresh_nulls(array.nulls()),
    ))
}

/// Whether offsets and values are exactly the visible rows, with nothing under a NULL.
pub(crate) fn is_compact<T: ByteArrayType>(array: &GenericByteArray<T>) -> bool {
    let offsets = array.offsets();
    let first = offsets.first().map_or(0, |o| o.as_usize());
    let last = offsets.last().map_or(0, |o| o.as_usize());
    first == 0
        && last == array.values().len()
        && array.values().ptr_offset() == 0
        && offsets.inner().inner().ptr_offset() == 0
        && !offsets.has_non_empty_nulls(array.nulls())
}

fn bytes<T: ByteArrayType>(array: &GenericByteArray<T>) -> Result<ArrayRef, MaskError> {
    let nulls = fresh_nulls(array.nulls());
    if is_compact(array) {
        let (offsets, values) = (array.offsets().clone(), array.values().clone());
        return Ok(Arc::new(GenericByteArray::<T>::try_new(
            offsets, values, nulls,
        )?));
    }
    Ok(Arc::new(compact(array)?))
}

/// The visible rows in new buffers.
pub(crate) fn compact<T: ByteArrayType>(
    array: &GenericByteArray<T>,
) -> Result<GenericByteArray<T>, MaskError> {
    let mut values: Vec<u8> = Vec::new();
    let mut offsets: Vec<T::Offset> = Vec::with_capacity(array.len().saturating_add(1));
    offsets.push(T::Offset::default());
    for value in array {
        if let Some(value) = value {
            let value: &[u8] = value.as_ref();
            values.extend_from_slice(value);
        }
        offsets.push(T::Offset::from_usize(values.len()).ok_or(MaskError::TooLarge)?);
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let nulls = fresh_nulls(array.nulls());
    Ok(GenericByteArray::<T>::try_new(
        offsets,
        Buffer::from_vec(values),
        nulls,
    )?)
}

fn fixed(array: &FixedSizeBinaryArray) -> Result<ArrayRef, MaskError> {
    let width = usize::try_from(array.value_length()).unwrap_or(0);
    let mut values = Vec::with_capacity(array.len().saturating_mul(width));
    for value in array {
        match value {
            Some(value) => values.extend_from_slice(value),
            None => values.resize(values.len().saturating_add(width), 0),
        }
    }
    let nulls = fresh_nulls(array.nulls());
    let size = array.value_length();
    Ok(Arc::new(FixedSizeBinaryArray::try_new(
        size,
        Buffer::from_vec(values),
        nulls,
    )?))
}
