//! `gateway._kernel`: a table of contents. Each module holds one thing Python may call.

#![deny(unsafe_code)] // allowed in arrow_c.rs, bytes.rs and socket.rs alone

#[allow(unsafe_code)]
mod arrow_c;
#[allow(unsafe_code)]
mod bytes;
mod canonical;
mod errors;
mod lineage;
mod masker;
mod messages;
mod patterns;
mod reader;
#[allow(unsafe_code)]
mod socket;
mod stream;
mod verify;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The compiled half of maskgate.
#[pymodule(gil_used = true)]
fn _kernel(m: &Bound<'_, PyModule>) -> PyResult<()> {
    errors::quiet_panics();
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    m.add("DETECTORS", PyTuple::new(m.py(), mask::detectors())?)?;
    m.add("LABELS", PyTuple::new(m.py(), mask::labels())?)?;
    m.add_function(wrap_pyfunction!(canonical::canonical, m)?)?;
    m.add_function(wrap_pyfunction!(lineage::digest, m)?)?;
    m.add_function(wrap_pyfunction!(lineage::lineage, m)?)?;
    m.add_function(wrap_pyfunction!(lineage::parts, m)?)?;
    m.add_function(wrap_pyfunction!(lineage::relations_named, m)?)?;
    m.add_class::<masker::ArrowMasker>()?;
    m.add_class::<masker::MaskedBatch>()?;
    m.add_class::<messages::CopyMessages>()?;
    m.add_class::<reader::CopyReader>()?;
    m.add_class::<patterns::Patterns>()?;
    m.add_class::<stream::Chunk>()?;
    m.add_class::<stream::MaskedStream>()?;
    m.add_function(wrap_pyfunction!(verify::verify_bundle, m)?)?;
    Ok(())
}
