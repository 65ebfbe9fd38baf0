//! Arrow in, masked Arrow out: after [`Masker::mask`] an array holds what its treatment lets through
//! and nothing else, neither behind a slice, nor under a NULL, nor in a dictionary's unused values.
//!
//! It refuses to guess: a treatment that a type cannot take is an error when the [`Masker`] is made,
//! never when a row arrives, and a type this crate does not know is refused under every treatment.
//! It reads no policy, opens no file and knows neither Python nor PostgreSQL.

#![deny(unsafe_code)] // allowed in detect/simd.rs and its engines alone

#[cfg(test)]
mod agreement;
mod block;
mod bucket;
mod calendar;
mod cells;
mod detect;
mod dictionary;
mod error;
mod ff1;
mod fold;
mod fpe;
mod json;
mod layouts;
mod lists;
mod masker;
// Conditions are listed one by one there, however they could be contracted.
#[cfg(test)]
#[allow(clippy::nonminimal_bool)]
mod naive;
mod owned;
mod partial;
mod patterns;
mod plan;
mod redact;
mod report;
mod row;
mod scan;
mod shift;
mod text;
mod token;
mod treatment;
mod year;
mod zip3;

pub use error::MaskError;
pub use masker::Masker;
pub use patterns::{Definition, PatternError, Patterns};
pub use report::{DetectorCounts, Report};
pub use treatment::{DEFAULT_LABEL, Letters, Treatment};

/// The names of the detectors, as rules choose among them and reports count by them.
pub fn detectors() -> Vec<&'static str> {
    detect::Kind::nameable().map(|kind| kind.name()).collect()
}

/// What `scan` can write in the place of what it finds.
pub fn labels() -> Vec<&'static str> {
    detect::Kind::ALL
        .into_iter()
        .map(|kind| kind.label())
        .collect()
}
