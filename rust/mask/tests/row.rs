//! The row-aware rule: what a row's own columns hold is masked in its texts, and little else.

// A test that cannot go on should panic; clippy lets only functions marked as tests do so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{FixedSizeBinaryBuilder, ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_schema::{DataType, Field};
use mask::{MaskError, Masker, Treatment};

fn text_field() -> Field {
    Field::new("note", DataType::Utf8, true)
}

fn json_field() -> Field {
    let metadata = HashMap::from([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())]);
    text_field().with_metadata(metadata)
}

fn masked(field: Field, note: &ArrayRef, beside: &[ArrayRef]) -> Result<ArrayRef, MaskError> {
    let fields: Vec<Field> = beside
        .iter()
        .map(|array| Field::new("own", array.data_type().clone(), true))
        .collect();
    let fields: Vec<&Field> = fields.iter().collect();
    let mut masker = Masker::new(&[(field, Treatment::Scan)], &[0; 32]).unwrap();
    masker.expect_beside(0, &fields)?;
    masker.mask_beside(0, note, beside)
}

fn texts(rows: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows))
}

/// One note beside values, each in a column of its own.
fn told(values: &[&str], note: &str) -> String {
    let beside: Vec<ArrayRef> = values.iter().map(|value| texts(&[value])).collect();
    let masked = masked(text_field(), &texts(&[note]), &beside).unwrap();
    masked.as_string::<i32>().value(0).to_owned()
}

/// The values of the row, a note, and what becomes of it.
const TOLD: &[(&[&str], &str, &str)] = &[
    // case, accents, width, what does not show
    (&["Maria García"], "MARIA GARCIA came", "[ROW] came"),
    (&["Maria Garcia"], "maría garcía came", "[ROW] came"),
    (
        &["Maria Garcia"],
        "mari\u{301}a garci\u{301}a came",
        "[ROW] came",
    ),
    (&["GARCÍA"], "seen with garcia.", "seen with [ROW]."),
    (&["Weiß"], "Herr WEISS kam", "Herr [ROW] kam"),
    (&["Sørensen"], "mr sorensen", "mr [ROW]"),
    (&["Łukasz"], "LUKASZ", "[ROW]"),
    (&["İbrahim"], "ibrahim and IBRAHIM", "[ROW] and [ROW]"),
    (&["Garcia"], "Ｇａｒｃｉａ", "[ROW]"),
    (&["Garcia"], "Gar\u{200b}ci\u{ad}a", "[ROW]"),
    (&["Иванов"], "ИВАНОВ пришел", "[ROW] пришел"),
    (&["王伟"], "患者王伟主诉", "患者[ROW]主诉"),
    // words by themselves, joined, reversed
    (&["Maria José García-López"], "Ms Lopez", "Ms [ROW]"),
    (&["Maria José García-López"], "jose said", "[ROW] said"),
    (&["Maria Garcia"], "GARCIA, MARIA", "[ROW]"),
    (&["Maria", "Garcia"], "Garcia,Maria", "[ROW]"),
    (&["Maria", "Garcia"], "mariagarcia", "[ROW]"),
    (&["Maria", "Garcia"], "maria_garcia2", "[ROW]"),
    (
        &["Smith"],
        "Smith's wife, the Smiths' dog",
        "[ROW] wife, the [ROW]' dog",
    ),
    (&["Smith"], "Smith’s wife", "[ROW] wife"),
    (&["O'Brien"], "OBrien, O Brien, O’BRIEN, o'brien", "[ROW]"),
    (&["OBrien"], "mr O'Brien", "mr [ROW]"),
    (&["McDonald"], "Mc Donald and MCDONALD", "[ROW] and [ROW]"),
    (&["Mc Donald"], "McDonald", "[ROW]"),
    (&["MACDONALD"], "Mac Donald", "[ROW]"),
    (&["Garcia"], "G.A.R.C.I.A", "[ROW]"),
    (&["Garcia"], "G a r c i a", "[ROW]"),
    (&["Garcia"], "Gar-\ncia", "[ROW]"),
    (&["Maria", "Garcia"], "by M. Garcia", "by [ROW]"),
    (&["Maria", "Garcia"], "by M Garcia", "by [ROW]"),
    (&["Garcia"], "Garcia M. said", "[ROW]. said"),
    (&["Ng"], "Mr Ng said", "Mr [ROW] said"),
    // ordinary words
    (&["Will"], "patient will return", "patient will return"),
    (&["Will"], "Will returned", "[ROW] returned"),
    (
        &["Will", "Young"],
        "Will Young is a young man",
        "[ROW] is a young man",
    ),
    (&["Will", "Smith"], "will smith came", "[ROW] came"),
    (&["Will", "Smith"], "Smith will return", "[ROW] will return"),
    (
        &["Will", "Young"],
        "seen will young today",
        "seen [ROW] today",
    ),
    (
        &["May Long"],
        "may return if it takes long",
        "may return if it takes long",
    ),
    (&["May Long"], "MAY LONG", "[ROW]"),
    (&["Ng"], "ng tube placed", "ng tube placed"),
    (&["Anna"], "annabel, banana, Anna", "annabel, banana, [ROW]"),
    (&["Ana"], "an apple, an a", "an apple, an a"),
    // numbers
    (&["ST-998877"], "ST 998877, st.998877, 998877", "[ROW]"),
    (
        &["ST-998877"],
        "id 99-88-77 or ST99 88 77",
        "id [ROW] or [ROW]",
    ),
    (
        &["00123456"],
        "no 123456 and 00123456",
        "no [ROW] and [ROW]",
    ),
    (&["123456"], "chart 00123456x", "chart [ROW]"),
    (
        &["123456"],
        "chart 1234567 and 2123456",
        "chart 1234567 and 2123456",
    ),
    (&["120"], "value 120, 1200, 1 20", "value [ROW], 1200, 1 20"),
    (&["12"], "12 days", "12 days"),
    // addresses
    (
        &["12 Main Street, Springfield"],
        "at 12 main street",
        "at [ROW]",
    ),
    (&["12 Main Street, Springfield"], "Main Street", "[ROW]"),
    (
        &["12 Main Street, Springfield"],
        "from SPRINGFIELD",
        "from [ROW]",
    ),
    (
        &["12 Main Street, Springfield"],
        "the main complaint, 12 days",
        "the main complaint, 12 days",
    ),
    (
        &["4 Elm St, Apt 7"],
        "took 4 of 7 on Elm",
        "took 4 of 7 on Elm",
    ),
    (
        &["742 Evergreen Terrace 02139"],
        "zip 02139 evergreen",
        "zip [ROW]",
    ),
    // addresses of other kinds
    (
        &["maria.lopez@example.com"],
        "for example Lopez",
        "for example [ROW]",
    ),
    (&["https://example.com/a"], "for example", "for example"),
    (&[""], "nothing", "nothing"),
    (&["-"], "a - b", "a - b"),
];

#[test]
fn what_is_told() {
    let mut wrong = Vec::new();
    for (values, note, expected) in TOLD {
        let got = told(values, note);
        if got != *expected {
            wrong.push(format!("{values:?} in {note:?}: {got:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn telephone_numbers_however_they_are_written() {
    for value in ["(617) 555-1212", "+1 617 555 1212", "6175551212"] {
        for note in [
            "617-555-1212",
            "617.555.1212",
            "(617)\n555-1212",
            "6175551212",
            "5551212",
            "555 / 1212",
        ] {
            let got = told(&[value], &format!("at {note} now"));
            assert!(!got.contains("1212"), "{value} in {note}: {got}");
            assert!(got.starts_with("at ") && got.ends_with(" now"), "{got}");
        }
    }
}

fn uuid() -> ArrayRef {
    let mut uuids = FixedSizeBinaryBuilder::new(16);
    uuids
        .append_value([
            0x0f, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69, 0x78, 0x87, 0x96, 0xa5, 0xb4, 0xc3, 0xd2,
            0xe1, 0xf0,
        ])
        .unwrap();
    Arc::new(uuids.finish())
}

fn names_list() -> ArrayRef {
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("Okonkwo"), None, Some("Adaeze")]);
    Arc::new(list.finish())
}

#[test]
fn values_of_every_type() {
    let enums: DictionaryArray<Int32Type> = ["Okonkwo"].into_iter().collect();
    let decimal = Decimal128Array::from(vec![998_877]).with_precision_and_scale(10, 0);
    let cases: Vec<(ArrayRef, &str)> = vec![
        (texts(&["Okonkwo"]), "x OKONKWO y"),
        (
            Arc::new(LargeStringArray::from(vec!["Okonkwo"])),
            "x okonkwo y",
        ),
        (
            Arc::new(StringViewArray::from(vec!["Okonkwo"])),
            "x okonkwo y",
        ),
        (Arc::new(enums), "x okonkwo y"),
        (Arc::new(Int16Array::from(vec![9988])), "x 9988 y"),
        (Arc::new(Int32Array::from(vec![998_877])), "x 998877 y"),
        (Arc::new(Int64Array::from(vec![998_877])), "x 0998877 y"),
        (Arc::new(decimal.unwrap()), "x 998 877 y"),
        (uuid(), "x 0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0 y"),
        (names_list(), "x adaeze okonkwo y"),
    ];
    for (beside, note) in cases {
        let name = format!("{:?}", beside.data_type());
        let got = masked(text_field(), &texts(&[note]), &[beside]).unwrap();
        assert_eq!(got.as_string::<i32>().value(0), "x [ROW] y", "{name}");
    }
}

#[test]
fn texts_of_every_layout() {
    let rows = [
        Some("x Okonkwo"),
        None,
        Some("adaeze y"),
        Some("okonkwo adaeze"),
    ];
    let wanted = [
        Some("x [ROW]"),
        None,
        Some("[ROW] y"),
        Some("okonkwo [ROW]"),
    ];
    let beside: ArrayRef = Arc::new(StringArray::from(vec![
        "Okonkwo", "Adaeze", "Adaeze", "Adaeze",
    ]));
    let layouts: [ArrayRef; 3] = [
        Arc::new(StringArray::from_iter(rows)),
        Arc::new(LargeStringArray::from_iter(rows)),
        Arc::new(StringViewArray::from_iter(rows)),
    ];
    for note in layouts {
        for from in 0..rows.len() {
            let length = rows.len() - from;
            let field = Field::new("note", note.data_type().clone(), true);
            let beside = beside.slice(from, length);
            let got = masked(field, &note.slice(from, length), &[beside]).unwrap();
            let got = arrow_select::concat::concat(&[&got]).unwrap();
            let got: Vec<Option<String>> = match got.data_type() {
                DataType::Utf8 => got
                    .as_string::<i32>()
                    .iter()
                    .map(|t| t.map(str::to_owned))
                    .collect(),
                DataType::LargeUtf8 => got
                    .as_string::<i64>()
                    .iter()
                    .map(|t| t.map(str::to_owned))
                    .collect(),
                _ => got
                    .as_string_view()
                    .iter()
                    .map(|t| t.map(str::to_owned))
                    .collect(),
            };
            let wanted = wanted[from..].iter().map(|t| t.map(str::to_owned));
            assert!(got.into_iter().eq(wanted));
        }
    }
}

#[test]
fn lists_of_texts_know_their_row() {
    let mut notes = ListBuilder::new(StringBuilder::new());
    notes.append_value([Some("okonkwo a"), None, Some("adaeze b")]);
    notes.append_null();
    notes.append_value([Some("okonkwo c"), Some("adaeze d")]);
    let notes: ArrayRef = Arc::new(notes.finish());
    let field = Field::new("notes", notes.data_type().clone(), true);
    let beside = texts(&["Okonkwo", "x", "Adaeze"]);
    let whole = masked(field.clone(), &notes, &[Arc::clone(&beside)]).unwrap();
    let row = |list: &ArrayRef, i: usize| -> Vec<Option<String>> {
        let row = list.as_list::<i32>().value(i);
        row.as_string::<i32>()
            .iter()
            .map(|t| t.map(str::to_owned))
            .collect()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(row(&whole, 0), [some("[ROW] a"), None, some("adaeze b")]);
    assert!(whole.is_null(1));
    assert_eq!(row(&whole, 2), [some("okonkwo c"), some("[ROW] d")]);
    let slice = masked(field, &notes.slice(1, 2), &[beside.slice(1, 2)]).unwrap();
    assert_eq!(row(&slice, 1), [some("okonkwo c"), some("[ROW] d")]);
}

#[test]
fn json_is_walked() {
    let json = r#"{"who":"GARC\u00cdA","n":[998877,1],"o'brien":{"x":"no"},"y":"Dr Garcia"}"#;
    let beside = [texts(&["Garcia"]), texts(&["998877"]), texts(&["O'Brien"])];
    let got = masked(json_field(), &texts(&[json]), &beside).unwrap();
    let wanted = r#"{"who":"[ROW]","n":["[ROW]",1],"[ROW]":{"x":"no"},"y":"Dr [ROW]"}"#;
    assert_eq!(got.as_string::<i32>().value(0), wanted);
    let got = masked(json_field(), &texts(&["[998877, 5]"]), &beside).unwrap();
    assert_eq!(got.as_string::<i32>().value(0), r#"["[ROW]", 5]"#);
}

#[test]
fn the_numbers_of_clear_columns_are_spared_unless_they_are_the_rows() {
    let made = Treatment::Made {
        times: false,
        numbers: true,
        forms: vec![],
    };
    let mut masker = Masker::new(&[(json_field(), made)], &[0; 32]).unwrap();
    let own = Field::new("mrn", DataType::Int32, true);
    masker.expect_beside(0, &[&own]).unwrap();
    let beside: ArrayRef = Arc::new(Int32Array::from(vec![998_877]));
    let note = texts(&[r#"{"ssn":123456789,"a":998877}"#]);
    let got = masker.mask_beside(0, &note, &[beside]).unwrap();
    let wanted = r#"{"ssn":123456789,"a":"[ROW]"}"#;
    assert_eq!(got.as_string::<i32>().value(0), wanted);
}

#[test]
fn null_and_empty_values_ask_for_nothing() {
    let nothing: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>, Some(""), Some("x")]));
    let notes = texts(&["Plugh", "Plugh", "x Plugh"]);
    let got = masked(text_field(), &notes, &[nothing]).unwrap();
    assert_eq!(&got, &notes);
}

#[test]
fn rows_are_counted() {
    let mut masker = Masker::new(&[(text_field(), Treatment::Scan)], &[0; 32]).unwrap();
    let own = Field::new("name", DataType::Utf8, true);
    masker.expect_beside(0, &[&own]).unwrap();
    let notes = texts(&["Plugh saw Plugh", "SSN 123-45-6789", "Plugh"]);
    let beside = texts(&["Plugh", "Plugh", "Xyzzy"]);
    masker.mask_beside(0, &notes, &[beside]).unwrap();
    let report = serde_json::to_value(masker.report()).unwrap();
    let row = serde_json::json!({"cells": 1, "spans": 2});
    assert_eq!(report["detectors"]["note"]["row"], row);
    assert_eq!(report["cells_masked"]["note"]["scan"], 2);
}

#[test]
fn an_opaque_key_that_is_the_rows_is_masked() {
    let key = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    assert_eq!(told(&[key], &format!("see {key}")), "see [ROW]");
    assert_eq!(
        told(&["other"], &format!("see {key}")),
        format!("see {key}")
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let clear = Treatment::Clear { scan: false };
    let fields = [
        (text_field(), Treatment::Scan),
        (text_field(), clear),
        (text_field(), Treatment::Null),
        (
            Field::new("n", DataType::Int32, true),
            Treatment::Clear { scan: true },
        ),
    ];
    let mut masker = Masker::new(&fields, &[0; 32]).unwrap();
    let own = text_field();
    for i in 1..4 {
        assert!(matches!(
            masker.expect_beside(i, &[&own]),
            Err(MaskError::Option { .. })
        ));
    }
    assert_eq!(
        masker.expect_beside(9, &[&own]),
        Err(MaskError::NoSuchColumn(9))
    );
    let list = |item: DataType| DataType::List(Arc::new(Field::new("item", item, true)));
    for other in [
        DataType::Date32,
        DataType::Float64,
        DataType::Boolean,
        DataType::Decimal128(10, 2),
        DataType::FixedSizeBinary(8),
        DataType::Binary,
        list(DataType::Date32),
        list(list(DataType::Utf8)),
    ] {
        let other = Field::new("other", other, true);
        assert!(masker.expect_beside(0, &[&own, &other]).is_err(), "{other}");
    }
    assert!(masker.expect_beside(0, &[&json_field()]).is_err());
    masker.expect_beside(0, &[&own]).unwrap();
    let note = texts(&["a"]);
    let inconsistent = |result| matches!(result, Err(MaskError::Inconsistent(_)));
    // A column that was announced with others beside it is never masked without them.
    assert!(inconsistent(masker.mask(0, &note)));
    assert!(inconsistent(masker.mask_beside(
        0,
        &note,
        &[texts(&["a", "b"])]
    )));
    let number: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    assert!(inconsistent(masker.mask_beside(0, &note, &[number])));
    assert!(inconsistent(masker.mask_beside(1, &note, &[texts(&["a"])])));
}

#[test]
fn long_values_count_as_a_whole_only() {
    let long = format!("Plugh {}", "lorem ipsum ".repeat(30));
    assert_eq!(told(&[&long], "Plugh lorem"), "Plugh lorem");
    assert_eq!(told(&[&long], &format!("a {long}b")), "a [ROW] b");
    let many = "Plugh a b c d e f g h i j k l m n o p";
    assert_eq!(told(&[many], "Plugh"), "Plugh");
    assert_eq!(told(&[many], &many.to_uppercase()), "[ROW]");
}

#[test]
fn hostile_lengths_are_masked_rather_than_waited_for() {
    let note = "a ".repeat(20_000);
    let value = format!("{}b", "a ".repeat(10_000));
    assert_eq!(told(&[&value], &note), "[ROW]");
    let value = format!("{}b", "a".repeat(200));
    let note = "a".repeat(100_000);
    assert_eq!(told(&[&value], &note), note);
    let value = "ab cd ef gh ij kl mn op qr st uv wx yz aa bb cc";
    let note = "ab xy cd xy ".repeat(8_000);
    assert_eq!(told(&[value], &note), note);
}
