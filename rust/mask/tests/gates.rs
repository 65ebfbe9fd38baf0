//! What is looked at before a rule is asked lets through all that the rule would take: a text for each
//! condition of `record::may_follow`, `Runs::numbered`, `Runs::groups` and of the numbers' triggers.

// A test that cannot go on should panic; clippy lets only functions marked as tests do so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field};
use mask::{Masker, Treatment};

fn scanned(rows: &[String]) -> Vec<String> {
    let field = Field::new("note", DataType::Utf8, true);
    let mut masker = Masker::new(&[(field, Treatment::Scan)], &[0; 32]).unwrap();
    let rows: ArrayRef = Arc::new(StringArray::from_iter_values(rows));
    let masked = masker.mask(0, &rows).unwrap();
    let masked = masked.as_string::<i32>().iter();
    masked.map(|row| row.unwrap().to_owned()).collect()
}

/// Each text is told so at a row's beginning and behind words, among rows that tell nothing.
#[track_caller]
fn check(cases: &[(&str, &str)]) {
    let mut rows = Vec::new();
    let mut expected = Vec::new();
    for (text, masked) in cases {
        for before in ["", "as was written, "] {
            rows.extend([format!("{before}{text}"), "nothing".to_owned()]);
            expected.extend([format!("{before}{masked}"), "nothing".to_owned()]);
        }
    }
    assert_eq!(scanned(&rows), expected);
}

#[test]
fn what_follows_a_word_that_names_a_number() {
    check(&[
        ("MRN 4471", "MRN [MRN]"),
        ("MRN number 4471", "MRN number [MRN]"),
        ("MRN listed 4471", "MRN listed [MRN]"),
        ("MRN**********4471", "MRN**********[MRN]"),
        ("MRN qx4471", "MRN [MRN]"),
        ("MRN QX-4471", "MRN [MRN]"),
        ("MRN QX_4471", "MRN [MRN]"),
        ("MRN QX 4471", "MRN [MRN]"),
        ("MRN QXZ 4471", "MRN [MRN]"),
        ("social security 6789", "social security [SSN]"),
        ("MAC address 001A2B3C4D5E", "MAC address [MAC]"),
    ]);
}

#[test]
fn a_value_that_begins_with_many_letters() {
    for letters in [63, 64, 65, 100, 127] {
        let value = "q".repeat(letters);
        let row = format!("MRN {value}1");
        assert_eq!(scanned(&[row]), ["MRN [MRN]"], "{letters}");
    }
}

#[test]
fn words_with_signs_inside_and_plates_are_asked_whatever_follows() {
    check(&[
        ("M.R.N. 4471", "M.R.N. [MRN]"),
        ("S.S.N. 6789", "S.S.N. [SSN]"),
        ("a/c 12345678", "a/c [ACCOUNT]"),
        ("plate # KH HJ 1234", "plate # [PLATE]"),
    ]);
}

#[test]
fn the_number_of_a_word_stands_before_it_or_far_behind() {
    check(&[("781 1704 office", "[PHONE] office")]);
    // The farthest that a rule reaches over what is no digit.
    let far = format!(
        "Taxpayer.--identification{}**********",
        "**********identifier".repeat(5)
    );
    let value = "q".repeat(127);
    for before in 0..64 {
        let before = "-".repeat(before);
        let row = format!("{before}{far}{value}1");
        assert_eq!(scanned(&[row]), [format!("{before}{far}[ITIN]")]);
    }
}

#[test]
fn dates_by_the_digits_of_their_groups() {
    check(&[
        ("3/4/2024", "[DATE]"),
        ("3/15/2024", "[DATE]"),
        ("12/3/2024", "[DATE]"),
        ("12/31/2024", "[DATE]"),
        ("2024-1-5", "[DATE]"),
        ("2024-01-05", "[DATE]"),
        ("12/2024", "[DATE]"),
        ("5/2024", "[DATE]"),
        ("5-2022", "[DATE]"),
        ("3/4/50", "[DATE]"),
        ("3-4-50", "[DATE]"),
        ("3 /4/50", "[DATE]"),
        ("on 3/4", "on [DATE]"),
    ]);
}

#[test]
fn telephone_numbers_by_the_digits_of_their_groups() {
    check(&[
        ("781-444-1704", "[PHONE]"),
        ("781-444-1704 12", "[PHONE] 12"),
        ("781-4441704", "[PHONE]"),
        ("781-4441704 12", "[PHONE] 12"),
        ("781444-1704", "[PHONE]"),
        ("781444-1704 12", "[PHONE] 12"),
        ("1 781 444 1704", "[PHONE]"),
        ("1 (781) 444-1704", "[PHONE]"),
        ("1 781 4441704", "[PHONE]"),
        ("1 781444-1704", "[PHONE]"),
        ("781  -  444  -  1704", "[PHONE]"),
        ("(781)  -  444  -  1704", "[PHONE]"),
        ("02 345 6789", "[PHONE]"),
        ("012 34 56 78", "[PHONE]"),
        ("12-34-56-78", "[PHONE]"),
        ("123-456-789", "[PHONE]"),
        ("123.456.789", "[PHONE]"),
        ("123-456-789 5", "[PHONE] 5"),
        ("555-0123", "[PHONE]"),
        ("555-0123 4", "[PHONE] 4"),
    ]);
}

#[test]
fn long_numbers_by_the_digits_of_their_groups() {
    check(&[
        ("123-45-6789", "[SSN]"),
        ("123-45-6789-5", "[SSN]"),
        ("4111 1111 1111 1111", "[CARD]"),
        ("4222 2222 2222 2", "[CARD]"),
        ("6304 0000 0000 0000 000", "[CARD]"),
        ("6304 0000 0000 0000000", "[CARD]"),
        ("3782 822463 10005", "[CARD]"),
        ("3056 930902 5904", "[CARD]"),
        ("3056 930902 5904 12", "[CARD] 12"),
        ("1 2 3 4 5 6 7 8 9", "[ID]"),
    ]);
}
