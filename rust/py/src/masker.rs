//! `ArrowMasker`: Arrow record batches in, masked ones out, by the C data interface.
//!
//! It refuses a treatment that a column's type cannot take when it is made, before any row; a batch
//! of another schema; and one whose bytes are not what its schema says. Metadata of schema and fields
//! does not come through (it may hold values, as the categories of an enum), but for the names of
//! the extension types that the kernel knows.

use crate::arrow_c::{self, Broken};
use crate::errors::KernelError;
use crate::patterns::Patterns;
use arrow_array::{Array, ArrayRef, StructArray};
use arrow_data::ffi::FFI_ArrowArray;
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema};
use mask::{MaskError, Masker, Treatment};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};
use serde::Deserialize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

const EXTENSION_NAME: &str = "ARROW:extension:name";
const EXTENSION_METADATA: &str = "ARROW:extension:metadata";
/// Extension types whose names stay. Their parameters are empty.
const KNOWN: [&str; 2] = ["arrow.json", "arrow.uuid"];

/// What is done to one column of the batches.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Planned {
    /// Nothing: the column is only looked at beside others and does not come out.
    treatment: Option<Treatment>,
    /// The columns whose values the treatment needs from the same row.
    #[serde(default)]
    row: Vec<usize>,
}

/// A column that comes out: where it stands in a batch, and what is needed beside it.
struct Shown {
    at: usize,
    beside: Vec<usize>,
}

/// See `_kernel.pyi`.
#[pyclass(module = "gateway._kernel", frozen)]
pub struct ArrowMasker {
    /// What batches look like, without their metadata.
    planned: DataType,
    shown: Vec<Shown>,
    output: Arc<Schema>,
    masker: Mutex<Masker>,
}

#[pymethods]
impl ArrowMasker {
    #[new]
    #[pyo3(signature = (schema, plan, token_key, patterns=None))]
    fn new(
        schema: &Bound<'_, PyAny>,
        plan: &str,
        token_key: &[u8],
        patterns: Option<&Patterns>,
    ) -> PyResult<Self> {
        let schema = quiet(|| arrow_c::schema_of(schema))?;
        let schema = schema.map_err(|_| invalid("the Arrow schema cannot be read"))?;
        let plan: Vec<Planned> = serde_json::from_str(plan)
            .map_err(|error| invalid(&format!("the plan is not valid: {error}")))?;
        let token_key: &[u8; 32] = token_key.try_into().map_err(|_| {
            let got = token_key.len();
            invalid(&format!("the token key has {got} bytes, expected 32"))
        })?;
        let fields: Fields = schema.fields().iter().map(bare).collect();
        if fields.len() != plan.len() {
            return Err(invalid("as many plans as columns are needed").into());
        }
        let (mut columns, mut shown) = (Vec::new(), Vec::new());
        for (at, (field, planned)) in fields.iter().zip(plan).enumerate() {
            if let Some(treatment) = planned.treatment {
                columns.push((field.as_ref().clone(), treatment));
                let beside = planned.row;
                shown.push(Shown { at, beside });
            }
        }
        let refused = |error: MaskError| invalid(&error.to_string());
        let mut masker =
            Masker::with_patterns(&columns, token_key, patterns.map(Patterns::shared).as_ref())
                .map_err(refused)?;
        for (i, column) in shown.iter().enumerate() {
            if column.beside.is_empty() && !masker.needs_beside(i) {
                continue;
            }
            let beside: Option<Vec<&Field>> = column
                .beside
                .iter()
                .map(|&other| fields.get(other).filter(|_| other != column.at))
                .map(|field| field.map(AsRef::as_ref))
                .collect();
            let beside = beside.ok_or_else(|| invalid("there is no such column in the row"))?;
            masker.expect_beside(i, &beside).map_err(refused)?;
        }
        let output: Fields = (0..shown.len())
            .map(|i| masker.output_field(i).clone())
            .collect();
        Ok(Self {
            planned: DataType::Struct(fields),
            shown,
            output: Arc::new(Schema::new(output)),
            masker: Mutex::new(masker),
        })
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        export_schema(py, &self.output)
    }

    fn mask(&self, py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<MaskedBatch> {
        let (array, schema) = quiet(|| arrow_c::batch_of(batch))?;
        let schema = schema.map_err(|_| invalid("the batch's Arrow schema cannot be read"))?;
        let fields: Fields = schema.fields().iter().map(bare).collect();
        if DataType::Struct(fields) != self.planned {
            return Err(invalid("a batch of another schema than the one announced").into());
        }
        let done = py.detach(|| catch_unwind(AssertUnwindSafe(|| self.masked(array))));
        let rows = done.unwrap_or_else(|_| {
            let detail = "the kernel failed; this batch cannot be masked";
            Err(KernelError::Internal(detail.to_owned()))
        })?;
        Ok(MaskedBatch {
            schema: Arc::clone(&self.output),
            rows,
        })
    }

    fn report(&self, py: Python<'_>) -> PyResult<String> {
        let report = py.detach(|| match self.masker.lock() {
            Ok(masker) => masker.report(),
            // A batch that failed halfway is counted as far as it went.
            Err(broken) => broken.into_inner().report(),
        });
        let failed = |_| KernelError::Internal("the report cannot be written".to_owned());
        Ok(serde_json::to_string(&report).map_err(failed)?)
    }
}

impl ArrowMasker {
    fn name(&self, column: usize) -> &str {
        match &self.planned {
            DataType::Struct(fields) => fields.get(column).map_or("", |field| field.name()),
            _ => "",
        }
    }

    fn against_schema(&self, column: usize) -> KernelError {
        let name = self.name(column);
        let detail = format!("column \"{name}\" holds NULLs and says that it cannot");
        invalid(&detail)
    }

    fn masked(&self, array: FFI_ArrowArray) -> Result<StructArray, KernelError> {
        let batch = arrow_c::checked(array, &self.planned).map_err(|broken| match broken {
            Broken::Batch => invalid("the batch is not valid Arrow data"),
            Broken::Column(i) => invalid(&format!(
                "column \"{}\" is not valid Arrow data of its type: offsets, keys, run ends or \
                 UTF-8",
                self.name(i)
            )),
            Broken::Nulls(i) => self.against_schema(i),
        })?;
        let mut masker = self.masker.lock().map_err(|_| {
            KernelError::Internal("the kernel failed before; make a new masker".to_owned())
        })?;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.shown.len());
        for (i, column) in self.shown.iter().enumerate() {
            let beside: Vec<ArrayRef> = column
                .beside
                .iter()
                .map(|&other| Arc::clone(batch.column(other)))
                .collect();
            let masked = masker.mask_beside(i, batch.column(column.at), &beside);
            let masked = masked.map_err(|error| invalid(&error.to_string()))?;
            if !self.output.field(i).is_nullable() && masked.logical_null_count() > 0 {
                return Err(self.against_schema(column.at));
            }
            columns.push(masked);
        }
        let fields = self.output.fields().clone();
        StructArray::try_new_with_length(fields, columns, None, batch.len())
            .map_err(|_| KernelError::Internal("the masked columns do not fit together".to_owned()))
    }
}

/// See `_kernel.pyi`.
#[pyclass(module = "gateway._kernel", frozen)]
pub struct MaskedBatch {
    schema: Arc<Schema>,
    rows: StructArray,
}

#[pymethods]
impl MaskedBatch {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        // A producer may leave a request unanswered; the consumer compares what it gets.
        let _ = requested_schema;
        let schema = export_schema(py, &self.schema)?;
        let array = arrow_c::array_capsule(py, &arrow_c::data_of(&self.rows))?;
        PyTuple::new(py, [schema, array])
    }

    fn __len__(&self) -> usize {
        self.rows.len()
    }
}

fn export_schema<'py>(py: Python<'py>, schema: &Schema) -> PyResult<Bound<'py, PyCapsule>> {
    let failed = |_| KernelError::Internal("the schema has no C form".to_owned());
    Ok(arrow_c::schema_capsule(py, schema)?.map_err(failed)?)
}

fn invalid(detail: &str) -> KernelError {
    KernelError::InvalidRequest(detail.to_owned())
}

/// Runs what reads a stranger's structures; a panic in there is a refusal.
fn quiet<T>(read: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(invalid("this is not the Arrow C data interface").into()))
}

/// The field without its metadata and its dictionary's order, all the way down.
fn bare(field: &FieldRef) -> FieldRef {
    let plain = Field::new(
        field.name(),
        bare_type(field.data_type()),
        field.is_nullable(),
    );
    let Some(name) = field.metadata().get(EXTENSION_NAME) else {
        return Arc::new(plain);
    };
    if !KNOWN.contains(&name.as_str()) {
        return Arc::new(plain);
    }
    let metadata = [
        (EXTENSION_NAME.to_owned(), name.clone()),
        (EXTENSION_METADATA.to_owned(), String::new()),
    ];
    Arc::new(plain.with_metadata(metadata.into()))
}

fn bare_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::List(item) => DataType::List(bare(item)),
        DataType::LargeList(item) => DataType::LargeList(bare(item)),
        DataType::ListView(item) => DataType::ListView(bare(item)),
        DataType::LargeListView(item) => DataType::LargeListView(bare(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(bare(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(bare).collect()),
        DataType::Map(entries, _) => DataType::Map(bare(entries), false),
        DataType::Dictionary(key, value) => {
            DataType::Dictionary(key.clone(), Box::new(bare_type(value)))
        }
        DataType::RunEndEncoded(ends, values) => DataType::RunEndEncoded(bare(ends), bare(values)),
        other => other.clone(),
    }
}
