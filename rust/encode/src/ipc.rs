//! The Arrow IPC stream: the schema, one record batch a chunk, the end-of-stream marker. A batch is
//! given as the columns' own buffers with what stands between them, and not copied.

use crate::error::EncodeError;
use crate::labels::Labels;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_buffer::Buffer;
use arrow_ipc::writer::{StreamEncoder, StreamWriter};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat;
use arrow_select::take::take;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// A stream whose bytes are taken chunk by chunk.
pub(crate) struct Ipc {
    schema: SchemaRef,
    /// None behind the end.
    encoder: Option<StreamEncoder>,
    head: Vec<u8>,
    /// Whether the encoder, which puts the head before whatever it gives first, has done so.
    begun: bool,
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
        let head = StreamWriter::try_new(Vec::new(), &schema).map_err(refused)?;
        Ok(Self {
            encoder: Some(StreamEncoder::try_new(&schema).map_err(refused)?),
            head: head.get_ref().clone(),
            begun: false,
            schema,
            labels,
            parts: Vec::new(),
        })
    }

    /// The schema.
    pub(crate) fn head(&self) -> Vec<u8> {
        self.head.clone()
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

    /// What was pushed, as one record batch.
    pub(crate) fn cut(&mut self) -> Result<Vec<Buffer>, EncodeError> {
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
        let encoder = self.encoder.as_mut().ok_or(EncodeError::Arrow)?;
        let written = encoder.encode(&batch).map_err(refused)?;
        self.without_head(written)
    }

    pub(crate) fn end(&mut self) -> Result<Vec<Buffer>, EncodeError> {
        let encoder = self.encoder.take().ok_or(EncodeError::Arrow)?;
        let written = encoder.finish().map_err(refused)?;
        self.without_head(written)
    }

    /// What follows the head, which was given out before.
    fn without_head(&mut self, written: Vec<Buffer>) -> Result<Vec<Buffer>, EncodeError> {
        let mut written = written.into_iter();
        if !std::mem::replace(&mut self.begun, true) {
            let mut head = self.head.as_slice();
            while !head.is_empty() {
                let next = written.next().ok_or(EncodeError::Arrow)?;
                head = head.strip_prefix(&*next).ok_or(EncodeError::Arrow)?;
            }
        }
        Ok(written.collect())
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
