//! Text in and out of Arrow arrays: one way to read every string layout, one builder that owns its
//! bytes.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, GenericStringArray, OffsetSizeTrait, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;

use crate::MaskError;
use crate::owned::fresh_nulls;

/// Rows of text under construction. Bytes are appended to [`TextBuilder::bytes`], rows are closed
/// with [`TextBuilder::end_row`]; nothing is allocated per row.
pub(crate) struct TextBuilder {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
}

impl TextBuilder {
    /// Room for `rows` rows and about `bytes` bytes.
    pub(crate) fn new(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows.saturating_add(1));
        offsets.push(0);
        Self {
            bytes: Vec::with_capacity(bytes),
            offsets,
        }
    }

    /// Where the current row is written.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Closes the current row; a NULL row is closed without having been written.
    pub(crate) fn end_row(&mut self) -> Result<(), MaskError> {
        self.offsets
            .push(i32::try_from(self.bytes.len()).map_err(|_| MaskError::TooLarge)?);
        Ok(())
    }

    /// The array, with a copy of the visible part of `nulls`.
    pub(crate) fn finish(self, nulls: Option<&NullBuffer>) -> Result<ArrayRef, MaskError> {
        Ok(Arc::new(build(self.bytes, self.offsets, nulls)?))
    }

    /// The array in the string layout of `like`.
    pub(crate) fn finish_as(
        self,
        like: &DataType,
        nulls: Option<&NullBuffer>,
    ) -> Result<ArrayRef, MaskError> {
        relayout(build(self.bytes, self.offsets, nulls)?, like)
    }
}

/// A string array of owned parts. Arrow checks the UTF-8 once more: this crate forbids `unsafe`.
pub(crate) fn build<O: OffsetSizeTrait>(
    bytes: Vec<u8>,
    offsets: Vec<O>,
    nulls: Option<&NullBuffer>,
) -> Result<GenericStringArray<O>, MaskError> {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(GenericStringArray::try_new(
        offsets,
        Buffer::from_vec(bytes),
        fresh_nulls(nulls),
    )?)
}

/// The same rows in another string layout.
fn relayout(array: StringArray, like: &DataType) -> Result<ArrayRef, MaskError> {
    match like {
        DataType::Utf8 => Ok(Arc::new(array)),
        DataType::LargeUtf8 => {
            let (offsets, values, nulls) = array.into_parts();
            let wide: Vec<i64> = offsets.iter().map(|&o| i64::from(o)).collect();
            let offsets = OffsetBuffer::new(ScalarBuffer::from(wide));
            Ok(Arc::new(GenericStringArray::<i64>::try_new(
                offsets, values, nulls,
            )?))
        }
        DataType::Utf8View => Ok(Arc::new(arrow_array::StringViewArray::from(&array))),
        _ => Err(MaskError::Inconsistent("not a string layout")),
    }
}

/// Whether the type is one of the three string layouts.
pub(crate) fn is_string(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// Calls `row` once for each visible row of a string array.
pub(crate) fn for_each_text(
    array: &ArrayRef,
    row: impl FnMut(Option<&str>) -> Result<(), MaskError>,
) -> Result<(), MaskError> {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().try_for_each(row),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().try_for_each(row),
        DataType::Utf8View => array.as_string_view().iter().try_for_each(row),
        _ => Err(MaskError::Inconsistent("not a string layout")),
    }
}
