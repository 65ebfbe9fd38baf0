//! `scan` by some of the detectors alone.

// A test that cannot go on should panic; clippy lets only functions marked as tests do so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field};
use mask::{Masker, Treatment};

fn chosen(detectors: &[&str]) -> Treatment {
    Treatment::Chosen {
        detectors: Some(detectors.iter().map(|&name| name.to_owned()).collect()),
        patterns: None,
    }
}

#[test]
fn detectors_that_are_not_chosen_neither_mask_nor_count() {
    let field = Field::new("c", DataType::Utf8, true);
    let note = "Anna Kowalski, SSN 123-45-6789, born 03/04/1950, call 617-555-1212, aged 93";
    let rows: ArrayRef = Arc::new(StringArray::from(vec![Some(note), None, Some("on 3/4/50")]));
    let mut m = Masker::new(&[(field, chosen(&["ssn", "phone"]))], &[0; 32]).unwrap();
    let masked = m.mask(0, &rows).unwrap();
    assert_eq!(
        masked.as_string::<i32>().iter().collect::<Vec<_>>(),
        [
            Some("Anna Kowalski, SSN [SSN], born 03/04/1950, call [PHONE], aged 93"),
            None,
            Some("on 3/4/50"),
        ]
    );
    let report = m.report();
    assert_eq!(report.cells_masked["c"]["scan"], 1);
    let found: Vec<_> = report.detectors["c"].keys().collect();
    assert_eq!(found, ["phone", "ssn"]);
}

#[test]
fn a_span_has_the_label_of_what_is_chosen() {
    let mask = |detectors: &[&str], note: &str| {
        let field = Field::new("c", DataType::Utf8, true);
        let rows: ArrayRef = Arc::new(StringArray::from(vec![note]));
        let mut m = Masker::new(&[(field, chosen(detectors))], &[0; 32]).unwrap();
        let masked = m.mask(0, &rows).unwrap();
        masked.as_string::<i32>().value(0).to_owned()
    };
    // A word before it says more than its shape, where that is asked.
    assert_eq!(mask(&["mrn", "ssn"], "MRN 123456789"), "MRN [MRN]");
    assert_eq!(mask(&["ssn"], "MRN 123456789"), "MRN [SSN]");
    assert_eq!(mask(&["date"], "MRN 123456789"), "MRN 123456789");
}

#[test]
fn a_detector_that_there_is_not_is_refused() {
    for unknown in ["SSN", "row", "names", ""] {
        let field = Field::new("c", DataType::Utf8, true);
        let refused = Masker::new(&[(field, chosen(&["ssn", unknown]))], &[0; 32]);
        let said = refused.err().unwrap().to_string();
        assert!(said.contains("there are mrn, account"), "{said}");
    }
    assert_eq!(mask::detectors().len() + 1, mask::labels().len());
}
