//! One enum, one conversion: the exception classes belong to `gateway.errors`, Rust imports them.

use pgtree::TreeError;
use pyo3::PyErr;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// Everything a kernel entry point can fail with.
#[derive(Debug)]
pub enum KernelError {
    /// The tree is not one plain SELECT (`gateway.errors.StatementRefused`), or it holds something this
    /// build does not know (`gateway.errors.NotUnderstood`).
    Tree(TreeError),
    /// A report that cannot be written as JSON: a defect of this build.
    Report(String),
}

impl KernelError {
    fn class_and_text(self) -> (&'static str, String) {
        match self {
            Self::Tree(TreeError::NotPlainSelect(text)) => ("StatementRefused", text),
            Self::Tree(TreeError::NotUnderstood(text)) => ("NotUnderstood", text),
            Self::Report(text) => ("MaskgateError", text),
        }
    }
}

impl From<TreeError> for KernelError {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}

impl From<KernelError> for PyErr {
    fn from(error: KernelError) -> Self {
        let (class, text) = error.class_and_text();
        Python::attach(|py| {
            match py
                .import("gateway.errors")
                .and_then(|m| m.getattr(class))
                .and_then(|c| c.call1((&text,)))
            {
                Ok(value) => PyErr::from_value(value),
                Err(_) => PyRuntimeError::new_err(text),
            }
        })
    }
}
