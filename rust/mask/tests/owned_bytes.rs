//! Masked output owns its bytes: after every treatment and every batch shape the exported IPC bytes are
//! searched for planted values.

// A test that cannot go on should panic; clippy lets only functions marked as tests do so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::*;
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use mask::{Letters, Masker, Treatment};

/// Text that must not leave: told by a detector, and long enough for a view to point at.
const PLANTED: [&str; 4] = [
    "123-45-6789",
    "planted.secret@example.org",
    "MRN 0042424242",
    "on 30 May 2022 at noon",
];
/// What must be gone of each.
const SECRETS: [&str; 4] = ["45-6789", "planted", "42424242", "May 2022"];
/// A number that must not leave, as bytes.
const NUMBER: i64 = 0x5EC2_E7C0_FFEE_0042;
const CLEAN: &str = "BP 120/80, no complaints today";

fn export(field: &Field, array: ArrayRef) -> Vec<u8> {
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    let batch = RecordBatch::try_new(schema.clone(), vec![array]).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

fn bucket() -> Treatment {
    Treatment::Bucket {
        width: Some(1_000_000_000_000),
        origin: None,
        edges: None,
    }
}

fn fpe() -> Treatment {
    Treatment::Fpe {
        domain: "d".into(),
        key_id: "k".into(),
        radix: 10,
        letters: Letters::Upper,
        separators: "-".into(),
    }
}

fn protecting() -> Vec<Treatment> {
    vec![
        Treatment::Redact {
            label: "[REDACTED]".into(),
        },
        Treatment::Null,
        Treatment::Partial {
            first: 0,
            last: 1,
            char: '*',
        },
        Treatment::Token {
            domain: "d".into(),
            key_id: "k".into(),
        },
        Treatment::Zip3 { census: 2020 },
        bucket(),
        fpe(),
        Treatment::Scan,
        Treatment::Clear { scan: true },
    ]
}

/// Treatments that take no JSON.
fn of_plain_text(treatment: &Treatment) -> bool {
    matches!(
        treatment,
        Treatment::Partial { .. }
            | Treatment::Zip3 { .. }
            | Treatment::Bucket { .. }
            | Treatment::Fpe { .. }
    )
}

fn check(name: &str, field: &Field, array: &ArrayRef, treatments: &[Treatment], secrets: &[&[u8]]) {
    for treatment in treatments {
        let columns = [(field.clone(), treatment.clone())];
        let mut masker = Masker::new(&columns, &[1; 32]).unwrap();
        let masked = masker.mask(0, array).unwrap();
        assert_eq!(masked.len(), array.len(), "{name} {treatment:?}");
        masked.to_data().validate_full().unwrap();
        let bytes = export(masker.output_field(0), masked.clone());
        for secret in secrets {
            assert!(
                !holds(&bytes, secret),
                "{name}, {treatment:?}: {secret:?} left in the bytes"
            );
        }
        // What the export leaves out must not be in the buffers either.
        let mut data = vec![masked.to_data()];
        while let Some(part) = data.pop() {
            for buffer in part.buffers() {
                for secret in secrets {
                    assert!(!holds(buffer, secret), "{name}, {treatment:?}: in a buffer");
                }
            }
            data.extend(part.child_data().iter().cloned());
        }
    }
}

fn secrets() -> Vec<&'static [u8]> {
    SECRETS.iter().map(|s| s.as_bytes()).collect()
}

fn field(array: &ArrayRef) -> Field {
    Field::new("c", array.data_type().clone(), true)
}

/// Rows: planted and clean in turn, and a NULL.
fn rows() -> Vec<Option<&'static str>> {
    PLANTED
        .iter()
        .flat_map(|p| [Some(*p), Some(CLEAN)])
        .chain([None])
        .collect()
}

/// The same rows with every planted value under a NULL.
fn nulled<O: OffsetSizeTrait>() -> GenericStringArray<O> {
    let (offsets, values, _) =
        GenericStringArray::<O>::from_iter_values(rows().iter().flatten()).into_parts();
    let valid = BooleanBuffer::collect_bool(8, |i| i % 2 == 1);
    GenericStringArray::new(offsets, values, Some(NullBuffer::new(valid)))
}

fn texts() -> Vec<(&'static str, ArrayRef)> {
    let views = StringViewArray::from_iter(rows());
    let valid = BooleanBuffer::collect_bool(9, |i| i % 2 == 1);
    let (inner, buffers, _) = views.clone().into_parts();
    let nulled_views = StringViewArray::new(inner, buffers, Some(NullBuffer::new(valid)));
    vec![
        ("utf8", Arc::new(StringArray::from_iter(rows()))),
        ("large", Arc::new(LargeStringArray::from_iter(rows()))),
        ("view", Arc::new(views)),
        (
            "dictionary",
            Arc::new(rows().into_iter().collect::<DictionaryArray<Int32Type>>()),
        ),
        (
            "small dictionary",
            Arc::new(rows().into_iter().collect::<DictionaryArray<Int8Type>>()),
        ),
        ("under NULL", Arc::new(nulled::<i32>())),
        ("large under NULL", Arc::new(nulled::<i64>())),
        ("view under NULL", Arc::new(nulled_views)),
    ]
}

/// Every window worth a look: all, empty, one row, halves.
fn windows(array: &ArrayRef) -> Vec<ArrayRef> {
    let n = array.len();
    let mut windows = vec![array.clone(), array.slice(0, 0), array.slice(n, 0)];
    windows.extend((0..n).map(|i| array.slice(i, 1)));
    windows.extend([
        array.slice(0, n / 2),
        array.slice(n / 2, n - n / 2),
        array.slice(1, n - 2),
    ]);
    windows
}

#[test]
fn text_of_every_layout_and_window() {
    for (name, array) in texts() {
        for window in windows(&array) {
            check(name, &field(&array), &window, &protecting(), &secrets());
        }
    }
}

#[test]
fn clear_shows_its_rows_and_no_others() {
    let clear = [Treatment::Clear { scan: false }];
    for (name, array) in texts() {
        // The clean rows alone; with the planted ones before, between and after.
        for i in (1..array.len()).step_by(2) {
            check(name, &field(&array), &array.slice(i, 1), &clear, &secrets());
        }
        if name.contains("under NULL") {
            check(name, &field(&array), &array, &clear, &secrets());
        }
    }
}

#[test]
fn a_dictionary_filtered_to_clean_rows() {
    let values = StringArray::from_iter_values(PLANTED.into_iter().chain([CLEAN]));
    let keys = Int32Array::from(vec![4, 4, 4]);
    let array: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(values)));
    let mut all = protecting();
    all.push(Treatment::Clear { scan: false });
    check("filtered", &field(&array), &array, &all, &secrets());
}

#[test]
fn a_key_under_a_null_shows_nothing() {
    let values = StringArray::from_iter_values(PLANTED.into_iter().chain([CLEAN]));
    let nulls = NullBuffer::new(BooleanBuffer::collect_bool(5, |i| i == 4));
    let keys = Int32Array::new(vec![0, 1, 2, 3, 4].into(), Some(nulls));
    let array: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(values)));
    check(
        "key",
        &field(&array),
        &array,
        &[Treatment::Clear { scan: false }],
        &secrets(),
    );
}

#[test]
fn lists_and_what_hides_in_them() {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for row in rows() {
        builder.append_value([row, Some(CLEAN)]);
    }
    builder.append_null();
    let array: ArrayRef = Arc::new(builder.finish());
    for window in windows(&array) {
        check("list", &field(&array), &window, &protecting(), &secrets());
    }
    let clear = [Treatment::Clear { scan: false }];
    check(
        "list slice",
        &field(&array),
        &array.slice(1, 1),
        &clear,
        &secrets(),
    );

    // A NULL list over elements that are there.
    let elements: ArrayRef = Arc::new(StringArray::from_iter_values([PLANTED[0], CLEAN]));
    let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
    let valid = NullBuffer::new(BooleanBuffer::from(vec![false, true]));
    let hidden = ListArray::new(
        item,
        OffsetBuffer::from_lengths([1, 1]),
        elements,
        Some(valid),
    );
    let hidden: ArrayRef = Arc::new(hidden);
    check(
        "list under NULL",
        &field(&hidden),
        &hidden,
        &clear,
        &secrets(),
    );
    check(
        "list under NULL",
        &field(&hidden),
        &hidden,
        &protecting(),
        &secrets(),
    );
}

#[test]
fn json_text() {
    let metadata = HashMap::from([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())]);
    let field = Field::new("c", DataType::Utf8, true).with_metadata(metadata);
    let rows = PLANTED
        .iter()
        .map(|p| format!("{{\"note\": [\"{p}\", {{\"deep\": \"{p}\"}}]}}"));
    let array: ArrayRef = Arc::new(StringArray::from_iter_values(rows));
    let treatments: Vec<_> = protecting()
        .into_iter()
        .filter(|t| !of_plain_text(t))
        .collect();
    for window in windows(&array) {
        check("json", &field, &window, &treatments, &secrets());
    }
}

#[test]
fn numbers_under_nulls_and_behind_slices() {
    let secret = NUMBER.to_le_bytes();
    let values = vec![NUMBER, 1, NUMBER];
    let nulls = NullBuffer::new(BooleanBuffer::from(vec![false, true, false]));
    let array: ArrayRef = Arc::new(Int64Array::new(values.clone().into(), Some(nulls)));
    let clear = [Treatment::Clear { scan: true }];
    check("under NULL", &field(&array), &array, &clear, &[&secret]);
    let array: ArrayRef = Arc::new(Int64Array::from(values));
    check(
        "slice",
        &field(&array),
        &array.slice(1, 1),
        &clear,
        &[&secret],
    );
    let hiding = [
        Treatment::Null,
        Treatment::Redact { label: "x".into() },
        Treatment::Token {
            domain: "d".into(),
            key_id: "k".into(),
        },
    ];
    let mut of_numbers = hiding.to_vec();
    of_numbers.extend([Treatment::Zip3 { census: 2020 }, bucket(), fpe()]);
    for window in windows(&array) {
        check("number", &field(&array), &window, &of_numbers, &[&secret]);
    }
    let bytes: Vec<&[u8]> = vec![b"planted-sixteen!", b"another-one-here"];
    let array: ArrayRef = Arc::new(
        FixedSizeBinaryArray::try_from_iter(bytes.into_iter().chain([[0u8; 16].as_slice()]))
            .unwrap(),
    );
    check(
        "uuid",
        &field(&array),
        &array,
        &hiding,
        &[b"planted", b"another"],
    );
    check(
        "uuid slice",
        &field(&array),
        &array.slice(2, 1),
        &clear,
        &[b"planted", b"another"],
    );
    let array: ArrayRef = Arc::new(BinaryArray::from_iter_values([b"planted".as_slice(), b"x"]));
    check(
        "bytea slice",
        &field(&array),
        &array.slice(1, 1),
        &clear,
        &[b"planted"],
    );
    check("bytea", &field(&array), &array, &hiding, &[b"planted"]);
}

#[test]
fn bits_of_other_rows_do_not_stay() {
    // 1,1,1,…,0: the visible row is false, its byte must be zero, validity included.
    let bits = BooleanBuffer::collect_bool(16, |i| i != 3);
    let array: ArrayRef = Arc::new(BooleanArray::new(bits.clone(), None));
    let clear = [(
        Field::new("c", DataType::Boolean, true),
        Treatment::Clear { scan: false },
    )];
    let mut masker = Masker::new(&clear, &[0; 32]).unwrap();
    let masked = masker.mask(0, &array.slice(3, 1)).unwrap();
    assert_eq!(masked.to_data().buffers()[0].as_slice(), [0]);

    let array: ArrayRef = Arc::new(BooleanArray::new(bits.clone(), Some(NullBuffer::new(bits))));
    let masked = masker.mask(0, &array.slice(3, 2)).unwrap();
    let data = masked.to_data();
    assert_eq!(data.buffers()[0].as_slice(), [0b10]);
    assert_eq!(data.nulls().unwrap().validity(), [0b10]);
}

#[test]
fn a_masked_dictionary_does_not_tell_values_apart() {
    let array: ArrayRef = Arc::new(
        ["123-45-6789", "987-65-4321", "ok"]
            .into_iter()
            .map(Some)
            .collect::<DictionaryArray<Int32Type>>(),
    );
    let mut masker = Masker::new(&[(field(&array), Treatment::Scan)], &[0; 32]).unwrap();
    let masked = masker.mask(0, &array).unwrap();
    let masked = masked
        .as_any()
        .downcast_ref::<DictionaryArray<Int32Type>>()
        .unwrap();
    assert_eq!(masked.keys().values().to_vec(), [0, 0, 1]);
    assert_eq!(masked.values().len(), 2);
}
