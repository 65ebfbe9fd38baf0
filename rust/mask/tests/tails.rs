//! What hangs on an identifier goes with it: no tail of one stays beside its label.

// A test that cannot go on should panic; clippy lets only functions marked as tests do so.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field};
use mask::{Masker, Treatment};

fn told(table: &[(&str, &str)]) {
    let field = Field::new("note", DataType::Utf8, true);
    let mut masker = Masker::new(&[(field, Treatment::Scan)], &[0; 32]).unwrap();
    for (text, expected) in table {
        let array: ArrayRef = Arc::new(StringArray::from_iter_values([text]));
        let masked = masker.mask(0, &array).unwrap();
        let got = masked.as_string::<i32>().iter().next().unwrap().unwrap();
        assert_eq!(&got, expected, "{text:?}");
    }
}

#[test]
fn the_surname_of_somebody_who_has_something() {
    told(&[
        ("Jennifer Lopez's labs", "[NAME]'s labs"),
        (
            "Anna Kowalski's test results are back",
            "[NAME]'s test results are back",
        ),
        (
            "Austin Flint's murmur, Argyll Robertson's pupil",
            "Austin Flint's murmur, Argyll Robertson's pupil",
        ),
    ]);
}

#[test]
fn post_codes_that_begin_with_a_letter() {
    told(&[
        ("12 High Street, London SW7 5JE", "[ADDRESS], [PLACE] [ZIP]"),
        (
            "14 Rosemount Crescent\nXqztville\nAB25 3QL",
            "[ADDRESS]\n[PLACE]\n[ZIP]",
        ),
        (
            "4 Bloor St, Toronto, ON M4W 3G9",
            "[ADDRESS], [PLACE], ON [ZIP]",
        ),
    ]);
}
