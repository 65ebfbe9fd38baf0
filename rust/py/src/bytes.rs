//! Pieces of bytes as one bytes object of Python's, copied once.

use encode::Buffer;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::mem::MaybeUninit;

/// The pieces one behind the other.
pub(crate) fn joined<'py>(py: Python<'py>, pieces: &[Buffer]) -> PyResult<Bound<'py, PyBytes>> {
    let size = pieces.iter().map(Buffer::len).sum();
    let length = ffi::Py_ssize_t::try_from(size)?;
    // SAFETY: without bytes to copy, Python makes a new object of this length, or says why not.
    let bytes = unsafe {
        let object = ffi::PyBytes_FromStringAndSize(std::ptr::null(), length);
        Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked::<PyBytes>()
    };
    // SAFETY: the object is a bytes object, and nobody else knows it: its `size` bytes, which have no
    // value yet, are written below, all of them, before it is given out.
    let mut room = unsafe {
        let start = ffi::PyBytes_AsString(bytes.as_ptr()).cast::<MaybeUninit<u8>>();
        std::slice::from_raw_parts_mut(start, size)
    };
    for piece in pieces {
        let (place, rest) = room.split_at_mut(piece.len());
        let to = place.as_mut_ptr().cast::<u8>();
        // SAFETY: both have the piece's length, the one a shared and the other a mutable borrow.
        unsafe { std::ptr::copy_nonoverlapping(piece.as_ptr(), to, place.len()) };
        room = rest;
    }
    Ok(bytes)
}
