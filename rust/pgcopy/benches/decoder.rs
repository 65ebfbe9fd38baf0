//! COPY BINARY of eleven mixed types to Arrow, on one core.

// A measurement that cannot go on should panic.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};

#[path = "../examples/eleven/mod.rs"]
mod eleven;

/// A decade apart: what grows faster than the rows shows.
const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];

fn decode(criterion: &mut Criterion) {
    let plans = eleven::plans();
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for rows in SIZES {
        let bytes = eleven::copy(rows);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("maskgate", rows), |b| {
            b.iter(|| assert_eq!(eleven::decode(&plans, &bytes), rows as usize));
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
