//! JSON that has exactly one spelling: RFC 8785 without the types that make it hard.
//!
//! It refuses what has no spelling, or more than one, before a byte of it is given out.

use crate::errors::KernelError;
use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyList, PyMapping, PyString, PyTuple};
use std::cmp::Ordering;

/// Integers of this magnitude and more are written as strings: others read them as floats.
const INTEGER_LIMIT: i64 = 1 << 53;
const DEPTH_LIMIT: usize = 64;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// See `_kernel.pyi`.
#[pyfunction]
pub fn canonical<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::with_capacity(1024);
    write(value, 0, &mut out)?;
    Ok(PyBytes::new(py, &out))
}

fn write(value: &Bound<'_, PyAny>, depth: usize, out: &mut Vec<u8>) -> PyResult<()> {
    if let Ok(text) = value.cast::<PyString>() {
        write_text(utf8(text)?, out);
        return Ok(());
    }
    if value.is_none() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        out.extend_from_slice(if truth.is_true() { b"true" } else { b"false" });
        return Ok(());
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return write_integer(number, out);
    }
    if depth >= DEPTH_LIMIT {
        return refused(format!("a record nests deeper than {DEPTH_LIMIT} levels"));
    }
    if let Ok(list) = value.cast::<PyList>() {
        return write_list(list.iter(), depth + 1, out);
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return write_list(tuple.iter(), depth + 1, out);
    }
    if let Ok(object) = value.cast_exact::<PyDict>() {
        return write_object(object.iter().collect(), depth + 1, out);
    }
    if let Ok(object) = value.cast::<PyMapping>() {
        let mut members = Vec::new();
        for key in object.try_iter()? {
            let key = key?;
            let member = object.get_item(&key)?;
            members.push((key, member));
        }
        return write_object(members, depth + 1, out);
    }
    refused(format!(
        "a record cannot hold a {}",
        value.get_type().name()?
    ))
}

fn write_integer(number: &Bound<'_, PyInt>, out: &mut Vec<u8>) -> PyResult<()> {
    match number.extract::<i64>() {
        Ok(small) if -INTEGER_LIMIT < small && small < INTEGER_LIMIT => {
            out.extend_from_slice(small.to_string().as_bytes());
            Ok(())
        }
        _ => refused("an integer of 2^53 or more must be written as a string".to_owned()),
    }
}

fn write_list<'py>(
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    depth: usize,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    out.push(b'[');
    for (number, item) in items.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        write(&item, depth, out)?;
    }
    out.push(b']');
    Ok(())
}

type Member<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

fn write_object(members: Vec<Member<'_>>, depth: usize, out: &mut Vec<u8>) -> PyResult<()> {
    let mut named = Vec::with_capacity(members.len());
    for (key, value) in &members {
        let Ok(key) = key.cast::<PyString>() else {
            let kind = key.get_type().name()?;
            return refused(format!("an object's key must be a string, got {kind}"));
        };
        named.push((utf8(key)?, value));
    }
    named.sort_by(|(one, _), (other, _)| by_code_units(one, other));
    out.push(b'{');
    for (number, (key, value)) in named.into_iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        write_text(key, out);
        out.push(b':');
        write(value, depth, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// RFC 8785, 3.2.3: members are sorted by UTF-16 code units, which below the surrogates is the
/// order of the UTF-8 bytes.
fn by_code_units(one: &str, other: &str) -> Ordering {
    if one.is_ascii() && other.is_ascii() {
        one.cmp(other)
    } else {
        one.encode_utf16().cmp(other.encode_utf16())
    }
}

/// RFC 8785, 3.2.2.2: two characters and the controls are escaped, and nothing else.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(place) = rest
        .iter()
        .position(|&b| b < 0x20 || b == b'"' || b == b'\\')
    {
        let (plain, from) = rest.split_at(place);
        out.extend_from_slice(plain);
        let Some((&byte, behind)) = from.split_first() else {
            break;
        };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            _ => {
                let [high, low] = [byte >> 4, byte & 15].map(|n| HEX.get(usize::from(n)).copied());
                out.extend_from_slice(b"\\u00");
                out.extend(high.into_iter().chain(low));
            }
        }
        rest = behind;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn utf8<'a>(text: &'a Bound<'_, PyString>) -> PyResult<&'a str> {
    text.to_str().map_err(|error| {
        if error.is_instance_of::<PyUnicodeEncodeError>(text.py()) {
            let said = "text holds a lone surrogate, which is not Unicode".to_owned();
            KernelError::InvalidRequest(said).into()
        } else {
            error
        }
    })
}

fn refused(said: String) -> PyResult<()> {
    Err(KernelError::InvalidRequest(said).into())
}
