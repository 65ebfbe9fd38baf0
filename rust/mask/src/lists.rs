//! Lists: the visible elements are treated as one column of their own.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, make_array};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_data::transform::MutableArrayData;
use arrow_schema::FieldRef;

use crate::MaskError;
use crate::owned::fresh_nulls;

/// The same lists over `map` of their visible elements. `item` is the element's field afterwards,
/// the one before when it stays.
pub(crate) fn map_elements(
    array: &ArrayRef,
    item: Option<&FieldRef>,
    map: &mut dyn FnMut(&ArrayRef) -> Result<ArrayRef, MaskError>,
) -> Result<ArrayRef, MaskError> {
    let list: &ListArray = array
        .as_list_opt()
        .ok_or(MaskError::Inconsistent("a list that is none"))?;
    let (elements, offsets) = visible_elements(list)?;
    let elements = map(&elements)?;
    let field = match (item, list.data_type()) {
        (Some(item), _) => Arc::clone(item),
        (None, arrow_schema::DataType::List(item)) => Arc::clone(item),
        _ => return Err(MaskError::Inconsistent("a list that is none")),
    };
    Ok(Arc::new(ListArray::try_new(
        field,
        offsets,
        elements,
        fresh_nulls(list.nulls()),
    )?))
}

/// The elements of the lists that are not NULL, and offsets that start at zero.
fn visible_elements(list: &ListArray) -> Result<(ArrayRef, OffsetBuffer<i32>), MaskError> {
    let offsets = list.offsets();
    let first = offsets.first().copied().unwrap_or(0);
    let last = offsets.last().copied().unwrap_or(0);
    let start = usize::try_from(first).map_err(|_| MaskError::Inconsistent("a list's offsets"))?;
    let end = usize::try_from(last).map_err(|_| MaskError::Inconsistent("a list's offsets"))?;
    let window = list.values().slice(start, end.saturating_sub(start));
    let shifted: Vec<i32> = offsets.iter().map(|o| o.saturating_sub(first)).collect();
    let shifted = OffsetBuffer::new(ScalarBuffer::from(shifted));
    if !shifted.has_non_empty_nulls(list.nulls()) {
        return Ok((window, shifted));
    }
    let data = window.to_data();
    let mut kept = MutableArrayData::new(vec![&data], false, window.len());
    let mut lengths = Vec::with_capacity(list.len());
    for (row, pair) in shifted.windows(2).enumerate() {
        let (from, to) = match pair {
            [from, to] if list.is_valid(row) => (*from, *to),
            _ => (0, 0),
        };
        let from = usize::try_from(from).unwrap_or(0);
        let to = usize::try_from(to).unwrap_or(0);
        if from < to {
            kept.try_extend(0, from, to)?;
        }
        lengths.push(to.saturating_sub(from));
    }
    Ok((
        make_array(kept.freeze()),
        OffsetBuffer::from_lengths(lengths),
    ))
}
