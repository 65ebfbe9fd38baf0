//! `lineage(tree, server_major)`: the pgtree crate behind one function.

use crate::errors::KernelError;
use pyo3::prelude::*;

/// See `_kernel.pyi`.
#[pyfunction]
pub fn lineage(py: Python<'_>, tree: &str, server_major: u16) -> PyResult<String> {
    let _ = (py, server_major);
    Err(KernelError::Tree(format!("not built yet: {} bytes", tree.len())).into())
}
