//! Arrow's C data interface, as PyCapsules.
//!
//! What comes in is believed as far as the interface makes it necessary and no further. It carries no
//! lengths of buffers, so whoever hands out a pointer is trusted to have that much memory behind it as
//! its own offsets say; everything that these bytes *say* (offsets that go backwards, keys outside a
//! dictionary, text that is not UTF-8) is checked by [`checked`] before anything reads it as Arrow; NULLs are
//! counted anew.

use arrow_array::ffi::from_ffi_and_data_type;
use arrow_array::{Array, StructArray};
use arrow_data::ArrayData;
use arrow_data::ffi::FFI_ArrowArray;
use arrow_schema::ffi::FFI_ArrowSchema;
use arrow_schema::{ArrowError, DataType, Schema};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods, PyTuple};
use std::ffi::CStr;

const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";

/// The schema of an object that has `__arrow_c_schema__`.
pub fn schema_of(object: &Bound<'_, PyAny>) -> PyResult<Result<Schema, ArrowError>> {
    let capsule = object.call_method0("__arrow_c_schema__")?;
    read_schema(capsule.cast::<PyCapsule>()?)
}

fn read_schema(capsule: &Bound<'_, PyCapsule>) -> PyResult<Result<Schema, ArrowError>> {
    let pointer = capsule
        .pointer_checked(Some(SCHEMA))?
        .cast::<FFI_ArrowSchema>();
    // SAFETY: a capsule of this name holds an ArrowSchema that lives as long as the capsule, which the
    // caller keeps; it is only read here, and released by the capsule.
    let schema = unsafe { pointer.as_ref() };
    Ok(Schema::try_from(schema))
}

/// The record batch of an object that has `__arrow_c_array__`, not looked at yet, and its schema.
pub fn batch_of(
    object: &Bound<'_, PyAny>,
) -> PyResult<(FFI_ArrowArray, Result<Schema, ArrowError>)> {
    let pair = object.call_method0("__arrow_c_array__")?;
    let pair = pair.cast::<PyTuple>()?;
    let schema = pair.get_item(0)?;
    let schema = read_schema(schema.cast::<PyCapsule>()?)?;
    let array = pair.get_item(1)?;
    let pointer = array
        .cast::<PyCapsule>()?
        .pointer_checked(Some(ARRAY))?
        .cast::<FFI_ArrowArray>();
    // SAFETY: a capsule of this name holds an ArrowArray. It is moved out, which leaves one that is
    // marked as released: the capsule will not release it a second time.
    let array = unsafe { FFI_ArrowArray::from_raw(pointer.as_ptr()) };
    Ok((array, schema))
}

/// What is wrong with a batch.
pub enum Broken {
    /// It is no batch of these types at all.
    Batch,
    /// The bytes of this column are no array of its type.
    Column(usize),
    /// This column holds NULLs against its own schema.
    Nulls(usize),
}

/// The batch as arrays of the types in `planned`, which its own schema has been compared with. Reads
/// all of it; no GIL is needed.
pub fn checked(array: FFI_ArrowArray, planned: &DataType) -> Result<StructArray, Broken> {
    if array.is_released() {
        return Err(Broken::Batch);
    }
    // SAFETY: the type is the one that came beside the array (field names and metadata apart), and
    // the producer vouches that its buffers are as long as this type, the length and the last offset
    // of each array need. The result keeps the producer's memory until it is dropped.
    let data = unsafe { from_ffi_and_data_type(array, planned.clone()) };
    let data = data.map_err(|_| Broken::Batch)?;
    let data = settled(data).ok_or(Broken::Batch)?;
    for (i, column) in data.child_data().iter().enumerate() {
        column.validate_full().map_err(|_| Broken::Column(i))?;
        if !may_be_null(planned, i) && column.null_count() > 0 {
            return Err(Broken::Nulls(i));
        }
    }
    data.validate_data().map_err(|_| Broken::Batch)?;
    if data.null_count() > 0 {
        // A NULL row of a batch would come to light with the columns taken one by one.
        return Err(Broken::Batch);
    }
    Ok(StructArray::from(data))
}

fn may_be_null(planned: &DataType, column: usize) -> bool {
    match planned {
        DataType::Struct(fields) => fields.get(column).is_none_or(|field| field.is_nullable()),
        _ => true,
    }
}

/// The data as arrow-rs' arrays take it. Arrays without rows are made anew: of a slice without rows the
/// interface tells no sizes of buffers, so that its offsets lie outside them. What a struct or a list of
/// fixed size is a slice of is cut down to the slice: `ArrayData::slice` leaves a struct's offset beside
/// children that are sliced already. None when a child is too short.
fn settled(data: ArrayData) -> Option<ArrayData> {
    if data.is_empty() {
        return Some(ArrayData::new_empty(data.data_type()));
    }
    let (offset, len) = (data.offset(), data.len());
    let each = match data.data_type() {
        DataType::Struct(_) => Some(1),
        DataType::FixedSizeList(_, size) => Some(usize::try_from(*size).ok()?),
        _ => None,
    };
    let mut children = Vec::with_capacity(data.child_data().len());
    for child in data.child_data() {
        let child = match each {
            Some(each) => window(child, offset.checked_mul(each)?, len.checked_mul(each)?)?,
            None => child.clone(),
        };
        children.push(settled(child)?);
    }
    let nulls = data.nulls().cloned();
    let offset = if each.is_some() { 0 } else { offset };
    let data = data.into_builder().offset(offset).nulls(nulls);
    // SAFETY: nothing is read before `validate_full` has gone through all of it.
    Some(unsafe { data.child_data(children).build_unchecked() })
}

/// Rows of the data, its children as they are.
fn window(data: &ArrayData, offset: usize, len: usize) -> Option<ArrayData> {
    if offset.checked_add(len)? > data.len() {
        return None;
    }
    let nulls = data.nulls().map(|nulls| nulls.slice(offset, len));
    let start = offset.checked_add(data.offset())?;
    let data = data.clone().into_builder().nulls(nulls).len(len);
    // SAFETY: the rows lie inside those that were there, and nothing is read before `validate_full`.
    Some(unsafe { data.offset(start).build_unchecked() })
}

/// A schema as a capsule.
pub fn schema_capsule<'py>(
    py: Python<'py>,
    schema: &Schema,
) -> PyResult<Result<Bound<'py, PyCapsule>, ArrowError>> {
    match FFI_ArrowSchema::try_from(schema) {
        Ok(schema) => PyCapsule::new_with_value(py, schema, SCHEMA).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

/// An array as a capsule; its buffers are shared, not copied.
pub fn array_capsule<'py>(py: Python<'py>, data: &ArrayData) -> PyResult<Bound<'py, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowArray::new(data), ARRAY)
}

/// The array's data, to be handed to [`array_capsule`].
pub fn data_of(batch: &StructArray) -> ArrayData {
    batch.to_data()
}
