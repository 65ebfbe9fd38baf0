//! The tree as read: one arena, nodes with the values of the fields that their table entry names.

use crate::error::{Result, TreeError, inconsistent};
use crate::schema::{Spec, Tag};
use std::borrow::Cow;

/// Index of a node; children come before their parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(pub(crate) u32);

/// A range of one of the arena's pools.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Debug)]
pub(crate) enum Value<'t> {
    /// A field that this kind of range table entry does not print.
    Absent,
    /// `<>`
    Null,
    /// Read and admitted, of no interest to the walk.
    Admitted,
    Number(i64),
    Flag(bool),
    Text(Cow<'t, str>),
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
    pub(crate) values: Vec<Value<'t>>,
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
        (0..self.nodes.len())
            .filter_map(|n| u32::try_from(n).ok())
            .map(|n| Node {
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
            .get(self.id.0 as usize)
            .ok_or_else(|| inconsistent("a node is missing"))
    }

    pub(crate) fn tag(self) -> Result<Tag> {
        self.data().map(|d| d.spec.tag)
    }

    fn values(self) -> Result<&'t [Value<'t>]> {
        let span = self.data()?.values;
        self.tree
            .values
            .get(span.start..span.end)
            .ok_or_else(|| inconsistent("values are missing"))
    }

    /// The value of a field; a field that this version or kind of entry does not print is an error.
    fn value(self, field: &'static str) -> Result<&'t Value<'t>> {
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
            Value::Flag(b) => Ok(*b),
            _ => Err(inconsistent(field)),
        }
    }

    pub(crate) fn text(self, field: &'static str) -> Result<Option<&'t str>> {
        match self.value(field)? {
            Value::Text(text) => Ok(Some(text)),
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
            Value::Lists(span) => self
                .tree
                .lists
                .get(span.start..span.end)
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
            Value::Numbers(span) => self
                .tree
                .numbers
                .get(span.start..span.end)
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
        let of_value = move |value: &'t Value<'t>| {
            let (one, lists): (Option<NodeId>, &[Span]) = match value {
                Value::Node(id) => (Some(*id), &[]),
                Value::Nodes(span) => (None, std::slice::from_ref(span)),
                Value::Lists(span) => (
                    None,
                    tree.lists.get(span.start..span.end).unwrap_or_default(),
                ),
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
        self.tree.items.get(span.start..span.end)
    }
}

/// The refusal for a node where the walk expects another.
pub(crate) fn unexpected(node: Node<'_>) -> TreeError {
    match node.tag() {
        Ok(tag) => inconsistent(&format!("{tag:?} in this place")),
        Err(error) => error,
    }
}
