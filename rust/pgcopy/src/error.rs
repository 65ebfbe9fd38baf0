//! Why bytes could not become Arrow values. No message ever holds a value read from the stream.

use thiserror::Error;

/// Every way decoding can fail.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CopyError {
    /// The plan asks for a column type that PostgreSQL cannot send.
    #[error("{0}")]
    Plan(String),
    /// The bytes are not the COPY BINARY stream that was promised.
    #[error("{0}")]
    Malformed(String),
    /// A value has no form in the column's Arrow type.
    #[error("{detail}")]
    Unrepresentable {
        /// What is wrong, naming the column.
        detail: String,
        /// What to write instead.
        hint: String,
    },
}

impl CopyError {
    pub(crate) fn malformed(text: impl Into<String>) -> Self {
        Self::Malformed(text.into())
    }
}

/// What is wrong with one cell, before the column's name is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The cell's length does not fit the type.
    Size,
    /// The cell's content is not what the type's send function writes.
    Content,
    /// Text that is not UTF-8.
    Utf8,
    /// An enum label that the catalog did not list.
    Label,
    /// An infinite date, timestamp or interval.
    Infinite,
    /// NaN or an infinity in a decimal column.
    NotANumber,
    /// A decimal with more digits than the column declares.
    Digits,
    /// A date or time that Arrow's integer cannot hold.
    Range,
    /// 24:00:00.
    Midnight,
    /// An array of two or more dimensions.
    Dimensions,
    /// More text than one column of a batch may hold.
    Length,
}

impl Fault {
    /// The error for this fault in the column `name`.
    pub(crate) fn at(self, name: &str) -> CopyError {
        let malformed = |what: &str| CopyError::malformed(format!("column {name:?}: {what}"));
        let what = match self {
            Self::Size => return malformed("a cell has a length that its type never has"),
            Self::Content => {
                return malformed("a cell does not hold what its type's binary form promises");
            }
            Self::Utf8 => return malformed("a text is not valid UTF-8"),
            Self::Label => {
                return malformed(
                    "an enum label came that the type did not have when the statement was described",
                );
            }
            Self::Infinite => "an infinite date or time has no Arrow form",
            Self::NotANumber => "NaN or an infinity has no form in a decimal",
            Self::Digits => {
                "a number has more digits than the column's declared precision and scale"
            }
            Self::Range => "a date or time lies outside Arrow's range",
            Self::Midnight => "the time 24:00:00 has no Arrow form",
            Self::Dimensions => "an array of two or more dimensions has no Arrow form",
            Self::Length => "a value is too long to be sent",
        };
        let quoted = name.replace('"', "\"\"");
        CopyError::Unrepresentable {
            detail: format!("column {name:?}: {what}"),
            hint: format!("cast it to text: \"{quoted}\"::text"),
        }
    }
}
