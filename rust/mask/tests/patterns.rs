//! A policy's own patterns and lists of words: what is refused, what comes out, what is counted.

// A test that cannot go on should panic; clippy lets only functions marked as tests do so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, StringArray, StringViewArray};
use arrow_schema::{DataType, Field};
use mask::{Definition, Masker, Patterns, Treatment};

fn regex(name: &str, regex: &str) -> Definition {
    Definition {
        name: name.to_owned(),
        label: name.to_uppercase(),
        clear: true,
        regex: Some(regex.to_owned()),
        words: None,
    }
}

fn words(name: &str, words: &[&str]) -> Definition {
    Definition {
        regex: None,
        words: Some(words.iter().map(|&word| word.to_owned()).collect()),
        ..regex(name, "")
    }
}

fn chosen(detectors: &[&str]) -> Treatment {
    Treatment::Chosen {
        detectors: Some(detectors.iter().map(|&name| name.to_owned()).collect()),
        patterns: None,
    }
}

fn masker(definitions: &[Definition], treatment: Treatment, field: Field) -> Masker {
    let patterns = Patterns::compile(definitions).unwrap();
    Masker::with_patterns(&[(field, treatment)], &[0; 32], Some(&patterns)).unwrap()
}

fn text() -> Field {
    Field::new("c", DataType::Utf8, true)
}

fn json() -> Field {
    let metadata = HashMap::from([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())]);
    text().with_metadata(metadata)
}

/// The texts after a scan without detectors.
fn found(definitions: &[Definition], field: Field, texts: &[&str]) -> Vec<String> {
    let rows: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let masked = masker(definitions, chosen(&[]), field)
        .mask(0, &rows)
        .unwrap();
    let masked = masked.as_string::<i32>().iter().flatten();
    masked.map(str::to_owned).collect()
}

#[test]
fn every_match_counts_and_none_leaves_a_tail() {
    let study = [regex("study", "ST-[0-9]{6}")];
    assert_eq!(
        found(
            &study,
            text(),
            &["see ST-123456.", "ST-12345", "xST-1234567", "st-123456"]
        ),
        // Where it is written without boundaries it has none: the seventh digit stays, and `\b` takes none.
        ["see [STUDY].", "ST-12345", "x[STUDY]7", "st-123456"]
    );
    let bounded = [regex("study", r"\bST-[0-9]{6}\b")];
    assert_eq!(
        found(
            &bounded,
            text(),
            &["xST-123456", "ST-1234567", "(ST-123456)"]
        ),
        ["xST-123456", "ST-1234567", "([STUDY])"]
    );
    let chain = [regex("link", "[a-c]X[a-c]")];
    assert_eq!(
        found(&chain, text(), &["aXbXc", "aXbX", "1aXb1"]),
        ["[LINK]", "[LINK]X", "1[LINK]1"]
    );
    let both = [regex("one", "abcd"), regex("other", "cdefg")];
    assert_eq!(
        found(&both, text(), &["abcdefg", "abcd", "cdefg"]),
        ["[OTHER]", "[ONE]", "[OTHER]"]
    );
    let digits = [regex("digits", "[0-9]{6}")];
    assert_eq!(
        found(&digits, text(), &["12345678", "１２３４５６", "12345"]),
        ["[DIGITS]", "[DIGITS]", "12345"]
    );
}

#[test]
fn patterns_and_detectors_overlap_without_a_tail() {
    let patterns = Patterns::compile(&[regex("trial", "T[0-9]{1,2}: [0-9]{3}-[0-9]")]).unwrap();
    let mut masker =
        Masker::with_patterns(&[(text(), Treatment::Scan)], &[0; 32], Some(&patterns)).unwrap();
    let rows: ArrayRef = Arc::new(StringArray::from(vec!["x T1: 617-555-1212 y", "T1: 617-5"]));
    let masked = masker.mask(0, &rows).unwrap();
    let masked: Vec<_> = masked.as_string::<i32>().iter().flatten().collect();
    assert_eq!(masked, ["x [PHONE] y", "[TRIAL]"]);
    let report = masker.report();
    assert_eq!(report.cells_masked["c"]["scan"], 2);
    let counts = &report.detectors["c"];
    assert_eq!((counts["phone"].spans, counts["trial"].cells), (1, 1));
}

#[test]
fn words_stand_whole_whatever_their_case_and_accents() {
    let staff = [words(
        "staff",
        &["Béa Müller", "O'Neil", "van der Berg", "#71"],
    )];
    assert_eq!(
        found(
            &staff,
            text(),
            &[
                "bea muller, BÉA\nMÜLLER's, Be\u{301}a  Muller",
                "Beatrice Muller, Béa Müllers, Béa",
                "o'neil-smith and \u{ff2f}'Neil",
                "VAN DER BERG #71, #713",
            ]
        ),
        [
            "[STAFF], [STAFF]'s, [STAFF]",
            "Beatrice Muller, Béa Müllers, Béa",
            "[STAFF]-smith and [STAFF]",
            "[STAFF] [STAFF], #713",
        ]
    );
}

#[test]
fn json_is_searched_with_its_keys_as_context() {
    let patterns = [
        regex("study", "ST-[0-9]{6}"),
        regex("number", "[0-9]{5}"),
        regex("under", "code: [A-Z]{2}"),
    ];
    assert_eq!(
        found(
            &patterns,
            json(),
            &[
                r#"{"a": "x ST-123456", "b": [12345, 1, 2.5], "c": 99999, "code": "QX 1"}"#,
                r#"{"ST-123456": true}"#,
            ]
        ),
        [
            r#"{"a": "x [STUDY]", "b": ["[NUMBER]", 1, 2.5], "c": "[NUMBER]", "code": "[UNDER] 1"}"#,
            r#"{"[STUDY]": true}"#,
        ]
    );
}

#[test]
fn a_value_of_json_begins_behind_its_key() {
    let whole = [
        regex("code", "^AB[0-9]{4}$"),
        regex("number", r"\A77[0-9]{4}$"),
    ];
    assert_eq!(
        found(
            &whole,
            json(),
            &[
                r#"{"a":"AB1234","b":["AB1235"],"AB1236":771234}"#,
                r#"{"é":"\u200bＡB1234","b":"see AB1234"}"#,
                r#"["AB1234",771234]"#,
            ]
        ),
        [
            r#"{"a":"[CODE]","b":["[CODE]"],"[CODE]":"[NUMBER]"}"#,
            "{\"é\":\"\u{200b}[CODE]\",\"b\":\"see AB1234\"}",
            r#"["[CODE]","[NUMBER]"]"#,
        ]
    );
}

#[test]
fn clear_text_is_searched_unless_the_definition_says_no() {
    let definitions = [
        regex("study", "ST-[0-9]{6}"),
        Definition {
            clear: false,
            ..words("staff", &["Anna Berg"])
        },
    ];
    let rows: ArrayRef = Arc::new(StringArray::from(vec!["Anna Berg, ST-123456, 2024-03-01"]));
    for (treatment, expected) in [
        (
            Treatment::Clear { scan: true },
            "Anna Berg, [STUDY], [DATE]",
        ),
        (
            Treatment::Clear { scan: false },
            "Anna Berg, ST-123456, 2024-03-01",
        ),
        (
            Treatment::Made {
                times: true,
                numbers: true,
                forms: Vec::new(),
            },
            "Anna Berg, [STUDY], 2024-03-01",
        ),
        (Treatment::Scan, "[STAFF], [STUDY], [DATE]"),
        (
            Treatment::Chosen {
                detectors: None,
                patterns: Some(vec!["staff".to_owned()]),
            },
            "[STAFF], ST-123456, [DATE]",
        ),
        (
            Treatment::Chosen {
                detectors: Some(vec!["date".to_owned()]),
                patterns: Some(Vec::new()),
            },
            "Anna Berg, ST-123456, [DATE]",
        ),
    ] {
        let masked = masker(&definitions, treatment.clone(), text())
            .mask(0, &rows)
            .unwrap();
        assert_eq!(
            masked.as_string::<i32>().value(0),
            expected,
            "{treatment:?}"
        );
    }
    let made = Treatment::Made {
        times: false,
        numbers: true,
        forms: Vec::new(),
    };
    let rows: ArrayRef = Arc::new(StringArray::from(vec![r#"{"n": 12345, "t": "12345"}"#]));
    let masked = masker(&[regex("number", "[0-9]{5}")], made, json())
        .mask(0, &rows)
        .unwrap();
    assert_eq!(
        masked.as_string::<i32>().value(0),
        r#"{"n": 12345, "t": "[NUMBER]"}"#
    );
}

#[test]
fn every_layout_of_text_is_searched_and_holds_nothing_of_it() {
    let planted = "ST-987654";
    let definitions = [regex("study", "ST-[0-9]{6}"), words("staff", &["Zaphodqx"])];
    let texts = vec![
        Some("of ST-987654 and zaphodqx"),
        None,
        Some("nothing"),
        Some(""),
    ];
    let plain = StringArray::from(texts.clone());
    let expected = [
        Some("of [STUDY] and [STAFF]"),
        None,
        Some("nothing"),
        Some(""),
    ];
    let layouts: [ArrayRef; 4] = [
        Arc::new(plain.clone()),
        Arc::new(plain.slice(0, 4)),
        Arc::new(StringViewArray::from(texts.clone())),
        Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>()),
    ];
    for rows in layouts {
        let field = Field::new("c", rows.data_type().clone(), true);
        let masked = masker(&definitions, chosen(&[]), field)
            .mask(0, &rows)
            .unwrap();
        let got: Vec<Option<String>> = match masked.data_type() {
            DataType::Utf8 => masked
                .as_string::<i32>()
                .iter()
                .map(|t| t.map(str::to_owned))
                .collect(),
            DataType::Utf8View => masked
                .as_string_view()
                .iter()
                .map(|t| t.map(str::to_owned))
                .collect(),
            _ => {
                let values = masked.as_dictionary::<Int32Type>();
                let values = values.downcast_dict::<StringArray>().unwrap();
                values.into_iter().map(|t| t.map(str::to_owned)).collect()
            }
        };
        assert_eq!(
            got.iter().map(Option::as_deref).collect::<Vec<_>>(),
            expected
        );
        let data = masked.to_data();
        let mut parts = vec![&data];
        parts.extend(data.child_data());
        for buffer in parts.into_iter().flat_map(|data| data.buffers()) {
            for secret in [planted, "zaphodqx"] {
                let held = buffer
                    .windows(secret.len())
                    .any(|bytes| bytes == secret.as_bytes());
                assert!(!held, "{secret}");
            }
        }
    }
}

#[test]
fn classes_that_take_all_beyond_ascii_are_taken() {
    for pattern in [r"[^a]b", r".b", r"(?s).b", r"\x41\t\Wb", "(?i)[^xyz]b"] {
        assert!(
            Patterns::compile(&[regex("p", pattern)]).is_ok(),
            "{pattern}"
        );
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_what_to_do() {
    let refused = |definitions: &[Definition]| Patterns::compile(definitions).unwrap_err();
    for (pattern, said) in [
        ("[0-9]*", "matches the empty text"),
        (r"\b", "matches the empty text"),
        ("(a|)", "matches the empty text"),
        ("", "matches the empty text"),
        ("a+", "texts of any length"),
        ("a{2,}", "texts of any length"),
        ("a{257}", "up to 257 characters"),
        ("(a{20}){20}", "up to 400 characters"),
        ("[a&&b]", "no text at all"),
        ("(", "is none"),
        ("a{", "is none"),
        (r"(?=a)a", "is none"),
        (r"\p{Greek}", "is none"),
        ("Müller", "printable ASCII"),
        ("a\nb", "printable ASCII"),
        (r"M\u{fc}ller", "asks for a character"),
        (r"ST[\-\xe2][0-9]{3}", "asks for a character"),
        (r"(ab|[^\xe9]c){2}", "asks for a character"),
        (r"\x00ab", "asks for a character"),
        (
            "((((((((((((((((((((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))))))))))))))))))))",
            "is none",
        ),
    ] {
        let error = refused(&[regex("good", "x{3}"), regex("study", pattern)]);
        assert_eq!(error.name, "study", "{pattern}: {error}");
        assert!(error.detail.contains(said), "{pattern}: {error}");
    }
    assert!(
        refused(&[regex("study", &"a".repeat(1001))])
            .detail
            .contains("1001 characters")
    );
    // Two thousand alternatives of long repetitions.
    let large = format!("({})", ["[a-f]{1,99}[0-9]{1,99}x"; 40].join("|"));
    let large: Vec<_> = (0..96).map(|i| regex(&format!("p{i}"), &large)).collect();
    assert!(refused(&large).detail.contains("too much memory"));
    for (list, said) in [
        (vec![], "no word"),
        (vec!["Anna", " "], "entry 2"),
        (vec!["x"], "entry 1 has 1"),
        (vec!["--"], "entry 1 has 0"),
        (vec!["Иван"], "other scripts"),
        (vec!["Anna \u{1F600}"], "other scripts"),
    ] {
        let error = refused(&[words("staff", &list)]);
        assert!(error.detail.contains(said), "{error}");
        assert!(!error.to_string().contains("Anna") && !error.to_string().contains("Иван"));
    }
    let long = "a".repeat(257);
    assert!(refused(&[words("staff", &[&long])]).detail.contains("257"));
    let many: Vec<String> = (0..50_001).map(|i| format!("word{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(
        refused(&[words("staff", &many)])
            .detail
            .contains("at most 50000")
    );
    assert!(Patterns::compile(&[words("staff", &many[1..])]).is_ok());
    for name in [
        "SSN",
        "a-b",
        "1a",
        "",
        "ümlaut",
        "ssn",
        "row",
        "a".repeat(41).as_str(),
    ] {
        assert_eq!(refused(&[regex(name, "abc")]).name, name);
    }
    assert!(
        refused(&[regex("a", "abc"), words("a", &["abc"])])
            .detail
            .contains("already")
    );
    for label in ["", "study", "A]B", "A B", "Ä"] {
        let definition = Definition {
            label: label.to_owned(),
            ..regex("study", "abc")
        };
        assert!(
            refused(&[definition]).detail.contains("capitals"),
            "{label}"
        );
    }
    let neither = Definition {
        regex: None,
        ..regex("study", "")
    };
    assert!(refused(&[neither]).detail.contains("a regex or words"));
    let both = Definition {
        words: Some(vec!["abc".to_owned()]),
        ..regex("study", "abc")
    };
    assert!(refused(&[both]).detail.contains("a regex or words"));
    let many: Vec<_> = (0..97).map(|i| regex(&format!("p{i}"), "abc")).collect();
    assert!(refused(&many).detail.contains("at most 96"));
    assert_eq!(Patterns::compile(&many[1..]).unwrap().names().count(), 96);
}

#[test]
fn a_pattern_that_there_is_not_is_refused() {
    let treatment = Treatment::Chosen {
        detectors: None,
        patterns: Some(vec!["study".to_owned()]),
    };
    let columns = [(text(), treatment)];
    let without = Masker::new(&columns, &[0; 32]).err().unwrap().to_string();
    assert!(without.contains("no pattern \"study\""), "{without}");
    let other = Patterns::compile(&[regex("other", "abc")]).unwrap();
    let with = Masker::with_patterns(&columns, &[0; 32], Some(&other))
        .err()
        .unwrap();
    assert_eq!(with.to_string(), without);
}

#[test]
fn the_last_of_ninety_six_is_counted_under_its_name() {
    let many: Vec<_> = (14..110)
        .map(|i| regex(&format!("p{i}"), &format!("x{i:03}y")))
        .collect();
    let mut masker = masker(&many, chosen(&[]), text());
    let rows: ArrayRef = Arc::new(StringArray::from(vec!["x109y x014y", "x109y x109y"]));
    let masked = masker.mask(0, &rows).unwrap();
    assert_eq!(masked.as_string::<i32>().value(0), "[P109] [P14]");
    let counts = &masker.report().detectors["c"];
    assert_eq!(
        (
            counts["p109"].cells,
            counts["p109"].spans,
            counts["p14"].spans
        ),
        (2, 3, 1)
    );
}
