//! COPY BINARY bytes to Arrow arrays: every value exact, or the stream ends.
//!
//! It refuses what is not the promised stream (another field count, a length no type has, bytes
//! after the trailer), what Arrow cannot hold (infinity, 24:00:00, nested arrays), and never puts a
//! value into an error. No input makes it panic, and it holds one batch and one unfinished row.

#![forbid(unsafe_code)]

mod column;
mod decoder;
mod error;
mod messages;
mod numeric;
mod print;
mod reader;
mod types;

pub use column::DecodedColumn;
pub use decoder::{Decoder, MAX_CELL, Progress};
pub use error::CopyError;
pub use messages::{Message, MessageError, Messages, Rows};
pub use reader::Reader;
pub use types::{ColumnPlan, ColumnType, EXTENSION_METADATA, EXTENSION_NAME, Infinity};
