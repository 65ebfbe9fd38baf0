//! Dictionaries as the stream's reader sees them: one a column, that only grows, in the order in
//! which rows first use its values. How the batches were cut on the way here leaves no mark in it.

use crate::error::EncodeError;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, StringArray};
use std::collections::HashMap;
use std::sync::Arc;

/// The dictionary of one column so far.
#[derive(Default)]
pub(crate) struct Labels {
    values: Vec<String>,
    places: HashMap<String, i32>,
    /// `values` as last sent: the same array again means that it is not sent again.
    array: Option<ArrayRef>,
}

impl Labels {
    /// The rows of these arrays over the one dictionary.
    pub(crate) fn unite(&mut self, parts: &[&ArrayRef]) -> Result<ArrayRef, EncodeError> {
        let mut keys = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            let part = part
                .as_dictionary_opt::<Int32Type>()
                .ok_or(EncodeError::Shape)?;
            let values = part
                .values()
                .as_string_opt::<i32>()
                .ok_or(EncodeError::Shape)?;
            let mut places: Vec<Option<i32>> = vec![None; values.len()];
            for key in part.keys() {
                let place = key
                    .and_then(|key| usize::try_from(key).ok())
                    .filter(|k| values.is_valid(*k));
                keys.push(match place {
                    None => None,
                    Some(key) => {
                        let slot = places.get_mut(key).ok_or(EncodeError::Shape)?;
                        Some(match slot {
                            Some(place) => *place,
                            None => *slot.insert(self.place(values.value(key))?),
                        })
                    }
                });
            }
        }
        let values = match &self.array {
            Some(array) if array.len() == self.values.len() => Arc::clone(array),
            _ => {
                let array: ArrayRef = Arc::new(StringArray::from_iter_values(&self.values));
                self.array = Some(Arc::clone(&array));
                array
            }
        };
        let array = DictionaryArray::try_new(Int32Array::from(keys), values);
        Ok(Arc::new(array.map_err(|_| EncodeError::Arrow)?))
    }

    fn place(&mut self, label: &str) -> Result<i32, EncodeError> {
        if let Some(place) = self.places.get(label) {
            return Ok(*place);
        }
        let place = i32::try_from(self.values.len()).map_err(|_| EncodeError::Arrow)?;
        self.places.insert(label.to_owned(), place);
        self.values.push(label.to_owned());
        Ok(place)
    }
}
