//! One enum, one conversion: the exception classes belong to `gateway.errors`, Rust imports them.

use mask::PatternError;
use pgtree::TreeError;
use pyo3::PyErr;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Everything a kernel entry point can fail with.
#[derive(Clone, Debug)]
pub enum KernelError {
    /// The tree is not one plain SELECT (`gateway.errors.StatementRefused`), or it holds something
    /// this build does not know (`gateway.errors.NotUnderstood`).
    Tree(TreeError),
    /// A plan that cannot be carried out: `gateway.errors.InvalidRequest`.
    InvalidRequest(String),
    /// A policy's pattern that cannot be used: `gateway.errors.ConfigurationError`.
    Pattern(PatternError),
    /// A value has no Arrow form: `gateway.errors.Unrepresentable`.
    Unrepresentable {
        /// What is wrong, naming the column, never the value.
        detail: String,
        /// What to write instead.
        hint: String,
    },
    /// The bytes are not the promised COPY stream: `gateway.errors.UpstreamFailed`.
    UpstreamFailed(String),
    /// The kernel itself failed: `gateway.errors.MaskgateError`.
    Internal(String),
}

impl KernelError {
    fn class_text_hint(self) -> (&'static str, String, Option<String>) {
        match self {
            Self::Tree(TreeError::NotPlainSelect(text)) => ("StatementRefused", text, None),
            Self::Tree(TreeError::NotUnderstood(text)) => ("NotUnderstood", text, None),
            Self::InvalidRequest(text) => ("InvalidRequest", text, None),
            Self::Pattern(error) if error.name.is_empty() => {
                ("ConfigurationError", error.detail, None)
            }
            Self::Pattern(error) => ("ConfigurationError", error.to_string(), None),
            Self::Unrepresentable { detail, hint } => ("Unrepresentable", detail, Some(hint)),
            Self::UpstreamFailed(text) => ("UpstreamFailed", text, None),
            Self::Internal(text) => ("MaskgateError", text, None),
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
        let (class, text, hint) = error.class_text_hint();
        let made = |py: Python<'_>| -> PyResult<PyErr> {
            let class = py.import("gateway.errors")?.getattr(class)?;
            let options = PyDict::new(py);
            options.set_item("hint", hint)?;
            Ok(PyErr::from_value(class.call((&text,), Some(&options))?))
        };
        Python::attach(|py| made(py).unwrap_or_else(|_| PyRuntimeError::new_err(text.clone())))
    }
}

/// Makes a panic say where, never what: its message may quote the data that surprised it.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => eprintln!("kernel panic at {}:{}", place.file(), place.line()),
        None => eprintln!("kernel panic"),
    }));
}
