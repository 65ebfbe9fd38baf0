//! Megabytes a second on one core: `scan` over notes, with patterns of a policy and without, `token` over 16-byte values, `redact`.
//!
//! `cargo run --release -p mask --example throughput [rows]`

// A measurement that cannot go on should panic.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Instant;

use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::{DataType, Field};
use mask::{Definition, Masker, Patterns, Treatment};

/// Notes without identifiers.
const CLEAN: [&str; 4] = [
    "Seen for follow up of hypertension. BP 120/80, HR 72, T 98.6. Continue lisinopril 10 mg PO daily, labs next visit.",
    "Pt reports 2/10 knee pain after therapy, strength 5/5, no swelling. Plan: Percocet 5/325 mg as needed, ice, rest.",
    "Labs: WBC 7.2, Hgb 13.5, Plt 250, Na 140, K 4.1, Cr 0.9, glucose 98. No acute distress, lungs clear to auscultation.",
    "Discussed diet and exercise in detail. Return to clinic in 3 months or sooner if symptoms such as chest pain appear.",
];

/// Beginnings with an identifier; a clean note fills the rest.
const WITH_PHI: [&str; 10] = [
    "MRN: 00412345 ",
    "SSN 123-45-6789 ",
    "call (617) 555-0142 ",
    "mail jdoe@example.org ",
    "DOB 03/04/1962 ",
    "seen May 30th, 2022 ",
    "card 4111 1111 1111 1111 ",
    "from 10.20.30.40 ",
    "see https://portal.example.org/p/77 ",
    "account 998877665 ",
];

/// A small generator, so that every run sees the same rows.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 33).unwrap_or(0)
}

fn notes(rows: usize) -> ArrayRef {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let notes = (0..rows).map(|_| {
        let clean = CLEAN[next(&mut state) % CLEAN.len()];
        let note = if next(&mut state) % 10 < 3 {
            let phi = WITH_PHI[next(&mut state) % WITH_PHI.len()];
            let cut = next(&mut state) % 60;
            let cut = clean[..cut].rfind(' ').map_or(0, |space| space + 1);
            format!("{}{phi}{}", &clean[..cut], &clean[cut..])
        } else {
            clean.to_owned()
        };
        note.chars().take(115).collect::<String>()
    });
    Arc::new(StringArray::from_iter_values(notes))
}

const RUNS: usize = 5;

/// The best of [`RUNS`] passes over `array` in batches of 16,384 rows: seconds.
fn best(array: &ArrayRef, treatment: &Treatment, patterns: &[Definition]) -> f64 {
    const BATCH: usize = 16_384;
    // Batches of their own, as a decoder gives them.
    let batches: Vec<ArrayRef> = (0..array.len())
        .step_by(BATCH)
        .map(|start| {
            let slice = array.slice(start, BATCH.min(array.len() - start));
            let rows = slice.as_any().downcast_ref::<StringArray>().expect("text");
            Arc::new(StringArray::from_iter_values(rows.iter().flatten())) as ArrayRef
        })
        .collect();
    let field = Field::new("c", DataType::Utf8, false);
    let columns = [(field, treatment.clone())];
    let patterns = Patterns::compile(patterns).expect("patterns");
    let masker = Masker::with_patterns(&columns, &[7; 32], Some(&patterns));
    let mut masker = masker.expect("a possible treatment");
    let pass = |masker: &mut Masker| {
        let start = Instant::now();
        for batch in &batches {
            std::hint::black_box(masker.mask(0, batch).expect("a masked batch"));
        }
        start.elapsed().as_secs_f64()
    };
    (0..RUNS)
        .map(|_| pass(&mut masker))
        .fold(f64::INFINITY, f64::min)
}

fn definition(name: String, regex: Option<String>, words: Option<Vec<String>>) -> Definition {
    Definition {
        name,
        label: "OWN".to_owned(),
        clear: true,
        regex,
        words,
    }
}

/// Patterns of a policy: such that begin or end with letters, such that do not, and words that no note has.
fn patterns() -> [(&'static str, Vec<Definition>); 3] {
    let regex = |i: usize, regex: String| definition(format!("p{i}"), Some(regex), None);
    let literal = (0..20).map(|i| regex(i, format!(r"\bS{i:02}-[0-9]{{6}}\b")));
    let loose = (0..20).map(|i| regex(i, format!(r"\b[A-Z]{{2}}[0-9]{{4}}{i:02}[0-9]\b")));
    let words = (0..10_000).map(|i| format!("Qx{} Zy{i}", i / 7)).collect();
    [
        ("20 patterns with letters", literal.collect()),
        ("20 without", loose.collect()),
        (
            "10,000 words",
            vec![definition("w".to_owned(), None, Some(words))],
        ),
    ]
}

fn main() {
    let rows = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(200_000);
    let notes = notes(rows);
    let bytes = notes
        .as_any()
        .downcast_ref::<StringArray>()
        .map_or(0, |a| a.values().len());
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{rows} notes of {} bytes, 30 % with identifiers, one thread",
        bytes / rows.max(1)
    );
    let report = |name: &str, seconds: f64| {
        println!(
            "{name:<34} {:>8.0} MB/s {:>8.2} M rows/s",
            megabytes / seconds,
            rows as f64 / seconds / 1e6
        );
    };
    report("scan, every detector", best(&notes, &Treatment::Scan, &[]));
    let ten = [
        "ssn", "phone", "email", "ip", "url", "date", "mrn", "zip", "card", "mbi",
    ];
    let ten = Treatment::Chosen {
        detectors: Some(ten.map(str::to_owned).to_vec()),
        patterns: None,
    };
    report("scan, ten detectors", best(&notes, &ten, &[]));
    for (name, patterns) in patterns() {
        report(
            &format!("scan and {name}"),
            best(&notes, &Treatment::Scan, &patterns),
        );
        let none = Treatment::Chosen {
            detectors: Some(Vec::new()),
            patterns: None,
        };
        report(&format!("{name} alone"), best(&notes, &none, &patterns));
    }
    report(
        "clear without scan",
        best(&notes, &Treatment::Clear { scan: false }, &[]),
    );
    let redact = Treatment::Redact {
        label: "[REDACTED]".to_owned(),
    };
    report("redact", best(&notes, &redact, &[]));
    let values = (0..rows).map(|i| format!("{i:016}"));
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(values));
    let token = Treatment::Token {
        domain: "mrn".to_owned(),
        key_id: "k1".to_owned(),
    };
    let seconds = best(&values, &token, &[]);
    println!(
        "token, 16-byte values    {:>22.2} M values/s",
        rows as f64 / seconds / 1e6
    );
}
