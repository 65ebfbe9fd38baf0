//! One enum, one conversion: the exception classes belong to `gateway.errors`, Rust imports them.

use pyo3::PyErr;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// Everything a kernel entry point can fail with.
#[derive(Debug)]
pub enum KernelError {
    /// The server's tree holds something this build does not know: `gateway.errors.NotUnderstood`.
    Tree(String),
}

impl KernelError {
    fn class_and_text(self) -> (&'static str, String) {
        match self {
            Self::Tree(text) => ("NotUnderstood", text),
        }
    }
}

impl From<KernelError> for PyErr {
    fn from(error: KernelError) -> Self {
        let (class, text) = error.class_and_text();
        Python::attach(|py| {
            match py.import("gateway.errors").and_then(|m| m.getattr(class)).and_then(|c| c.call1((&text,))) {
                Ok(value) => PyErr::from_value(value),
                Err(_) => PyRuntimeError::new_err(text),
            }
        })
    }
}
