//! The one way from masked columns to bytes, whichever format the door asked for.

use crate::error::EncodeError;
use crate::ipc::Ipc;
use crate::text;
use arrow_array::ArrayRef;
use arrow_buffer::Buffer;
use arrow_schema::Field;
use std::collections::HashMap;
use std::ops::Range;

/// What the door sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An Arrow IPC stream.
    Arrow,
    /// One JSON object a line.
    Ndjson,
    /// RFC 4180 with a header.
    Csv,
}

enum Writer {
    Arrow(Box<Ipc>),
    Ndjson(Vec<Vec<u8>>),
    Csv,
}

/// Masked columns in, chunks of bytes out.
///
/// [`push`](Encoder::push) takes rows in any portions; [`cut`](Encoder::cut) gives the bytes of the
/// rows since the last cut, in pieces that belong behind each other, and all of them together are the
/// same however the rows were portioned.
pub struct Encoder {
    fields: Vec<Field>,
    writer: Writer,
    out: Vec<u8>,
}

impl Encoder {
    /// An encoder for these fields; `metadata` goes into the Arrow schema.
    ///
    /// # Errors
    /// [`EncodeError::Arrow`] when the schema cannot be written.
    pub fn new(
        format: Format,
        fields: Vec<Field>,
        metadata: HashMap<String, String>,
    ) -> Result<Self, EncodeError> {
        let writer = match format {
            Format::Arrow => Writer::Arrow(Box::new(Ipc::new(&fields, metadata)?)),
            Format::Ndjson => Writer::Ndjson(text::ndjson_prefixes(&fields)),
            Format::Csv => Writer::Csv,
        };
        Ok(Self {
            fields,
            writer,
            out: Vec::new(),
        })
    }

    /// The bytes before the first row.
    pub fn head(&self) -> Vec<u8> {
        match &self.writer {
            Writer::Arrow(ipc) => ipc.head(),
            Writer::Ndjson(_) => Vec::new(),
            Writer::Csv => {
                let mut head = Vec::new();
                text::csv_header(&self.fields, &mut head);
                head
            }
        }
    }

    /// Takes the rows of the columns from `rows.start` to before `rows.end`.
    ///
    /// # Errors
    /// [`EncodeError::Shape`] for other columns than the schema's, [`EncodeError::Type`] for a type
    /// that no decoder or treatment makes.
    pub fn push(&mut self, columns: &[ArrayRef], rows: Range<usize>) -> Result<(), EncodeError> {
        let fits = |(column, field): (&ArrayRef, &Field)| {
            rows.start <= rows.end
                && rows.end <= column.len()
                && column.data_type() == field.data_type()
        };
        if columns.len() != self.fields.len() || !columns.iter().zip(&self.fields).all(fits) {
            return Err(EncodeError::Shape);
        }
        match &mut self.writer {
            Writer::Arrow(ipc) => ipc.push(columns, rows),
            Writer::Ndjson(prefixes) => {
                text::ndjson(&self.fields, prefixes, columns, rows, &mut self.out)
            }
            Writer::Csv => text::csv(&self.fields, columns, rows, &mut self.out),
        }
    }

    /// The bytes of the rows taken since the last cut.
    ///
    /// # Errors
    /// [`EncodeError::Arrow`] when the batch cannot be written.
    pub fn cut(&mut self) -> Result<Vec<Buffer>, EncodeError> {
        if let Writer::Arrow(ipc) = &mut self.writer {
            return ipc.cut();
        }
        let room = self.out.len();
        let out = std::mem::replace(&mut self.out, Vec::with_capacity(room));
        Ok(vec![Buffer::from_vec(out)])
    }

    /// The end-of-stream marker; empty for the text formats, which have none of their own.
    ///
    /// # Errors
    /// [`EncodeError::Arrow`] when the stream has been ended before.
    pub fn end(&mut self) -> Result<Vec<Buffer>, EncodeError> {
        match &mut self.writer {
            Writer::Arrow(ipc) => ipc.end(),
            _ => Ok(Vec::new()),
        }
    }
}
