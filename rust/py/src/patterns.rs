//! `Patterns`: what a policy looks for beside the detectors, compiled once and shared by its streams.

use crate::errors::KernelError;
use mask::Definition;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// See `_kernel.pyi`.
#[pyclass(module = "gateway._kernel", frozen)]
pub struct Patterns(mask::Patterns);

#[pymethods]
impl Patterns {
    #[new]
    fn new(py: Python<'_>, definitions: &str) -> PyResult<Self> {
        let definitions: Vec<Definition> = serde_json::from_str(definitions).map_err(|error| {
            KernelError::InvalidRequest(format!("the definitions are not valid: {error}"))
        })?;
        let compiled = py.detach(|| mask::Patterns::compile(&definitions));
        Ok(Self(compiled.map_err(KernelError::Pattern)?))
    }

    #[getter]
    fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.names().collect::<Vec<_>>())
    }

    #[getter]
    fn labels<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.labels().collect::<Vec<_>>())
    }
}

impl Patterns {
    /// What was compiled, to be shared.
    pub fn shared(&self) -> mask::Patterns {
        self.0.clone()
    }
}
