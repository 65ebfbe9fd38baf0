//! A treatment's work on fixed rows, for counting instructions: `make bench-check`.
//!
//! `instructions scan | scan-clean | scan-phi | token | redact`

// A measurement that cannot go on should panic.
#![allow(clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::{DataType, Field};
use mask::{Masker, Treatment};

const ROWS: usize = 8_192;

/// Notes in turn; three in ten have an identifier.
const NOTES: [&str; 10] = [
    "Seen for follow up of hypertension, BP 128/82. Continue lisinopril 10 mg PO daily, labs next visit.",
    "Reports 4/10 knee pain after therapy, strength 5/5, no swelling. Percocet 5/325 mg as needed.",
    "WBC 7.2, Hgb 13.5, Plt 250, Na 140, K 4.1, Cr 0.9, glucose 98. Lungs clear to auscultation.",
    "Discussed diet and exercise in detail; patient agrees. MRN: 00412345. Return in 3 months.",
    "Type 2 diabetes since 2014, HbA1c 7.2 %. Metformin 850 mg twice daily with meals.",
    "Crohn's disease in remission; Foley catheter removed without difficulty. MRI of the L4-L5 level.",
    "Asked to be called at (555) 014-2233 before 05/30/2022 about the results; no known allergies.",
    "Weight 82.5 kg, BMI 27.1, ejection fraction 55-60 % by echocardiogram, T 36.8, RR 16.",
    "Denies fever, chills, nausea, vomiting, shortness of breath or chest pain. Wound 2.1 x 3.0 cm.",
    "Card 4111 1111 1111 1111 and mail to jdoe@example.org, SSN 123-45-6789; portal from 10.20.30.40.",
];

/// Those of the notes that have one.
const WITH_PHI: [usize; 3] = [3, 6, 9];

/// What is counted: callgrind is told this name.
#[inline(never)]
fn counted(masker: &mut Masker, rows: &ArrayRef) -> ArrayRef {
    masker.mask(0, rows).expect("a masked batch")
}

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let treatment = match what.as_str() {
        "scan" | "scan-clean" | "scan-phi" => Treatment::Scan,
        "token" => Treatment::Token {
            domain: "mrn".to_owned(),
            key_id: "k1".to_owned(),
        },
        "redact" => Treatment::Redact {
            label: "[REDACTED]".to_owned(),
        },
        other => panic!("a treatment of the list above, not {other:?}"),
    };
    let rows: ArrayRef = if treatment == Treatment::Scan {
        let chosen = |i: &usize| match what.as_str() {
            "scan-clean" => !WITH_PHI.contains(i),
            "scan-phi" => WITH_PHI.contains(i),
            _ => true,
        };
        let notes = NOTES.iter().enumerate().filter(|(i, _)| chosen(i));
        let notes: Vec<&str> = notes.map(|(_, note)| *note).collect();
        Arc::new(StringArray::from_iter_values(
            notes.into_iter().cycle().take(ROWS),
        ))
    } else {
        let values = (0..ROWS).map(|i| format!("{i:016}"));
        Arc::new(StringArray::from_iter_values(values))
    };
    let field = Field::new("c", DataType::Utf8, false);
    let mut masker = Masker::new(&[(field, treatment)], &[7; 32]).expect("a possible treatment");
    // The second batch: what is made once has been made.
    masker.mask(0, &rows).expect("a masked batch");
    let masked = counted(&mut masker, &rows);
    assert_eq!(masked.len(), ROWS);
}
