//! Masked Arrow batches to the bytes a door sends: Arrow IPC stream, NDJSON, CSV.
//!
//! It sees masked columns only, so nothing it does, the place of a cut included, can tell of a raw
//! value. It refuses a type that no decoder or treatment makes, never writes a line or a record that
//! a value could break out of, and ends a stream only when it is told to.

#![forbid(unsafe_code)]

mod calendar;
mod cells;
mod encoder;
mod error;
mod ipc;
mod json;
mod labels;
mod number;
mod pace;
mod size;
mod text;

pub use arrow_buffer::Buffer;
pub use encoder::{Encoder, Format};
pub use error::EncodeError;
pub use pace::Pace;
