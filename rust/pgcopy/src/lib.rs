//! COPY BINARY bytes to Arrow arrays.

#![forbid(unsafe_code)]
