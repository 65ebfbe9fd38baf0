//! PostgreSQL's analysed query tree to column lineage.

#![forbid(unsafe_code)]
