//! What each treatment makes of each type: values, NULLs, types, metadata and counts.

// A test that cannot go on should panic; clippy lets only functions marked as tests do so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit, UnionFields, UnionMode};
use mask::{Letters, MaskError, Masker, Treatment};

const KEY: &[u8; 32] = &[7; 32];

fn masker(field: Field, treatment: Treatment) -> Masker {
    Masker::with_reference_year(&[(field, treatment)], KEY, 2026).unwrap()
}

fn field(array: &ArrayRef) -> Field {
    Field::new("c", array.data_type().clone(), true)
}

fn json_field() -> Field {
    let metadata = HashMap::from([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())]);
    Field::new("c", DataType::Utf8, true).with_metadata(metadata)
}

fn texts(array: &ArrayRef) -> Vec<Option<String>> {
    array
        .as_string::<i32>()
        .iter()
        .map(|v| v.map(str::to_owned))
        .collect()
}

fn redact() -> Treatment {
    Treatment::Redact {
        label: "[REDACTED]".into(),
    }
}

fn token() -> Treatment {
    Treatment::Token {
        domain: "d".into(),
        key_id: "k1".into(),
    }
}

fn every_type() -> Vec<ArrayRef> {
    let uuid = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
        vec![Some([1u8; 16]), None].into_iter(),
        16,
    );
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("a"), None]);
    list.append_null();
    vec![
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        Arc::new(Int16Array::from(vec![Some(1), None])),
        Arc::new(Int32Array::from(vec![Some(1), None])),
        Arc::new(Int64Array::from(vec![Some(1), None])),
        Arc::new(Float32Array::from(vec![Some(1.5), None])),
        Arc::new(Float64Array::from(vec![Some(1.5), None])),
        Arc::new(Decimal128Array::from(vec![Some(150), None])),
        Arc::new(StringArray::from(vec![Some("x"), None])),
        Arc::new(LargeStringArray::from(vec![Some("x"), None])),
        Arc::new(StringViewArray::from(vec![Some("x"), None])),
        Arc::new(BinaryArray::from(vec![Some(b"x".as_ref()), None])),
        Arc::new(Date32Array::from(vec![Some(1), None])),
        Arc::new(Time64MicrosecondArray::from(vec![Some(1), None])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None]).with_timezone("UTC")),
        Arc::new(IntervalMonthDayNanoArray::new_null(2)),
        Arc::new(uuid.unwrap()),
        Arc::new(
            [Some("x"), None]
                .into_iter()
                .collect::<DictionaryArray<Int32Type>>(),
        ),
        Arc::new(list.finish()),
    ]
}

#[test]
fn null_redact_and_clear_take_every_type_and_null_stays_null() {
    for array in every_type() {
        for treatment in [Treatment::Null, redact(), Treatment::Clear { scan: false }] {
            let mut m = masker(field(&array), treatment.clone());
            let out = m.mask(0, &array).unwrap();
            assert_eq!(
                out.data_type(),
                m.output_field(0).data_type(),
                "{treatment:?}"
            );
            assert_eq!(out.len(), 2);
            assert!(out.is_null(1), "{treatment:?} {}", array.data_type());
            let metadata = m.output_field(0).metadata();
            assert_eq!(
                metadata.get("maskgate.treatment").unwrap(),
                treatment.name()
            );
            if treatment == Treatment::Null {
                assert_eq!(out.null_count(), 2);
            }
            if matches!(treatment, Treatment::Clear { .. }) {
                assert_eq!(&out, &array);
            }
        }
    }
}

/// Where everything comes back NULL, the counts do not tell which cells held something.
#[test]
fn counts_do_not_tell_what_was_null() {
    for array in every_type() {
        let presence = array.logical_nulls();
        for treatment in [Treatment::Null, redact()] {
            let mut m = masker(field(&array), treatment.clone());
            let out = m.mask(0, &array).unwrap();
            m.mask_presence(0, presence.as_ref(), 2).unwrap();
            let counted = m.report().cells_masked["c"][treatment.name()];
            let expected = if out.null_count() == 2 { 4 } else { 2 };
            assert_eq!(counted, expected, "{treatment:?} {}", array.data_type());
        }
    }
}

#[test]
fn redact_labels_text_and_nulls_the_rest() {
    for array in every_type() {
        let out = masker(field(&array), redact()).mask(0, &array).unwrap();
        let textual = matches!(
            array.data_type(),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _)
        );
        if textual {
            assert_eq!(texts(&out), [Some("[REDACTED]".into()), None]);
        } else {
            assert_eq!(out.data_type(), array.data_type());
            assert_eq!(out.null_count(), 2);
        }
    }
}

#[test]
fn redacted_json_is_json() {
    let array: ArrayRef = Arc::new(StringArray::from(vec![Some("{\"a\":1}"), None]));
    let mut m = masker(
        json_field(),
        Treatment::Redact {
            label: "a\"b\\\n".into(),
        },
    );
    let out = texts(&m.mask(0, &array).unwrap());
    assert_eq!(out, [Some("\"a\\\"b\\\\\\n\"".to_owned()), None]);
    assert_eq!(
        m.output_field(0).metadata()["ARROW:extension:name"],
        "arrow.json"
    );
}

#[test]
fn presence_is_enough_for_redact_and_null() {
    let valid = NullBuffer::new(BooleanBuffer::from(vec![true, false, true]));
    let columns = [
        (Field::new("a", DataType::Utf8, true), redact()),
        (Field::new("b", DataType::Int64, true), redact()),
        (Field::new("c", DataType::Int64, true), Treatment::Null),
        (Field::new("d", DataType::Utf8, true), token()),
    ];
    let mut m = Masker::new(&columns, KEY).unwrap();
    let presence: Vec<_> = (0..5).map(|i| m.presence_only(i)).collect();
    assert_eq!(presence, [true, true, true, false, false]);
    let label = Some("[REDACTED]".to_owned());
    let out = m.mask_presence(0, Some(&valid), 3).unwrap();
    assert_eq!(texts(&out), [label.clone(), None, label.clone()]);
    assert_eq!(
        texts(&m.mask_presence(0, None, 2).unwrap()),
        [label.clone(), label]
    );
    assert_eq!(m.mask_presence(1, Some(&valid), 3).unwrap().null_count(), 3);
    assert_eq!(m.mask_presence(2, None, 3).unwrap().null_count(), 3);
    assert_eq!(
        m.mask_presence(3, None, 3).err(),
        Some(MaskError::NeedsValues("d".into()))
    );
    assert_eq!(
        m.mask_presence(9, None, 3).err(),
        Some(MaskError::NoSuchColumn(9))
    );
    assert!(m.mask_presence(0, Some(&valid), 4).is_err());
    let cells = m.report().cells_masked;
    assert_eq!(cells["a"]["redact"], 4);
    assert_eq!(cells["b"]["redact"], 3);
    assert_eq!(cells["c"]["null"], 3);
}

#[test]
fn tokens_do_not_depend_on_the_layout() {
    let of = |a: ArrayRef| texts(&masker(field(&a), token()).mask(0, &a).unwrap());
    let layouts: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["ST-998877"])),
        Arc::new(LargeStringArray::from(vec!["ST-998877"])),
        Arc::new(StringViewArray::from(vec!["ST-998877"])),
        Arc::new(
            [Some("ST-998877")]
                .into_iter()
                .collect::<DictionaryArray<Int32Type>>(),
        ),
    ];
    let seen: Vec<_> = layouts.into_iter().map(of).collect();
    assert!(seen.windows(2).all(|w| w[0] == w[1]));
    let value = seen[0][0].clone().unwrap();
    assert!(value.starts_with("tok_k1_") && value.len() == 33, "{value}");

    let integers: Vec<ArrayRef> = vec![
        Arc::new(Int16Array::from(vec![-7])),
        Arc::new(Int32Array::from(vec![-7])),
        Arc::new(Int64Array::from(vec![-7])),
    ];
    let integers: Vec<_> = integers.into_iter().map(of).collect();
    assert!(integers.windows(2).all(|w| w[0] == w[1]));

    let decimal = |v, s| -> ArrayRef {
        Arc::new(
            Decimal128Array::from(vec![v])
                .with_precision_and_scale(20, s)
                .unwrap(),
        )
    };
    assert_eq!(of(decimal(150, 2)), of(decimal(15, 1)));
    assert_ne!(of(decimal(150, 2)), of(decimal(150, 1)));
    assert_eq!(of(decimal(0, 2)), of(decimal(0, 0)));
    let float = |v: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![v])) };
    assert_eq!(of(float(0.0)), of(float(-0.0)));
    assert_eq!(of(float(f64::NAN)), of(float(-f64::NAN)));
    assert_eq!(of(Arc::new(Float32Array::from(vec![1.5]))), of(float(1.5)));
}

#[test]
fn tokens_depend_on_key_domain_key_id_and_type() {
    let with = |key: &[u8; 32], domain: &str, key_id: &str, field: Field, array: &ArrayRef| {
        let t = Treatment::Token {
            domain: domain.into(),
            key_id: key_id.into(),
        };
        let mut m = Masker::new(&[(field, t)], key).unwrap();
        let text = texts(&m.mask(0, array).unwrap())[0].clone().unwrap();
        text.rsplit('_').next().unwrap().to_owned()
    };
    let text: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let all = [
        with(KEY, "d", "k", field(&text), &text),
        with(&[8; 32], "d", "k", field(&text), &text),
        with(KEY, "e", "k", field(&text), &text),
        with(KEY, "d", "k2", field(&text), &text),
        with(KEY, "dk", "2", field(&text), &text),
        with(KEY, "d", "k", json_field(), &text),
        with(KEY, "d", "k", field(&number), &number),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

/// Fixed for ever: a changed token breaks every join with what was released before.
#[test]
fn tokens_of_known_values() {
    let of = |a: ArrayRef| texts(&masker(field(&a), token()).mask(0, &a).unwrap())[0].clone();
    let known = [
        (
            of(Arc::new(StringArray::from(vec!["00123"]))),
            "tok_k1_phmadyfeanlfhbcng7q2s2czfa",
        ),
        (
            of(Arc::new(Int32Array::from(vec![42]))),
            "tok_k1_tywjtkzxbm3oxfaf3jzz55bdsq",
        ),
        (
            of(Arc::new(Date32Array::from(vec![6_000]))),
            "tok_k1_olm326uzbbcxuayjirh75covcd",
        ),
    ];
    for (token, expected) in known {
        assert_eq!(token.as_deref(), Some(expected));
    }
}

#[test]
fn every_type_has_tokens() {
    for array in every_type() {
        let mut m = masker(field(&array), token());
        let out = m.mask(0, &array).unwrap();
        assert_eq!(out.data_type(), m.output_field(0).data_type());
        if let DataType::List(item) = out.data_type() {
            assert_eq!(item.data_type(), &DataType::Utf8);
            let first = out.as_list::<i32>().value(0);
            assert!(texts(&first)[0].as_ref().unwrap().starts_with("tok_k1_"));
            assert!(first.is_null(1));
        } else {
            assert!(out.is_null(1));
            let all_null = array.data_type() == &DataType::Interval(IntervalUnit::MonthDayNano);
            assert_eq!(out.is_null(0), all_null);
        }
    }
}

#[test]
fn years_and_the_bucket_of_the_old() {
    let day = |y: i64, m: i64, d: i64| {
        let (y, m) = if m < 3 { (y - 1, m + 12) } else { (y, m) };
        let leaps = y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400);
        i32::try_from(365 * y + leaps + (153 * (m - 3) + 2) / 5 + d - 719_469).unwrap()
    };
    let days = [
        (day(1987, 6, 5), "1987"),
        (day(1937, 1, 1), "1937"),
        (day(1936, 12, 31), "before 1937"),
        (day(1066, 10, 14), "before 1937"),
        (day(-43, 3, 15), "before 1937"),
        (day(2026, 12, 31), "2026"),
        (day(12026, 1, 1), "12026"),
    ];
    let dates: ArrayRef = Arc::new(Date32Array::from_iter(days.iter().map(|d| Some(d.0))));
    let expected: Vec<_> = days.iter().map(|d| Some(d.1.to_owned())).collect();
    let mut m = masker(field(&dates), Treatment::Year);
    assert_eq!(texts(&m.mask(0, &dates).unwrap()), expected);
    assert_eq!(m.report().cells_masked["c"]["year"], 7);
    let micros = days
        .iter()
        .map(|d| Some(i64::from(d.0) * 86_400_000_000 + 86_399_999_999));
    for zone in [None, Some("UTC")] {
        let stamps = TimestampMicrosecondArray::from_iter(micros.clone());
        let stamps: ArrayRef = Arc::new(stamps.with_timezone_opt(zone));
        let mut m = masker(field(&stamps), Treatment::Year);
        assert_eq!(texts(&m.mask(0, &stamps).unwrap()), expected);
    }
}

#[test]
fn partial_keeps_the_layout_and_treats_a_dictionary_once() {
    let partial = Treatment::Partial {
        first: 1,
        last: 0,
        char: '*',
    };
    for array in every_type() {
        let text = matches!(
            array.data_type(),
            DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Dictionary(_, _)
                | DataType::List(_)
        );
        let made = Masker::new(&[(field(&array), partial.clone())], KEY);
        assert_eq!(made.is_ok(), text, "{}", array.data_type());
        if let Ok(mut m) = made {
            assert_eq!(m.mask(0, &array).unwrap().data_type(), array.data_type());
        }
    }
    let keys = Int32Array::from(vec![Some(2), Some(0), None, Some(1), Some(2)]);
    let values = Arc::new(StringArray::from(vec!["alpha", "amber", "blue", "unused"]));
    let array: ArrayRef = Arc::new(DictionaryArray::new(keys, values));
    let mut m = masker(field(&array), partial);
    let out = m.mask(0, &array).unwrap();
    let dictionary = out.as_dictionary::<Int32Type>();
    let values = dictionary.downcast_dict::<StringArray>().unwrap();
    let rows: Vec<_> = values.into_iter().collect();
    assert_eq!(rows, [Some("b*"), Some("a*"), None, Some("a*"), Some("b*")]);
    assert_eq!(
        texts(dictionary.values()),
        [Some("b*".into()), Some("a*".into())]
    );
    assert_eq!(m.report().cells_masked["c"]["partial"], 4);
}

/// The same values in several layouts, whole and without their first, become `expected`.
fn same_in_every_layout(arrays: Vec<ArrayRef>, treatment: &Treatment, expected: &[Option<String>]) {
    let masked = expected.iter().flatten().count() as u64;
    for array in arrays {
        let mut m = masker(field(&array), treatment.clone());
        let out = texts(&m.mask(0, &array).unwrap());
        assert_eq!(out, expected, "{}", array.data_type());
        assert_eq!(m.report().cells_masked["c"][treatment.name()], masked);
        let mut m = masker(field(&array), treatment.clone());
        let rest = array.slice(1, array.len() - 1);
        assert_eq!(texts(&m.mask(0, &rest).unwrap()), expected[1..]);
    }
}

#[test]
fn zip3_of_text_and_whole_numbers_in_every_layout() {
    let zip3 = Treatment::Zip3 { census: 2020 };
    let codes = vec![
        Some("02139"),
        None,
        Some("82101"),
        Some("none"),
        Some("02139"),
    ];
    let expected = [Some("021"), None, Some("000"), Some("000"), Some("021")];
    let expected: Vec<_> = expected.map(|v| v.map(str::to_owned)).into();
    let numbers = [Some(2139), None, Some(82101), Some(-1), Some(2139)];
    let decimals = Decimal128Array::from_iter(numbers.map(|v| v.map(i128::from)));
    let of_text: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(codes.clone())),
        Arc::new(LargeStringArray::from(codes.clone())),
        Arc::new(StringViewArray::from(codes.clone())),
        Arc::new(codes.into_iter().collect::<DictionaryArray<Int32Type>>()),
        Arc::new(Int32Array::from_iter(numbers)),
        Arc::new(Int64Array::from_iter(numbers.map(|v| v.map(i64::from)))),
        Arc::new(decimals.with_precision_and_scale(5, 0).unwrap()),
    ];
    same_in_every_layout(of_text, &zip3, &expected);
    for array in every_type() {
        let whole = matches!(array.data_type(), DataType::Decimal128(_, scale) if *scale == 0);
        let possible = matches!(
            array.data_type(),
            DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::List(_)
        );
        let textual = matches!(
            array.data_type(),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _)
        );
        let made = Masker::new(&[(field(&array), zip3.clone())], KEY);
        assert_eq!(
            made.is_ok(),
            whole || possible || textual,
            "{}",
            array.data_type()
        );
    }
    assert!(Masker::new(&[(json_field(), zip3)], KEY).is_err());
    let of_1990 = Treatment::Zip3 { census: 1990 };
    let made = Masker::new(&[(Field::new("c", DataType::Utf8, true), of_1990)], KEY);
    assert!(matches!(made, Err(MaskError::Option { .. })));
}

#[test]
fn buckets_of_numbers_in_every_layout() {
    let bucket = Treatment::Bucket {
        width: Some(10),
        origin: None,
        edges: None,
    };
    let numbers = [Some(47i16), None, Some(-3)];
    let written = vec![Some("47"), None, Some("-3")];
    let expected = [Some("[40,50)".to_owned()), None, Some("[-10,0)".to_owned())];
    let decimals = Decimal128Array::from_iter(numbers.map(|v| v.map(|v| i128::from(v) * 100)));
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int16Array::from_iter(numbers)),
        Arc::new(Int32Array::from_iter(numbers.map(|v| v.map(i32::from)))),
        Arc::new(Int64Array::from_iter(numbers.map(|v| v.map(i64::from)))),
        Arc::new(Float32Array::from_iter(numbers.map(|v| v.map(f32::from)))),
        Arc::new(Float64Array::from_iter(numbers.map(|v| v.map(f64::from)))),
        Arc::new(decimals.with_precision_and_scale(9, 2).unwrap()),
        Arc::new(StringArray::from(written.clone())),
        Arc::new(LargeStringArray::from(written.clone())),
        Arc::new(StringViewArray::from(written.clone())),
        Arc::new(written.into_iter().collect::<DictionaryArray<Int32Type>>()),
    ];
    same_in_every_layout(arrays, &bucket, &expected);
    for array in every_type() {
        let refused = matches!(
            array.data_type(),
            DataType::Boolean
                | DataType::Binary
                | DataType::Date32
                | DataType::Time64(_)
                | DataType::Timestamp(_, _)
                | DataType::Interval(_)
                | DataType::FixedSizeBinary(_)
        );
        let made = Masker::new(&[(field(&array), bucket.clone())], KEY);
        assert_eq!(made.is_err(), refused, "{}", array.data_type());
    }
    assert!(Masker::new(&[(json_field(), bucket)], KEY).is_err());
    let narrow = Treatment::Bucket {
        width: Some(1),
        origin: None,
        edges: None,
    };
    let made = Masker::new(&[(Field::new("c", DataType::Int32, true), narrow)], KEY);
    assert!(matches!(made, Err(MaskError::Option { .. })));
}

fn fpe(radix: u16, separators: &str) -> Treatment {
    Treatment::Fpe {
        domain: "d".into(),
        key_id: "k1".into(),
        radix,
        letters: Letters::Upper,
        separators: separators.into(),
    }
}

#[test]
fn fpe_does_not_depend_on_the_layout() {
    let written = vec![Some("1234567"), None, Some("12"), Some("1234567")];
    let numbers = [Some(1_234_567), None, Some(12), Some(1_234_567)];
    let decimals = Decimal128Array::from_iter(numbers.map(|v| v.map(i128::from)));
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(written.clone())),
        Arc::new(LargeStringArray::from(written.clone())),
        Arc::new(StringViewArray::from(written.clone())),
        Arc::new(written.into_iter().collect::<DictionaryArray<Int32Type>>()),
        Arc::new(Int32Array::from_iter(numbers)),
        Arc::new(Int64Array::from_iter(numbers.map(|v| v.map(i64::from)))),
        Arc::new(decimals.with_precision_and_scale(20, 0).unwrap()),
    ];
    let mut m = masker(field(&arrays[0]), fpe(10, ""));
    let first = texts(&m.mask(0, &arrays[0].slice(0, 1)).unwrap()).remove(0);
    let code = first.as_ref().unwrap();
    assert!(code.len() == 7 && code.bytes().all(|c| c.is_ascii_digit()));
    assert_ne!(code, "1234567");
    let expected = [first.clone(), None, Some("[REDACTED]".into()), first];
    same_in_every_layout(arrays, &fpe(10, ""), &expected);
    for array in every_type() {
        let refused = matches!(
            array.data_type(),
            DataType::Boolean
                | DataType::Binary
                | DataType::Float32
                | DataType::Float64
                | DataType::Decimal128(_, 1..)
                | DataType::Date32
                | DataType::Time64(_)
                | DataType::Timestamp(_, _)
                | DataType::Interval(_)
                | DataType::FixedSizeBinary(_)
        );
        let made = Masker::new(&[(field(&array), fpe(10, ""))], KEY);
        assert_eq!(made.is_err(), refused, "{}", array.data_type());
    }
    assert!(Masker::new(&[(json_field(), fpe(10, ""))], KEY).is_err());
    for treatment in [fpe(16, ""), fpe(0, ""), fpe(10, "x"), fpe(10, "\u{200b}")] {
        let made = Masker::new(&[(Field::new("c", DataType::Utf8, true), treatment)], KEY);
        assert!(matches!(made, Err(MaskError::Option { .. })));
    }
}

#[test]
fn zip3_of_lists() {
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("02139-4307"), None, Some("09012")]);
    list.append_null();
    let array: ArrayRef = Arc::new(list.finish());
    let mut m = masker(field(&array), Treatment::Zip3 { census: 2020 });
    let out = m.mask(0, &array).unwrap();
    assert_eq!(out.data_type(), m.output_field(0).data_type());
    let first = texts(&out.as_list::<i32>().value(0));
    assert_eq!(first, [Some("021".into()), None, Some("000".into())]);
    assert!(out.is_null(1));
    assert_eq!(m.report().cells_masked["c"]["zip3"], 2);
}

#[test]
fn impossible_treatments_say_what_is_possible() {
    let refuse = |data_type: DataType, t: Treatment| {
        Masker::new(&[(Field::new("visits", data_type, true), t)], KEY)
            .err()
            .unwrap()
            .to_string()
    };
    assert_eq!(
        refuse(DataType::Int64, Treatment::Year),
        "column \"visits\": the treatment year cannot be given to Int64; possible: clear, redact, \
         null, token, fpe, zip3, bucket"
    );
    assert!(refuse(DataType::Int64, Treatment::Scan).contains("possible: clear, redact, null"));
    assert!(refuse(DataType::Utf8, Treatment::Year).contains(
        "possible: clear, redact, null, partial, token, fpe, zip3, \
             bucket, scan"
    ));
    let time = DataType::Time64(TimeUnit::Microsecond);
    assert!(refuse(time, Treatment::Year).contains("Time64"));
    let member = Arc::new(Field::new("a", DataType::Utf8, true));
    let members = UnionFields::from_iter([(0, member)]);
    let unknown = DataType::Union(members, UnionMode::Sparse);
    for treatment in [
        Treatment::Clear { scan: true },
        Treatment::Null,
        redact(),
        token(),
    ] {
        assert!(refuse(unknown.clone(), treatment).contains("possible: none"));
    }
    let ends = Treatment::Partial {
        first: 1,
        last: 1,
        char: '*',
    };
    assert!(Masker::new(&[(json_field(), ends)], KEY).is_err());
    for (domain, key_id) in [("", "k"), ("d", ""), ("d", "a b"), ("d", "é")] {
        let t = Treatment::Token {
            domain: domain.into(),
            key_id: key_id.into(),
        };
        let made = Masker::new(&[(Field::new("c", DataType::Utf8, true), t)], KEY);
        assert!(matches!(made, Err(MaskError::Option { .. })));
    }
}

#[test]
fn another_type_than_announced_is_refused() {
    let mut m = masker(Field::new("c", DataType::Utf8, true), redact());
    let array: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    assert!(matches!(
        m.mask(0, &array),
        Err(MaskError::UnexpectedType { .. })
    ));
    assert_eq!(m.mask(1, &array).err(), Some(MaskError::NoSuchColumn(1)));
}

#[test]
fn repeated_names_are_counted_apart() {
    let f = Field::new("c", DataType::Utf8, true);
    let mut m = Masker::new(&[(f.clone(), redact()), (f, Treatment::Null)], KEY).unwrap();
    let array: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None]));
    m.mask(0, &array).unwrap();
    m.mask(1, &array).unwrap();
    let report = serde_json::to_string(&m.report()).unwrap();
    assert_eq!(
        report,
        r#"{"cells_masked":{"c":{"redact":1},"c_2":{"null":2}},"detectors":{}}"#
    );
}

#[test]
fn metadata_stays_while_the_type_does() {
    let metadata = HashMap::from([("origin".to_owned(), "x".to_owned())]);
    let f = |t: DataType| Field::new("c", t, false).with_metadata(metadata.clone());
    let after = |field: Field, t: Treatment| masker(field, t).output_field(0).clone();
    assert_eq!(
        after(f(DataType::Int32), Treatment::Null).metadata()["origin"],
        "x"
    );
    assert!(after(f(DataType::Int32), Treatment::Null).is_nullable());
    assert!(!after(f(DataType::Int32), Treatment::Clear { scan: true }).is_nullable());
    assert_eq!(after(f(DataType::Utf8), redact()).metadata()["origin"], "x");
    assert!(
        !after(f(DataType::Int32), token())
            .metadata()
            .contains_key("origin")
    );
    let uuid = f(DataType::FixedSizeBinary(16));
    assert_eq!(
        after(uuid.clone(), redact()).data_type(),
        &DataType::FixedSizeBinary(16)
    );
    assert_eq!(after(uuid, token()).metadata().len(), 1);
}
