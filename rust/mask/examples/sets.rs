//! Experimental driver.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_ipc::reader::StreamReader;
use arrow_schema::{DataType, Field};
use mask::{Masker, Treatment};
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

#[inline(never)]
fn counted(masker: &mut Masker, rows: &ArrayRef) -> ArrayRef {
    masker.mask(0, rows).expect("a masked batch")
}
fn masker() -> Masker {
    let field = Field::new("c", DataType::Utf8, false);
    Masker::new(&[(field, Treatment::Scan)], &[7; 32]).expect("m")
}
fn hash(mut h: u64, b: &[u8]) -> u64 {
    for &c in b {
        h = (h ^ u64::from(c)).wrapping_mul(0x100000001b3);
    }
    h.wrapping_mul(31).wrapping_add(7)
}
fn main() {
    let set = std::env::args().nth(1).unwrap_or_default();
    let how = std::env::args().nth(2).unwrap_or_default();
    let path = std::env::var("NOTES").unwrap_or("target/bench/notes.arrow".into());
    let rows: Vec<String> = if path.ends_with(".txt") {
        std::fs::read_to_string(&path)
            .expect("t")
            .lines()
            .map(str::to_owned)
            .collect()
    } else {
        StreamReader::try_new(
            std::io::BufReader::new(File::open(path).expect("notes")),
            None,
        )
        .expect("s")
        .take(if how == "count" {
            6
        } else if how == "hash" {
            1000
        } else {
            20
        })
        .flat_map(|b| {
            b.expect("b")
                .column(0)
                .as_string::<i32>()
                .iter()
                .flatten()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
    };
    let arr = |r: &[String]| Arc::new(StringArray::from_iter_values(r)) as ArrayRef;
    let mut m = masker();
    if how == "hash" {
        let mut h = 0xcbf29ce484222325u64;
        for chunk in rows.chunks(16384) {
            let out = m.mask(0, &arr(chunk)).expect("m");
            for r in out.as_string::<i32>().iter().flatten() {
                h = hash(h, r.as_bytes());
            }
        }
        println!("{} rows, hash {h:016x}", rows.len());
        return;
    }
    let out: Vec<String> = rows
        .chunks(16384)
        .flat_map(|c| {
            m.mask(0, &arr(c))
                .expect("m")
                .as_string::<i32>()
                .iter()
                .flatten()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    let digits = |s: &str| s.bytes().filter(u8::is_ascii_digit).count() * 1000 / s.len();
    let rows: Vec<String> = rows
        .into_iter()
        .zip(out)
        .filter(|(a, b)| match set.as_str() {
            "suite" => true,
            "clean" => a == b,
            "phi" => a != b,
            "numbers" => a == b && digits(a) >= 110,
            _ => panic!(),
        })
        .map(|(a, _)| a)
        .collect();
    if how == "count" {
        let rows = &rows[..rows.len().min(8192)];
        let batch = arr(rows);
        let mut m = masker();
        m.mask(0, &batch).expect("m");
        let out = counted(&mut m, &batch);
        eprintln!(
            "{set}: {} rows of {} bytes",
            out.len(),
            rows.iter().map(String::len).sum::<usize>() / rows.len()
        );
        return;
    }
    let batches: Vec<ArrayRef> = rows.chunks(16384).map(arr).collect();
    let bytes: usize = rows.iter().map(String::len).sum();
    let mut m = masker();
    let mut best = f64::INFINITY;
    for _ in 0..60 {
        let t = Instant::now();
        for b in &batches {
            std::hint::black_box(m.mask(0, b).expect("m"));
        }
        best = best.min(t.elapsed().as_secs_f64());
    }
    println!(
        "{set:<8} {:>7} rows of {:>3} B {:>6.0} MB/s {:>6.1} ns/row",
        rows.len(),
        bytes / rows.len(),
        bytes as f64 / 1e6 / best,
        best * 1e9 / rows.len() as f64
    );
}
