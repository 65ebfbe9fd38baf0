//! A scan's search for the policy's own patterns: some of them, in one text after the other.

use std::sync::Arc;

use super::Compiled;
use super::shapes::{Caches, Shapes};
use crate::detect::{KINDS, Kind, Span, union};

/// The chosen patterns, ready.
#[derive(Debug)]
pub(crate) struct Search {
    compiled: Arc<Compiled>,
    /// The chosen regular expressions.
    shapes: Option<Arc<Shapes>>,
    /// Ones at the places of those that are looked for.
    chosen: u128,
    caches: Option<Caches>,
    /// Of the rows that are read now: from where on was asked, and where something may lie.
    ahead: Option<(usize, Option<usize>)>,
}

impl Search {
    pub(super) fn new(compiled: Arc<Compiled>, chosen: u128) -> Self {
        let shapes = compiled.shapes.as_ref();
        let shapes = shapes.and_then(|shapes| shapes.only(chosen));
        Self {
            caches: shapes.as_deref().map(Shapes::caches),
            shapes,
            compiled,
            chosen,
            ahead: None,
        }
    }

    /// How many kinds there are with the policy's own.
    pub(crate) fn kinds(&self) -> usize {
        KINDS + self.compiled.told.len()
    }

    /// The name of what stands behind the last of [`Kind::ALL`].
    pub(crate) fn name(&self, index: usize) -> &str {
        let told = index
            .checked_sub(KINDS)
            .and_then(|i| self.compiled.told.get(i));
        told.map_or("own", |one| &one.name)
    }

    /// What stands in the place of a span of this kind.
    pub(crate) fn label(&self, kind: Kind) -> &str {
        let told = match kind {
            Kind::Pattern(place) => self.compiled.told.get(usize::from(place)),
            _ => None,
        };
        told.map_or(kind.label(), |one| &one.label)
    }

    /// From here on other rows are read.
    pub(crate) fn begin(&mut self) {
        self.ahead = None;
    }

    /// The first character from `from` on at which something may lie, in the text of many rows that
    /// begin and end at each `edge`. Asked with a `from` that grows.
    pub(crate) fn next(
        &mut self,
        text: &[u8],
        from: usize,
        edge: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if let Some((asked, found)) = self.ahead
            && asked <= from
            && found.is_none_or(|found| found >= from)
        {
            return found;
        }
        let words = &self.compiled.words;
        let shape = self
            .shapes
            .as_ref()
            .and_then(|shapes| shapes.next(text, from));
        // Only before the other; what reaches into that is of its row.
        let until = (from, shape.unwrap_or(text.len()));
        let word = words
            .as_ref()
            .and_then(|words| words.next(text, until, edge));
        let found = word.or(shape);
        self.ahead = Some((from, found));
        found
    }

    /// Adds what is found in a folded text to what the detectors found, as their union.
    pub(crate) fn collect(&mut self, text: &[u8], spans: &mut Vec<Span>) {
        let before = spans.len();
        let words = &self.compiled.words;
        if let (Some(shapes), Some(caches)) = (&self.shapes, &mut self.caches)
            && shapes.next(text, 0).is_some()
        {
            shapes.collect(text, caches, spans);
        }
        if let Some(words) = words {
            words.collect(text, self.chosen, spans);
        }
        if spans.len() > before {
            union(spans);
        }
    }
}
