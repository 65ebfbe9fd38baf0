//! Dictionaries of text: each value that a row uses is treated once.
//!
//! The new dictionary holds the results in the order in which rows first use them, and equal results
//! once: neither an unused value, nor the old order, nor the fact that two masked values were
//! different leaves with it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowDictionaryKeyType;
use arrow_array::{
    Array, ArrayRef, ArrowNativeTypeOp, DictionaryArray, PrimitiveArray, downcast_dictionary_array,
};
use arrow_buffer::{ArrowNativeType, ScalarBuffer};
use arrow_schema::DataType;

use crate::MaskError;
use crate::owned::fresh_nulls;
use crate::text::{TextBuilder, for_each_text, is_string};

/// Whether the type is a dictionary of text, as enums are decoded.
pub(crate) fn is_enum(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(key, value)
        if key.is_dictionary_key_type() && is_string(value))
}

/// The treatment of one value: the value, the number of rows that use it, where the result goes.
pub(crate) type TreatValue<'a> = dyn FnMut(&str, u64, &mut Vec<u8>) -> Result<(), MaskError> + 'a;

/// The dictionary of the treated values.
pub(crate) fn rebuild(array: &ArrayRef, treat: &mut TreatValue) -> Result<ArrayRef, MaskError> {
    let any: &dyn Array = array.as_ref();
    downcast_dictionary_array!(
        any => rebuild_typed(any, treat),
        _ => Err(MaskError::Inconsistent("not a dictionary")),
    )
}

/// The treated values of a dictionary's rows as plain text.
pub(crate) fn flatten(array: &ArrayRef, treat: &mut TreatValue) -> Result<ArrayRef, MaskError> {
    let any: &dyn Array = array.as_ref();
    downcast_dictionary_array!(
        any => flatten_typed(any, treat),
        _ => Err(MaskError::Inconsistent("not a dictionary")),
    )
}

/// The treated values, one string each, with the position of every row's value among them.
struct Treated {
    /// Distinct results in order of first use.
    results: Vec<Vec<u8>>,
    /// For each row its result, nothing for NULL.
    rows: Vec<Option<usize>>,
}

fn treat_values<K: ArrowDictionaryKeyType>(
    array: &DictionaryArray<K>,
    treat: &mut TreatValue,
) -> Result<Treated, MaskError> {
    let mut values: Vec<Option<String>> = Vec::with_capacity(array.values().len());
    for_each_text(array.values(), |value| {
        values.push(value.map(str::to_owned));
        Ok(())
    })?;
    let mut uses = vec![0u64; values.len()];
    let mut order = Vec::new();
    for key in array.keys().iter().flatten() {
        let count = uses
            .get_mut(key.as_usize())
            .ok_or(MaskError::Inconsistent("a key outside the dictionary"))?;
        if *count == 0 {
            order.push(key.as_usize());
        }
        *count += 1;
    }
    let mut results: Vec<Vec<u8>> = Vec::new();
    let mut place_of_result: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut place_of_value: Vec<Option<usize>> = vec![None; values.len()];
    for index in order {
        let value = values.get(index).and_then(Option::as_deref);
        let (Some(value), Some(&count)) = (value, uses.get(index)) else {
            continue;
        };
        let mut result = Vec::with_capacity(value.len());
        treat(value, count, &mut result)?;
        let place = *place_of_result.entry(result).or_insert_with_key(|result| {
            results.push(result.clone());
            results.len() - 1
        });
        if let Some(slot) = place_of_value.get_mut(index) {
            *slot = Some(place);
        }
    }
    let rows = array
        .keys()
        .iter()
        .map(|key| key.and_then(|key| place_of_value.get(key.as_usize()).copied().flatten()))
        .collect();
    Ok(Treated { results, rows })
}

fn rebuild_typed<K: ArrowDictionaryKeyType>(
    array: &DictionaryArray<K>,
    treat: &mut TreatValue,
) -> Result<ArrayRef, MaskError> {
    let treated = treat_values(array, treat)?;
    let mut out = TextBuilder::new(treated.results.len(), 0);
    for result in &treated.results {
        out.bytes().extend_from_slice(result);
        out.end_row()?;
    }
    let values = out.finish_as(&array.value_type(), None)?;
    let mut keys = Vec::with_capacity(treated.rows.len());
    for row in &treated.rows {
        let key = match row {
            // A result's position is at most the number of values, which the key type could count.
            Some(place) => K::Native::from_usize(*place).ok_or(MaskError::TooLarge)?,
            None => K::Native::ZERO,
        };
        keys.push(key);
    }
    let valid = arrow_buffer::BooleanBuffer::collect_bool(treated.rows.len(), |row| {
        treated.rows.get(row).is_some_and(Option::is_some)
    });
    let nulls = fresh_nulls(Some(&arrow_buffer::NullBuffer::new(valid)));
    let keys = PrimitiveArray::<K>::try_new(ScalarBuffer::from(keys), nulls)?;
    Ok(Arc::new(DictionaryArray::<K>::try_new(keys, values)?))
}

fn flatten_typed<K: ArrowDictionaryKeyType>(
    array: &DictionaryArray<K>,
    treat: &mut TreatValue,
) -> Result<ArrayRef, MaskError> {
    let treated = treat_values(array, treat)?;
    let mut out = TextBuilder::new(treated.rows.len(), 0);
    for row in &treated.rows {
        if let Some(result) = row.and_then(|place| treated.results.get(place)) {
            out.bytes().extend_from_slice(result);
        }
        out.end_row()?;
    }
    let logical = array.logical_nulls();
    out.finish(logical.as_ref())
}

/// Which rows of any array are NULL, also through a dictionary's values.
pub(crate) fn logical_nulls(array: &ArrayRef) -> Option<arrow_buffer::NullBuffer> {
    match array.as_any_dictionary_opt() {
        Some(_) => array.logical_nulls(),
        None => array.nulls().cloned(),
    }
}
