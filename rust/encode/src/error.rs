//! Why a batch could not be written. No message holds a value.

use thiserror::Error;

/// A batch that does not fit the encoder it was given to.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EncodeError {
    /// A column has an Arrow type that no treatment and no decoder makes.
    #[error("column {column:?}: Arrow type {data_type} cannot be written")]
    Type {
        /// The column's name.
        column: String,
        /// Arrow's name of the type.
        data_type: String,
    },
    /// A batch with other columns than the schema's.
    #[error("a batch does not have the columns of the schema")]
    Shape,
    /// Arrow refused to write; its own text could quote a value and is dropped.
    #[error("the Arrow stream could not be written")]
    Arrow,
}
