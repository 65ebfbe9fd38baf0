//! Layouts that the decoder never makes give the results of those that it makes, with the same counts,
//! and nothing that was hidden in them.

// A test that cannot go on should panic; clippy lets only functions marked as tests do so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal32Type, Float16Type, Int32Type};
use arrow_array::*;
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields, UnionFields, UnionMode};
use mask::{Masker, Report, Treatment};

const KEY: &[u8; 32] = &[7; 32];
const CALL: &str = "call 555-123-4567";
const HIDDEN: &str = "hidden at 555-987-6543";

fn token() -> Treatment {
    Treatment::Token {
        domain: "d".into(),
        key_id: "k".into(),
    }
}

fn bucket() -> Treatment {
    Treatment::Bucket {
        width: Some(10),
        origin: None,
        edges: None,
    }
}

fn masked(array: ArrayRef, treatment: Treatment) -> (ArrayRef, Report) {
    let field = Field::new("c", array.data_type().clone(), true);
    let mut masker = Masker::new(&[(field, treatment)], KEY).unwrap();
    let out = masker.mask(0, &array).unwrap();
    assert_eq!(out.data_type(), masker.output_field(0).data_type());
    out.to_data().validate_full().unwrap();
    (out, masker.report())
}

fn texts(array: &ArrayRef) -> Vec<Option<String>> {
    let plain = match array.as_any_dictionary_opt() {
        Some(rows) => arrow_select::take::take(rows.values(), rows.keys(), None).unwrap(),
        None => Arc::clone(array),
    };
    let rows = plain.as_string::<i32>().iter();
    rows.map(|row| row.map(str::to_owned)).collect()
}

fn runs(ends: Vec<i32>, values: ArrayRef) -> ArrayRef {
    Arc::new(RunArray::<Int32Type>::try_new(&Int32Array::from(ends), &values).unwrap())
}

#[test]
fn runs_are_treated_once_and_counted_by_rows() {
    let values: ArrayRef = Arc::new(StringArray::from(vec![
        Some(HIDDEN),
        Some(CALL),
        None,
        Some("fine"),
        Some(HIDDEN),
    ]));
    let array = runs(vec![2, 5, 6, 9, 12], values).slice(2, 7);
    let plain: ArrayRef = Arc::new(StringArray::from(vec![
        Some(CALL),
        Some(CALL),
        Some(CALL),
        None,
        Some("fine"),
        Some("fine"),
        Some("fine"),
    ]));
    let redact = Treatment::Redact { label: "x".into() };
    for treatment in [
        Treatment::Scan,
        token(),
        redact,
        Treatment::Zip3 { census: 2020 },
    ] {
        let (of_runs, counts) = masked(Arc::clone(&array), treatment.clone());
        let (of_rows, expected) = masked(Arc::clone(&plain), treatment);
        assert_eq!(texts(&of_runs), texts(&of_rows));
        assert_eq!(counts, expected);
    }
    let (scanned, _) = masked(array, Treatment::Scan);
    // Neither where runs begin nor what lies outside the slice is in the dictionary.
    assert_eq!(scanned.as_any_dictionary().values().len(), 2);
}

#[test]
fn runs_and_dictionaries_of_numbers_become_their_values() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(41), None, Some(7)]));
    let array = runs(vec![1, 3, 4], Arc::clone(&numbers));
    let (out, _) = masked(array, Treatment::Clear { scan: true });
    let expected: ArrayRef = Arc::new(Int64Array::from(vec![Some(41), None, None, Some(7)]));
    assert_eq!(&out, &expected);

    let keys = Int32Array::from(vec![Some(2), None, Some(1), Some(2)]);
    let array: ArrayRef = Arc::new(DictionaryArray::try_new(keys, numbers).unwrap());
    let (out, report) = masked(array, bucket());
    assert_eq!(
        texts(&out),
        [Some("[0,10)".into()), None, None, Some("[0,10)".into())]
    );
    assert_eq!(report.cells_masked["c"]["bucket"], 2);
}

#[test]
fn narrow_and_unsigned_numbers_are_treated_as_wide_ones() {
    let wide: ArrayRef = Arc::new(Int64Array::from(vec![Some(47), None]));
    let narrow: [ArrayRef; 4] = [
        Arc::new(Int8Array::from(vec![Some(47), None])),
        Arc::new(UInt8Array::from(vec![Some(47), None])),
        Arc::new(UInt16Array::from(vec![Some(47), None])),
        Arc::new(UInt32Array::from(vec![Some(47), None])),
    ];
    for array in narrow {
        for treatment in [token(), bucket()] {
            let (of_narrow, _) = masked(Arc::clone(&array), treatment.clone());
            let (of_wide, _) = masked(Arc::clone(&wide), treatment);
            assert_eq!(&of_narrow, &of_wide);
        }
    }
    let half = <Float16Type as ArrowPrimitiveType>::Native::from_f32(1.5);
    let half = Float16Array::from(vec![half]);
    assert_eq!(
        texts(&masked(Arc::new(half), bucket()).0),
        [Some("[0,10)".into())]
    );
    let cents = PrimitiveArray::<Decimal32Type>::from(vec![4_750]);
    let cents = cents.with_precision_and_scale(6, 2).unwrap();
    assert_eq!(
        texts(&masked(Arc::new(cents), bucket()).0),
        [Some("[40,50)".into())]
    );
    // Half of them have no integer of 64 bits, so none has its token.
    let field = Field::new("c", DataType::UInt64, true);
    assert!(Masker::new(&[(field.clone(), token())], KEY).is_err());
    assert!(Masker::new(&[(field, bucket())], KEY).is_ok());
}

#[test]
fn a_list_view_becomes_the_list_of_what_it_shows() {
    let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
    let values: ArrayRef = Arc::new(StringArray::from(vec![CALL, HIDDEN, "fine"]));
    let view = ListViewArray::try_new(
        item,
        ScalarBuffer::from(vec![2, 1, 0, 0]),
        ScalarBuffer::from(vec![1, 1, 1, 0]),
        values,
        Some(NullBuffer::from(vec![true, false, true, true])),
    );
    let (out, report) = masked(Arc::new(view.unwrap()), Treatment::Scan);
    let list = out.as_list::<i32>();
    assert_eq!(
        texts(list.values()),
        [Some("fine".into()), Some("call [PHONE]".into())]
    );
    assert_eq!(list.value_offsets(), [0, 1, 1, 2, 2]);
    assert_eq!(report.cells_masked["c"]["scan"], 1);
}

#[test]
fn list_views_upon_each_other_do_not_grow_without_end() {
    let item = Arc::new(Field::new_list_field(DataType::Int8, true));
    let rows = 70_000;
    let many: ArrayRef = Arc::new(Int8Array::from(vec![0; rows]));
    let view = ListViewArray::try_new(
        item,
        ScalarBuffer::from(vec![0; rows]),
        ScalarBuffer::from(vec![i32::try_from(rows).unwrap(); rows]),
        many,
        None,
    );
    let array: ArrayRef = Arc::new(view.unwrap());
    let field = Field::new("c", array.data_type().clone(), true);
    let treatment = Treatment::Clear { scan: true };
    let mut masker = Masker::new(&[(field, treatment)], KEY).unwrap();
    assert_eq!(
        masker.mask(0, &array).err(),
        Some(mask::MaskError::TooLarge)
    );
}

#[test]
fn structs_and_maps_are_scanned_leaf_by_leaf_and_empty_under_null() {
    let fields: Fields = vec![
        Field::new("note", DataType::Utf8, true),
        Field::new("age", DataType::Int32, true),
    ]
    .into();
    let notes: ArrayRef = Arc::new(StringArray::from(vec![CALL, HIDDEN, "fine"]));
    let ages: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let valid = NullBuffer::from(vec![true, false, true]);
    let rows = StructArray::try_new(fields, vec![notes, ages], Some(valid)).unwrap();
    let (out, report) = masked(Arc::new(rows.clone()), Treatment::Clear { scan: true });
    let out = out.as_struct();
    let scanned = [Some("call [PHONE]".into()), None, Some("fine".into())];
    assert_eq!(texts(out.column(0)), scanned);
    let expected: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]));
    assert_eq!(out.column(1), &expected);
    assert_eq!(report.cells_masked["c"]["scan"], 1);
    assert_eq!(report.detectors["c"]["phone"].spans, 1);
    // A number is no text: nobody has said what becomes of it.
    let field = Field::new("c", rows.data_type().clone(), true);
    let refused = Masker::new(&[(field, Treatment::Scan)], KEY).err().unwrap();
    assert!(
        refused
            .to_string()
            .contains("a struct; possible: clear, redact, null")
    );

    let entry: Fields = vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ]
    .into();
    let keys: ArrayRef = Arc::new(StringArray::from(vec![CALL, HIDDEN]));
    let values: ArrayRef = Arc::new(StringArray::from(vec!["fine", HIDDEN]));
    let entries = StructArray::try_new(entry.clone(), vec![keys, values], None).unwrap();
    let map = MapArray::try_new(
        Arc::new(Field::new("entries", DataType::Struct(entry), false)),
        OffsetBuffer::from_lengths([1, 1]),
        entries,
        Some(NullBuffer::from(vec![true, false])),
        false,
    );
    let (out, _) = masked(Arc::new(map.unwrap()), Treatment::Scan);
    assert_eq!(texts(out.as_map().keys()), [Some("call [PHONE]".into())]);
    assert_eq!(texts(out.as_map().values()), [Some("fine".into())]);
}

#[test]
fn lists_of_fixed_size_are_empty_under_null() {
    let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
    let values: ArrayRef = Arc::new(StringArray::from(vec![HIDDEN, CALL, "fine", HIDDEN]));
    let valid = Some(NullBuffer::from(vec![true, true, true, false]));
    let list = FixedSizeListArray::try_new(item, 1, values, valid).unwrap();
    let array: ArrayRef = Arc::new(list);
    for treatment in [Treatment::Scan, token()] {
        let (out, report) = masked(array.slice(1, 3), treatment.clone());
        let name = treatment.name();
        let shown = texts(out.as_fixed_size_list().values());
        assert_eq!(shown.len(), 3);
        assert_eq!(shown[2], None);
        assert_eq!(
            report.cells_masked["c"][name],
            if name == "scan" { 1 } else { 2 }
        );
    }
}

#[test]
fn a_column_of_nulls_takes_every_treatment_and_a_union_none() {
    let nothing: ArrayRef = Arc::new(NullArray::new(3));
    let member = Arc::new(Field::new("a", DataType::Utf8, true));
    let union = DataType::Union(UnionFields::from_iter([(0, member)]), UnionMode::Dense);
    let inside = DataType::Struct(vec![Field::new("u", union.clone(), true)].into());
    for treatment in [
        token(),
        bucket(),
        Treatment::Scan,
        Treatment::Year,
        Treatment::Null,
        Treatment::Clear { scan: false },
        Treatment::Redact { label: "x".into() },
    ] {
        let (out, _) = masked(Arc::clone(&nothing), treatment.clone());
        assert_eq!(out.len(), 3);
        for unknown in [&union, &inside] {
            let field = Field::new("c", unknown.clone(), true);
            let refused = Masker::new(&[(field, treatment.clone())], KEY)
                .err()
                .unwrap();
            assert!(refused.to_string().contains("possible: none"));
        }
    }
}
