//! What is read, what is refused, and that another library reads alike.

use super::*;
use proptest::prelude::*;

fn read(raw: &[u8]) -> Result<Vec<u8>, String> {
    let mut nodes = Nodes::default();
    nodes.object(raw).map(|made| made.canonical())
}

fn spelled(raw: &str) -> String {
    String::from_utf8(read(raw.as_bytes()).unwrap()).unwrap()
}

#[test]
fn what_is_read_has_one_spelling() {
    for (raw, expected) in [
        ("{}", "{}"),
        (r#"{ "b" : [ ] , "a" : { } }"#, r#"{"a":{},"b":[]}"#),
        (
            r#"{"a":[null,true,false,0,-1,9007199254740991]}"#,
            r#"{"a":[null,true,false,0,-1,9007199254740991]}"#,
        ),
        (
            r#"{"a":"\u0061\/\b\f\n\r\t\"\\\u001F\u007f"}"#,
            "{\"a\":\"a/\\b\\f\\n\\r\\t\\\"\\\\\\u001f\u{7f}\"}",
        ),
        // RFC 8785, 3.2.3: UTF-16 puts the emoji before U+FB33, UTF-8 behind it.
        (
            r#"{"\ufb33":1,"\ud83d\ude00":2,"\u0080":3}"#,
            "{\"\u{80}\":3,\"\u{1f600}\":2,\"\u{fb33}\":1}",
        ),
    ] {
        assert_eq!(spelled(raw), expected);
    }
}

#[test]
fn what_has_more_than_one_reading_is_refused() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(TEXT_LIMIT));
    for raw in [
        "",
        " {}",
        "{} ",
        "[]",
        "1",
        "{}{}",
        "{\"a\":1}}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1,\"a\":1}",
        "{\"b\":1,\"a\":1,\"b\":1}",
        r#"{"\u0061":1,"a":1}"#,
        r#"{"x":{"c":1,"b":1,"c":1}}"#,
        "{\"a\":-0}",
        "{\"a\":00}",
        "{\"a\":-}",
        "{\"a\":+1}",
        "{\"a\":1.0}",
        "{\"a\":1e0}",
        "{\"a\":9007199254740992}",
        "{\"a\":-9007199254740992}",
        "{\"a\":99999999999999999999999999}",
        "{\"a\":NaN}",
        "{\"a\":nul}",
        "{\"a\":\"\t\"}",
        "{\"a\":\t1}",
        "{\"a\":1\n}",
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\ud800\ud800"}"#,
        r#"{"a":"\ud800\u0061"}"#,
        r#"{"a":"\udc00"}"#,
        r#"{"a":"\u00g0"}"#,
        r#"{"a":"\u+061"}"#,
        r#"{"a":"\x61"}"#,
        r#"{"a":"\"}"#,
        r#"{"a":"}"#,
        &long,
    ] {
        let shown: String = raw.chars().take(60).collect();
        assert!(read(raw.as_bytes()).is_err(), "{shown}");
    }
    assert!(read(b"{\"a\":\"\xed\xa0\x80\"}").is_err());
    assert!(read(b"{\"a\":\"\xc0\x80\"}").is_err());
}

#[test]
fn levels_end_at_the_limit() {
    for (levels, good) in [(63, true), (64, false), (1 << 20, false)] {
        let raw = format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(read(raw.as_bytes()).is_ok(), good, "{levels}");
    }
}

#[test]
fn a_file_may_be_laid_out_by_people() {
    let mut nodes = Nodes::default();
    let raw = b"\n{\r\n\t\"a\": [\n1\n]\n}\n";
    assert_eq!(
        nodes.file(raw).map(|made| made.canonical()),
        Ok(b"{\"a\":[1]}".to_vec())
    );
    assert!(nodes.file(b"[]").is_err());
    assert!(nodes.file(b"{\"a\":\"\n\"}").is_err());
}

#[test]
fn members_are_found_and_lists_have_none() {
    let mut nodes = Nodes::default();
    let made = nodes
        .object(br#"{"b":["a","c"],"a":{"c":2},"\u0063":3}"#)
        .unwrap();
    assert_eq!(made.get("c").and_then(|c| c.integer()), Some(3));
    assert!(made.get("b").is_some_and(|list| list.get("a").is_none()));
    assert!(made.get("d").is_none());
    assert_eq!(made.has_only(&["a", "b", "c"]), Ok(()));
    assert!(made.has_only(&["a", "b"]).is_err());
    assert!(made.has_only(&["a", "b", "c", "d"]).is_err());
}

fn values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        (-INTEGER_LIMIT + 1..INTEGER_LIMIT).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn what_another_library_writes_is_read_as_it_was_meant(value in values()) {
        let raw = serde_json::json!({ "value": value }).to_string();
        let read: serde_json::Value = serde_json::from_slice(&read(raw.as_bytes()).unwrap()).unwrap();
        prop_assert_eq!(&read["value"], &value);
    }

    #[test]
    fn what_is_read_another_library_reads_alike(raw in r#"\{("[ab\\u006"]{0,4}"|[:,\[\]{}0-9 -]|true|null){0,12}\}"#) {
        if let Ok(canonical) = read(raw.as_bytes()) {
            let one: serde_json::Value = serde_json::from_str(&raw).unwrap();
            let other: serde_json::Value = serde_json::from_slice(&canonical).unwrap();
            prop_assert_eq!(one, other);
            prop_assert_eq!(&read_twice(&canonical), &canonical);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(inside in proptest::collection::vec(
        prop_oneof![proptest::sample::select(&b"{}[]\",:\\u0d8-e. tn"[..]), any::<u8>()], 0..60))
    {
        let _ = read(&[&b"{"[..], &inside, b"}"].concat());
        let _ = Nodes::default().file(&inside).map(|made| made.canonical());
    }
}

fn read_twice(canonical: &[u8]) -> Vec<u8> {
    read(canonical).unwrap()
}
