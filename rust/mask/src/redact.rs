//! `redact` and `null`: nothing of the value is needed but whether there is one.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringArray, new_null_array};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

use crate::MaskError;
use crate::owned::fresh_nulls;
use crate::text::TextBuilder;

/// One label for every row. The repeated label is kept and cut to the rows of each batch, so that a
/// batch costs its bitmap alone; under a NULL lies the label, which is no secret.
#[derive(Debug)]
pub(crate) struct Label {
    label: String,
    layout: DataType,
    repeated: ArrayRef,
}

impl Label {
    /// `layout` is the string layout of the result.
    pub(crate) fn new(label: &str, layout: DataType) -> Self {
        let repeated: ArrayRef = Arc::new(StringArray::new_null(0));
        Self {
            label: label.to_owned(),
            layout,
            repeated,
        }
    }

    /// The label in each row that is valid, NULL in the others.
    pub(crate) fn mask(
        &mut self,
        valid: Option<&NullBuffer>,
        rows: usize,
    ) -> Result<ArrayRef, MaskError> {
        if self.repeated.len() < rows || self.repeated.data_type() != &self.layout {
            let mut out = TextBuilder::new(rows, rows.saturating_mul(self.label.len()));
            for _ in 0..rows {
                out.bytes().extend_from_slice(self.label.as_bytes());
                out.end_row()?;
            }
            self.repeated = out.finish_as(&self.layout, None)?;
        }
        let labels = self.repeated.slice(0, rows);
        match fresh_nulls(valid) {
            None => Ok(labels),
            Some(nulls) => {
                let data = labels.to_data().into_builder().nulls(Some(nulls)).build()?;
                Ok(arrow_array::make_array(data))
            }
        }
    }
}

/// NULL in every row, with zeros underneath.
pub(crate) fn nulls(data_type: &DataType, rows: usize) -> ArrayRef {
    new_null_array(data_type, rows)
}
