//! `lineage(tree, server_major, stored)`: the pgtree crate behind one function.

use crate::errors::KernelError;
use pyo3::prelude::*;

/// See `_kernel.pyi`. The GIL is free while the tree is read and walked.
#[pyfunction]
#[pyo3(signature = (tree, server_major, *, stored=false))]
pub fn lineage(py: Python<'_>, tree: &str, server_major: u16, stored: bool) -> PyResult<String> {
    let report = py.detach(|| -> Result<String, KernelError> {
        let read = if stored {
            pgtree::stored_lineage
        } else {
            pgtree::lineage
        };
        let lineage = read(tree, server_major)?;
        serde_json::to_string(&lineage).map_err(|error| KernelError::Report(error.to_string()))
    })?;
    Ok(report)
}
