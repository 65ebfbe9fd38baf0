//! NDJSON and CSV, row by row.

use crate::cells::Cells;
use crate::error::EncodeError;
use crate::json;
use arrow_array::ArrayRef;
use arrow_schema::Field;
use std::collections::HashSet;
use std::ops::Range;

/// Names made unique: name, name_2, name_3, in the order of the columns.
pub(crate) fn unique_names(fields: &[Field]) -> Vec<String> {
    let mut taken = HashSet::new();
    let unique = |field: &Field| {
        let mut candidate = field.name().clone();
        let mut number = 2;
        while !taken.insert(candidate.clone()) {
            candidate = format!("{}_{number}", field.name());
            number += 1;
        }
        candidate
    };
    fields.iter().map(unique).collect()
}

/// What stands before each value of an NDJSON row: the brace or comma, the name, the colon.
pub(crate) fn ndjson_prefixes(fields: &[Field]) -> Vec<Vec<u8>> {
    let prefix = |(i, name): (usize, String)| {
        let mut prefix = vec![if i == 0 { b'{' } else { b',' }];
        json::string(&name, &mut prefix);
        prefix.push(b':');
        prefix
    };
    unique_names(fields)
        .into_iter()
        .enumerate()
        .map(prefix)
        .collect()
}

fn cells<'a>(fields: &[Field], columns: &'a [ArrayRef]) -> Result<Vec<Cells<'a>>, EncodeError> {
    fields
        .iter()
        .zip(columns)
        .map(|(field, column)| Cells::new(field, column))
        .collect()
}

/// One object a row.
pub(crate) fn ndjson(
    fields: &[Field],
    prefixes: &[Vec<u8>],
    columns: &[ArrayRef],
    rows: Range<usize>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let cells = cells(fields, columns)?;
    for row in rows {
        if cells.is_empty() {
            out.push(b'{');
        }
        for (prefix, cell) in prefixes.iter().zip(&cells) {
            out.extend_from_slice(prefix);
            cell.json(row, out);
        }
        out.extend_from_slice(b"}\n");
    }
    Ok(())
}

/// The names, as they are in the result.
pub(crate) fn csv_header(fields: &[Field], out: &mut Vec<u8>) {
    for (i, field) in fields.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let start = out.len();
        out.extend_from_slice(field.name().as_bytes());
        quote_if_needed(start, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// One record a row.
pub(crate) fn csv(
    fields: &[Field],
    columns: &[ArrayRef],
    rows: Range<usize>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let cells = cells(fields, columns)?;
    for row in rows {
        for (i, cell) in cells.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            if !cell.is_null(row) {
                let start = out.len();
                if cell.plain(row, out) {
                    quote_if_needed(start, out);
                }
            }
        }
        out.extend_from_slice(b"\r\n");
    }
    Ok(())
}

/// Quotes what was written from `start` on if a reader would otherwise split it, or take it for NULL.
fn quote_if_needed(start: usize, out: &mut Vec<u8>) {
    let written = out.get(start..).unwrap_or_default();
    if !written.is_empty() && !has_special(written) {
        return;
    }
    let text = out.split_off(start);
    out.push(b'"');
    let mut parts = text.split(|byte| *byte == b'"');
    out.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        out.extend_from_slice(b"\"\"");
        out.extend_from_slice(part);
    }
    out.push(b'"');
}

/// Whether a quote, a comma or a line end is among the bytes, eight at a time.
fn has_special(bytes: &[u8]) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, tail) = bytes.as_chunks::<8>();
    let found = words.iter().any(|word| {
        let word = u64::from_le_bytes(*word);
        // Not zero when, and only when, one of the eight bytes of `x` is zero.
        let zero = |x: u64| x.wrapping_sub(LOW) & !x & HIGH;
        let one_of = |byte: u8| zero(word ^ (LOW * u64::from(byte)));
        one_of(b'"') | one_of(b',') | one_of(b'\r') | one_of(b'\n') != 0
    });
    found
        || tail
            .iter()
            .any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n'))
}
