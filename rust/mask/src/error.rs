//! Why a column cannot be masked. No message ever holds a value.

use arrow_schema::ArrowError;

/// A treatment that cannot be given, or a batch that is not what was announced.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum MaskError {
    /// The treatment does not exist for the column's type.
    #[error(
        "column \"{column}\": the treatment {treatment} cannot be given to {data_type}; possible: \
         {possible}"
    )]
    Impossible {
        /// The column's name.
        column: String,
        /// The treatment's name.
        treatment: &'static str,
        /// The Arrow type, as a person reads it.
        data_type: String,
        /// The treatments this type can take.
        possible: String,
    },
    /// An option of the treatment makes no sense.
    #[error("column \"{column}\": {detail}")]
    Option {
        /// The column's name.
        column: String,
        /// What is wrong, and what is allowed.
        detail: String,
    },
    /// There is no column with this position.
    #[error("there is no column {0}")]
    NoSuchColumn(usize),
    /// An array of another type than the one the masker was made for.
    #[error("column \"{column}\": got an array of {got}, expected {expected}")]
    UnexpectedType {
        /// The column's name.
        column: String,
        /// The type that came.
        got: String,
        /// The type that was announced.
        expected: String,
    },
    /// `mask_presence` on a column whose treatment needs the values.
    #[error("column \"{0}\": its treatment needs the values, not only which rows are NULL")]
    NeedsValues(String),
    /// More than 2 GiB of text in one batch of 32-bit offsets.
    #[error("one batch of text is larger than its offsets can say; send smaller batches")]
    TooLarge,
    /// An array whose parts do not fit together.
    #[error("an Arrow array is inconsistent: {0}")]
    Inconsistent(&'static str),
    /// The year of today is needed and the clock does not know it.
    #[error("the system clock is before 1970")]
    Clock,
}

impl From<ArrowError> for MaskError {
    /// Arrow's own text is dropped: some of its messages quote the data.
    fn from(_: ArrowError) -> Self {
        Self::Inconsistent("arrow refused to build it")
    }
}
