//! What a tree says, in the words of the contract between the rooms.

use serde::Serialize;

/// A base column: relation OID and attribute number; attribute 0 is the whole row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Column(pub u32, pub i16);

/// A base column and the reference through which the statement's own text reads it, an index into
/// [`Lineage::references`]; `None` for what a policy of row security reads.
///
/// The last is for what reads the column only through a plain aggregate over its one table: how many of
/// the column's values each group has by HAVING, 0 if HAVING does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Source(pub Column, pub Option<usize>, pub Option<u32>);

/// How base columns reach an output column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A column or a relabelled column all the way down: the value itself.
    Bare,
    /// A bare one, then cast to its text form.
    Text,
    /// Anything else.
    Computed,
}

/// One output column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// As the result names it; empty when the server gives no name.
    pub name: String,
    /// Type OID of the expression.
    pub type_oid: u32,
    /// Type modifier of the expression, -1 for none.
    pub typmod: i32,
    /// How the columns reach it.
    pub shape: Shape,
    /// OUT: every base column whose value reaches it, in order.
    pub columns: Vec<Column>,
    /// The same, each with the reference through which it is read.
    pub sources: Vec<Source>,
}

/// A base column that decides which rows come, how many, in which order, or which rows a value is made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Control {
    /// The column.
    pub column: Column,
    /// WHERE, JOIN, GROUP BY, …
    #[serde(rename = "use")]
    pub place: &'static str,
    /// The innermost view in whose body this stands; `None` in the statement's own text.
    pub through_view: Option<u32>,
    /// The references through which it is read.
    pub references: Vec<Option<usize>>,
    /// The conjunct that this use is, when it is an equality and nothing else: an index into
    /// [`Lineage::equalities`].
    pub equality: Option<usize>,
    /// As the last of [`Source`].
    pub values: Option<u32>,
}

/// A conjunct of WHERE or of an inner join's ON that is a plain equality of a column with a column of the
/// same query level, or with a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Equality {
    /// Its one or two columns; `None` for one that is not the value of a single base column, unchanged.
    pub columns: Vec<Option<Source>>,
    /// The n of `$n` that it is compared with.
    pub parameter: Option<i64>,
    /// It is compared with a value that the text holds.
    pub constant: bool,
}

/// A base column that the statement's own text names in something that reaches neither output nor control.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Mention {
    /// The column.
    pub column: Column,
    /// Always "unused mention".
    #[serde(rename = "use")]
    pub place: &'static str,
    /// The references through which it is named.
    pub references: Vec<Option<usize>>,
}

/// A relation that the statement reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Relation {
    /// Its OID.
    pub oid: u32,
    /// `relkind` of `pg_class`.
    pub kind: String,
    /// Named by the statement itself rather than by the body of a view.
    pub direct: bool,
    /// The attributes that the statement's own text names, as the server's permission check sees them
    /// (0 is the whole row). Empty for a relation that only a view names.
    pub selected: Vec<i16>,
}

/// A relation as one or more items of the statement's own FROM clauses name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// Its OID; a view's own.
    pub relation: u32,
    /// The alias, or the relation's name where there is none.
    pub alias: String,
    /// The attributes of the relation (of a view, its own) that are read through it; 0 is the whole row.
    pub selected: Vec<i16>,
}

/// A `$n` of the statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Parameter {
    /// The n of `$n`.
    pub number: i64,
    /// The type the server gave it.
    pub type_oid: u32,
    /// Byte offset in the statement's text, -1 when not known.
    pub location: i64,
}

/// One call: the function's OID, and the byte of the statement's text at which `name(…)` begins; -1 in
/// what the catalog stores (a view's body, a policy), -2 for a call that is not written so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Site(pub u32, pub i64);

/// Everything that one tree says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lineage {
    /// OUT and SHAPE.
    pub outputs: Vec<Output>,
    /// CTL.
    pub control: Vec<Control>,
    /// Named and unused.
    pub mentions: Vec<Mention>,
    /// Every relation, views and what is below them included.
    pub relations: Vec<Relation>,
    /// Equalities that stand alone, in the order of the walk.
    pub equalities: Vec<Equality>,
    /// Columns that the text names through a reference where they go nowhere, while they are used
    /// through another.
    pub idle: Vec<Source>,
    /// What the statement's own text reads from; items of one relation and one alias are one.
    pub references: Vec<Reference>,
    /// OIDs of every function that the tree calls by name.
    pub functions: Vec<u32>,
    /// Where each of them is called.
    pub calls: Vec<Site>,
    /// OIDs of every operator, those of sorting and grouping included.
    pub operators: Vec<u32>,
    /// Types whose own functions (input and output, comparison, domain checks, conversion to XML or
    /// JSON) are called without being named.
    pub types: Vec<u32>,
    /// `$n`, each place once.
    pub params: Vec<Parameter>,
    /// Row security stands in the tree.
    pub row_security: bool,
    /// BLAKE3 of the tree without locations, hex.
    pub digest: String,
}
