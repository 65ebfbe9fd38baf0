//! Which base column flows where, read from PostgreSQL's own analysed query tree.
//!
//! The input is the detail of the server's `rewritten parse tree:` notice, printed with
//! `debug_pretty_print = off`, or a tree as `pg_rewrite.ev_action` stores it. [`lineage`] answers with
//! what reaches each output column, what decides rows and order, and what is only named.
//!
//! The crate refuses: text that is not exactly what a server of the stated version prints, any node,
//! field, order of fields or value that is not in [`schema`], any identifier outside the admitted
//! alphabet, trees that are deep or large beyond reason, and anything but one plain SELECT. It never
//! panics, and it never guesses: what is not understood is an error.
//!
//! ```text
//! notice ──unwrap──▶ dump ──token──▶ words ──read (schema)──▶ tree ──walk──▶ graph ──solve──▶ Lineage
//!                                                              └──calls──▶ functions, operators, types, parameters
//! ```

#![forbid(unsafe_code)]

mod aggregate;
mod calls;
mod equality;
mod error;
mod expression;
mod glance;
mod graph;
mod lineage;
mod names;
mod query;
mod read;
mod schema;
mod set_operation;
mod token;
mod tree;
mod types;
mod unwrap;
mod walk;

pub use error::TreeError;
pub use glance::{entries_and_queries, relations_named};
pub use lineage::{
    Column, Control, Equality, Lineage, Mention, Output, Parameter, Reference, Relation, Shape,
    Site, Source,
};

/// Lineage of the one plain SELECT whose tree `text` is, as a server of `major` (15 to 18) prints it in
/// the detail of its notice.
///
/// # Errors
///
/// [`TreeError::NotPlainSelect`] for a statement of another kind, [`TreeError::NotUnderstood`] for
/// anything that is not certain.
pub fn lineage(text: &str, major: u16) -> Result<Lineage, TreeError> {
    let schema = schema::of(major)?;
    let dump = unwrap::unwrap(text)?;
    walk::analyse(&read::read(&dump, schema)?, major, false)
}

/// The digest that [`lineage`] gives of a tree: two trees of one digest differ in places of the text
/// alone, and have one lineage but for those.
///
/// # Errors
///
/// [`TreeError::NotUnderstood`] for what is not read with certainty. More is read than has a lineage.
pub fn digest(text: &str, major: u16) -> Result<String, TreeError> {
    let schema = schema::of(major)?;
    let dump = unwrap::unwrap(text)?;
    Ok(read::read(&dump, schema)?.digest)
}

/// Lineage of a view's query as `pg_rewrite.ev_action` stores it: on one line, and with the views that
/// it reads left as relations.
///
/// # Errors
///
/// As [`lineage`].
pub fn stored_lineage(text: &str, major: u16) -> Result<Lineage, TreeError> {
    let schema = schema::of(major)?;
    unwrap::within_size(text)?;
    walk::analyse(&read::read(text, schema)?, major, true)
}
