//! A socket that Python has duplicated, as one of Rust's.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::net::TcpStream;
use std::os::fd::{FromRawFd, OwnedFd};

/// Takes over a file descriptor that the caller gives away: it is closed with what is returned. The
/// type is only a name for what can be read with a time limit, for sockets of any family.
pub(crate) fn taken(descriptor: i32) -> PyResult<TcpStream> {
    if descriptor < 0 {
        return Err(PyValueError::new_err("a file descriptor is not negative"));
    }
    // SAFETY: `_kernel.pyi` asks for a descriptor that nobody else closes or uses; the one caller
    // duplicates it for this call. A number that is not open makes every read an error.
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    Ok(TcpStream::from(owned))
}
