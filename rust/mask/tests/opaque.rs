//! `scan` finds nothing inside opaque keys, UUIDs and hashes, and what stands beside them all the same.

// A test that cannot go on should panic; clippy lets only functions marked as tests do so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field};
use mask::{Masker, Treatment};

fn scanned(rows: &[String]) -> Vec<String> {
    let field = Field::new("note", DataType::Utf8, true);
    let array: ArrayRef = Arc::new(StringArray::from_iter_values(rows));
    let mut masker = Masker::new(&[(field, Treatment::Scan)], &[0; 32]).unwrap();
    let masked = masker.mask(0, &array).unwrap();
    let masked = masked.as_string::<i32>().iter();
    masked.map(|row| row.unwrap().to_owned()).collect()
}

fn scanned_one(text: &str) -> String {
    scanned(&[text.to_owned()]).remove(0)
}

/// Random hexadecimal digits, the same in every run.
fn hex(seed: usize) -> String {
    let digest = |n: u8| blake3::hash(format!("{n} {seed}").as_bytes()).to_hex();
    format!("{}{}", digest(0), digest(1))
}

/// 2,000 of each kind of key, some in capitals.
fn keys() -> Vec<String> {
    let mut keys = Vec::new();
    for seed in 0..2_000 {
        let hex = hex(seed);
        let uuid = [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..32],
        ]
        .join("-");
        keys.push(uuid);
        for length in [32, 40, 56, 64, 96, 128] {
            let key = &hex[..length];
            keys.push(if seed % 5 == 0 {
                key.to_uppercase()
            } else {
                key.to_owned()
            });
        }
    }
    keys
}

#[test]
fn keys_stay() {
    let keys = keys();
    assert_eq!(scanned(&keys), keys);
}

#[test]
fn keys_in_a_sentence_stay() {
    let sentence = |key: &String| format!("Row {key} was copied (see '{key}', then {key}).");
    let sentences: Vec<String> = keys().iter().map(sentence).collect();
    assert_eq!(scanned(&sentences), sentences);
}

#[test]
fn what_stands_beside_a_key_is_masked() {
    let keys = keys();
    let beside = |key: &String| {
        format!("{key}, 123-45-6789; 617-555-1212, {key}: 4111 1111 1111 1111; {key}")
    };
    let expected = |key: &String| format!("{key}, [SSN]; [PHONE], {key}: [CARD]; {key}");
    let texts: Vec<String> = keys.iter().map(beside).collect();
    let wanted: Vec<String> = keys.iter().map(expected).collect();
    assert_eq!(scanned(&texts), wanted);
    let close: Vec<String> = keys
        .iter()
        .map(|key| format!("{key} 123-45-6789 {key}"))
        .collect();
    for masked in scanned(&close) {
        assert!(!masked.contains("-45-"), "{masked}");
    }
}

#[test]
fn shapes_that_fill_a_key_find_nothing() {
    // One of these is an IBAN by its check digits.
    let ibans: Vec<String> = (0..100)
        .map(|check| format!("ab{check:02}1234567890abcdef1234567890ab"))
        .collect();
    assert_eq!(scanned(&ibans), ibans);
    for key in [
        "12345678-1234-1234-8123-123456789012",
        // A number with a letter that hangs on it.
        "1234567890123456789012345678901f",
        // A word that names a number, inside the key itself.
        "12345678-1234-aba1-8123-123456789012",
        "ABCDEF12-2022-4530-8123-411111111111",
    ] {
        assert_eq!(scanned_one(key), key);
    }
}

#[test]
fn what_is_no_key_is_scanned_as_before() {
    for (text, expected) in [
        // The word before it names the whole of it.
        ("MRN: 78b9001a-4111-4111-8111-123456789012", "MRN: [MRN]"),
        ("mrn 0cc175b9c0f1b6a831c399e269772661", "mrn [MRN]"),
        // Longer than a UUID on one side.
        (
            "a78b9001a-beef-beef-beef-123456789012",
            "a78b9001a-beef-beef-beef-[ID]",
        ),
        (
            "78b9001a-beef-beef-beef-123456789012é",
            "78b9001a-beef-beef-beef-[ID]",
        ),
        // Another length, a letter that is no digit, no letter at all.
        ("abcdefab123456789012abcdefabcde", "abcdefab[ID]abcdefabcde"),
        (
            "abcdefab123456789012abcdefabcdeg",
            "abcdefab[ID]abcdefabcdeg",
        ),
        ("12345678901234567890123456789012", "[ID]"),
        // Dashes elsewhere.
        (
            "78b9001-abeef-beef-beef-123456789012",
            "78b9001-abeef-beef-beef-[ID]",
        ),
    ] {
        assert_eq!(scanned_one(text), expected, "{text}");
    }
}
