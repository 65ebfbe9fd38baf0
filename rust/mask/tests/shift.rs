//! `shift`: the same days for every date of one subject, none without one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int32Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, Date32Array, Decimal128Array, DictionaryArray, Int16Array, Int32Array,
    Int64Array, LargeStringArray, ListArray, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field};
use mask::{MaskError, Masker, Treatment};
use proptest::prelude::*;

const KEY: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

fn shift(days: u32) -> Treatment {
    Treatment::Shift {
        domain: "d".into(),
        key_id: "k1".into(),
        days,
    }
}

fn shifted(dates: &ArrayRef, subjects: &ArrayRef, days: u32) -> ArrayRef {
    let field = Field::new("born", dates.data_type().clone(), true);
    let mut masker = Masker::new(&[(field, shift(days))], KEY).unwrap();
    let subject = Field::new("mrn", subjects.data_type().clone(), true);
    assert!(masker.needs_beside(0));
    masker.expect_beside(0, &[&subject]).unwrap();
    let out = masker
        .mask_beside(0, dates, &[Arc::clone(subjects)])
        .unwrap();
    assert_eq!(out.data_type(), masker.output_field(0).data_type());
    out
}

fn days(array: &ArrayRef) -> Vec<Option<i32>> {
    array.as_primitive::<Date32Type>().iter().collect()
}

#[test]
fn known_offsets() {
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![0; 4]));
    let subjects: ArrayRef = Arc::new(StringArray::from(vec!["1", "2", "ST-900001", ""]));
    // BLAKE3 in keyed mode, computed with the Python binding of its authors.
    assert_eq!(days(&shifted(&dates, &subjects, 365)), KNOWN.map(Some));
}

const KNOWN: [i32; 4] = [-207, -77, 214, -172];

#[test]
fn one_subject_in_every_layout() {
    let numbers = [Some(1i16), None, Some(-20), Some(1)];
    let text = [Some("1"), None, Some("-20"), Some("1")];
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![Some(10), Some(10), Some(10), None]));
    let decimals = Decimal128Array::from_iter(numbers.map(|v| v.map(i128::from)));
    let subjects: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(text.to_vec())),
        Arc::new(LargeStringArray::from(text.to_vec())),
        Arc::new(StringViewArray::from(text.to_vec())),
        Arc::new(text.into_iter().collect::<DictionaryArray<Int32Type>>()),
        Arc::new(Int16Array::from_iter(numbers)),
        Arc::new(Int32Array::from_iter(numbers.map(|v| v.map(i32::from)))),
        Arc::new(Int64Array::from_iter(numbers.map(|v| v.map(i64::from)))),
        Arc::new(decimals.with_precision_and_scale(9, 0).unwrap()),
    ];
    let first = days(&shifted(&dates, &subjects[0], 365));
    assert!(first[0].is_some() && first[2].is_some() && first[0] != first[2]);
    assert_eq!((first[1], first[3]), (None, None));
    for subject in &subjects {
        assert_eq!(
            days(&shifted(&dates, subject, 365)),
            first,
            "{}",
            subject.data_type()
        );
        let rest = shifted(&dates.slice(1, 3), &subject.slice(1, 3), 365);
        assert_eq!(days(&rest), first[1..]);
    }
}

#[test]
fn lists_move_by_their_row_and_nothing_stays_beside_a_null() {
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Date32Type, _, _>([
        Some(vec![Some(1), Some(5), None]),
        None,
        Some(vec![]),
        Some(vec![Some(9)]),
    ]));
    let subjects: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, None]));
    let out = shifted(&lists, &subjects, 30);
    let moved = days(&out.as_list::<i32>().value(0));
    assert_eq!(moved[1].unwrap() - moved[0].unwrap(), 4);
    assert_ne!(moved[0], Some(1));
    assert_eq!(moved[2], None);
    assert!(out.is_null(1));
    assert_eq!(days(&out.as_list::<i32>().value(3)), [None]);
    let nobody: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; 4]));
    let out = shifted(&lists, &nobody, 30);
    assert_eq!(days(&out.as_list::<i32>().value(0)), [None; 3]);
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![7; 4]));
    let hidden = shifted(&dates, &nobody, 30);
    assert_eq!(
        hidden.as_primitive::<Date32Type>().values().as_ref(),
        [0; 4]
    );
}

#[test]
fn what_would_leave_its_type_is_null() {
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![
        i32::MAX,
        i32::MIN,
        i32::MAX,
        i32::MIN,
    ]));
    let subjects: ArrayRef = Arc::new(StringArray::from(vec!["a", "a", "b", "b"]));
    for pair in days(&shifted(&dates, &subjects, 3650)).chunks(2) {
        assert_eq!(pair.iter().flatten().count(), 1);
    }
    let stamps: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX, i64::MIN]));
    let out = shifted(&stamps, &subjects.slice(0, 2), 3650);
    assert_eq!(out.null_count(), 1);
}

#[test]
fn what_is_no_shift_is_refused() {
    let born = || Field::new("born", DataType::Date32, true);
    for days in [0, 6, 3651] {
        let made = Masker::new(&[(born(), shift(days))], KEY);
        assert!(matches!(made, Err(MaskError::Option { .. })), "{days}");
    }
    for data_type in [DataType::Utf8, DataType::Int32, DataType::Boolean] {
        let made = Masker::new(&[(Field::new("x", data_type, true), shift(365))], KEY);
        assert!(matches!(made, Err(MaskError::Impossible { .. })));
    }
    let mut masker = Masker::new(&[(born(), shift(365))], KEY).unwrap();
    for data_type in [DataType::Date32, DataType::Float64, DataType::Boolean] {
        let subject = Field::new("s", data_type, true);
        assert!(masker.expect_beside(0, &[&subject]).is_err());
    }
    let subject = Field::new("s", DataType::Utf8, true);
    assert!(masker.expect_beside(0, &[]).is_err());
    assert!(masker.expect_beside(0, &[&subject, &subject]).is_err());
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![1]));
    assert!(
        masker.mask(0, &dates).is_err(),
        "without a subject nothing is told"
    );
}

proptest! {
    #[test]
    fn never_none_never_farther_and_the_time_of_day_stays(
        subject in "[a-z0-9]{0,12}",
        micros in -60_000_000_000_000_000i64..60_000_000_000_000_000,
        most in 7u32..=3650,
    ) {
        let stamps: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC"));
        let subjects: ArrayRef = Arc::new(StringArray::from(vec![subject]));
        let out = shifted(&stamps, &subjects, most);
        let moved = out.as_primitive::<TimestampMicrosecondType>().value(0) - micros;
        prop_assert_eq!(moved % 86_400_000_000, 0);
        let moved = (moved / 86_400_000_000).unsigned_abs();
        prop_assert!((1..=u64::from(most)).contains(&moved));
    }
}
