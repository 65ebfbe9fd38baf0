//! `MaskedStream`: COPY bytes in, masked and encoded chunks out. Raw values never leave this file's
//! `Pipeline`: the decoder's arrays go to the masker and nowhere else.
//!
//! It refuses to go on after an error, and it turns a panic into an error that says nothing of data.

use crate::bytes::joined;
use crate::errors::KernelError;
use crate::patterns::Patterns;
use crate::reader::{CopyReader, Found, Piece};
use arrow_array::ArrayRef;
use arrow_schema::Field;
use encode::{Buffer, EncodeError, Encoder, Format, Pace};
use mask::{MaskError, Masker, Treatment};
use pgcopy::{ColumnPlan, ColumnType, CopyError, DecodedColumn, Decoder, Infinity, Progress};
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use serde::Deserialize;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    format: PlannedFormat,
    #[serde(default)]
    metadata: HashMap<String, String>,
    #[serde(default)]
    infinity: Infinity,
    #[serde(default)]
    limit_rows: Option<u64>,
    columns: Vec<PlannedColumn>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PlannedFormat {
    Arrow,
    Ndjson,
    Csv,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlannedColumn {
    name: String,
    #[serde(rename = "type")]
    column_type: ColumnType,
    treatment: Treatment,
    /// Goes into the field of an Arrow schema, beside what the masker puts there.
    #[serde(default)]
    metadata: HashMap<String, String>,
    /// Only looked at beside other columns: it is neither masked nor encoded.
    #[serde(default)]
    hidden: bool,
    /// The columns whose values are masked in this one's texts too.
    #[serde(default)]
    row: Vec<usize>,
}

/// See `_kernel.pyi`.
#[pyclass(module = "gateway._kernel", frozen)]
pub struct Chunk {
    data: Py<PyBytes>,
    #[pyo3(get)]
    rows: u64,
    #[pyo3(get)]
    digest: String,
}

#[pymethods]
impl Chunk {
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.data.bind(py).clone()
    }
}

/// A chunk before Python sees it.
struct Encoded {
    pieces: Vec<Buffer>,
    rows: u64,
}

impl Encoded {
    fn into_chunk(self, py: Python<'_>) -> PyResult<Chunk> {
        let data = joined(py, &self.pieces)?;
        drop(self.pieces);
        let bytes = data.as_bytes();
        let digest = py.detach(|| blake3::hash(bytes).to_hex().to_string());
        Ok(Chunk {
            data: data.unbind(),
            rows: self.rows,
            digest,
        })
    }
}

/// See `_kernel.pyi`.
#[pyclass(module = "gateway._kernel")]
pub struct MaskedStream {
    pipeline: Pipeline,
    /// Why nothing more comes out.
    dead: Option<KernelError>,
}

#[pymethods]
impl MaskedStream {
    #[new]
    #[pyo3(signature = (plan, token_key, patterns=None))]
    fn new(plan: &str, token_key: &[u8], patterns: Option<&Patterns>) -> PyResult<Self> {
        let patterns = patterns.map(Patterns::shared);
        Ok(Self {
            pipeline: Pipeline::new(plan, token_key, patterns.as_ref())?,
            dead: None,
        })
    }

    fn head(&mut self, py: Python<'_>) -> PyResult<Chunk> {
        self.guarded(py, Pipeline::head)?.into_chunk(py)
    }

    fn feed(&mut self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Vec<Chunk>> {
        let encoded = match data.cast::<PyBytes>() {
            Ok(bytes) => {
                let bytes = bytes.as_bytes();
                self.guarded(py, |pipeline| pipeline.feed(bytes))?
            }
            // Another thread may write to any other buffer while the GIL is released: copied first.
            Err(_) => {
                let bytes = PyBuffer::<u8>::get(data)?.to_vec(py)?;
                self.guarded(py, |pipeline| pipeline.feed(&bytes))?
            }
        };
        self.chunks(py, encoded)
    }

    fn feed_all(&mut self, py: Python<'_>, pieces: Vec<PyBackedBytes>) -> PyResult<Vec<Chunk>> {
        let encoded = self.guarded(py, |pipeline| pipeline.feed_all(&pieces))?;
        self.chunks(py, encoded)
    }

    fn feed_from(&mut self, py: Python<'_>, reader: &CopyReader) -> PyResult<Vec<Chunk>> {
        let encoded = self.guarded(py, |pipeline| pipeline.feed_from(reader))?;
        self.chunks(py, encoded)
    }

    fn finish(&mut self, py: Python<'_>) -> PyResult<Vec<Chunk>> {
        let encoded = self.guarded(py, Pipeline::finish)?;
        self.chunks(py, encoded)
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.pipeline.rows_out
    }

    #[getter]
    fn truncated(&self) -> bool {
        self.pipeline.truncated
    }

    fn report(&self) -> PyResult<String> {
        Ok(self.pipeline.report()?)
    }
}

impl MaskedStream {
    fn chunks(&mut self, py: Python<'_>, encoded: Vec<Encoded>) -> PyResult<Vec<Chunk>> {
        let encoded = encoded.into_iter();
        let chunks = encoded.map(|chunk| chunk.into_chunk(py)).collect();
        if PyResult::is_err(&chunks) {
            let lost = "a chunk was lost for want of memory";
            self.dead = Some(KernelError::Internal(lost.to_owned()));
        }
        chunks
    }

    /// Runs a step without the GIL. After an error, a panic included, every step is that error.
    fn guarded<T: Send>(
        &mut self,
        py: Python<'_>,
        step: impl FnOnce(&mut Pipeline) -> Result<T, KernelError> + Send,
    ) -> Result<T, KernelError> {
        if let Some(error) = &self.dead {
            return Err(error.clone());
        }
        let pipeline = &mut self.pipeline;
        let done = py.detach(|| catch_unwind(AssertUnwindSafe(|| step(pipeline))));
        let result = done.unwrap_or_else(|_| {
            Err(KernelError::Internal(
                "the kernel failed; the stream is broken".to_owned(),
            ))
        });
        if let Err(error) = &result {
            self.dead = Some(error.clone());
        }
        result
    }
}

#[derive(PartialEq)]
enum Stage {
    /// The head has not been asked for.
    Fresh,
    Rows,
    Ended,
}

/// A column that goes out: where it stands among the decoded ones, and what stands beside it there.
struct Shown {
    decoded: usize,
    beside: Vec<usize>,
}

/// Decoder, masker, encoder, and the count of what went through.
struct Pipeline {
    decoder: Decoder,
    masker: Masker,
    /// In the order of the masker's and the encoder's columns.
    shown: Vec<Shown>,
    encoder: Encoder,
    pace: Pace,
    stage: Stage,
    /// Rows that may still be taken.
    left: Option<u64>,
    truncated: bool,
    rows_out: u64,
    /// An error that full chunks went out ahead of.
    broken: Option<KernelError>,
}

impl Pipeline {
    fn new(
        plan: &str,
        token_key: &[u8],
        patterns: Option<&mask::Patterns>,
    ) -> Result<Self, KernelError> {
        let plan: Plan = serde_json::from_str(plan).map_err(|error| {
            KernelError::InvalidRequest(format!("the plan is not valid: {error}"))
        })?;
        let token_key: &[u8; 32] = token_key.try_into().map_err(|_| {
            let got = token_key.len();
            KernelError::InvalidRequest(format!("the token key has {got} bytes, expected 32"))
        })?;
        let invalid = |error: MaskError| KernelError::InvalidRequest(error.to_string());
        let mut columns = Vec::with_capacity(plan.columns.len());
        let mut raw = Vec::with_capacity(plan.columns.len());
        let mut treated = Vec::new();
        let mut shown = Vec::new();
        for (i, column) in plan.columns.iter().enumerate() {
            let field = column.column_type.field(&column.name)?;
            if column.hidden && !column.row.is_empty() {
                return Err(KernelError::InvalidRequest(format!(
                    "column {i} is hidden: nothing can be masked in it"
                )));
            }
            if !column.hidden {
                treated.push((field.clone(), column.treatment.clone()));
                shown.push(Shown {
                    decoded: i,
                    beside: column.row.clone(),
                });
            }
            raw.push(field);
            columns.push(ColumnPlan {
                name: column.name.clone(),
                column_type: column.column_type.clone(),
                presence_only: column.hidden,
            });
        }
        if shown.is_empty() && !columns.is_empty() {
            let detail = "every column is hidden: at least one must be shown";
            return Err(KernelError::InvalidRequest(detail.to_owned()));
        }
        let mut masker = Masker::with_patterns(&treated, token_key, patterns).map_err(invalid)?;
        let mut fields = Vec::with_capacity(shown.len());
        for (i, column) in shown.iter().enumerate() {
            let mut field = masker.output_field(i).clone();
            if let Some(planned) = plan.columns.get(column.decoded) {
                field.metadata_mut().extend(planned.metadata.clone());
            }
            fields.push(field);
            if let Some(decoded) = columns.get_mut(column.decoded) {
                decoded.presence_only = masker.presence_only(i);
            }
            if !column.beside.is_empty() || masker.needs_beside(i) {
                let beside = fields_beside(column, &raw, &plan.columns)?;
                masker.expect_beside(i, &beside).map_err(invalid)?;
            }
        }
        // What is looked for in other columns is needed with its values, whatever becomes of it.
        for &i in shown.iter().flat_map(|column| &column.beside) {
            if let Some(decoded) = columns.get_mut(i) {
                decoded.presence_only = false;
            }
        }
        let format = match plan.format {
            PlannedFormat::Arrow => Format::Arrow,
            PlannedFormat::Ndjson => Format::Ndjson,
            PlannedFormat::Csv => Format::Csv,
        };
        Ok(Self {
            decoder: Decoder::new(&columns, plan.infinity)?,
            encoder: Encoder::new(format, fields, plan.metadata)?,
            masker,
            shown,
            pace: Pace::default(),
            stage: Stage::Fresh,
            left: plan.limit_rows,
            truncated: false,
            rows_out: 0,
            broken: None,
        })
    }

    fn head(&mut self) -> Result<Encoded, KernelError> {
        if self.stage != Stage::Fresh {
            return Err(KernelError::InvalidRequest(
                "the head has been given out before".to_owned(),
            ));
        }
        self.stage = Stage::Rows;
        Ok(Encoded {
            pieces: vec![Buffer::from_vec(self.encoder.head())],
            rows: 0,
        })
    }

    fn feed(&mut self, input: &[u8]) -> Result<Vec<Encoded>, KernelError> {
        self.expect_rows()?;
        let mut full = Vec::new();
        let outcome = self.take_rows(Found::Bytes(input), &mut full);
        self.after(full, outcome)
    }

    fn feed_all(&mut self, pieces: &[PyBackedBytes]) -> Result<Vec<Encoded>, KernelError> {
        self.expect_rows()?;
        let mut full = Vec::new();
        let outcome = pieces
            .iter()
            .try_for_each(|piece| self.take_rows(Found::Bytes(piece), &mut full));
        self.after(full, outcome)
    }

    /// Takes pieces until a chunk is full or no more come.
    fn feed_from(&mut self, reader: &CopyReader) -> Result<Vec<Encoded>, KernelError> {
        self.expect_rows()?;
        let mut full = Vec::new();
        let mut used = Vec::new();
        let mut outcome = Ok(());
        while full.is_empty() && outcome.is_ok() && !self.truncated {
            let mut pieces = reader.take(&mut used);
            if pieces.is_empty() {
                break;
            }
            outcome = pieces
                .iter()
                .flat_map(Piece::rows)
                .try_for_each(|rows| self.take_rows(rows, &mut full));
            used.append(&mut pieces);
        }
        self.after(full, outcome)
    }

    /// Chunks that filled up before an error are given out, the error with the next call: how the
    /// bytes were split does not decide what the caller sees.
    fn after(
        &mut self,
        full: Vec<Encoded>,
        outcome: Result<(), KernelError>,
    ) -> Result<Vec<Encoded>, KernelError> {
        match outcome {
            Err(error) if full.is_empty() => Err(error),
            Err(error) => {
                self.broken = Some(error);
                Ok(full)
            }
            Ok(()) => Ok(full),
        }
    }

    fn take_rows(
        &mut self,
        mut input: Found<'_>,
        full: &mut Vec<Encoded>,
    ) -> Result<(), KernelError> {
        while !self.truncated {
            let left = self
                .left
                .map(|left| usize::try_from(left).unwrap_or(usize::MAX));
            let room = self.pace.room().min(left.unwrap_or(usize::MAX));
            let progress = match &mut input {
                Found::Bytes(bytes) => self.decoder.feed(bytes, room)?,
                Found::Messages(messages) => self.decoder.feed_messages(messages, room)?,
            };
            let held = self.decoder.rows();
            self.truncated = progress == Progress::Full && left == Some(held);
            if progress == Progress::Full || held == room {
                self.mask(full)?;
            }
            if progress != Progress::Full {
                break;
            }
        }
        // At the limit nothing is held back for rows that will not be taken.
        if self.left == Some(0) && self.pace.rows() > 0 {
            full.push(self.cut()?);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<Encoded>, KernelError> {
        self.expect_rows()?;
        if !self.decoder.finished() && self.left != Some(0) {
            let detail = "the database's stream ended before its trailer";
            return Err(KernelError::UpstreamFailed(detail.to_owned()));
        }
        let mut rest = Vec::new();
        self.mask(&mut rest)?;
        if self.pace.rows() > 0 {
            rest.push(self.cut()?);
        }
        let end = self.encoder.end()?;
        if !end.is_empty() {
            rest.push(Encoded {
                pieces: end,
                rows: 0,
            });
        }
        self.stage = Stage::Ended;
        Ok(rest)
    }

    fn report(&self) -> Result<String, KernelError> {
        let failed = |_| KernelError::Internal("the report cannot be written".to_owned());
        let mut report = serde_json::to_value(self.masker.report()).map_err(failed)?;
        if let Some(report) = report.as_object_mut() {
            report.insert("infinities".to_owned(), self.decoder.infinities().into());
        }
        Ok(report.to_string())
    }

    fn expect_rows(&self) -> Result<(), KernelError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let detail = match self.stage {
            Stage::Rows => return Ok(()),
            Stage::Fresh => "ask for the head before the rows",
            Stage::Ended => "the stream has ended",
        };
        Err(KernelError::InvalidRequest(detail.to_owned()))
    }

    /// Masks what the decoder holds and hands it to the encoder; chunks that fill up go to `full`.
    fn mask(&mut self, full: &mut Vec<Encoded>) -> Result<(), KernelError> {
        let rows = self.decoder.rows();
        if rows == 0 {
            return Ok(());
        }
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(rows as u64);
        }
        let decoded = self.decoder.take()?;
        let mut masked = Vec::with_capacity(self.shown.len());
        for (i, column) in self.shown.iter().enumerate() {
            masked.push(match decoded.get(column.decoded) {
                Some(DecodedColumn::Values(raw)) => {
                    let beside = arrays_beside(column, &decoded)?;
                    self.masker.mask_beside(i, raw, &beside)?
                }
                Some(DecodedColumn::Presence(valid)) => {
                    self.masker.mask_presence(i, valid.as_ref(), rows)?
                }
                None => return Err(missing()),
            });
        }
        drop(decoded);
        let mut from = 0;
        while from < rows {
            let taken = self.pace.take(&masked, from, rows - from);
            self.encoder.push(&masked, from..from + taken)?;
            from += taken;
            if self.pace.full() {
                full.push(self.cut()?);
            }
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<Encoded, KernelError> {
        let rows = self.pace.cut() as u64;
        let pieces = self.encoder.cut()?;
        self.rows_out += rows;
        Ok(Encoded { pieces, rows })
    }
}

/// The fields of the columns beside one, as they are decoded.
fn fields_beside<'a>(
    column: &Shown,
    fields: &'a [Field],
    planned: &[PlannedColumn],
) -> Result<Vec<&'a Field>, KernelError> {
    let field = |&i: &usize| match (fields.get(i), planned.get(i)) {
        (Some(field), Some(other)) if i != column.decoded && is_written(&other.column_type) => {
            Ok(field)
        }
        (Some(_), Some(_)) if i != column.decoded => Err(KernelError::InvalidRequest(format!(
            "column {}: the values of column {i} are not looked for in text",
            column.decoded
        ))),
        _ => Err(KernelError::InvalidRequest(format!(
            "column {}: there is no other column {i} beside it",
            column.decoded
        ))),
    };
    column.beside.iter().map(field).collect()
}

/// Whether a text holds values of this type as they are; the masker knows the types that are decoded
/// as text no more.
fn is_written(column_type: &ColumnType) -> bool {
    match column_type {
        ColumnType::Array { element } => is_written(element),
        ColumnType::Timetz | ColumnType::Bit => false,
        ColumnType::Numeric { scale, .. } => scale.is_none_or(|scale| scale == 0),
        _ => true,
    }
}

/// The values of the columns beside one.
fn arrays_beside(column: &Shown, decoded: &[DecodedColumn]) -> Result<Vec<ArrayRef>, KernelError> {
    let array = |&i: &usize| match decoded.get(i) {
        Some(DecodedColumn::Values(array)) => Ok(Arc::clone(array)),
        _ => Err(missing()),
    };
    column.beside.iter().map(array).collect()
}

fn missing() -> KernelError {
    KernelError::Internal("a column of the plan was not decoded".to_owned())
}

impl From<CopyError> for KernelError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Plan(detail) => Self::InvalidRequest(detail),
            CopyError::Malformed(detail) => Self::UpstreamFailed(detail),
            CopyError::Unrepresentable { detail, hint } => Self::Unrepresentable { detail, hint },
        }
    }
}

impl From<MaskError> for KernelError {
    /// A treatment that cannot be given was refused with the plan: this is about a batch.
    fn from(error: MaskError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<EncodeError> for KernelError {
    fn from(error: EncodeError) -> Self {
        Self::Internal(error.to_string())
    }
}
