//! The kernel alone on one core, beside regex-automata and a copy of the same bytes.
//!
//! Reads the notes and the ten patterns that `benchmarks/data.py` makes (`make bench` runs it first).
//! Every engine gets the notes in the same batches and keeps what it can between them. Before it is
//! timed, an engine must change as many notes as have an identifier.

// A measurement that cannot go on should panic.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::fs::File;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_ipc::reader::StreamReader;
use arrow_schema::{DataType, Field};
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use mask::{Masker, Treatment};
use regex_automata::meta::{Cache, Regex};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

/// A decade apart: what grows faster than the rows shows.
const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
const KEY: [u8; 32] = [7; 32];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench")
}

/// The notes in batches with buffers of their own, as a decoder gives them, and how many have an
/// identifier.
fn notes() -> (Vec<ArrayRef>, usize) {
    let path = folder().join("notes.arrow");
    let file = File::open(&path).expect("target/bench/notes.arrow: `make bench` makes it");
    let reader =
        StreamReader::try_new(std::io::BufReader::new(file), None).expect("an Arrow stream");
    let planted = reader.schema().metadata()["planted"]
        .parse()
        .expect("a number");
    let batches = reader
        .map(|batch| {
            let batch = batch.expect("a batch");
            let rows = batch.column(0).as_string::<i32>();
            Arc::new(StringArray::from_iter_values(rows.iter().flatten())) as ArrayRef
        })
        .collect();
    (batches, planted)
}

/// The first of the batches, so that they have so many rows.
fn first(batches: &[ArrayRef], rows: usize) -> Vec<ArrayRef> {
    let mut left = rows;
    let mut taken = Vec::new();
    for batch in batches {
        let count = left.min(batch.len());
        if count > 0 {
            let slice = batch.slice(0, count);
            let slice = slice.as_string::<i32>().iter().flatten();
            taken.push(Arc::new(StringArray::from_iter_values(slice)) as ArrayRef);
        }
        left -= count;
    }
    taken
}

fn bytes(batches: &[ArrayRef]) -> u64 {
    let text = |batch: &ArrayRef| batch.as_string::<i32>().value_data().len() as u64;
    batches.iter().map(text).sum()
}

fn masker(treatment: Treatment) -> Masker {
    let field = Field::new("c", DataType::Utf8, false);
    Masker::new(&[(field, treatment)], &KEY).expect("a possible treatment")
}

fn mask(masker: &mut Masker, batches: &[ArrayRef]) {
    for batch in batches {
        black_box(masker.mask(0, batch).expect("a masked batch"));
    }
}

/// The detectors of what the ten patterns are for: equal in kind, each looks at more.
fn ten() -> Treatment {
    let names = [
        "ssn", "phone", "email", "ip", "url", "date", "mrn", "zip", "card", "mbi",
    ];
    Treatment::Chosen {
        detectors: Some(names.map(str::to_owned).to_vec()),
        patterns: None,
    }
}

/// How many rows the masker changes.
fn changed(masker: &mut Masker, batches: &[ArrayRef]) -> usize {
    let differ = |batch: &ArrayRef| {
        let after = masker.mask(0, batch).expect("a masked batch");
        let pairs = batch
            .as_string::<i32>()
            .iter()
            .zip(after.as_string::<i32>().iter());
        pairs.filter(|(before, after)| before != after).count()
    };
    batches.iter().map(differ).sum()
}

/// regex-automata with all ten patterns in one, rewriting row by row into buffers it keeps.
struct Patterns {
    labels: Vec<String>,
    regex: Regex,
    cache: Cache,
    out: Vec<u8>,
    offsets: Vec<i32>,
    changed: usize,
}

impl Patterns {
    fn new() -> Self {
        let text = std::fs::read(folder().join("patterns.json")).expect("the patterns");
        let pairs: Vec<(String, String)> = serde_json::from_slice(&text).expect("pairs");
        let (labels, patterns): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let regex = Regex::builder()
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .build_many(&patterns)
            .expect("patterns");
        let cache = regex.create_cache();
        Self {
            labels,
            regex,
            cache,
            out: Vec::new(),
            offsets: Vec::new(),
            changed: 0,
        }
    }

    fn rewrite(&mut self, batch: &ArrayRef) {
        self.out.clear();
        self.offsets.clear();
        for row in batch.as_string::<i32>().iter().flatten() {
            let text = row.as_bytes();
            let mut input = Input::new(text).anchored(Anchored::No);
            let mut copied = 0;
            while let Some(found) = self.regex.search_with(&mut self.cache, &input) {
                self.out.extend_from_slice(&text[copied..found.start()]);
                self.out
                    .extend_from_slice(self.labels[found.pattern().as_usize()].as_bytes());
                copied = found.end();
                input.set_start(copied);
            }
            self.changed += usize::from(copied > 0);
            self.out.extend_from_slice(&text[copied..]);
            self.offsets
                .push(i32::try_from(self.out.len()).expect("a batch below 2 GiB"));
        }
        black_box((&self.out, &self.offsets));
    }
}

fn scan(criterion: &mut Criterion) {
    let (all, planted) = notes();
    let found = changed(&mut masker(Treatment::Scan), &all);
    assert!(
        found >= planted,
        "{found} notes changed, {planted} have an identifier"
    );
    eprintln!("scan: {found} notes changed, {planted} have an identifier");
    assert!(changed(&mut masker(ten()), &all) >= planted);
    let mut peer = Patterns::new();
    all.iter().for_each(|batch| peer.rewrite(batch));
    assert_eq!(peer.changed, planted);
    let mut group = criterion.benchmark_group("scan");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for rows in SIZES {
        let batches = first(&all, rows);
        group.throughput(Throughput::Bytes(bytes(&batches)));
        let mut ours = masker(Treatment::Scan);
        group.bench_function(BenchmarkId::new("maskgate, every detector", rows), |b| {
            b.iter(|| mask(&mut ours, &batches));
        });
        let mut ours = masker(ten());
        group.bench_function(BenchmarkId::new("maskgate, ten detectors", rows), |b| {
            b.iter(|| mask(&mut ours, &batches));
        });
        let mut peer = Patterns::new();
        group.bench_function(
            BenchmarkId::new("regex-automata, ten patterns", rows),
            |b| {
                b.iter(|| batches.iter().for_each(|batch| peer.rewrite(batch)));
            },
        );
    }
    let half = all.len() / 2;
    let mut one = masker(Treatment::Scan);
    let mut other = masker(Treatment::Scan);
    group.throughput(Throughput::Bytes(bytes(&all)));
    group.bench_function(BenchmarkId::new("maskgate, two threads", 1_000_000), |b| {
        b.iter(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| mask(&mut one, &all[..half]));
                mask(&mut other, &all[half..]);
            });
        });
    });
    group.finish();
}

/// What the machine's memory allows: the same batches copied into one buffer that is kept, and all of
/// them into pages that the process did not have before.
fn copy(criterion: &mut Criterion) {
    let (all, _) = notes();
    let text = |batch: &ArrayRef| batch.as_string::<i32>().value_data().to_vec();
    let batches: Vec<Vec<u8>> = all.iter().map(text).collect();
    let total = batches.iter().map(Vec::len).sum::<usize>();
    let mut group = criterion.benchmark_group("copy");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Bytes(total as u64));
    let mut kept = vec![0; batches.iter().map(Vec::len).max().unwrap_or(0)];
    group.bench_function(BenchmarkId::new("memcpy, warm", 1_000_000), |b| {
        b.iter(|| {
            for batch in &batches {
                kept[..batch.len()].copy_from_slice(black_box(batch));
                black_box(&mut kept);
            }
        });
    });
    group.bench_function(BenchmarkId::new("memcpy, fresh pages", 1_000_000), |b| {
        b.iter(|| {
            // Far above what the allocator keeps: these pages come from the kernel each time.
            let mut fresh: Vec<u8> = Vec::with_capacity(total);
            batches
                .iter()
                .for_each(|batch| fresh.extend_from_slice(batch));
            black_box(&fresh);
        });
    });
    group.finish();
}

fn token(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for rows in SIZES {
        let values = (0..rows).map(|i| format!("{i:016}"));
        let values: ArrayRef = Arc::new(StringArray::from_iter_values(values));
        let batches: Vec<ArrayRef> = (0..rows)
            .step_by(16_384)
            .map(|start| {
                let slice = values.slice(start, 16_384.min(rows - start));
                let slice = slice.as_string::<i32>().iter().flatten();
                Arc::new(StringArray::from_iter_values(slice)) as ArrayRef
            })
            .collect();
        let mut ours = masker(Treatment::Token {
            domain: "mrn".to_owned(),
            key_id: "k1".to_owned(),
        });
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::new("maskgate", rows), |b| {
            b.iter(|| mask(&mut ours, &batches));
        });
    }
    group.finish();
}

/// One batch of so many rows; the time must not grow with them.
fn redact(criterion: &mut Criterion) {
    let (all, _) = notes();
    let mut group = criterion.benchmark_group("redact");
    group.sample_size(20);
    for rows in SIZES {
        let taken = first(&all, rows);
        let texts = taken
            .iter()
            .flat_map(|batch| batch.as_string::<i32>().iter().flatten());
        let batch: ArrayRef = Arc::new(StringArray::from_iter_values(texts.collect::<Vec<_>>()));
        let mut ours = masker(Treatment::Redact {
            label: "[REDACTED]".to_owned(),
        });
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::new("maskgate", rows), |b| {
            b.iter(|| black_box(ours.mask(0, &batch).expect("a masked batch")));
        });
    }
    group.finish();
}

criterion_group!(benches, copy, scan, token, redact);
criterion_main!(benches);
