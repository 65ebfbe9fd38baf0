//! NDJSON and CSV, row by row.

use crate::cells::Cells;
use crate::error::EncodeError;
use crate::json;
use arrow_array::ArrayRef;
use arrow_schema::Field;
use std::collections::HashSet;

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
    rows: usize,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let cells = cells(fields, columns)?;
    for row in 0..rows {
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
    rows: usize,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let cells = cells(fields, columns)?;
    for row in 0..rows {
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
    let special = |byte: &u8| matches!(byte, b'"' | b',' | b'\r' | b'\n');
    if !written.is_empty() && !written.iter().any(special) {
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
