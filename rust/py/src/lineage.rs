//! What the pgtree crate says of a tree: all of it, and what a glance tells.

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
        serde_json::to_string(&lineage).map_err(|error| KernelError::Internal(error.to_string()))
    })?;
    Ok(report)
}

/// See `_kernel.pyi`. The GIL is free while the tree is read.
#[pyfunction]
pub fn digest(py: Python<'_>, tree: &str, server_major: u16) -> PyResult<String> {
    let digest = py.detach(|| pgtree::digest(tree, server_major));
    Ok(digest.map_err(KernelError::from)?)
}

/// See `_kernel.pyi`.
#[pyfunction]
pub fn relations_named(tree: &[u8]) -> Vec<u32> {
    pgtree::relations_named(tree)
}

/// See `_kernel.pyi`.
#[pyfunction]
pub fn parts(tree: &str) -> (usize, usize) {
    pgtree::entries_and_queries(tree)
}
