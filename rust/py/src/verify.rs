//! The second verifier, told line by line to whoever asked.

use pyo3::prelude::*;
use std::io;
use std::path::PathBuf;
use verify::Brought;

/// See `_kernel.pyi`. The GIL is free but while a line is said.
#[pyfunction]
#[pyo3(signature = (bundle, trust, *, listing, say, remember=None, receipts=None))]
pub fn verify_bundle(
    py: Python<'_>,
    bundle: PathBuf,
    trust: Option<PathBuf>,
    listing: bool,
    say: Py<PyAny>,
    remember: Option<PathBuf>,
    receipts: Option<PathBuf>,
) -> PyResult<(u8, String)> {
    py.detach(|| {
        let mut failed = None;
        let mut tell = |line: &str| {
            Python::attach(|py| say.call1(py, (line,)).map(drop)).map_err(|error| {
                failed = Some(error);
                io::Error::other("not said")
            })
        };
        let brought = Brought {
            remember: remember.as_deref(),
            receipts: receipts.as_deref(),
            listing,
            ..Brought::default()
        };
        match verify::verify_file(&bundle, trust.as_deref(), brought, &mut tell) {
            Ok((verdict, sentence)) => Ok((verdict.code(), sentence)),
            Err(error) => Err(failed.unwrap_or_else(|| error.into())),
        }
    })
}
