//! One masked column, ready to be written cell by cell: the type is looked at once a batch.

use crate::calendar::{self, Style};
use crate::error::EncodeError;
use crate::{json, number};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType,
    Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{
    Array, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float32Array, Float64Array,
    GenericListArray, PrimitiveArray, StringArray, StringViewArray,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};

const EXTENSION: &str = "ARROW:extension:name";

/// A column and which of its rows are NULL.
pub(crate) struct Cells<'a> {
    nulls: Option<&'a NullBuffer>,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Null,
    Bool(&'a BooleanArray),
    Int16(&'a PrimitiveArray<Int16Type>),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Decimal(&'a PrimitiveArray<Decimal128Type>, usize),
    Text(&'a StringArray),
    View(&'a StringViewArray),
    Json(&'a StringArray),
    Binary(&'a BinaryArray),
    Fixed(&'a FixedSizeBinaryArray),
    Uuid(&'a FixedSizeBinaryArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Time(&'a PrimitiveArray<Time64MicrosecondType>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>, bool),
    Interval(&'a PrimitiveArray<IntervalMonthDayNanoType>),
    Labels(&'a PrimitiveArray<Int32Type>, &'a StringArray),
    List(&'a GenericListArray<i32>, Box<Cells<'a>>),
}

impl<'a> Cells<'a> {
    /// The cells of `array`, which `field` describes.
    pub(crate) fn new(field: &Field, array: &'a dyn Array) -> Result<Self, EncodeError> {
        let unknown = || EncodeError::Type {
            column: field.name().clone(),
            data_type: array.data_type().to_string(),
        };
        let extension = field.metadata().get(EXTENSION).map(String::as_str);
        let kind = match array.data_type() {
            DataType::Null => Kind::Null,
            DataType::Boolean => Kind::Bool(array.as_boolean()),
            DataType::Int16 => Kind::Int16(array.as_primitive()),
            DataType::Int32 => Kind::Int32(array.as_primitive()),
            DataType::Int64 => Kind::Int64(array.as_primitive()),
            DataType::Float32 => Kind::Float32(array.as_primitive()),
            DataType::Float64 => Kind::Float64(array.as_primitive()),
            DataType::Decimal128(_, scale) => Kind::Decimal(
                array.as_primitive(),
                usize::try_from(*scale).map_err(|_| unknown())?,
            ),
            DataType::Utf8 if extension == Some("arrow.json") => Kind::Json(array.as_string()),
            DataType::Utf8 => Kind::Text(array.as_string()),
            DataType::Utf8View => Kind::View(array.as_string_view()),
            DataType::Binary => Kind::Binary(array.as_binary()),
            DataType::FixedSizeBinary(16) if extension == Some("arrow.uuid") => {
                Kind::Uuid(array.as_fixed_size_binary())
            }
            DataType::FixedSizeBinary(_) => Kind::Fixed(array.as_fixed_size_binary()),
            DataType::Date32 => Kind::Date(array.as_primitive()),
            DataType::Time64(TimeUnit::Microsecond) => Kind::Time(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Kind::Timestamp(array.as_primitive(), zone.is_some())
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => Kind::Interval(array.as_primitive()),
            DataType::Dictionary(key, value)
                if **key == DataType::Int32 && **value == DataType::Utf8 =>
            {
                let dictionary = array.as_dictionary::<Int32Type>();
                Kind::Labels(dictionary.keys(), dictionary.values().as_string())
            }
            DataType::List(item) => {
                let lists = array.as_list::<i32>();
                Kind::List(lists, Box::new(Self::new(item, lists.values())?))
            }
            _ => return Err(unknown()),
        };
        Ok(Self {
            nulls: array.nulls(),
            kind,
        })
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        matches!(self.kind, Kind::Null) || self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// Writes the cell as a JSON value.
    pub(crate) fn json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match &self.kind {
            Kind::Float32(values) => {
                let x = values.value(row);
                let mut buffer = zmij::Buffer::new();
                number::json_float(x.is_finite(), x.is_nan(), x < 0.0, buffer.format(x), out);
            }
            Kind::Float64(values) => {
                let x = values.value(row);
                let mut buffer = zmij::Buffer::new();
                number::json_float(x.is_finite(), x.is_nan(), x < 0.0, buffer.format(x), out);
            }
            Kind::Text(values) => json::string(values.value(row), out),
            Kind::View(values) => json::string(values.value(row), out),
            Kind::Labels(keys, labels) => json::string(label(keys, labels, row), out),
            Kind::Json(values) => json::document(values.value(row), out),
            Kind::Timestamp(values, utc) => {
                out.push(b'"');
                calendar::timestamp(values.value(row), *utc, Style::Rfc3339, out);
                out.push(b'"');
            }
            Kind::Interval(values) => {
                let value = values.value(row);
                out.push(b'"');
                let us = value.nanoseconds / 1000;
                calendar::interval(value.months, value.days, us, Style::Rfc3339, out);
                out.push(b'"');
            }
            Kind::List(lists, elements) => {
                let offsets = lists.value_offsets();
                let at = |i: usize| {
                    offsets
                        .get(i)
                        .and_then(|at| usize::try_from(*at).ok())
                        .unwrap_or(0)
                };
                out.push(b'[');
                for element in at(row)..at(row + 1) {
                    if element > at(row) {
                        out.push(b',');
                    }
                    elements.json(element, out);
                }
                out.push(b']');
            }
            // These read the same in both formats and hold nothing that JSON escapes.
            Kind::Null | Kind::Bool(_) | Kind::Int16(_) | Kind::Int32(_) | Kind::Int64(_) => {
                self.plain(row, out);
            }
            Kind::Decimal(..)
            | Kind::Binary(_)
            | Kind::Fixed(_)
            | Kind::Uuid(_)
            | Kind::Date(_)
            | Kind::Time(_) => {
                out.push(b'"');
                self.plain(row, out);
                out.push(b'"');
            }
        }
    }

    /// Writes the cell, which is not NULL, as text without quotes. Says whether it may be empty or
    /// hold characters that CSV must quote.
    pub(crate) fn plain(&self, row: usize, out: &mut Vec<u8>) -> bool {
        let mut integer = itoa::Buffer::new();
        match &self.kind {
            Kind::Null => {}
            Kind::Bool(values) => {
                out.extend_from_slice(if values.value(row) { b"true" } else { b"false" });
            }
            Kind::Int16(values) => {
                out.extend_from_slice(integer.format(values.value(row)).as_bytes())
            }
            Kind::Int32(values) => {
                out.extend_from_slice(integer.format(values.value(row)).as_bytes())
            }
            Kind::Int64(values) => {
                out.extend_from_slice(integer.format(values.value(row)).as_bytes())
            }
            Kind::Float32(values) => match values.value(row) {
                x if x.is_finite() => {
                    number::postgres_float(zmij::Buffer::new().format_finite(x), 6, out);
                }
                x => out.extend_from_slice(number::not_finite(x.is_nan(), x < 0.0)),
            },
            Kind::Float64(values) => match values.value(row) {
                x if x.is_finite() => {
                    number::postgres_float(zmij::Buffer::new().format_finite(x), 15, out);
                }
                x => out.extend_from_slice(number::not_finite(x.is_nan(), x < 0.0)),
            },
            Kind::Decimal(values, scale) => number::decimal(values.value(row), *scale, out),
            Kind::Binary(values) => {
                base64(values.value(row), out);
                return true;
            }
            Kind::Fixed(values) => {
                base64(values.value(row), out);
                return true;
            }
            Kind::Uuid(values) => uuid(values.value(row), out),
            Kind::Date(values) => calendar::date(values.value(row), out),
            Kind::Time(values) => calendar::time(values.value(row), out),
            Kind::Timestamp(values, utc) => {
                calendar::timestamp(values.value(row), *utc, Style::Postgres, out);
            }
            Kind::Interval(values) => {
                let value = values.value(row);
                let us = value.nanoseconds / 1000;
                calendar::interval(value.months, value.days, us, Style::Postgres, out);
            }
            Kind::Text(values) | Kind::Json(values) => {
                out.extend_from_slice(values.value(row).as_bytes());
                return true;
            }
            Kind::View(values) => {
                out.extend_from_slice(values.value(row).as_bytes());
                return true;
            }
            Kind::Labels(keys, labels) => {
                out.extend_from_slice(label(keys, labels, row).as_bytes());
                return true;
            }
            Kind::List(..) => {
                self.json(row, out);
                return true;
            }
        }
        false
    }
}

fn label<'a>(keys: &PrimitiveArray<Int32Type>, labels: &'a StringArray, row: usize) -> &'a str {
    match usize::try_from(keys.value(row)) {
        Ok(key) if key < labels.len() => labels.value(key),
        _ => "",
    }
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (groups, tail) = bytes.as_chunks::<3>();
    let mut group = |a: u8, b: u8, c: u8, digits: usize| {
        let bits = u32::from(a) << 16 | u32::from(b) << 8 | u32::from(c);
        for place in 0..4 {
            match place < digits {
                true => out.extend(ALPHABET.get((bits >> (18 - 6 * place) & 63) as usize)),
                false => out.push(b'='),
            }
        }
    };
    for [a, b, c] in groups {
        group(*a, *b, *c, 4);
    }
    match tail {
        [a] => group(*a, 0, 0, 2),
        [a, b] => group(*a, *b, 0, 3),
        _ => {}
    }
}

fn uuid(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend(HEX.get(usize::from(byte >> 4)));
        out.extend(HEX.get(usize::from(byte & 15)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"\xff\xfe\xfd\xfc", "//79/A=="),
        ] {
            let mut out = Vec::new();
            base64(bytes, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
