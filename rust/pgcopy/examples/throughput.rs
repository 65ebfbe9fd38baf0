//! How fast eleven mixed types decode: `cargo run --release -p pgcopy --example throughput`.

// A measurement that cannot go on should panic.
#![allow(clippy::expect_used)]

mod eleven;

use std::time::Instant;

const ROWS: u32 = 200_000;

fn main() {
    let bytes = eleven::copy(ROWS);
    let plans = eleven::plans();
    let mut best = f64::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        let rows = eleven::decode(&plans, &bytes);
        best = best.min(start.elapsed().as_secs_f64());
        assert_eq!(rows, ROWS as usize);
    }
    let megabytes = bytes.len() as f64 / 1e6;
    println!(
        "{megabytes:.1} MB in {:.1} ms: {:.0} MB/s",
        best * 1e3,
        megabytes / best
    );
}
