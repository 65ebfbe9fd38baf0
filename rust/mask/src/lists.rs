//! Lists, maps and structs: the visible elements are treated as one column of their own, and so is
//! each field of a struct. What lies under a NULL list or a NULL struct is taken out first.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, StructArray,
    make_array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_data::transform::MutableArrayData;
use arrow_schema::{DataType, FieldRef, Fields};

use crate::MaskError;
use crate::layouts;
use crate::owned::fresh_nulls;

/// What is done to elements: the same number of them comes back.
pub(crate) type MapArrayRef<'a> = dyn FnMut(&ArrayRef) -> Result<ArrayRef, MaskError> + 'a;

/// The type of the elements of a list or map, as a field.
pub(crate) fn item_of(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => Some(item),
        _ => None,
    }
}

/// The same kind of list with other elements.
pub(crate) fn with_item(data_type: &DataType, item: FieldRef) -> Option<DataType> {
    match data_type {
        DataType::List(_) => Some(DataType::List(item)),
        DataType::LargeList(_) => Some(DataType::LargeList(item)),
        DataType::FixedSizeList(_, size) => Some(DataType::FixedSizeList(item, *size)),
        DataType::Map(_, _) => Some(DataType::Map(item, false)),
        _ => None,
    }
}

/// The same lists over `map` of their visible elements. `item` is the element's field afterwards,
/// the one before when it stays.
pub(crate) fn map_elements(
    array: &ArrayRef,
    item: Option<&FieldRef>,
    map: &mut MapArrayRef,
) -> Result<ArrayRef, MaskError> {
    let broken = MaskError::Inconsistent("a list that is none");
    let Some(field) = item.or_else(|| item_of(array.data_type())) else {
        return Err(broken);
    };
    match array.data_type() {
        DataType::List(_) => elements_of::<i32>(array.as_list_opt(), field, map),
        DataType::LargeList(_) => elements_of::<i64>(array.as_list_opt(), field, map),
        DataType::Map(_, _) => {
            let maps = array.as_map_opt().ok_or(broken)?;
            let entries: ArrayRef = Arc::new(maps.entries().clone());
            let (entries, offsets) = visible_elements(&entries, maps.offsets(), maps.nulls())?;
            let entries = map(&entries)?;
            let entries = entries
                .as_struct_opt()
                .ok_or(MaskError::Inconsistent("entries that are no structs"))?;
            let nulls = fresh_nulls(maps.nulls());
            let field = Arc::clone(field);
            Ok(Arc::new(MapArray::try_new(
                field,
                offsets,
                entries.clone(),
                nulls,
                false,
            )?))
        }
        DataType::FixedSizeList(_, _) => {
            let lists: &FixedSizeListArray = array.as_fixed_size_list_opt().ok_or(broken)?;
            let size = usize::try_from(lists.value_length())
                .map_err(|_| MaskError::Inconsistent("a list's size"))?;
            let start = usize::try_from(lists.value_offset(0))
                .map_err(|_| MaskError::Inconsistent("a list's offset"))?;
            let count = lists.len().checked_mul(size).ok_or(MaskError::TooLarge)?;
            let start = if count == 0 { 0 } else { start };
            let elements = lists.values().slice(start, count);
            let under_null = lists.nulls().filter(|nulls| nulls.null_count() > 0);
            let elements = under(
                &elements,
                under_null.map(|nulls| nulls.expand(size)).as_ref(),
            )?;
            let elements = map(&elements)?;
            Ok(Arc::new(FixedSizeListArray::try_new_with_length(
                Arc::clone(field),
                lists.value_length(),
                elements,
                fresh_nulls(lists.nulls()),
                lists.len(),
            )?))
        }
        _ => Err(broken),
    }
}

/// The same structs over `map` of each field. `fields` are those afterwards, the ones before when
/// they stay.
pub(crate) fn map_fields(
    array: &ArrayRef,
    fields: Option<&Fields>,
    map: &mut dyn FnMut(usize, &ArrayRef) -> Result<ArrayRef, MaskError>,
) -> Result<ArrayRef, MaskError> {
    let structs = array
        .as_struct_opt()
        .ok_or(MaskError::Inconsistent("a struct that is none"))?;
    let nulls = fresh_nulls(structs.nulls());
    let mut columns = Vec::with_capacity(structs.num_columns());
    for (i, column) in structs.columns().iter().enumerate() {
        columns.push(map(i, &under(column, nulls.as_ref())?)?);
    }
    let fields = fields.unwrap_or_else(|| structs.fields()).clone();
    Ok(Arc::new(StructArray::try_new_with_length(
        fields,
        columns,
        nulls,
        structs.len(),
    )?))
}

/// The array with NULL wherever what holds it is NULL: what lies there was never shown.
fn under(array: &ArrayRef, holder: Option<&NullBuffer>) -> Result<ArrayRef, MaskError> {
    let Some(holder) = holder else {
        return Ok(Arc::clone(array));
    };
    if array.data_type() == &DataType::Null {
        return Ok(Arc::clone(array));
    }
    let array = match layouts::plain(array.data_type()) {
        Some(plain) => layouts::convert(array, &plain)?,
        None => Arc::clone(array),
    };
    let nulls = NullBuffer::union(Some(holder), array.nulls());
    let data = array.to_data().into_builder().nulls(nulls).build()?;
    Ok(make_array(data))
}

fn elements_of<O: OffsetSizeTrait>(
    list: Option<&GenericListArray<O>>,
    item: &FieldRef,
    map: &mut MapArrayRef,
) -> Result<ArrayRef, MaskError> {
    let list = list.ok_or(MaskError::Inconsistent("a list that is none"))?;
    let (elements, offsets) = visible_elements(list.values(), list.offsets(), list.nulls())?;
    let elements = map(&elements)?;
    Ok(Arc::new(GenericListArray::<O>::try_new(
        Arc::clone(item),
        offsets,
        elements,
        fresh_nulls(list.nulls()),
    )?))
}

/// The elements of the lists that are not NULL, and offsets that start at zero.
fn visible_elements<O: OffsetSizeTrait>(
    values: &ArrayRef,
    offsets: &OffsetBuffer<O>,
    nulls: Option<&NullBuffer>,
) -> Result<(ArrayRef, OffsetBuffer<O>), MaskError> {
    let start = offsets.first().map_or(0, |o| o.as_usize());
    let end = offsets.last().map_or(0, |o| o.as_usize());
    let first = offsets.first().copied().unwrap_or_default();
    let window = values.slice(start, end.saturating_sub(start));
    let shifted: Vec<O> = offsets.iter().map(|&o| o - first).collect();
    let shifted = OffsetBuffer::new(ScalarBuffer::from(shifted));
    if !shifted.has_non_empty_nulls(nulls) {
        return Ok((window, shifted));
    }
    let data = window.to_data();
    let mut kept = MutableArrayData::new(vec![&data], false, window.len());
    let mut lengths = Vec::with_capacity(offsets.len());
    for (row, pair) in shifted.windows(2).enumerate() {
        let (from, to) = match pair {
            [from, to] if nulls.is_none_or(|nulls| nulls.is_valid(row)) => {
                (from.as_usize(), to.as_usize())
            }
            _ => (0, 0),
        };
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
