//! The walk over a tree: queries become scopes, what they compute becomes slots, and the solved graph
//! becomes the answer.
//!
//! Every expression of every query is visited once, also in CTEs and subqueries that nothing reads:
//! their predicates still run, and their targets are mentions.

use crate::aggregate::Level;
use crate::calls;
use crate::equality::{EqualitySlots, Given};
use crate::error::{Result, inconsistent, not_understood};
use crate::graph::{Graph, SlotId};
use crate::lineage::{
    Column, Control, Equality, Lineage, Mention, Output, Reference, Relation, Shape, Source,
};
use crate::tree::{Node, Tree};
use crate::types;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ScopeId(usize);

/// One Query, and what its range table and clauses offer to the expressions in it.
pub(crate) struct Scope<'t> {
    pub(crate) query: Node<'t>,
    pub(crate) parent: Option<ScopeId>,
    pub(crate) origin: Origin,
    /// The targets that the query gives out, by position.
    pub(crate) outputs: Rc<[SlotId]>,
    /// Every target with its slot, resjunk ones included.
    pub(crate) targets: Vec<(Node<'t>, SlotId)>,
    /// Targets by `ressortgroupref`.
    pub(crate) sort_refs: HashMap<i64, SlotId>,
    pub(crate) entries: Vec<Entry<'t>>,
    pub(crate) ctes: Vec<(&'t str, Rc<[SlotId]>)>,
    /// Window clauses by `winref`.
    pub(crate) windows: HashMap<i64, SlotId>,
    /// Columns of joins and of the grouping step, made when first read.
    pub(crate) merged: HashMap<(usize, usize), SlotId>,
    /// What its aggregates are over, once asked for.
    pub(crate) level: Option<Option<Rc<Level>>>,
}

/// Who wrote a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The innermost view whose body this is part of.
    pub(crate) view: Option<u32>,
    /// The reference to the outermost view whose body this is part of.
    pub(crate) reference: Option<usize>,
    /// A policy of row security.
    pub(crate) policy: bool,
}

impl Origin {
    /// The statement's own text.
    pub(crate) fn own(self) -> bool {
        self.view.is_none() && !self.policy
    }
}

/// One range table entry, as a source of columns.
#[derive(Clone)]
pub(crate) enum Entry<'t> {
    Relation {
        oid: u32,
        selected: Selected<'t>,
        reference: Option<usize>,
    },
    /// A subquery, a CTE, VALUES; for a view with what the server says is read of it.
    Columns {
        slots: Rc<[SlotId]>,
        selected: Option<Selected<'t>>,
    },
    /// A function or table function: any column may hold anything that its arguments hold.
    Opaque(SlotId),
    Join(Rc<[Option<Node<'t>>]>),
    Group(Rc<[Option<Node<'t>>]>),
    /// The OLD and NEW of a view's rule, which version 15 leaves in its body; nothing may read them.
    Rule,
}

/// `selectedCols` of a permission check: the columns that the server itself found to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selected<'t>(pub(crate) &'t [i64]);

const FIRST_LOW_INVALID: i64 = -7; // FirstLowInvalidHeapAttributeNumber, 12 to 18

impl Selected<'_> {
    pub(crate) fn attributes(&self) -> impl Iterator<Item = i64> {
        self.0.iter().map(|n| n + FIRST_LOW_INVALID)
    }

    /// Whether reading this attribute was foreseen; the whole row foresees all of them.
    pub(crate) fn admits(&self, attribute: i64) -> bool {
        let listed = |a: i64| self.0.binary_search(&(a - FIRST_LOW_INVALID)).is_ok();
        listed(attribute) || listed(0)
    }
}

/// Something left to visit.
pub(crate) enum Work<'t> {
    Query(ScopeId),
    /// A column of a join or of the grouping step.
    Column {
        scope: ScopeId,
        expression: Node<'t>,
        slot: SlotId,
    },
}

/// A slot that may turn out to be dead.
pub(crate) struct Target {
    pub(crate) slot: SlotId,
    /// In the statement's own text, not in the body of a view.
    pub(crate) own: bool,
    /// Passes a column on and computes nothing.
    pub(crate) passes: bool,
}

/// The use of what a policy reads, whatever clause of the policy it stands in.
pub(crate) const ROW_SECURITY: &str = "row security";

struct ControlSlot {
    slot: SlotId,
    place: &'static str,
    view: Option<u32>,
    equality: Option<usize>,
}

pub(crate) struct Walk<'t> {
    pub(crate) graph: Graph,
    scopes: Vec<Scope<'t>>,
    pub(crate) work: VecDeque<Work<'t>>,
    control: Vec<ControlSlot>,
    control_slots: HashMap<(ScopeId, &'static str), SlotId>,
    pub(crate) equalities: Vec<EqualitySlots>,
    pub(crate) targets: Vec<Target>,
    relations: Vec<Relation>,
    references: Vec<Reference>,
    /// Columns that the statement's own text reads by the server's account.
    selected: BTreeSet<Column>,
    pub(crate) row_security: bool,
    /// Types between which a set operation converts without saying so in the tree.
    pub(crate) converted: BTreeSet<u32>,
    pub(crate) major: u16,
    /// A tree of `pg_rewrite`, in which views are not expanded.
    pub(crate) stored: bool,
}

/// The lineage of a tree that was read.
pub(crate) fn analyse(tree: &Tree<'_>, major: u16, stored: bool) -> Result<Lineage> {
    let mut walk = Walk {
        graph: Graph::default(),
        scopes: Vec::new(),
        work: VecDeque::new(),
        control: Vec::new(),
        control_slots: HashMap::new(),
        equalities: Vec::new(),
        targets: Vec::new(),
        relations: Vec::new(),
        references: Vec::new(),
        selected: BTreeSet::new(),
        row_security: false,
        converted: BTreeSet::new(),
        major,
        stored,
    };
    let root = tree.root()?;
    let top = walk.open(
        root,
        None,
        Origin {
            view: None,
            reference: None,
            policy: false,
        },
    )?;
    while let Some(work) = walk.work.pop_front() {
        match work {
            Work::Query(scope) => walk.query(scope)?,
            Work::Column {
                scope,
                expression,
                slot,
            } => walk.fill(scope, expression, slot).map(drop)?,
        }
    }
    let outputs = Rc::clone(&walk.scope(top)?.outputs);
    walk.report(tree, root, &outputs)
}

impl<'t> Walk<'t> {
    pub(crate) fn scope(&self, id: ScopeId) -> Result<&Scope<'t>> {
        self.scopes
            .get(id.0)
            .ok_or_else(|| inconsistent("a query is missing"))
    }

    pub(crate) fn scope_mut(&mut self, id: ScopeId) -> Result<&mut Scope<'t>> {
        self.scopes
            .get_mut(id.0)
            .ok_or_else(|| inconsistent("a query is missing"))
    }

    /// The query `levels` further out.
    pub(crate) fn outer(&self, mut id: ScopeId, levels: usize) -> Result<ScopeId> {
        for _ in 0..levels {
            id = self
                .scope(id)?
                .parent
                .ok_or_else(|| inconsistent("a reference beyond the outermost query"))?;
        }
        Ok(id)
    }

    /// Make a scope of a query, with a slot for each target, and leave its inside for later.
    pub(crate) fn open(
        &mut self,
        query: Node<'t>,
        parent: Option<ScopeId>,
        origin: Origin,
    ) -> Result<ScopeId> {
        let mut outputs = Vec::new();
        let mut targets = Vec::new();
        let mut sort_refs = HashMap::new();
        for target in query.list("targetList")? {
            let slot = self.graph.slot()?;
            let reference = target.number("ressortgroupref")?;
            if target.flag("resjunk")? {
                if reference == 0 {
                    return Err(inconsistent(
                        "a hidden target that nothing sorts or groups by",
                    ));
                }
            } else {
                outputs.push(slot);
                if target.index("resno")? != outputs.len() {
                    return Err(inconsistent("targets out of order"));
                }
            }
            if reference != 0 && sort_refs.insert(reference, slot).is_some() {
                return Err(inconsistent("two targets of one sort reference"));
            }
            targets.push((target, slot));
        }
        let id = ScopeId(self.scopes.len());
        self.scopes.push(Scope {
            query,
            parent,
            origin,
            outputs: outputs.into(),
            targets,
            sort_refs,
            entries: Vec::new(),
            ctes: Vec::new(),
            windows: HashMap::new(),
            merged: HashMap::new(),
            level: None,
        });
        self.work.push_back(Work::Query(id));
        Ok(id)
    }

    /// The slot of a control use in a query.
    pub(crate) fn control(&mut self, scope: ScopeId, place: &'static str) -> Result<SlotId> {
        let Origin { view, policy, .. } = self.scope(scope)?.origin;
        let place = if policy { ROW_SECURITY } else { place };
        if let Some(&slot) = self.control_slots.get(&(scope, place)) {
            return Ok(slot);
        }
        let slot = self.graph.slot()?;
        self.control.push(ControlSlot {
            slot,
            place,
            view,
            equality: None,
        });
        self.control_slots.insert((scope, place), slot);
        Ok(slot)
    }

    /// The slot of one control use of the statement's own text, kept apart from others of its place.
    pub(crate) fn control_apart(
        &mut self,
        place: &'static str,
        equality: Option<usize>,
    ) -> Result<SlotId> {
        let slot = self.graph.slot()?;
        self.control.push(ControlSlot {
            slot,
            place,
            view: None,
            equality,
        });
        Ok(slot)
    }

    /// Note a relation; what the statement's own text reads of it by the server's account.
    pub(crate) fn relation(
        &mut self,
        oid: u32,
        kind: &str,
        direct: bool,
        selected: Selected<'t>,
    ) -> Result<()> {
        let at = match self.relations.iter().position(|r| r.oid == oid) {
            Some(at) => at,
            None => {
                self.relations.push(Relation {
                    oid,
                    kind: kind.to_owned(),
                    direct: false,
                    selected: Vec::new(),
                });
                self.relations.len() - 1
            }
        };
        let relation = self
            .relations
            .get_mut(at)
            .ok_or_else(|| inconsistent("a relation is missing"))?;
        if relation.kind != kind {
            return Err(inconsistent("one relation of two kinds"));
        }
        if direct {
            relation.direct = true;
            for attribute in selected.attributes() {
                let attribute = attribute_number(attribute)?;
                relation.selected.push(attribute);
                if kind != "v" {
                    self.selected.insert(Column(oid, attribute));
                }
            }
        }
        Ok(())
    }

    /// Note what an item of the statement's own FROM names, and what is read through it.
    pub(crate) fn reference(
        &mut self,
        relation: u32,
        entry: Node<'t>,
        selected: Selected<'t>,
    ) -> Result<usize> {
        let alias = entry.node("eref")?.text("aliasname")?.unwrap_or_default();
        let same = |r: &Reference| r.relation == relation && r.alias == alias;
        let at = self.references.iter().position(same).unwrap_or_else(|| {
            self.references.push(Reference {
                relation,
                alias: alias.to_owned(),
                selected: Vec::new(),
            });
            self.references.len() - 1
        });
        if let Some(reference) = self.references.get_mut(at) {
            for attribute in selected.attributes() {
                reference.selected.push(attribute_number(attribute)?);
            }
        }
        Ok(at)
    }

    fn report(mut self, tree: &Tree<'_>, root: Node<'_>, outputs: &[SlotId]) -> Result<Lineage> {
        let mut roots = outputs.to_vec();
        roots.extend(self.control.iter().map(|c| c.slot));
        let live = self.graph.live(&roots)?;
        let solution = std::mem::take(&mut self.graph).solve()?;

        let equalities = self
            .equalities
            .iter()
            .map(|found| Equality {
                columns: found
                    .columns
                    .iter()
                    .map(|&slot| match *solution.sources(slot) {
                        [source @ Source(_, _, None)] if solution.shape(slot) == Shape::Bare => {
                            Some(source)
                        }
                        _ => None,
                    })
                    .collect(),
                parameter: match found.given {
                    Some(Given::Parameter(number)) => Some(number),
                    _ => None,
                },
                constant: matches!(found.given, Some(Given::Constant)),
            })
            .collect();
        let mut used = BTreeSet::new(); // columns that the own text lets reach output or control
        let mut sources_used = BTreeSet::new(); // the same, with the references
        let mut named = Vec::new();
        let targets = root
            .list("targetList")?
            .filter(|t| matches!(t.flag("resjunk"), Ok(false)));
        for (target, &slot) in targets.zip(outputs) {
            let sources = solution.sources(slot);
            let mut columns: Vec<Column> = sources.iter().map(|s| s.0).collect();
            columns.dedup();
            used.extend(columns.iter().copied());
            sources_used.extend(sources.iter().map(|s| (s.0, s.1)));
            let expression = target.node("expr")?;
            named.push(Output {
                name: target.text("resname")?.unwrap_or_default().to_owned(),
                type_oid: types::type_of(expression)?,
                typmod: types::typmod_of(expression)?,
                shape: solution.shape(slot),
                columns,
                sources,
            });
        }
        let mut control: BTreeMap<_, BTreeSet<Option<usize>>> = BTreeMap::new();
        for ControlSlot {
            slot,
            place,
            view,
            equality,
        } in self.control
        {
            for Source(column, reference, values) in solution.sources(slot) {
                if view.is_none() {
                    used.insert(column);
                    sources_used.insert((column, reference));
                }
                let references = control
                    .entry((column, place, view, equality, values))
                    .or_default();
                references.insert(reference);
            }
        }
        // A dead target that computes is evaluated all the same, and may fail on a value: it counts even
        // if its columns also reach an output. One that passes a column on does nothing.
        let mut mentioned: BTreeMap<Column, BTreeSet<Option<usize>>> = BTreeMap::new();
        let mut idle = BTreeSet::new();
        for (at, reference) in self.references.iter_mut().enumerate() {
            reference.selected.sort_unstable();
            reference.selected.dedup();
            for &attribute in &reference.selected {
                let column = Column(reference.relation, attribute);
                if !self.selected.contains(&column) {
                    continue;
                }
                if !used.contains(&column) {
                    mentioned.entry(column).or_default().insert(Some(at));
                } else if !sources_used.contains(&(column, Some(at))) {
                    idle.insert(Source(column, Some(at), None));
                }
            }
        }
        for Target { slot, own, passes } in self.targets {
            if own && !slot.marked(&live) {
                for Source(column, reference, _) in solution.sources(slot) {
                    if !passes || !used.contains(&column) {
                        mentioned.entry(column).or_default().insert(reference);
                    } else if !sources_used.contains(&(column, reference)) {
                        idle.insert(Source(column, reference, None));
                    }
                }
            }
        }
        for relation in &mut self.relations {
            relation.selected.sort_unstable();
            relation.selected.dedup();
        }
        let mut calls = calls::of(tree)?;
        calls.types.append(&mut self.converted);
        Ok(Lineage {
            outputs: named,
            control: control
                .into_iter()
                .map(
                    |((column, place, through_view, equality, values), references)| Control {
                        column,
                        place,
                        through_view,
                        references: references.into_iter().collect(),
                        equality,
                        values,
                    },
                )
                .collect(),
            mentions: mentioned
                .into_iter()
                .map(|(column, references)| Mention {
                    column,
                    place: "unused mention",
                    references: references.into_iter().collect(),
                })
                .collect(),
            idle: idle.into_iter().collect(),
            relations: self.relations,
            equalities,
            references: self.references,
            functions: calls.functions.into_iter().collect(),
            calls: calls.sites.into_iter().collect(),
            operators: calls.operators.into_iter().collect(),
            types: calls.types.into_iter().collect(),
            params: calls.params.into_iter().collect(),
            row_security: self.row_security,
            digest: tree.digest.clone(),
        })
    }
}

/// An attribute that may be served: a user column, or 0 for the whole row.
pub(crate) fn attribute_number(attribute: i64) -> Result<i16> {
    match i16::try_from(attribute) {
        Ok(n) if n < 0 => crate::error::not_plain(
            "system columns (ctid, xmin, cmin, tableoid, …) are not served: name the table's own columns",
        ),
        Ok(n) if n <= 1600 => Ok(n),
        _ => not_understood("the server's tree holds an attribute number beyond any table's"),
    }
}
