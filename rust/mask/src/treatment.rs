//! What may happen to a column's values, as the policy names it.

use serde::Deserialize;

/// What `redact` writes unless the policy says otherwise.
pub const DEFAULT_LABEL: &str = "[REDACTED]";

/// One treatment and its options. In JSON an object with `"name"` in lower case and the options
/// beside it; a field that the treatment does not have is refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub enum Treatment {
    /// The value, but text-like columns go through the detectors unless `scan` is false.
    Clear {
        /// Whether text is scanned.
        scan: bool,
    },
    /// As `Clear` with `scan`, for a text that the server has made of several columns: what is sure to
    /// be the value of a clear column that is no text stays as it is.
    Made {
        /// Dates are among the columns: in the server's own form they stay.
        times: bool,
        /// Numbers are, and JSON is not: the numbers of a JSON document stay.
        numbers: bool,
        /// And in these forms of `to_char`, which the statement names.
        forms: Vec<String>,
    },
    /// A label in the place of the value, or a typed NULL where the type cannot hold it.
    Redact {
        /// What is written.
        label: String,
    },
    /// NULL in every row.
    Null,
    /// The first and last characters, and one character for all the rest.
    Partial {
        /// How many characters stay at the start.
        first: u32,
        /// How many characters stay at the end.
        last: u32,
        /// What stands for the rest.
        char: char,
    },
    /// A keyed pseudonym: equal values stay equal within domain and key.
    Token {
        /// Columns of one domain can be joined on their tokens.
        domain: String,
        /// Which key made it; part of the token, so that a rotated key can be told.
        key_id: String,
    },
    /// Another value of the same form, by a cipher: FF1 of NIST SP 800-38G revision 1. Equal values
    /// stay equal within domain and key, and the key leads back.
    Fpe {
        /// As for `Token`.
        domain: String,
        /// Which key made it.
        key_id: String,
        /// 10: digits; 36: digits and letters of one case.
        radix: u16,
        /// Which case, with radix 36.
        letters: Letters,
        /// Characters that may stand between and stay where they are.
        separators: String,
    },
    /// The year of a date.
    Year,
    /// A date moved by whole days, as many for every date of one subject, which stands in another
    /// column of the row.
    Shift {
        /// As for `Token`.
        domain: String,
        /// Which key made the offsets.
        key_id: String,
        /// How far at most.
        days: u32,
    },
    /// The first three digits of a ZIP code, 000 where few people live.
    Zip3 {
        /// The year of the census that tells how many.
        census: u16,
    },
    /// The range that a number lies in. Either a width or edges; the masker refuses what is neither.
    Bucket {
        /// How wide each range is.
        width: Option<i64>,
        /// Where one of them begins.
        origin: Option<i64>,
        /// Where ranges begin and end, if not all are of one width.
        edges: Option<Vec<i64>>,
    },
    /// Text with every span that a detector finds replaced by the detector's label.
    Scan,
    /// As `Scan`, by some of the detectors and of the policy's own patterns alone.
    Chosen {
        /// The names of the detectors, of [`crate::detectors`]; else all.
        detectors: Option<Vec<String>>,
        /// The names of the patterns; else all.
        patterns: Option<Vec<String>>,
    },
}

/// The letters of an alphabet of digits and letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Letters {
    /// A to Z.
    #[default]
    Upper,
    /// a to z.
    Lower,
}

impl Treatment {
    /// The name in the policy, in the field's metadata and in the report.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Clear { .. } | Self::Made { .. } => "clear",
            Self::Redact { .. } => "redact",
            Self::Null => "null",
            Self::Partial { .. } => "partial",
            Self::Token { .. } => "token",
            Self::Fpe { .. } => "fpe",
            Self::Year => "year",
            Self::Shift { .. } => "shift",
            Self::Zip3 { .. } => "zip3",
            Self::Bucket { .. } => "bucket",
            Self::Scan | Self::Chosen { .. } => "scan",
        }
    }
}

/// The JSON form. Struct variants only: serde lets unknown fields of unit variants pass.
#[derive(Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
enum Wire {
    Clear {
        #[serde(default = "yes")]
        scan: bool,
        #[serde(default)]
        times: bool,
        #[serde(default)]
        numbers: bool,
        #[serde(default)]
        forms: Vec<String>,
    },
    Redact {
        #[serde(default = "default_label")]
        label: String,
    },
    Null {},
    Partial {
        #[serde(default)]
        first: u32,
        #[serde(default)]
        last: u32,
        #[serde(default = "star")]
        char: char,
    },
    Token {
        domain: String,
        key_id: String,
    },
    Fpe {
        domain: String,
        key_id: String,
        #[serde(default = "ten")]
        radix: u16,
        #[serde(default)]
        letters: Letters,
        #[serde(default)]
        separators: String,
    },
    Year {},
    Shift {
        domain: String,
        key_id: String,
        #[serde(default = "a_year")]
        days: u32,
    },
    Zip3 {
        #[serde(default = "latest")]
        census: u16,
    },
    Bucket {
        width: Option<i64>,
        origin: Option<i64>,
        edges: Option<Vec<i64>>,
    },
    Scan {
        detectors: Option<Vec<String>>,
        patterns: Option<Vec<String>>,
    },
}

fn yes() -> bool {
    true
}

fn default_label() -> String {
    DEFAULT_LABEL.to_owned()
}

fn ten() -> u16 {
    10
}

/// How far `shift` moves at most unless the policy says otherwise.
fn a_year() -> u32 {
    365
}

/// The census that `zip3` follows unless the policy names another.
fn latest() -> u16 {
    2020
}

fn star() -> char {
    '*'
}

impl From<Wire> for Treatment {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Clear {
                scan: true,
                times,
                numbers,
                forms,
            } if times || numbers => Self::Made {
                times,
                numbers,
                forms,
            },
            Wire::Clear { scan, .. } => Self::Clear { scan },
            Wire::Redact { label } => Self::Redact { label },
            Wire::Null {} => Self::Null,
            Wire::Partial { first, last, char } => Self::Partial { first, last, char },
            Wire::Token { domain, key_id } => Self::Token { domain, key_id },
            Wire::Fpe {
                domain,
                key_id,
                radix,
                letters,
                separators,
            } => Self::Fpe {
                domain,
                key_id,
                radix,
                letters,
                separators,
            },
            Wire::Year {} => Self::Year,
            Wire::Shift {
                domain,
                key_id,
                days,
            } => Self::Shift {
                domain,
                key_id,
                days,
            },
            Wire::Zip3 { census } => Self::Zip3 { census },
            Wire::Bucket {
                width,
                origin,
                edges,
            } => Self::Bucket {
                width,
                origin,
                edges,
            },
            Wire::Scan {
                detectors: None,
                patterns: None,
            } => Self::Scan,
            Wire::Scan {
                detectors,
                patterns,
            } => Self::Chosen {
                detectors,
                patterns,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_forms() {
        let read = |text: &str| serde_json::from_str::<Treatment>(text);
        assert_eq!(read(r#"{"name":"null"}"#).unwrap(), Treatment::Null);
        assert_eq!(
            read(r#"{"name":"clear"}"#).unwrap(),
            Treatment::Clear { scan: true }
        );
        assert_eq!(
            read(r#"{"name":"clear","scan":true,"times":true}"#).unwrap(),
            Treatment::Made {
                times: true,
                numbers: false,
                forms: vec![]
            }
        );
        assert_eq!(
            read(r#"{"name":"clear","scan":false,"times":true}"#).unwrap(),
            Treatment::Clear { scan: false }
        );
        assert_eq!(
            read(r#"{"name":"redact"}"#).unwrap(),
            Treatment::Redact {
                label: "[REDACTED]".into()
            }
        );
        assert_eq!(
            read(r#"{"name":"partial","last":4,"char":"x"}"#).unwrap(),
            Treatment::Partial {
                first: 0,
                last: 4,
                char: 'x'
            }
        );
        assert_eq!(
            read(r#"{"name":"shift","domain":"d","key_id":"k1"}"#).unwrap(),
            Treatment::Shift {
                domain: "d".into(),
                key_id: "k1".into(),
                days: 365
            }
        );
        assert_eq!(read(r#"{"name":"scan"}"#).unwrap(), Treatment::Scan);
        assert_eq!(
            read(r#"{"name":"scan","detectors":["ssn"]}"#).unwrap(),
            Treatment::Chosen {
                detectors: Some(vec!["ssn".into()]),
                patterns: None,
            }
        );
        assert_eq!(
            read(r#"{"name":"scan","patterns":[]}"#).unwrap(),
            Treatment::Chosen {
                detectors: None,
                patterns: Some(vec![]),
            }
        );
        assert_eq!(
            read(r#"{"name":"zip3"}"#).unwrap(),
            Treatment::Zip3 { census: 2020 }
        );
        assert_eq!(
            read(r#"{"name":"bucket","edges":[18,90]}"#).unwrap(),
            Treatment::Bucket {
                width: None,
                origin: None,
                edges: Some(vec![18, 90])
            }
        );
        assert_eq!(
            read(r#"{"name":"fpe","domain":"d","key_id":"k","radix":36,"letters":"lower"}"#)
                .unwrap(),
            Treatment::Fpe {
                domain: "d".into(),
                key_id: "k".into(),
                radix: 36,
                letters: Letters::Lower,
                separators: String::new()
            }
        );
        assert_eq!(
            read(r#"{"name":"token","domain":"mrn","key_id":"k1"}"#).unwrap(),
            Treatment::Token {
                domain: "mrn".into(),
                key_id: "k1".into()
            }
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in [
            r#"{"name":"null","label":"x"}"#,
            r#"{"name":"scan","first":1}"#,
            r#"{"name":"scan","detectors":"ssn"}"#,
            r#"{"name":"clear","detectors":["ssn"]}"#,
            r#"{"name":"year","scan":false}"#,
            r#"{"name":"clear","label":"x"}"#,
            r#"{"name":"Redact"}"#,
            r#"{"name":"fpe"}"#,
            r#"{"name":"fpe","domain":"d"}"#,
            r#"{"name":"fpe","domain":"d","key_id":"k","letters":"Upper"}"#,
            r#"{"name":"fpe","domain":"d","key_id":"k","tweak":"x"}"#,
            r#"{"name":"zip3","census":"2020"}"#,
            r#"{"name":"zip3","label":"x"}"#,
            r#"{"name":"shift","domain":"d"}"#,
            r#"{"name":"shift","domain":"d","key_id":"k","subject":"x"}"#,
            r#"{"name":"bucket","width":2.5}"#,
            r#"{"name":"bucket","width":10,"label":"x"}"#,
            r#"{"name":"token","domain":"mrn"}"#,
            r#"{"name":"partial","first":-1}"#,
            r#"{"name":"partial","char":"ab"}"#,
            r#"{"label":"x"}"#,
        ] {
            assert!(serde_json::from_str::<Treatment>(text).is_err(), "{text}");
        }
    }
}
