//! A COPY BINARY stream of eleven mixed types and its decoding, for what measures the decoder.

use pgcopy::{ColumnPlan, Decoder, Infinity, Progress};

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

/// The eleven columns.
pub(crate) fn plans() -> Vec<ColumnPlan> {
    let plan = |(i, json): (usize, &&str)| ColumnPlan {
        name: format!("c{i}"),
        column_type: serde_json::from_str(json).expect("a column type"),
        presence_only: false,
    };
    TYPES.iter().enumerate().map(plan).collect()
}

/// The whole stream of so many rows.
pub(crate) fn copy(rows: u32) -> Vec<u8> {
    let mut bytes = b"PGCOPY\n\xff\r\n\0".to_vec();
    bytes.extend([0; 8]);
    (0..rows).for_each(|i| row(i, &mut bytes));
    bytes.extend((-1_i16).to_be_bytes());
    bytes
}

fn row(i: u32, out: &mut Vec<u8>) {
    out.extend(11_i16.to_be_bytes());
    let mut cell = |bytes: &[u8]| {
        out.extend((bytes.len() as i32).to_be_bytes());
        out.extend(bytes);
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
}

/// How many rows came out, in batches of 8,192, from pieces as a socket gives them.
pub(crate) fn decode(plans: &[ColumnPlan], bytes: &[u8]) -> usize {
    let mut decoder = Decoder::new(plans, Infinity::Error).expect("a decoder");
    let mut rows = 0;
    for piece in bytes.chunks(256 << 10) {
        let mut input = piece;
        while decoder.feed(&mut input, 8192).expect("a stream") == Progress::Full {
            rows += decoder.rows();
            std::hint::black_box(decoder.take().expect("a batch"));
        }
    }
    rows += decoder.rows();
    std::hint::black_box(decoder.take().expect("a batch"));
    rows
}
