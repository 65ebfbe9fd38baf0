//! How fast the three formats are written: `cargo run --release -p encode --example throughput`.

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    StringArray, TimestampMicrosecondArray,
};
use arrow_buffer::Buffer;
use arrow_schema::Field;
use encode::{EncodeError, Encoder, Format};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

const ROWS: i32 = 65_536;

fn columns() -> Result<Vec<ArrayRef>, Box<dyn std::error::Error>> {
    let text = |i| format!("patient number {i} of the \"clinic\"");
    let money = Decimal128Array::from_iter_values((0..ROWS).map(|i| i128::from(i) * 97));
    Ok(vec![
        Arc::new(Int32Array::from_iter_values(0..ROWS)),
        Arc::new(Int64Array::from_iter_values(
            (0..ROWS).map(|i| i64::from(i) << 20),
        )),
        Arc::new(Float64Array::from_iter_values(
            (0..ROWS).map(|i| f64::from(i) / 7.0),
        )),
        Arc::new(
            (0..ROWS)
                .map(|i| Some(i % 2 == 0))
                .collect::<BooleanArray>(),
        ),
        Arc::new(StringArray::from_iter_values((0..ROWS).map(text))),
        Arc::new(StringArray::from_iter_values(
            (0..ROWS).map(|_| "[REDACTED]"),
        )),
        Arc::new(Date32Array::from_iter_values((0..ROWS).map(|i| i % 20_000))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(
            (0..ROWS).map(|i| i64::from(i) * 1_000_003),
        )),
        Arc::new(money.with_precision_and_scale(12, 2)?),
    ])
}

fn run(format: Format, columns: &[ArrayRef]) -> Result<usize, EncodeError> {
    let named = |(i, column): (usize, &ArrayRef)| {
        Field::new(format!("column_{i}"), column.data_type().clone(), true)
    };
    let fields = columns.iter().enumerate().map(named).collect();
    let mut encoder = Encoder::new(format, fields, HashMap::new())?;
    let mut written = encoder.head().len();
    for from in (0..ROWS as usize).step_by(8192) {
        encoder.push(columns, from..from + 8192)?;
        written += size(&encoder.cut()?);
    }
    Ok(written + size(&encoder.end()?))
}

fn size(pieces: &[Buffer]) -> usize {
    pieces.iter().map(Buffer::len).sum()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let columns = columns()?;
    for format in [Format::Arrow, Format::Ndjson, Format::Csv] {
        let (mut best, mut written) = (f64::MAX, 0);
        for _ in 0..10 {
            let start = Instant::now();
            written = run(format, &columns)?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        let megabytes = written as f64 / 1e6;
        let rows = f64::from(ROWS) / best / 1e6;
        println!(
            "{format:?}: {:.0} MB/s written, {rows:.2} million rows/s",
            megabytes / best
        );
    }
    Ok(())
}
