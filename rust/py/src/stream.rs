//! `MaskedStream`: COPY bytes in, masked and encoded chunks out. Raw values never leave this file's
//! `Pipeline`: the decoder's arrays go to the masker and nowhere else.
//!
//! It refuses to go on after an error, and it turns a panic into an error that says nothing of data.

use crate::errors::KernelError;
use encode::{EncodeError, Encoder, Format, Pace};
use mask::{MaskError, Masker, Treatment};
use pgcopy::{ColumnPlan, ColumnType, CopyError, DecodedColumn, Decoder, Infinity, Progress};
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use serde::Deserialize;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
struct Sealed {
    data: Vec<u8>,
    rows: u64,
    digest: String,
}

impl Sealed {
    fn new(data: Vec<u8>, rows: u64) -> Self {
        let digest = blake3::hash(&data).to_hex().to_string();
        Self { data, rows, digest }
    }

    fn into_chunk(self, py: Python<'_>) -> Chunk {
        Chunk {
            data: PyBytes::new(py, &self.data).unbind(),
            rows: self.rows,
            digest: self.digest,
        }
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
    fn new(plan: &str, token_key: &[u8]) -> PyResult<Self> {
        Ok(Self {
            pipeline: Pipeline::new(plan, token_key)?,
            dead: None,
        })
    }

    fn head(&mut self, py: Python<'_>) -> PyResult<Chunk> {
        Ok(self.guarded(py, Pipeline::head)?.into_chunk(py))
    }

    fn feed(&mut self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Vec<Chunk>> {
        let sealed = match data.cast::<PyBytes>() {
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
        Ok(sealed
            .into_iter()
            .map(|chunk| chunk.into_chunk(py))
            .collect())
    }

    fn feed_all(&mut self, py: Python<'_>, pieces: Vec<PyBackedBytes>) -> PyResult<Vec<Chunk>> {
        let sealed = self.guarded(py, |pipeline| pipeline.feed_all(&pieces))?;
        Ok(sealed
            .into_iter()
            .map(|chunk| chunk.into_chunk(py))
            .collect())
    }

    fn finish(&mut self, py: Python<'_>) -> PyResult<Vec<Chunk>> {
        let sealed = self.guarded(py, Pipeline::finish)?;
        Ok(sealed
            .into_iter()
            .map(|chunk| chunk.into_chunk(py))
            .collect())
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

/// Decoder, masker, encoder, and the count of what went through.
struct Pipeline {
    decoder: Decoder,
    masker: Masker,
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
    fn new(plan: &str, token_key: &[u8]) -> Result<Self, KernelError> {
        let plan: Plan = serde_json::from_str(plan).map_err(|error| {
            KernelError::InvalidRequest(format!("the plan is not valid: {error}"))
        })?;
        let token_key: &[u8; 32] = token_key.try_into().map_err(|_| {
            let got = token_key.len();
            KernelError::InvalidRequest(format!("the token key has {got} bytes, expected 32"))
        })?;
        let mut treated = Vec::with_capacity(plan.columns.len());
        for column in &plan.columns {
            treated.push((
                column.column_type.field(&column.name)?,
                column.treatment.clone(),
            ));
        }
        let masker = Masker::new(&treated, token_key)
            .map_err(|error| KernelError::InvalidRequest(error.to_string()))?;
        let fields = (0..treated.len())
            .map(|i| masker.output_field(i).clone())
            .zip(&plan.columns)
            .map(|(mut field, column)| {
                field.metadata_mut().extend(column.metadata.clone());
                field
            })
            .collect();
        let column = |(i, column): (usize, PlannedColumn)| ColumnPlan {
            name: column.name,
            column_type: column.column_type,
            presence_only: masker.presence_only(i),
        };
        let columns: Vec<_> = plan.columns.into_iter().enumerate().map(column).collect();
        let format = match plan.format {
            PlannedFormat::Arrow => Format::Arrow,
            PlannedFormat::Ndjson => Format::Ndjson,
            PlannedFormat::Csv => Format::Csv,
        };
        Ok(Self {
            decoder: Decoder::new(&columns, plan.infinity)?,
            encoder: Encoder::new(format, fields, plan.metadata)?,
            masker,
            pace: Pace::default(),
            stage: Stage::Fresh,
            left: plan.limit_rows,
            truncated: false,
            rows_out: 0,
            broken: None,
        })
    }

    fn head(&mut self) -> Result<Sealed, KernelError> {
        if self.stage != Stage::Fresh {
            return Err(KernelError::InvalidRequest(
                "the head has been given out before".to_owned(),
            ));
        }
        self.stage = Stage::Rows;
        Ok(Sealed::new(self.encoder.head(), 0))
    }

    fn feed(&mut self, mut input: &[u8]) -> Result<Vec<Sealed>, KernelError> {
        self.expect_rows()?;
        let mut full = Vec::new();
        let outcome = self.take_rows(&mut input, &mut full);
        self.after(full, outcome)
    }

    fn feed_all(&mut self, pieces: &[PyBackedBytes]) -> Result<Vec<Sealed>, KernelError> {
        self.expect_rows()?;
        let mut full = Vec::new();
        let outcome = pieces
            .iter()
            .try_for_each(|piece| self.take_rows(&mut piece.as_ref(), &mut full));
        self.after(full, outcome)
    }

    /// Chunks that filled up before an error are given out, the error with the next call: how the
    /// bytes were split does not decide what the caller sees.
    fn after(
        &mut self,
        full: Vec<Sealed>,
        outcome: Result<(), KernelError>,
    ) -> Result<Vec<Sealed>, KernelError> {
        match outcome {
            Err(error) if full.is_empty() => Err(error),
            Err(error) => {
                self.broken = Some(error);
                Ok(full)
            }
            Ok(()) => Ok(full),
        }
    }

    fn take_rows(&mut self, input: &mut &[u8], full: &mut Vec<Sealed>) -> Result<(), KernelError> {
        while !self.truncated {
            let left = self
                .left
                .map(|left| usize::try_from(left).unwrap_or(usize::MAX));
            let room = self.pace.room().min(left.unwrap_or(usize::MAX));
            let progress = self.decoder.feed(input, room)?;
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

    fn finish(&mut self) -> Result<Vec<Sealed>, KernelError> {
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
            rest.push(Sealed::new(end, 0));
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
    fn mask(&mut self, full: &mut Vec<Sealed>) -> Result<(), KernelError> {
        let rows = self.decoder.rows();
        if rows == 0 {
            return Ok(());
        }
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(rows as u64);
        }
        let mut masked = Vec::new();
        for (i, column) in self.decoder.take()?.into_iter().enumerate() {
            masked.push(match column {
                DecodedColumn::Values(raw) => self.masker.mask(i, &raw)?,
                DecodedColumn::Presence(valid) => {
                    self.masker.mask_presence(i, valid.as_ref(), rows)?
                }
            });
        }
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

    fn cut(&mut self) -> Result<Sealed, KernelError> {
        let rows = self.pace.cut() as u64;
        let sealed = Sealed::new(self.encoder.cut()?, rows);
        self.rows_out += rows;
        Ok(sealed)
    }
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
