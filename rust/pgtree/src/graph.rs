//! What reads what: a slot for each computed thing, an edge for each reading, solved once for all.
//!
//! A recursive CTE is a cycle here and needs no special case: sets only grow and shapes only fall, so
//! going round until nothing changes ends at the least solution.

use crate::error::{Result, inconsistent, not_understood};
use crate::lineage::{Shape, Source};
use std::collections::HashMap;

/// A computed thing: a target, a column of VALUES, the arguments of a function in FROM, a control use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SlotId(u32);

/// Number of a base column, as one reference reads it, in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ColumnId(u32);

/// What an expression passes on unchanged, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Column(ColumnId),
    Slot(SlotId),
    /// The text form of a column or slot.
    TextOfColumn(ColumnId),
    TextOfSlot(SlotId),
    Computed,
}

impl Form {
    pub(crate) fn as_text(self) -> Self {
        match self {
            Self::Column(c) => Self::TextOfColumn(c),
            Self::Slot(s) => Self::TextOfSlot(s),
            _ => Self::Computed,
        }
    }
}

/// What an expression reads.
#[derive(Debug, Default, Clone)]
pub(crate) struct Reads {
    pub(crate) columns: Vec<ColumnId>,
    pub(crate) slots: Vec<SlotId>,
}

impl Reads {
    pub(crate) fn of(slots: &[SlotId]) -> Self {
        Self {
            columns: Vec::new(),
            slots: slots.to_vec(),
        }
    }
}

#[derive(Debug, Default)]
struct Slot {
    reads: Reads,
    forms: Vec<Form>,
}

#[derive(Debug, Default)]
pub(crate) struct Graph {
    slots: Vec<Slot>,
    columns: Vec<Source>,
    numbers: HashMap<Source, ColumnId>,
    edges: usize,
}

const MAX_EDGES: usize = 4_000_000;
const MAX_WORDS: usize = 1 << 23; // 64 MiB of sets
const MAX_WORK: usize = 1 << 28;

impl Graph {
    pub(crate) fn slot(&mut self) -> Result<SlotId> {
        let id =
            u32::try_from(self.slots.len()).map_err(|_| inconsistent("too many expressions"))?;
        self.slots.push(Slot::default());
        Ok(SlotId(id))
    }

    pub(crate) fn column(&mut self, column: Source) -> Result<ColumnId> {
        let next =
            u32::try_from(self.columns.len()).map_err(|_| inconsistent("too many columns"))?;
        Ok(*self.numbers.entry(column).or_insert_with(|| {
            self.columns.push(column);
            ColumnId(next)
        }))
    }

    /// One more expression that fills the slot.
    pub(crate) fn fill(&mut self, slot: SlotId, reads: &Reads, form: Form) -> Result<()> {
        self.edges += reads.columns.len() + reads.slots.len();
        if self.edges > MAX_EDGES {
            return too_large();
        }
        let filled = self
            .slots
            .get_mut(slot.0 as usize)
            .ok_or_else(|| inconsistent("a slot is missing"))?;
        filled.reads.columns.extend_from_slice(&reads.columns);
        filled.reads.slots.extend_from_slice(&reads.slots);
        filled.forms.push(form);
        Ok(())
    }

    fn get(&self, slot: SlotId) -> Result<&Slot> {
        self.slots
            .get(slot.0 as usize)
            .ok_or_else(|| inconsistent("a slot is missing"))
    }

    /// The slots that `roots` read, directly or not, each after what it reads (cycles aside).
    fn reached(&self, roots: &[SlotId]) -> Result<Vec<SlotId>> {
        let mut seen = vec![false; self.slots.len()];
        let mut order = Vec::new();
        let mut path: Vec<(SlotId, usize)> = Vec::new();
        let mut visit = |slot: SlotId, path: &mut Vec<(SlotId, usize)>| {
            if let Some(mark @ false) = seen.get_mut(slot.0 as usize) {
                *mark = true;
                path.push((slot, 0));
            }
        };
        for &root in roots {
            visit(root, &mut path);
            while let Some((slot, next)) = path.last_mut() {
                match self.get(*slot)?.reads.slots.get(*next) {
                    Some(&read) => {
                        *next += 1;
                        visit(read, &mut path);
                    }
                    None => {
                        order.push(*slot);
                        path.pop();
                    }
                }
            }
        }
        Ok(order)
    }

    /// Whether each slot is read by one of the roots.
    pub(crate) fn live(&self, roots: &[SlotId]) -> Result<Vec<bool>> {
        let mut live = vec![false; self.slots.len()];
        for slot in self.reached(roots)? {
            if let Some(mark) = live.get_mut(slot.0 as usize) {
                *mark = true;
            }
        }
        Ok(live)
    }

    /// Columns and shape of every slot.
    pub(crate) fn solve(self) -> Result<Solution> {
        let words = self.columns.len().div_ceil(64);
        if words.saturating_mul(self.slots.len()) > MAX_WORDS {
            return too_large();
        }
        let all: Vec<SlotId> = (0..self.slots.len())
            .filter_map(|n| u32::try_from(n).ok())
            .map(SlotId)
            .collect();
        let order = self.reached(&all)?;
        let mut solution = Solution {
            sets: vec![0; words * self.slots.len()],
            words,
            shapes: vec![None; self.slots.len()],
            columns: Vec::new(),
        };
        let pass = (self.edges + self.slots.len() + 1) * (words + 1);
        let mut work = 0;
        let mut changed = true;
        while changed {
            work += pass;
            if work > MAX_WORK.max(4 * pass) {
                return too_large();
            }
            changed = false;
            for &id in &order {
                let slot = self.get(id)?;
                for column in &slot.reads.columns {
                    changed |= solution.add_column(id, *column);
                }
                for read in &slot.reads.slots {
                    changed |= solution.add_slot(id, *read);
                }
                changed |= solution.lower(id, slot);
            }
        }
        solution.columns = self.columns;
        Ok(solution)
    }
}

fn too_large<T>() -> Result<T> {
    not_understood("the analysed statement is too large: write a smaller one")
}

/// What every slot holds, once solved.
#[derive(Debug)]
pub(crate) struct Solution {
    sets: Vec<u64>,
    words: usize,
    shapes: Vec<Option<Shape>>, // None: nothing known yet, the top
    columns: Vec<Source>,
}

impl Solution {
    fn add_column(&mut self, slot: SlotId, column: ColumnId) -> bool {
        let at = slot.0 as usize * self.words + column.0 as usize / 64;
        self.sets.get_mut(at).is_some_and(|word| {
            let before = *word;
            *word |= 1 << (column.0 % 64);
            *word != before
        })
    }

    fn add_slot(&mut self, into: SlotId, from: SlotId) -> bool {
        let mut changed = false;
        for n in 0..self.words {
            let word = self
                .sets
                .get(from.0 as usize * self.words + n)
                .copied()
                .unwrap_or(0);
            if let Some(target) = self.sets.get_mut(into.0 as usize * self.words + n) {
                changed |= *target | word != *target;
                *target |= word;
            }
        }
        changed
    }

    fn known(&self, slot: SlotId) -> Option<Shape> {
        self.shapes.get(slot.0 as usize).copied().flatten()
    }

    fn lower(&mut self, id: SlotId, slot: &Slot) -> bool {
        let of = |form: &Form| match *form {
            Form::Column(_) => Some(Shape::Bare),
            Form::TextOfColumn(_) => Some(Shape::Text),
            Form::Slot(s) => self.known(s),
            Form::TextOfSlot(s) => self.known(s).map(|shape| {
                if shape == Shape::Bare {
                    Shape::Text
                } else {
                    Shape::Computed
                }
            }),
            Form::Computed => Some(Shape::Computed),
        };
        let shape = slot
            .forms
            .iter()
            .filter_map(of)
            .reduce(|a, b| if a == b { a } else { Shape::Computed });
        let changed = shape != self.known(id);
        if let (true, Some(known)) = (changed, self.shapes.get_mut(id.0 as usize)) {
            *known = shape;
        }
        changed
    }

    /// The base columns that reach the slot, in order.
    pub(crate) fn sources(&self, slot: SlotId) -> Vec<Source> {
        let start = slot.0 as usize * self.words;
        let words = self.sets.get(start..start + self.words).unwrap_or_default();
        let set = |n: usize| {
            words
                .get(n / 64)
                .is_some_and(|word| word >> (n % 64) & 1 == 1)
        };
        let mut found: Vec<Source> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(n, _)| set(*n))
            .map(|(_, c)| *c)
            .collect();
        found.sort_unstable();
        found
    }

    /// A slot that nothing fills but itself is computed.
    pub(crate) fn shape(&self, slot: SlotId) -> Shape {
        self.known(slot).unwrap_or(Shape::Computed)
    }
}

impl SlotId {
    pub(crate) fn marked(self, marks: &[bool]) -> bool {
        marks.get(self.0 as usize).copied().unwrap_or(false)
    }
}
