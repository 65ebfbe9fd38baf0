//! Hand-built COPY streams: what must decode, what must be refused, and nothing that panics.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Int32Type, IntervalMonthDayNanoType, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};
use pgcopy::{ColumnPlan, CopyError, DecodedColumn, Decoder, Infinity, Progress};
use proptest::prelude::*;

type Cell = Option<Vec<u8>>;

fn header() -> Vec<u8> {
    let mut bytes = b"PGCOPY\n\xff\r\n\0".to_vec();
    bytes.extend([0; 8]);
    bytes
}

fn stream(rows: &[Vec<Cell>]) -> Vec<u8> {
    let mut bytes = header();
    for row in rows {
        bytes.extend((row.len() as i16).to_be_bytes());
        for cell in row {
            match cell {
                None => bytes.extend((-1_i32).to_be_bytes()),
                Some(cell) => {
                    bytes.extend((cell.len() as i32).to_be_bytes());
                    bytes.extend(cell);
                }
            }
        }
    }
    bytes.extend((-1_i16).to_be_bytes());
    bytes
}

fn plan(types: &[&str]) -> Vec<ColumnPlan> {
    let plan = |(i, json): (usize, &&str)| ColumnPlan {
        name: format!("c{i}"),
        column_type: serde_json::from_str(json).unwrap(),
        presence_only: false,
    };
    types.iter().enumerate().map(plan).collect()
}

fn decode_with(
    plans: &[ColumnPlan],
    infinity: Infinity,
    pieces: &[&[u8]],
) -> Result<(Vec<Vec<DecodedColumn>>, Decoder), CopyError> {
    let mut decoder = Decoder::new(plans, infinity)?;
    let mut batches = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        while decoder.feed(&mut input, 1000)? == Progress::Full {
            batches.push(decoder.take()?);
        }
    }
    batches.push(decoder.take()?);
    Ok((batches, decoder))
}

/// The same when each of the pieces is a message's body.
fn decode_messages(
    plans: &[ColumnPlan],
    room: usize,
    pieces: &[&[u8]],
) -> Result<(Vec<Vec<DecodedColumn>>, bool), CopyError> {
    let mut messages = Vec::new();
    for piece in pieces {
        messages.push(b'd');
        messages.extend((piece.len() as u32 + 4).to_be_bytes());
        messages.extend(*piece);
    }
    let mut decoder = Decoder::new(plans, Infinity::Null)?;
    let mut batches = Vec::new();
    let mut input = messages.as_slice();
    while decoder.feed_messages(&mut input, room)? == Progress::Full {
        assert_eq!(decoder.rows(), room);
        batches.push(decoder.take()?);
    }
    assert!(input.is_empty());
    batches.push(decoder.take()?);
    Ok((batches, decoder.finished()))
}

fn decode(types: &[&str], bytes: &[u8]) -> Result<Vec<ArrayRef>, CopyError> {
    let (mut batches, decoder) = decode_with(&plan(types), Infinity::Error, &[bytes])?;
    if !decoder.finished() {
        return Err(CopyError::Malformed("no trailer".into()));
    }
    let values = |column| match column {
        DecodedColumn::Values(array) => array,
        DecodedColumn::Presence(_) => panic!("values were asked for"),
    };
    Ok(batches.pop().unwrap().into_iter().map(values).collect())
}

fn one(json: &str, cells: &[Cell]) -> Result<ArrayRef, CopyError> {
    let rows: Vec<_> = cells.iter().map(|cell| vec![cell.clone()]).collect();
    decode(&[json], &stream(&rows)).map(|mut columns| columns.pop().unwrap())
}

fn array(has_null: i32, dims: &[i32], elements: &[Cell]) -> Cell {
    let mut cell = (dims.len() as i32).to_be_bytes().to_vec();
    cell.extend(has_null.to_be_bytes());
    cell.extend(23_i32.to_be_bytes());
    for dim in dims {
        cell.extend(dim.to_be_bytes());
        cell.extend(1_i32.to_be_bytes());
    }
    for element in elements {
        match element {
            None => cell.extend((-1_i32).to_be_bytes()),
            Some(element) => {
                cell.extend((element.len() as i32).to_be_bytes());
                cell.extend(element);
            }
        }
    }
    Some(cell)
}

fn be<const N: usize>(bytes: [u8; N]) -> Cell {
    Some(bytes.to_vec())
}

fn malformed<T: std::fmt::Debug>(result: Result<T, CopyError>) {
    assert!(matches!(result, Err(CopyError::Malformed(_))), "{result:?}");
}

fn unrepresentable<T: std::fmt::Debug>(result: Result<T, CopyError>) {
    match result {
        Err(CopyError::Unrepresentable { hint, .. }) => {
            assert_eq!(hint, "cast it to text: \"c0\"::text");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn fixed_types() {
    let values = one(r#"{"kind":"int4"}"#, &[be(7_i32.to_be_bytes()), None]).unwrap();
    let values = values.as_primitive::<Int32Type>();
    assert_eq!((values.value(0), values.is_null(1)), (7, true));
    let days = one(r#"{"kind":"date"}"#, &[be(0_i32.to_be_bytes())]).unwrap();
    assert_eq!(days.as_primitive::<Date32Type>().value(0), 10_957);
    let stamp = one(r#"{"kind":"timestamptz"}"#, &[be(1_i64.to_be_bytes())]).unwrap();
    let stamp = stamp.as_primitive::<TimestampMicrosecondType>();
    assert_eq!(
        (stamp.value(0), stamp.timezone()),
        (946_684_800_000_001, Some("UTC"))
    );
    let time = one(r#"{"kind":"time"}"#, &[be(5_i64.to_be_bytes())]).unwrap();
    assert_eq!(time.as_primitive::<Time64MicrosecondType>().value(0), 5);
    let mut cell = 3_i64.to_be_bytes().to_vec();
    cell.extend(2_i32.to_be_bytes());
    cell.extend(1_i32.to_be_bytes());
    let interval = one(r#"{"kind":"interval"}"#, &[Some(cell)]).unwrap();
    let interval = interval.as_primitive::<IntervalMonthDayNanoType>().value(0);
    assert_eq!(
        (interval.months, interval.days, interval.nanoseconds),
        (1, 2, 3000)
    );
    let uuid = one(r#"{"kind":"uuid"}"#, &[be([9; 16]), None]).unwrap();
    assert_eq!(uuid.as_fixed_size_binary().value(0), [9; 16]);
    let flags = one(r#"{"kind":"bool"}"#, &[be([1]), be([0]), None]).unwrap();
    assert!(flags.as_boolean().value(0) && !flags.as_boolean().value(1) && flags.is_null(2));
    let amount = be([0, 1, 0, 0, 0, 0, 0, 0, 0, 42]);
    let amount = one(r#"{"kind":"numeric","precision":5,"scale":2}"#, &[amount]).unwrap();
    assert_eq!(amount.as_primitive::<Decimal128Type>().value(0), 4200);
}

#[test]
fn enums_share_one_dictionary() {
    let json = r#"{"kind":"enum","labels":["low","high"]}"#;
    let values = one(json, &[Some(b"high".to_vec()), None, Some(b"low".to_vec())]).unwrap();
    let values = values.as_dictionary::<Int32Type>();
    assert_eq!(
        (values.key(0), values.key(1), values.key(2)),
        (Some(1), None, Some(0))
    );
    malformed(one(json, &[Some(b"other".to_vec())]));
}

#[test]
fn arrays() {
    let json = r#"{"kind":"array","element":{"kind":"int4"}}"#;
    let cells = [
        array(1, &[2], &[be(1_i32.to_be_bytes()), None]),
        array(0, &[], &[]),
        None,
        array(0, &[1], &[be(3_i32.to_be_bytes())]),
    ];
    let lists = one(json, &cells).unwrap();
    let lists = lists.as_list::<i32>();
    assert_eq!(lists.offsets().as_ref(), &[0, 2, 2, 2, 3]);
    assert_eq!((lists.is_null(1), lists.is_null(2)), (false, true));
    assert!(lists.value(0).is_null(1));
    unrepresentable(one(json, &[array(0, &[1, 1], &[be([0; 4])])]));
    malformed(one(json, &[array(0, &[1], &[None])]));
    malformed(one(json, &[array(2, &[1], &[be([0; 4])])]));
    malformed(one(json, &[array(0, &[2], &[be([0; 4])])]));
    malformed(one(json, &[array(0, &[0], &[be([0; 4])])]));
    malformed(one(json, &[array(0, &[-1], &[])]));
    malformed(one(json, &[array(0, &[i32::MAX], &[])]));
    malformed(one(json, &[array(0, &[1], &[be([0; 3])])]));
    malformed(one(json, &[Some(vec![0; 11])]));
    let nested = r#"{"kind":"array","element":{"kind":"array","element":{"kind":"int4"}}}"#;
    assert!(matches!(
        Decoder::new(&plan(&[nested]), Infinity::Error),
        Err(CopyError::Plan(_))
    ));
}

#[test]
fn values_without_an_arrow_form() {
    for json in [r#"{"kind":"timestamp"}"#, r#"{"kind":"timestamptz"}"#] {
        for value in [i64::MAX, i64::MIN, i64::MAX - 1] {
            unrepresentable(one(json, &[be(value.to_be_bytes())]));
        }
    }
    unrepresentable(one(r#"{"kind":"date"}"#, &[be(i32::MAX.to_be_bytes())]));
    unrepresentable(one(
        r#"{"kind":"date"}"#,
        &[be((i32::MAX - 1).to_be_bytes())],
    ));
    unrepresentable(one(
        r#"{"kind":"time"}"#,
        &[be(86_400_000_000_i64.to_be_bytes())],
    ));
    malformed(one(r#"{"kind":"time"}"#, &[be((-1_i64).to_be_bytes())]));
    let nan = be([0, 0, 0, 0, 0xC0, 0, 0, 0]);
    unrepresentable(one(
        r#"{"kind":"numeric","precision":5,"scale":2}"#,
        std::slice::from_ref(&nan),
    ));
    assert_eq!(
        one(r#"{"kind":"numeric"}"#, &[nan])
            .unwrap()
            .as_string::<i32>()
            .value(0),
        "NaN"
    );
    let mut long = (i64::MAX - 1).to_be_bytes().to_vec();
    long.extend([0; 8]);
    unrepresentable(one(r#"{"kind":"interval"}"#, &[Some(long)]));
}

#[test]
fn infinity_may_become_null_and_is_counted() {
    let infinite = be(i64::MIN.to_be_bytes());
    let plans = plan(&[
        r#"{"kind":"timestamp"}"#,
        r#"{"kind":"array","element":{"kind":"timestamp"}}"#,
    ]);
    let row = vec![infinite.clone(), array(0, &[2], &[infinite, be([0; 8])])];
    let bytes = stream(&[row]);
    let (batches, decoder) = decode_with(&plans, Infinity::Null, &[&bytes]).unwrap();
    assert_eq!(decoder.infinities(), 2);
    let DecodedColumn::Values(values) = &batches[0][0] else {
        panic!("values")
    };
    assert!(values.is_null(0));
    let DecodedColumn::Values(lists) = &batches[0][1] else {
        panic!("values")
    };
    let list = lists.as_list::<i32>().value(0);
    assert!(list.is_null(0) && list.is_valid(1));
}

#[test]
fn text_must_be_utf8_cell_by_cell() {
    let json = r#"{"kind":"text"}"#;
    malformed(one(json, &[Some(vec![0xff])]));
    // Together the two cells are one character; neither is by itself.
    malformed(one(json, &[Some(vec![0xc3]), Some(vec![0xa9])]));
    let value = one(json, &[Some("é".into()), Some(vec![])]).unwrap();
    assert_eq!(
        (
            value.as_string::<i32>().value(0),
            value.as_string::<i32>().value(1)
        ),
        ("é", "")
    );
}

#[test]
fn presence_builds_no_value_and_reads_none() {
    let mut plans = plan(&[r#"{"kind":"timestamp"}"#]);
    plans[0].presence_only = true;
    let bytes = stream(&[vec![be(i64::MAX.to_be_bytes())], vec![None]]);
    let (batches, decoder) = decode_with(&plans, Infinity::Error, &[&bytes]).unwrap();
    assert_eq!(decoder.infinities(), 0);
    let DecodedColumn::Presence(Some(valid)) = &batches[0][0] else {
        panic!("presence")
    };
    assert_eq!((valid.is_valid(0), valid.is_valid(1)), (true, false));
}

#[test]
fn framing() {
    let types = [r#"{"kind":"int4"}"#];
    let good = stream(&[vec![be([0; 4])]]);
    assert!(decode(&types, &good).is_ok());
    for cut in 0..good.len() {
        malformed(decode(&types, &good[..cut]));
    }
    let mut trailing = good.clone();
    trailing.push(0);
    malformed(decode(&types, &trailing));
    malformed(decode(&types, &stream(&[vec![be([0; 4]), None]])));
    malformed(decode(&types, &stream(&[vec![]])));
    malformed(decode(&types, &stream(&[vec![be([0; 5])]])));
    malformed(decode(&types, b"id\n1\n"));
    for (at, byte) in [(3, b'x'), (11, 1), (14, 1), (15, 0xff), (15, 0x7f)] {
        let mut bad = good.clone();
        bad[at] = byte;
        malformed(decode(&types, &bad));
    }
    for length in [-2_i32, i32::MIN, i32::MAX, 1 << 30] {
        let mut bad = header();
        bad.extend(1_i16.to_be_bytes());
        bad.extend(length.to_be_bytes());
        malformed(decode(&types, &bad));
    }
    let mut extended = header();
    extended[18] = 3;
    extended.extend([1, 2, 3, 0xff, 0xff]);
    assert!(decode(&types, &extended).is_ok());
    assert!(decode(&[], &stream(&[vec![], vec![]])).unwrap().is_empty());
}

#[test]
fn a_full_batch_waits_for_the_next_row() {
    let plans = plan(&[r#"{"kind":"int4"}"#]);
    let row = || vec![be([0; 4])];
    for (rows, then) in [
        (vec![row(), row()], Progress::Finished),
        (vec![row(), row(), row()], Progress::Full),
    ] {
        let bytes = stream(&rows);
        for cut in 0..bytes.len() {
            let mut decoder = Decoder::new(&plans, Infinity::Error).unwrap();
            let (mut head, mut tail) = bytes.split_at(cut);
            let first = decoder.feed(&mut head, 2).unwrap();
            let second = decoder.feed(&mut tail, 2).unwrap();
            assert!(first == Progress::More || first == then);
            assert_eq!((second, decoder.rows()), (then, 2));
        }
    }
}

#[test]
fn what_is_no_message_of_rows_is_refused() {
    let plans = plan(&[r#"{"kind":"int4"}"#]);
    let row = [&b"d\0\0\0\x0e\0\x01\0\0\0\x04"[..], &[0; 4]].concat();
    for (input, rows) in [
        (b"c\0\0\0\x04".to_vec(), None),
        (b"d\0\0\0\x03".to_vec(), None),
        (row[..row.len() - 1].to_vec(), None),
        ([&row[..], b"d"].concat(), None),
        ([&row[..], &row[..]].concat(), Some(2)),
        ([&row[..], b"d\0\0\0\x06\xff\xff"].concat(), Some(1)),
        ([&row[..], b"d\0\0\0\x06\xff\xff", &row[..]].concat(), None),
    ] {
        let mut decoder = Decoder::new(&plans, Infinity::Error).unwrap();
        decoder.feed(&mut header().as_slice(), 10).unwrap();
        let fed = decoder.feed_messages(&mut input.as_slice(), 10);
        match rows {
            Some(rows) => assert!(fed.is_ok() && decoder.rows() == rows, "{input:?}"),
            None => malformed(fed),
        }
    }
}

#[test]
fn errors_hold_no_value() {
    let secret = "123-45-6789";
    let bytes = stream(&[vec![Some(secret.into())]]);
    for kind in [
        "int4", "numeric", "uuid", "inet", "jsonb", "timetz", "bit", "bool", "interval",
    ] {
        let error = decode(&[&format!(r#"{{"kind":"{kind}"}}"#)], &bytes).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("123-45"), "{error}");
    }
    let error = decode(&[r#"{"kind":"enum","labels":["a"]}"#], &bytes).unwrap_err();
    assert!(!error.to_string().contains("123-45"));
}

const EVERY: &[&str] = &[
    "bool",
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "text",
    "bytea",
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "interval",
    "uuid",
    "json",
    "jsonb",
    "oid",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "bit",
];

fn every_type() -> Vec<ColumnPlan> {
    let mut types: Vec<String> = EVERY
        .iter()
        .map(|k| format!(r#"{{"kind":"{k}"}}"#))
        .collect();
    types.extend(
        EVERY
            .iter()
            .map(|k| format!(r#"{{"kind":"array","element":{{"kind":"{k}"}}}}"#)),
    );
    types.push(r#"{"kind":"numeric","precision":38,"scale":9}"#.into());
    types.push(r#"{"kind":"enum","labels":["a","b"]}"#.into());
    plan(&types.iter().map(String::as_str).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_soup_panics(soup in proptest::collection::vec(any::<u8>(), 0..400), framed: bool) {
        let mut bytes = if framed { header() } else { Vec::new() };
        bytes.extend(&soup);
        for plan in every_type() {
            let _ = decode_with(&[plan], Infinity::Null, &[&bytes]);
        }
    }

    #[test]
    fn no_cell_panics(cell in proptest::collection::vec(any::<u8>(), 0..40)) {
        for plan in every_type() {
            let bytes = stream(&[vec![Some(cell.clone())]]);
            let _ = decode_with(std::slice::from_ref(&plan), Infinity::Error, &[&bytes]);
            let wrapped = stream(&[vec![array(0, &[1], &[Some(cell.clone())])]]);
            let _ = decode_with(&[plan], Infinity::Error, &[&wrapped]);
        }
    }

    #[test]
    fn a_split_changes_nothing(
        rows in proptest::collection::vec(
            (any::<Option<i32>>(), any::<Option<String>>()), 0..20),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let rows: Vec<_> = rows.into_iter().map(|(n, text)| {
            vec![n.and_then(|n| be(n.to_be_bytes())), text.map(String::into_bytes)]
        }).collect();
        let bytes = stream(&rows);
        let plans = plan(&[r#"{"kind":"int4"}"#, r#"{"kind":"text"}"#]);
        let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<_> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let whole = decode_with(&plans, Infinity::Error, &[&bytes]).unwrap().0;
        let split = decode_with(&plans, Infinity::Error, &pieces).unwrap().0;
        prop_assert_eq!(format!("{whole:?}"), format!("{split:?}"));
        let messages = decode_messages(&plans, 1000, &pieces).unwrap();
        prop_assert_eq!(format!("{:?}", (whole, true)), format!("{messages:?}"));
    }

    #[test]
    fn a_message_a_row_or_not_changes_nothing(
        rows in proptest::collection::vec(
            (any::<Option<i32>>(), any::<Option<String>>()), 0..20),
        room in 1usize..7,
        joined in proptest::collection::vec(0usize..3, 1..6),
        spoilt in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
    ) {
        let cells = |(n, text): (Option<i32>, Option<String>)| {
            vec![n.and_then(|n| be(n.to_be_bytes())), text.map(String::into_bytes)]
        };
        let rows: Vec<_> = rows.into_iter().map(cells).collect();
        let mut bytes = stream(&rows);
        if let Some((at, byte)) = spoilt {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // Where the header and each row end, as the server's messages do; some of them left out.
        let (mut end, mut ends) = (19, vec![0, 19]);
        for row in &rows {
            end += 2 + row.iter().map(|cell| 4 + cell.as_ref().map_or(0, Vec::len)).sum::<usize>();
            ends.push(end);
        }
        ends.push(bytes.len());
        let mut kept = joined.iter().cycle();
        ends.retain(|&end| end == 0 || end == bytes.len() || kept.next() != Some(&0));
        let pieces: Vec<_> = ends.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let plans = plan(&[r#"{"kind":"int4"}"#, r#"{"kind":"text"}"#]);
        let mut decoder = Decoder::new(&plans, Infinity::Null).unwrap();
        let mut input = bytes.as_slice();
        let plainly = (|| {
            let mut batches = Vec::new();
            while decoder.feed(&mut input, room)? == Progress::Full {
                batches.push(decoder.take()?);
            }
            batches.push(decoder.take()?);
            Ok::<_, CopyError>((batches, decoder.finished()))
        })();
        let messages = decode_messages(&plans, room, &pieces);
        prop_assert_eq!(format!("{plainly:?}"), format!("{messages:?}"));
    }

    #[test]
    fn no_message_panics(soup in proptest::collection::vec(any::<u8>(), 0..200), begun: bool) {
        let plans = plan(&[r#"{"kind":"int4"}"#, r#"{"kind":"text"}"#]);
        let mut decoder = Decoder::new(&plans, Infinity::Null).unwrap();
        if begun {
            decoder.feed(&mut header().as_slice(), 1).unwrap();
        }
        let _ = decoder.feed_messages(&mut soup.as_slice(), 10);
    }
}
