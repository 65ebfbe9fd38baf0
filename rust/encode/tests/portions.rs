//! However rows reach the encoder, the bytes of a cut are the same: no portion leaves a mark.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use arrow_array::builder::{ListBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, FixedSizeBinaryArray, Int64Array, StringArray,
    StringViewArray,
};
use arrow_schema::Field;
use encode::{EncodeError, Encoder, Format};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

type Row = (
    Option<bool>,
    Option<i64>,
    Option<String>,
    Option<u8>,
    Option<Vec<Option<String>>>,
);

/// Fresh arrays of these rows, as a masker makes them.
fn columns(rows: &[Row]) -> Vec<ArrayRef> {
    let mut labels = StringDictionaryBuilder::<Int32Type>::new();
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in rows {
        labels.append_option(row.3.map(|label| format!("label {}", label % 5)));
        lists.append_option(row.4.clone());
    }
    let uuids = rows.iter().map(|row| row.3.map(|byte| [byte; 16]));
    vec![
        Arc::new(rows.iter().map(|row| row.0).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
        Arc::new(
            rows.iter()
                .map(|row| row.1.map(i128::from))
                .collect::<Decimal128Array>(),
        ),
        Arc::new(
            rows.iter()
                .map(|row| row.2.as_deref())
                .collect::<StringArray>(),
        ),
        Arc::new(
            rows.iter()
                .map(|row| row.2.as_deref())
                .collect::<StringViewArray>(),
        ),
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(uuids, 16).unwrap()),
        Arc::new(labels.finish()),
        Arc::new(lists.finish()),
    ]
}

fn encoder(format: Format) -> Encoder {
    let named = |(i, column): (usize, &ArrayRef)| {
        Field::new(format!("c{i}"), column.data_type().clone(), true)
    };
    let fields = columns(&[]).iter().enumerate().map(named).collect();
    Encoder::new(format, fields, HashMap::new()).unwrap()
}

/// The bytes of a stream cut after `cuts`, when the rows come in portions of `portion` rows.
fn written(format: Format, rows: &[Row], cuts: &[usize], portion: usize) -> Vec<u8> {
    let mut encoder = encoder(format);
    let mut out = encoder.head();
    let mut at = 0;
    for portion in rows.chunks(portion) {
        let columns = columns(portion);
        let mut from = 0;
        while from < portion.len() {
            let next = cuts
                .iter()
                .copied()
                .find(|cut| *cut > at)
                .unwrap_or(rows.len());
            let count = (portion.len() - from).min(next - at);
            encoder.push(&columns, from..from + count).unwrap();
            (from, at) = (from + count, at + count);
            if at == next {
                out.extend(encoder.cut().unwrap().iter().flat_map(|piece| piece.iter()));
            }
        }
    }
    out.extend(encoder.end().unwrap().iter().flat_map(|piece| piece.iter()));
    out
}

#[test]
fn other_columns_than_the_schemas_are_refused() {
    for format in [Format::Arrow, Format::Ndjson, Format::Csv] {
        let mut encoder = encoder(format);
        let good = columns(&[(None, None, None, None, None)]);
        assert_eq!(
            encoder.push(good.get(1..).unwrap(), 0..1),
            Err(EncodeError::Shape)
        );
        let mut turned = good.clone();
        turned.reverse();
        assert_eq!(encoder.push(&turned, 0..1), Err(EncodeError::Shape));
        assert_eq!(encoder.push(&good, 0..2), Err(EncodeError::Shape));
        assert_eq!(encoder.push(&good, 0..1), Ok(()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn portions_leave_no_mark(
        rows in proptest::collection::vec(any::<Row>(), 1..40),
        cuts in proptest::collection::btree_set(1_usize..40, 0..4),
        portion in 1_usize..40,
    ) {
        let cuts: Vec<_> = cuts.into_iter().filter(|cut| *cut < rows.len()).collect();
        for format in [Format::Arrow, Format::Ndjson, Format::Csv] {
            let by_ones = written(format, &rows, &cuts, 1);
            let by_portions = written(format, &rows, &cuts, portion);
            let whole = written(format, &rows, &cuts, rows.len());
            prop_assert!(by_ones == whole, "{format:?}: row by row");
            prop_assert!(by_portions == whole, "{format:?}: by {portion}");
        }
    }
}
