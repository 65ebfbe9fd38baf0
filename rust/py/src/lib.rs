//! `gateway._kernel`: a table of contents. Each module holds one thing Python may call.

mod errors;
mod lineage;
mod stream;

use pyo3::prelude::*;

/// The compiled half of maskgate.
#[pymodule(gil_used = true)]
fn _kernel(m: &Bound<'_, PyModule>) -> PyResult<()> {
    errors::quiet_panics();
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    m.add_function(wrap_pyfunction!(lineage::lineage, m)?)?;
    m.add_function(wrap_pyfunction!(lineage::parts, m)?)?;
    m.add_function(wrap_pyfunction!(lineage::relations_named, m)?)?;
    m.add_class::<stream::Chunk>()?;
    m.add_class::<stream::MaskedStream>()?;
    Ok(())
}
