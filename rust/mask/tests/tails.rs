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

#[test]
fn numbers_behind_stars_and_wide_gaps() {
    told(&[
        ("SSN: ***-**-6789", "SSN: ***-**-[SSN]"),
        ("**MRN:** 44712", "**MRN:** [MRN]"),
        ("MRN          44712", "MRN          [MRN]"),
        (
            "HAR 50012984, FIN: 90031188",
            "HAR [ACCOUNT], FIN: [ACCOUNT]",
        ),
        ("Prior auth 88291029", "Prior auth [CASE]"),
        ("PHN 9123 456 789", "PHN [MEMBER]"),
        ("Aadhaar 2345 6789 0123", "Aadhaar [LICENSE]"),
        ("CURP HEGG560427MVZRRL04", "CURP [LICENSE]"),
        ("fin de semana 3, har no 12", "fin de semana 3, har no 12"),
    ]);
}

/// The word tells the first group, and stands too far from it to tell them all.
#[test]
fn numbers_of_which_a_word_tells_the_first_group() {
    told(&[(
        "pager listed for patient recorded the 02079 460958 today",
        "pager listed for patient recorded the [PHONE] today",
    )]);
}

#[test]
fn the_year_behind_a_month_with_a_full_stop() {
    told(&[("seen 2 may.of 2021 again", "seen [DATE] again")]);
}

#[test]
fn the_given_name_behind_a_comma_in_capitals() {
    told(&[
        ("Name: SUBRAMANIAN, VENKATA", "Name: [NAME]"),
        ("NAME: XQZTT, PLUGHH DOB", "NAME: [NAME] DOB"),
        ("NAME: KOWALSKI, MRN 44712", "NAME: [NAME], MRN [MRN]"),
    ]);
}

#[test]
fn the_quarter_that_a_street_lies_in() {
    told(&[
        (
            "742 Peachtree St NE, Atlanta, GA 30308",
            "[ADDRESS], [PLACE], GA [ZIP]",
        ),
        (
            "4 Bloor St E, Toronto, ON M4W 3G9",
            "[ADDRESS], [PLACE], ON [ZIP]",
        ),
        ("12 Main St E coli", "[ADDRESS] E coli"),
    ]);
}

#[test]
fn a_city_that_is_a_scale_too_before_its_state_and_post_code() {
    told(&[
        ("Boston MA 02118", "[PLACE] MA [ZIP]"),
        ("Discharge MA 02118", "Discharge MA [ZIP]"),
        ("Boston criteria 3", "Boston criteria 3"),
    ]);
}

#[test]
fn a_given_name_before_what_somebody_is_called() {
    told(&[
        ("Robert \"Bob\" Kowalski here", "[NAME] \"Bob\" [NAME] here"),
        ("Murphy \"sign\" positive", "Murphy \"sign\" positive"),
    ]);
}
