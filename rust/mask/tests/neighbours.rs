//! What `scan` makes of a row is the same whatever rows lie before and behind it.

// A test that cannot go on should panic; clippy lets only functions marked as tests do so.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field};
use mask::{Masker, Treatment};

fn scan(rows: &[&str]) -> Vec<String> {
    let field = Field::new("note", DataType::Utf8, true);
    let mut masker = Masker::new(&[(field, Treatment::Scan)], &[0; 32]).unwrap();
    let array: ArrayRef = Arc::new(StringArray::from_iter_values(rows));
    let masked = masker.mask(0, &array).unwrap();
    let texts = masked.as_string::<i32>().iter();
    texts.map(|row| row.unwrap().to_owned()).collect()
}

const TOLD: [(&str, &str); 4] = [
    ("SSN 078-05-1120, seen 3/14/2024", "SSN [SSN], seen [DATE]"),
    ("call 212-555-1234", "call [PHONE]"),
    ("MRN 00123 of Mrs. Kowalski", "MRN [MRN] of Mrs. [NAME]"),
    ("Kowalski denies pain", "[NAME] denies pain"),
];

#[test]
fn among_rows_of_one_character_each_nothing_is_lost() {
    for small in ["7", "M", "a", "-", " "] {
        for before in [1000, 8190, 8200, 16_000] {
            let mut rows = vec![small; before];
            rows.extend(TOLD.map(|(text, _)| text));
            rows.extend(vec![small; 9000]);
            let got = scan(&rows);
            let told = got.iter().skip(before).take(TOLD.len());
            for (got, (text, expected)) in told.zip(TOLD) {
                assert_eq!(got, expected, "{text:?} behind {before} of {small:?}");
            }
        }
    }
}

#[test]
fn a_letter_that_ends_a_row_stands_alone_before_a_capital() {
    for text in ["pt lives at 12 B", "lives at 12 B", "her address: 4411 K"] {
        let alone = scan(&[text]);
        assert!(alone.iter().all(|got| got.ends_with("[ADDRESS]")), "{text}");
        for next in ["Kowalski", "X", "MRN", ""] {
            assert_eq!(
                scan(&[text, next]).first(),
                alone.first(),
                "{text} | {next}"
            );
        }
    }
}
