//! The Arrow IPC stream: the schema, one record batch a chunk, the end-of-stream marker.

use crate::error::EncodeError;
use crate::labels::Labels;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat;
use arrow_select::take::take;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// A writer whose bytes are taken chunk by chunk.
pub(crate) struct Ipc {
    schema: SchemaRef,
    writer: StreamWriter<Vec<u8>>,
    labels: Vec<Labels>,
    parts: Vec<(Vec<ArrayRef>, usize)>,
}

fn refused(_: ArrowError) -> EncodeError {
    EncodeError::Arrow
}

impl Ipc {
    pub(crate) fn new(
        fields: &[Field],
        metadata: HashMap<String, String>,
    ) -> Result<Self, EncodeError> {
        let labels = fields.iter().map(|_| Labels::default()).collect();
        let schema = Arc::new(Schema::new_with_metadata(fields.to_vec(), metadata));
        let writer = StreamWriter::try_new(Vec::new(), &schema).map_err(refused)?;
        Ok(Self {
            schema,
            writer,
            labels,
            parts: Vec::new(),
        })
    }

    pub(crate) fn push(
        &mut self,
        columns: &[ArrayRef],
        rows: Range<usize>,
    ) -> Result<(), EncodeError> {
        let part = |column: &ArrayRef| match rows.len() == column.len() {
            true => Ok(Arc::clone(column)),
            // A slice would still show its neighbours' bits in the last byte of a bitmap.
            false => {
                let rows = (rows.start as u64..rows.end as u64).collect::<UInt64Array>();
                take(column, &rows, None).map_err(refused)
            }
        };
        let columns: Result<Vec<_>, _> = columns.iter().map(part).collect();
        self.parts.push((columns?, rows.len()));
        Ok(())
    }

    /// Writes what was pushed as one record batch.
    pub(crate) fn cut(&mut self) -> Result<(), EncodeError> {
        let parts = std::mem::take(&mut self.parts);
        let rows = parts.iter().map(|(_, rows)| rows).sum();
        let mut columns = Vec::with_capacity(self.labels.len());
        for (i, labels) in self.labels.iter_mut().enumerate() {
            let parts: Option<Vec<_>> = parts.iter().map(|(columns, _)| columns.get(i)).collect();
            columns.push(united(labels, &parts.ok_or(EncodeError::Shape)?)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.schema);
        let batch =
            RecordBatch::try_new_with_options(schema, columns, &options).map_err(refused)?;
        self.writer.write(&batch).map_err(refused)
    }

    pub(crate) fn end(&mut self) -> Result<(), EncodeError> {
        self.writer.finish().map_err(refused)
    }

    /// What has been written; the next chunk is taken to be as large.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let out = self.writer.get_mut();
        let room = out.len();
        std::mem::replace(out, Vec::with_capacity(room))
    }
}

/// The parts of one column as one array whose buffers do not depend on how it was parted.
fn united(labels: &mut Labels, parts: &[&ArrayRef]) -> Result<ArrayRef, EncodeError> {
    let first = parts.first().ok_or(EncodeError::Shape)?;
    if matches!(first.data_type(), DataType::Dictionary(..)) {
        return labels.unite(parts);
    }
    let whole = match parts {
        [only] => Arc::clone(only),
        _ => {
            let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
            concat(&parts).map_err(refused)?
        }
    };
    Ok(match whole.data_type() {
        DataType::Utf8View => Arc::new(whole.as_string_view().gc()),
        _ => whole,
    })
}
