//! The tree as read: one arena, nodes with the values of the fields that their table entry names.

use crate::error::{Result, TreeError, inconsistent};
use crate::schema::{Spec, Tag};
use std::borrow::Cow;

/// Index of a node; children come before their parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(pub(crate) usize);

/// A range of one of the arena's pools.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span(u64); // the start in its upper half, the end in its lower

impl Span {
    /// From `start` to the end of a pool; none where a tree is beyond all limits.
    pub(crate) fn since<T>(start: usize, pool: &[T]) -> Option<Self> {
        let start = u32::try_from(start).ok()?;
        let end = u32::try_from(pool.len()).ok()?;
        Some(Self(u64::from(start) << 32 | u64::from(end)))
    }

    pub(crate) const fn empty() -> Self {
        Self(0)
    }

    fn of<T>(self, pool: &[T]) -> Option<&[T]> {
        pool.get((self.0 >> 32) as usize..(self.0 & 0xffff_ffff) as usize)
    }
}

/// There are many, so they are small, and what a variant holds is one word: a value of parts that are
/// written one by one and then moved as a whole stalls the processor.
#[derive(Debug)]
pub(crate) enum Value {
    /// A field that this kind of range table entry does not print.
    Absent,
    /// `<>`
    Null,
    /// Read and admitted, of no interest to the walk.
    Admitted,
    Number(i64),
    True,
    False,
    /// The number of one of the arena's texts.
    Text(usize),
    Node(NodeId),
    Nodes(Span),
    Lists(Span),
    Numbers(Span),
}

#[derive(Debug)]
pub(crate) struct NodeData<'s> {
    pub(crate) spec: &'s Spec,
    pub(crate) values: Span,
}

/// A whole tree; the root is the one Query.
#[derive(Debug, Default)]
pub(crate) struct Tree<'t> {
    pub(crate) nodes: Vec<NodeData<'t>>,
    pub(crate) values: Vec<Value>,
    pub(crate) texts: Vec<Cow<'t, str>>,
    pub(crate) items: Vec<Option<NodeId>>,
    pub(crate) lists: Vec<Span>,
    pub(crate) numbers: Vec<i64>,
    pub(crate) root: Option<NodeId>,
    /// BLAKE3 of the words without locations, hex.
    pub(crate) digest: String,
}

impl<'t> Tree<'t> {
    pub(crate) fn root(&'t self) -> Result<Node<'t>> {
        self.root
            .map(|id| Node { tree: self, id })
            .ok_or_else(|| inconsistent("no query"))
    }

    /// Every node, reachable by the walk or not.
    pub(crate) fn all(&'t self) -> impl Iterator<Item = Node<'t>> {
        (0..self.nodes.len()).map(|n| Node {
            tree: self,
            id: NodeId(n),
        })
    }
}

/// One node of a tree, with its fields by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'t> {
    tree: &'t Tree<'t>,
    id: NodeId,
}

impl<'t> Node<'t> {
    fn data(self) -> Result<&'t NodeData<'t>> {
        self.tree
            .nodes
            .get(self.id.0)
            .ok_or_else(|| inconsistent("a node is missing"))
    }

    pub(crate) fn tag(self) -> Result<Tag> {
        self.data().map(|d| d.spec.tag)
    }

    fn values(self) -> Result<&'t [Value]> {
        let span = self.data()?.values;
        span.of(&self.tree.values)
            .ok_or_else(|| inconsistent("values are missing"))
    }

    /// The value of a field; a field that this version or kind of entry does not print is an error.
    fn value(self, field: &'static str) -> Result<&'t Value> {
        let fields = &self.data()?.spec.fields;
        fields
            .iter()
            .zip(self.values()?)
            .find(|(f, v)| f.name == field && !matches!(v, Value::Absent))
            .map(|(_, v)| v)
            .ok_or_else(|| inconsistent(field))
    }

    pub(crate) fn number(self, field: &'static str) -> Result<i64> {
        match self.value(field)? {
            Value::Number(n) => Ok(*n),
            _ => Err(inconsistent(field)),
        }
    }

    pub(crate) fn oid(self, field: &'static str) -> Result<u32> {
        u32::try_from(self.number(field)?).map_err(|_| inconsistent(field))
    }

    /// A count or an index that must not be negative.
    pub(crate) fn index(self, field: &'static str) -> Result<usize> {
        usize::try_from(self.number(field)?).map_err(|_| inconsistent(field))
    }

    pub(crate) fn typmod(self, field: &'static str) -> Result<i32> {
        i32::try_from(self.number(field)?).map_err(|_| inconsistent(field))
    }

    pub(crate) fn flag(self, field: &'static str) -> Result<bool> {
        match self.value(field)? {
            Value::True => Ok(true),
            Value::False => Ok(false),
            _ => Err(inconsistent(field)),
        }
    }

    pub(crate) fn text(self, field: &'static str) -> Result<Option<&'t str>> {
        match self.value(field)? {
            Value::Text(text) => match self.tree.texts.get(*text) {
                Some(text) => Ok(Some(text)),
                None => Err(inconsistent(field)),
            },
            Value::Null => Ok(None),
            _ => Err(inconsistent(field)),
        }
    }

    pub(crate) fn maybe(self, field: &'static str) -> Result<Option<Node<'t>>> {
        match self.value(field)? {
            Value::Node(id) => Ok(Some(Node {
                tree: self.tree,
                id: *id,
            })),
            Value::Null => Ok(None),
            _ => Err(inconsistent(field)),
        }
    }

    pub(crate) fn node(self, field: &'static str) -> Result<Node<'t>> {
        self.maybe(field)?.ok_or_else(|| inconsistent(field))
    }

    /// The elements of a list, `None` where one is absent.
    pub(crate) fn holes(
        self,
        field: &'static str,
    ) -> Result<impl ExactSizeIterator<Item = Option<Node<'t>>> + use<'t>> {
        let items = match self.value(field)? {
            Value::Nodes(span) => self.items(*span).ok_or_else(|| inconsistent(field))?,
            Value::Null => &[],
            _ => return Err(inconsistent(field)),
        };
        let tree = self.tree;
        Ok(items
            .iter()
            .map(move |item| item.map(|id| Node { tree, id })))
    }

    /// The elements of a list without the absent ones.
    pub(crate) fn list(
        self,
        field: &'static str,
    ) -> Result<impl Iterator<Item = Node<'t>> + use<'t>> {
        Ok(self.holes(field)?.flatten())
    }

    /// The rows of a VALUES list.
    pub(crate) fn rows(
        self,
        field: &'static str,
    ) -> Result<impl Iterator<Item = impl Iterator<Item = Node<'t>>>> {
        let rows = match self.value(field)? {
            Value::Lists(span) => span
                .of(&self.tree.lists)
                .ok_or_else(|| inconsistent(field))?,
            Value::Null => &[],
            _ => return Err(inconsistent(field)),
        };
        let tree = self.tree;
        let row = move |span: &Span| {
            self.items(*span)
                .unwrap_or_default()
                .iter()
                .flatten()
                .map(move |&id| Node { tree, id })
        };
        Ok(rows.iter().map(row))
    }

    pub(crate) fn numbers(self, field: &'static str) -> Result<&'t [i64]> {
        match self.value(field)? {
            Value::Numbers(span) => span
                .of(&self.tree.numbers)
                .ok_or_else(|| inconsistent(field)),
            Value::Null => Ok(&[]),
            _ => Err(inconsistent(field)),
        }
    }

    pub(crate) fn oids(self, field: &'static str) -> Result<impl Iterator<Item = u32> + use<'t>> {
        Ok(self
            .numbers(field)?
            .iter()
            .filter_map(|&n| u32::try_from(n).ok()))
    }

    /// Every node directly below this one, whatever its field.
    pub(crate) fn children(self) -> Result<impl Iterator<Item = Node<'t>> + use<'t>> {
        let tree = self.tree;
        let of_value = move |value: &'t Value| {
            let (one, lists): (Option<NodeId>, &[Span]) = match value {
                Value::Node(id) => (Some(*id), &[]),
                Value::Nodes(span) => (None, std::slice::from_ref(span)),
                Value::Lists(span) => (None, span.of(&tree.lists).unwrap_or_default()),
                _ => (None, &[]),
            };
            let listed = lists
                .iter()
                .flat_map(move |s| self.items(*s).unwrap_or_default())
                .flatten()
                .copied();
            one.into_iter().chain(listed)
        };
        Ok(self
            .values()?
            .iter()
            .flat_map(of_value)
            .map(move |id| Node { tree, id }))
    }

    fn items(self, span: Span) -> Option<&'t [Option<NodeId>]> {
        span.of(&self.tree.items)
    }
}

/// The refusal for a node where the walk expects another.
pub(crate) fn unexpected(node: Node<'_>) -> TreeError {
    match node.tag() {
        Ok(tag) => inconsistent(&format!("{tag:?} in this place")),
        Err(error) => error,
    }
}
