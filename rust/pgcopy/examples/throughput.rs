//! How fast eleven mixed types decode: `cargo run --release -p pgcopy --example throughput`.

use pgcopy::{ColumnPlan, CopyError, Decoder, Infinity, Progress};
use std::time::Instant;

const TYPES: [&str; 11] = [
    r#"{"kind":"int4"}"#,
    r#"{"kind":"int8"}"#,
    r#"{"kind":"float8"}"#,
    r#"{"kind":"bool"}"#,
    r#"{"kind":"text"}"#,
    r#"{"kind":"text"}"#,
    r#"{"kind":"date"}"#,
    r#"{"kind":"timestamptz"}"#,
    r#"{"kind":"numeric","precision":12,"scale":2}"#,
    r#"{"kind":"uuid"}"#,
    r#"{"kind":"int2"}"#,
];

fn row(i: u32) -> Vec<u8> {
    let mut row = 11_i16.to_be_bytes().to_vec();
    let mut cell = |bytes: &[u8]| {
        row.extend((bytes.len() as i32).to_be_bytes());
        row.extend(bytes);
    };
    cell(&i.to_be_bytes());
    cell(&u64::from(i).to_be_bytes());
    cell(&f64::from(i).to_be_bytes());
    cell(&[(i % 2) as u8]);
    cell(format!("patient number {i} of the clinic").as_bytes());
    cell(b"a shorter text");
    cell(&(i as i32 % 9000).to_be_bytes());
    cell(&(i64::from(i) * 1_000_003).to_be_bytes());
    cell(&[0, 3, 0, 1, 0, 0, 0, 2, 0, 12, (i % 39) as u8, 7, 0, 100]);
    cell(&[(i % 256) as u8; 16]);
    cell(&(i as i16).to_be_bytes());
    row
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut bytes = b"PGCOPY\n\xff\r\n\0".to_vec();
    bytes.extend([0; 8]);
    (0..200_000).for_each(|i| bytes.extend(row(i)));
    bytes.extend((-1_i16).to_be_bytes());
    let mut plans = Vec::new();
    for (i, json) in TYPES.iter().enumerate() {
        plans.push(ColumnPlan {
            name: format!("c{i}"),
            column_type: serde_json::from_str(json)?,
            presence_only: false,
        });
    }
    let mut best = f64::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        let rows = decode(&plans, &bytes)?;
        best = best.min(start.elapsed().as_secs_f64());
        assert_eq!(rows, 200_000);
    }
    let megabytes = bytes.len() as f64 / 1e6;
    println!(
        "{megabytes:.1} MB in {:.1} ms: {:.0} MB/s",
        best * 1e3,
        megabytes / best
    );
    Ok(())
}

fn decode(plans: &[ColumnPlan], bytes: &[u8]) -> Result<usize, CopyError> {
    let mut decoder = Decoder::new(plans, Infinity::Error)?;
    let mut rows = 0;
    for piece in bytes.chunks(256 << 10) {
        let mut input = piece;
        while decoder.feed(&mut input, 8192)? == Progress::Full {
            rows += decoder.rows();
            decoder.take()?;
        }
    }
    rows += decoder.rows();
    decoder.take()?;
    Ok(rows)
}
