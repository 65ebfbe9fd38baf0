//! Arrow in, masked Arrow out.

#![forbid(unsafe_code)]
