//! Masked Arrow batches to the bytes a door sends.

#![forbid(unsafe_code)]
