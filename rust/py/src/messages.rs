//! `CopyMessages`: what the server sends during a COPY, the rows' bytes apart from the rest.

use crate::errors::KernelError;
use pgcopy::{Message, MessageError, Messages};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See `_kernel.pyi`.
#[pyclass(module = "gateway._kernel")]
pub struct CopyMessages {
    messages: Arc<Mutex<Messages>>,
    /// Kept for its pages.
    rows: Vec<u8>,
}

/// Messages that hold no row, each with its kind.
pub(crate) type Others<'py> = Vec<(u8, Bound<'py, PyBytes>)>;

pub(crate) fn objects(py: Python<'_>, others: Vec<Message>) -> Others<'_> {
    others
        .into_iter()
        .map(|other| (other.kind, PyBytes::new(py, &other.body)))
        .collect()
}

#[pymethods]
impl CopyMessages {
    #[new]
    fn new(most_of_a_row: usize, most_of_another: usize) -> Self {
        Self {
            messages: Arc::new(Mutex::new(Messages::new(most_of_a_row, most_of_another))),
            rows: Vec::new(),
        }
    }

    fn receive<'py>(
        &mut self,
        py: Python<'py>,
        data: &[u8],
    ) -> PyResult<(Bound<'py, PyBytes>, Others<'py>, usize)> {
        let mut others = Vec::new();
        self.rows.clear();
        let read = lock(&self.messages)
            .receive(data, &mut self.rows, &mut others)
            .map_err(|error| KernelError::UpstreamFailed(error.to_string()))?;
        Ok((PyBytes::new(py, &self.rows), objects(py, others), read))
    }

    #[getter]
    fn ended(&self) -> bool {
        lock(&self.messages).ended()
    }

    #[getter]
    fn row_too_long(&self) -> bool {
        lock(&self.messages).failed() == Some(MessageError::RowTooLong)
    }
}

impl CopyMessages {
    pub(crate) fn shared(&self) -> Arc<Mutex<Messages>> {
        Arc::clone(&self.messages)
    }
}

pub(crate) fn lock(messages: &Mutex<Messages>) -> MutexGuard<'_, Messages> {
    messages.lock().unwrap_or_else(PoisonError::into_inner)
}
