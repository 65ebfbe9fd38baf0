//! What an expression reads, and whether it passes one column on unchanged.
//!
//! The rule is that everything below an expression flows into it; a node with a rule of its own is
//! named below, and a node that is not an expression is refused.

use crate::error::{Result, inconsistent, not_plain, not_understood};
use crate::graph::{Form, Reads, SlotId};
use crate::lineage::{Column, Source};
use crate::schema::Tag;
use crate::tree::{Node, unexpected};
use crate::walk::{Entry, Origin, ScopeId, Walk, Work, attribute_number};
use std::rc::Rc;

const TEXT: u32 = 25;
/// The built-in casts to text that are functions: of bpchar, name, "char", inet, bool.
const TEXT_CASTS: [u32; 5] = [401, 406, 946, 730, 2971];

/// Where an expression stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    pub(crate) scope: ScopeId,
    /// In a row security policy, whose columns the permission check of the statement does not list.
    pub(crate) policy: bool,
    /// In the test of a SubLink: how many columns of its query the test may name.
    pub(crate) tested: usize,
    /// In the target list of its query, which is computed after HAVING has chosen the groups.
    pub(crate) target: bool,
}

impl Context {
    pub(crate) fn of(scope: ScopeId) -> Self {
        Self {
            scope,
            policy: false,
            tested: 0,
            target: false,
        }
    }
}

impl<'t> Walk<'t> {
    /// Add what the expression reads; its form.
    pub(crate) fn expression(
        &mut self,
        at: Context,
        node: Node<'t>,
        reads: &mut Reads,
    ) -> Result<Form> {
        match node.tag()? {
            Tag::Var => self.variable(at, node, reads),
            Tag::Const => Ok(Form::Computed),
            Tag::Param => self.parameter(at, node),
            // A relabelled value is the same bytes under another type's name.
            Tag::RelabelType => self.expression(at, node.node("arg")?, reads),
            Tag::CoerceViaIo => {
                let form = self.expression(at, node.node("arg")?, reads)?;
                Ok(if node.oid("resulttype")? == TEXT { form.as_text() } else { Form::Computed })
            }
            Tag::FuncExpr => self.function(at, node, reads),
            Tag::OpExpr => {
                let own = self.below(at, node)?;
                self.multiplied(at, node.flag("opretset")?, &own)?;
                extend(reads, own)
            }
            Tag::Aggref => {
                if let Some(source) = self.aggregated(at, node)? {
                    self.below(at, node)?; // for the checks that go with it
                    reads.columns.push(self.graph.column(source)?);
                    return Ok(Form::Computed);
                }
                self.filter(at, node)?;
                self.all(at, node, reads)
            }
            Tag::WindowFunc => {
                self.filter(at, node)?;
                match self.scope(at.scope)?.windows.get(&node.number("winref")?) {
                    Some(&window) => reads.slots.push(window),
                    None => return Err(inconsistent("a window function without its window")),
                }
                self.all(at, node, reads)
            }
            Tag::SubLink => self.sub_link(at, node, reads),
            Tag::SqlValueFunction => {
                // 9 and above are names of roles and schemas. The gateway's own would only mislead; in a
                // policy or a view they are the owner's matter.
                let own = !self.stored && !at.policy && self.scope(at.scope)?.origin.own();
                if own && node.number("op")? > 8 {
                    return not_plain(
                        "current_user, session_user, current_schema and their like are the gateway's, not yours: leave them out",
                    );
                }
                Ok(Form::Computed)
            }
            Tag::GroupingFunc
            | Tag::SubscriptingRef
            | Tag::NamedArgExpr
            | Tag::DistinctExpr
            | Tag::NullIfExpr
            | Tag::ScalarArrayOpExpr
            | Tag::BoolExpr
            | Tag::FieldSelect
            | Tag::ArrayCoerceExpr
            | Tag::ConvertRowtypeExpr
            | Tag::CollateExpr
            | Tag::CaseExpr
            | Tag::CaseWhen
            | Tag::CaseTestExpr
            | Tag::ArrayExpr
            | Tag::RowExpr
            | Tag::RowCompareExpr
            | Tag::CoalesceExpr
            | Tag::MinMaxExpr
            | Tag::XmlExpr
            | Tag::NullTest
            | Tag::BooleanTest
            | Tag::CoerceToDomain
            | Tag::CoerceToDomainValue
            | Tag::JsonFormat
            | Tag::JsonReturning
            | Tag::JsonValueExpr
            | Tag::JsonConstructorExpr
            | Tag::JsonIsPredicate
            | Tag::JsonExpr
            | Tag::JsonBehavior
            | Tag::JsonTablePath
            | Tag::JsonTablePathScan
            | Tag::JsonTableSiblingJoin
            | Tag::SortGroupClause // of an aggregate: names one of its arguments
            | Tag::TargetEntry => self.all(at, node, reads), // an argument of an aggregate
            Tag::Query
            | Tag::RangeTblEntry
            | Tag::RtePermissionInfo
            | Tag::Alias
            | Tag::RangeTblRef
            | Tag::JoinExpr
            | Tag::FromExpr
            | Tag::RangeTblFunction
            | Tag::TableFunc
            | Tag::TableSampleClause
            | Tag::CommonTableExpr
            | Tag::CteSearchClause
            | Tag::CteCycleClause
            | Tag::SetOperationStmt
            | Tag::GroupingSet
            | Tag::WindowClause => Err(unexpected(node)),
        }
    }

    /// Everything below flows in.
    fn all(&mut self, at: Context, node: Node<'t>, reads: &mut Reads) -> Result<Form> {
        for child in node.children()? {
            self.expression(at, child, reads)?;
        }
        Ok(Form::Computed)
    }

    fn below(&mut self, at: Context, node: Node<'t>) -> Result<Reads> {
        let mut reads = Reads::default();
        self.all(at, node, &mut reads)?;
        Ok(reads)
    }

    /// A set-returning call multiplies rows by its arguments.
    fn multiplied(&mut self, at: Context, set: bool, arguments: &Reads) -> Result<()> {
        if set {
            let slot = self.control(at.scope, "set-returning function")?;
            self.graph.fill(slot, arguments, Form::Computed)?;
        }
        Ok(())
    }

    /// FILTER decides which rows an aggregate sees; it also flows into the aggregate's value.
    fn filter(&mut self, at: Context, node: Node<'t>) -> Result<()> {
        if let Some(filter) = node.maybe("aggfilter")? {
            let mut reads = Reads::default();
            self.expression(at, filter, &mut reads)?;
            let slot = self.control(at.scope, "FILTER")?;
            self.graph.fill(slot, &reads, Form::Computed)?;
        }
        Ok(())
    }

    fn function(&mut self, at: Context, node: Node<'t>, reads: &mut Reads) -> Result<Form> {
        let mut arguments = node.list("args")?;
        let first = arguments.next();
        if let (Some(argument), None) = (first, arguments.next()) {
            let cast =
                matches!(node.number("funcformat")?, 1 | 2) && node.oid("funcresulttype")? == TEXT;
            if cast && TEXT_CASTS.contains(&node.oid("funcid")?) {
                return Ok(self.expression(at, argument, reads)?.as_text());
            }
        }
        let own = self.below(at, node)?;
        self.multiplied(at, node.flag("funcretset")?, &own)?;
        extend(reads, own)
    }

    fn parameter(&self, at: Context, node: Node<'t>) -> Result<Form> {
        let number = node.index("paramid")?;
        match node.number("paramkind")? {
            0 if number > 0 => Ok(Form::Computed),
            // A column of the query that is being tested, whose outputs the SubLink reads anyway.
            2 if (1..=at.tested).contains(&number) => Ok(Form::Computed),
            kind => not_understood(format!(
                "the statement holds a parameter of kind {kind}, which is not on the list"
            )),
        }
    }

    /// A subquery in an expression: its outputs flow in, its predicates control the statement.
    fn sub_link(&mut self, at: Context, node: Node<'t>, reads: &mut Reads) -> Result<Form> {
        const EXISTS: i64 = 0;
        const SCALAR: i64 = 4;
        let kind = node.number("subLinkType")?;
        if !matches!(kind, 0..=4 | 6) {
            return not_understood(
                "the statement holds a subquery of a kind that is not on the list",
            );
        }
        // A policy's subquery is the policy's own text: its columns are no mention of the statement's.
        let within = self.scope(at.scope)?.origin;
        let origin = Origin {
            policy: within.policy || at.policy,
            ..within
        };
        let inner = self.open(node.node("subselect")?, Some(at.scope), origin)?;
        let outputs = Rc::clone(&self.scope(inner)?.outputs);
        if let Some(test) = node.maybe("testexpr")? {
            self.expression(
                Context {
                    tested: outputs.len(),
                    ..at
                },
                test,
                reads,
            )?;
        }
        if kind != EXISTS {
            reads.slots.extend_from_slice(&outputs);
        }
        // A scalar one gives the value of its one row as it is, or NULL; which row is its own control.
        match outputs.as_ref() {
            [output] if kind == SCALAR => Ok(Form::Slot(*output)),
            _ => Ok(Form::Computed),
        }
    }

    fn variable(&mut self, at: Context, node: Node<'t>, reads: &mut Reads) -> Result<Form> {
        let scope = self.outer(at.scope, node.index("varlevelsup")?)?;
        let attribute = attribute_number(node.number("varattno")?)?;
        let whole = attribute == 0;
        let missing = || inconsistent("a reference to a column that is not there");
        let entry = node.index("varno")?.checked_sub(1).ok_or_else(missing)?;
        let position = usize::try_from(attribute).map_err(|_| missing())?;
        let offered = self
            .scope(scope)?
            .entries
            .get(entry)
            .cloned()
            .ok_or_else(missing)?;
        if let Entry::Relation { selected, .. }
        | Entry::Columns {
            selected: Some(selected),
            ..
        } = &offered
            && !(at.policy || self.scope(at.scope)?.origin.policy)
            && !selected.admits(i64::from(attribute))
        {
            return Err(inconsistent(
                "a column is read that the permission check does not list",
            ));
        }
        let read: Vec<SlotId> = match offered {
            Entry::Relation { oid, reference, .. } => {
                let source = Source(Column(oid, attribute), reference, None);
                let column = self.graph.column(source)?;
                reads.columns.push(column);
                return Ok(if whole {
                    Form::Computed
                } else {
                    Form::Column(column)
                });
            }
            Entry::Columns { slots, .. } if whole => slots.to_vec(),
            Entry::Columns { slots, .. } => vec![*slots.get(position - 1).ok_or_else(missing)?],
            Entry::Opaque(slot) => {
                reads.slots.push(slot);
                return Ok(Form::Computed);
            }
            Entry::Join(columns) if whole => {
                let present = columns
                    .iter()
                    .enumerate()
                    .filter(|(_, c)| c.is_some())
                    .map(|(n, _)| n + 1);
                present
                    .map(|n| self.merged(scope, entry, n, &columns))
                    .collect::<Result<_>>()?
            }
            Entry::Join(columns) => vec![self.merged(scope, entry, position, &columns)?],
            Entry::Group(columns) if !whole => vec![self.merged(scope, entry, position, &columns)?],
            Entry::Group(_) | Entry::Rule => return Err(missing()),
        };
        reads.slots.extend_from_slice(&read);
        match read.as_slice() {
            [slot] if !whole => Ok(Form::Slot(*slot)),
            _ => Ok(Form::Computed),
        }
    }

    /// A column of a join or of the grouping step: an expression over the entries of the same query.
    fn merged(
        &mut self,
        scope: ScopeId,
        entry: usize,
        position: usize,
        columns: &[Option<Node<'t>>],
    ) -> Result<SlotId> {
        if let Some(&slot) = self.scope(scope)?.merged.get(&(entry, position)) {
            return Ok(slot);
        }
        let expression = columns.get(position - 1).copied().flatten();
        let expression =
            expression.ok_or_else(|| inconsistent("a reference to a column that is not there"))?;
        let slot = self.graph.slot()?;
        self.scope_mut(scope)?
            .merged
            .insert((entry, position), slot);
        self.work.push_back(Work::Column {
            scope,
            expression,
            slot,
        });
        Ok(slot)
    }
}

fn extend(reads: &mut Reads, own: Reads) -> Result<Form> {
    reads.columns.extend(own.columns);
    reads.slots.extend(own.slots);
    Ok(Form::Computed)
}
