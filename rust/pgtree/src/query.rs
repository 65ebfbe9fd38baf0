//! The inside of one query: its CTEs, range table, joins, targets and clauses.

use crate::error::{Result, inconsistent, not_understood};
use crate::expression::Context;
use crate::graph::{Form, Reads, SlotId};
use crate::schema::Tag;
use crate::tree::{Node, unexpected};
use crate::walk::{Entry, ROW_SECURITY, ScopeId, Selected, Target, Walk};
use std::rc::Rc;

impl<'t> Walk<'t> {
    /// Visit everything in a query that was opened.
    pub(crate) fn query(&mut self, scope: ScopeId) -> Result<()> {
        let query = self.scope(scope)?.query;
        self.row_security |= query.flag("hasRowSecurity")?;
        self.ctes(scope, query)?;
        let range: Vec<Node<'t>> = query.list("rtable")?.collect();
        let rule = self.rule_entries(&range)?;
        for (at, &entry) in range.iter().enumerate() {
            let offered = if rule && at < 2 {
                Entry::Rule
            } else {
                self.offer(scope, query, entry)?
            };
            self.scope_mut(scope)?.entries.push(offered);
        }
        // Only now may expressions be visited: with LATERAL an entry reads the ones before it.
        for (at, &entry) in range.iter().enumerate() {
            self.inside(scope, at, entry)?;
        }
        self.from(scope, query.node("jointree")?)?;
        self.windows(scope, query)?;
        match query.maybe("setOperations")? {
            Some(operation) => self.set_operation(scope, operation)?,
            None => {
                let targets = self.scope(scope)?.targets.clone();
                for (target, slot) in targets {
                    self.target(scope, target.node("expr")?, slot)?;
                }
            }
        }
        self.clauses(scope, query)
    }

    fn ctes(&mut self, scope: ScopeId, query: Node<'t>) -> Result<()> {
        let origin = self.scope(scope)?.origin;
        for cte in query.list("cteList")? {
            let name = cte
                .text("ctename")?
                .ok_or_else(|| inconsistent("a CTE without a name"))?;
            let body = self.open(cte.node("ctequery")?, Some(scope), origin)?;
            let outputs = Rc::clone(&self.scope(body)?.outputs);
            self.scope_mut(scope)?.ctes.push((name, outputs));
            if let Some(cycle) = cte.maybe("cycle_clause")? {
                self.controlled(
                    scope,
                    "CYCLE",
                    [
                        cycle.node("cycle_mark_value")?,
                        cycle.node("cycle_mark_default")?,
                    ],
                )?;
            }
        }
        Ok(())
    }

    /// Whether a view's body begins with the OLD and NEW of its rule, as version 15 leaves them.
    fn rule_entries(&self, range: &[Node<'t>]) -> Result<bool> {
        Ok(self.major == 15 && view_of_rule(range)?.is_some())
    }

    /// What an entry offers to the expressions of its query.
    fn offer(&mut self, scope: ScopeId, query: Node<'t>, entry: Node<'t>) -> Result<Entry<'t>> {
        Ok(match entry.number("rtekind")? {
            0 => {
                let oid = entry.oid("relid")?;
                let kind = entry.text("relkind")?.unwrap_or_default();
                if kind == "v" && !self.stored {
                    return not_understood(
                        "the statement reads a view that the server did not expand",
                    );
                }
                let selected = self.selected(query, entry)?;
                let origin = self.scope(scope)?.origin;
                self.relation(oid, kind, origin.own(), selected)?;
                let reference = if origin.own() {
                    Some(self.reference(oid, entry, selected)?)
                } else {
                    origin.reference
                };
                Entry::Relation {
                    oid,
                    selected,
                    reference,
                }
            }
            1 => self.subquery(scope, query, entry)?,
            2 => Entry::Join(entry.holes("joinaliasvars")?.collect()),
            3 | 4 => Entry::Opaque(self.graph.slot()?),
            5 => {
                let width = entry.numbers("coltypes")?.len();
                let slots = (0..width)
                    .map(|_| self.graph.slot())
                    .collect::<Result<_>>()?;
                Entry::Columns {
                    slots,
                    selected: None,
                }
            }
            6 => Entry::Columns {
                slots: self.cte(scope, entry)?,
                selected: None,
            },
            9 => Entry::Group(entry.holes("groupexprs")?.collect()),
            kind => {
                return not_understood(format!(
                    "the statement reads from a source of kind {kind}, which is not on the list"
                ));
            }
        })
    }

    fn subquery(&mut self, scope: ScopeId, query: Node<'t>, entry: Node<'t>) -> Result<Entry<'t>> {
        let body = entry.node("subquery")?;
        let within = self.scope(scope)?.origin;
        let named = if self.major == 15 {
            let range: Vec<_> = body.list("rtable")?.take(2).collect();
            view_of_rule(&range)?
        } else {
            match entry.oid("relid")? {
                0 => None,
                _ if entry.text("relkind")? != Some("v") => {
                    return Err(inconsistent("a subquery in the place of a relation"));
                }
                oid => Some((oid, self.selected(query, entry)?)),
            }
        };
        let mut origin = within;
        if let Some((oid, selected)) = named {
            self.relation(oid, "v", within.own(), selected)?;
            if within.own() {
                origin.reference = Some(self.reference(oid, entry, selected)?);
            }
            origin.view = Some(oid);
        }
        let inner = self.open(body, Some(scope), origin)?;
        Ok(Entry::Columns {
            slots: Rc::clone(&self.scope(inner)?.outputs),
            selected: named.map(|(_, selected)| selected),
        })
    }

    /// The columns that the server's permission check expects to be read.
    fn selected(&self, query: Node<'t>, entry: Node<'t>) -> Result<Selected<'t>> {
        if self.major == 15 {
            return Ok(Selected(entry.numbers("selectedCols")?));
        }
        let index = entry.index("perminfoindex")?.checked_sub(1);
        let check = index.and_then(|n| query.list("rteperminfos").ok()?.nth(n));
        match check {
            Some(check) if check.oid("relid")? == entry.oid("relid")? => {
                Ok(Selected(check.numbers("selectedCols")?))
            }
            _ => Err(inconsistent("a relation without its permission check")),
        }
    }

    fn cte(&self, scope: ScopeId, entry: Node<'t>) -> Result<Rc<[SlotId]>> {
        let home = self.outer(scope, entry.index("ctelevelsup")?)?;
        let name = entry.text("ctename")?;
        let found = self
            .scope(home)?
            .ctes
            .iter()
            .find(|(n, _)| Some(*n) == name);
        found
            .map(|(_, outputs)| Rc::clone(outputs))
            .ok_or_else(|| inconsistent("a CTE that is not there"))
    }

    /// The expressions that an entry holds itself.
    fn inside(&mut self, scope: ScopeId, at: usize, entry: Node<'t>) -> Result<()> {
        let quals: Vec<_> = entry.list("securityQuals")?.collect();
        if !quals.is_empty() {
            self.row_security = true;
            let mut reads = Reads::default();
            for qual in quals {
                self.expression(
                    Context {
                        policy: true,
                        ..Context::of(scope)
                    },
                    qual,
                    &mut reads,
                )?;
            }
            let slot = self.control(scope, ROW_SECURITY)?;
            self.graph.fill(slot, &reads, Form::Computed)?;
        }
        let offered = self.scope(scope)?.entries.get(at).cloned();
        match offered.ok_or_else(|| inconsistent("a range table entry is missing"))? {
            Entry::Relation { .. } => {
                if let Some(sample) = entry.maybe("tablesample")? {
                    self.controlled(
                        scope,
                        "TABLESAMPLE",
                        sample.list("args")?.chain(sample.maybe("repeatable")?),
                    )?;
                }
            }
            Entry::Opaque(slot) => {
                // Also a function that gives one row may give none, or fail: its arguments are control.
                let (place, arguments): (_, Vec<_>) = if entry.number("rtekind")? == 3 {
                    let calls = entry
                        .list("functions")?
                        .map(|f| f.node("funcexpr"))
                        .collect::<Result<_>>()?;
                    ("set-returning function", calls)
                } else {
                    (
                        "table function",
                        entry.node("tablefunc")?.children()?.collect(),
                    )
                };
                let reads = self.controlled(scope, place, arguments)?;
                self.graph.fill(slot, &reads, Form::Computed)?;
            }
            Entry::Columns { slots, .. } if entry.number("rtekind")? == 5 => {
                self.values(scope, entry, &slots)?
            }
            _ => {}
        }
        Ok(())
    }

    fn values(&mut self, scope: ScopeId, entry: Node<'t>, slots: &[SlotId]) -> Result<()> {
        let rows: Vec<Vec<Node<'t>>> = entry.rows("values_lists")?.map(Iterator::collect).collect();
        for row in rows {
            if row.len() != slots.len() {
                return Err(inconsistent("rows of unequal length in VALUES"));
            }
            for (expression, &slot) in row.into_iter().zip(slots) {
                self.target(scope, expression, slot)?;
            }
        }
        Ok(())
    }

    /// Visit the expression of a slot that may turn out to be dead.
    fn target(&mut self, scope: ScopeId, expression: Node<'t>, slot: SlotId) -> Result<()> {
        let form = self.fill(scope, expression, slot)?;
        let own = self.scope(scope)?.origin.own();
        self.targets.push(Target {
            slot,
            own,
            passes: matches!(form, Form::Column(_) | Form::Slot(_)),
        });
        Ok(())
    }

    pub(crate) fn fill(
        &mut self,
        scope: ScopeId,
        expression: Node<'t>,
        slot: SlotId,
    ) -> Result<Form> {
        let mut reads = Reads::default();
        let form = self.expression(Context::of(scope), expression, &mut reads)?;
        self.graph.fill(slot, &reads, form)?;
        Ok(form)
    }

    /// Visit expressions that control rows.
    fn controlled(
        &mut self,
        scope: ScopeId,
        place: &'static str,
        expressions: impl IntoIterator<Item = Node<'t>>,
    ) -> Result<Reads> {
        let mut reads = Reads::default();
        for expression in expressions {
            self.expression(Context::of(scope), expression, &mut reads)?;
        }
        let slot = self.control(scope, place)?;
        self.graph.fill(slot, &reads, Form::Computed)?;
        Ok(reads)
    }

    /// The join tree: every qualification controls.
    fn from(&mut self, scope: ScopeId, item: Node<'t>) -> Result<()> {
        match item.tag()? {
            Tag::FromExpr => {
                for inner in item.list("fromlist")? {
                    self.from(scope, inner)?;
                }
                self.controlled(scope, "WHERE", item.maybe("quals")?)
                    .map(drop)
            }
            Tag::JoinExpr => {
                self.from(scope, item.node("larg")?)?;
                self.from(scope, item.node("rarg")?)?;
                self.controlled(scope, "JOIN", item.maybe("quals")?)
                    .map(drop)
            }
            Tag::RangeTblRef => {
                let at = item.index("rtindex")?.checked_sub(1);
                match at.and_then(|at| self.scope(scope).ok()?.entries.get(at)) {
                    Some(Entry::Rule) | None => {
                        Err(inconsistent("FROM names an entry that is not there"))
                    }
                    Some(_) => Ok(()),
                }
            }
            _ => Err(unexpected(item)),
        }
    }

    fn windows(&mut self, scope: ScopeId, query: Node<'t>) -> Result<()> {
        for window in query.list("windowClause")? {
            let mut reads = Reads::default();
            self.sorted(scope, window, "partitionClause", &mut reads)?;
            self.sorted(scope, window, "orderClause", &mut reads)?;
            for offset in [window.maybe("startOffset")?, window.maybe("endOffset")?]
                .into_iter()
                .flatten()
            {
                self.expression(Context::of(scope), offset, &mut reads)?;
            }
            let slot = self.graph.slot()?;
            self.graph.fill(slot, &reads, Form::Computed)?;
            let control = self.control(scope, "WINDOW")?;
            self.graph.fill(control, &reads, Form::Computed)?;
            if self
                .scope_mut(scope)?
                .windows
                .insert(window.number("winref")?, slot)
                .is_some()
            {
                return Err(inconsistent("two windows of one number"));
            }
        }
        Ok(())
    }

    /// The targets that a list of sort or group clauses names.
    fn sorted(
        &mut self,
        scope: ScopeId,
        holder: Node<'t>,
        field: &'static str,
        reads: &mut Reads,
    ) -> Result<()> {
        for clause in holder.list(field)? {
            let reference = clause.number("tleSortGroupRef")?;
            match self.scope(scope)?.sort_refs.get(&reference) {
                Some(&slot) => reads.slots.push(slot),
                None => return Err(inconsistent("a sort clause without its target")),
            }
        }
        Ok(())
    }

    fn clauses(&mut self, scope: ScopeId, query: Node<'t>) -> Result<()> {
        let distinct = if query.flag("hasDistinctOn")? {
            "DISTINCT ON"
        } else {
            "DISTINCT"
        };
        for (field, place) in [
            ("groupClause", "GROUP BY"),
            ("distinctClause", distinct),
            ("sortClause", "ORDER BY"),
        ] {
            let mut reads = Reads::default();
            self.sorted(scope, query, field, &mut reads)?;
            if !reads.slots.is_empty() {
                let slot = self.control(scope, place)?;
                self.graph.fill(slot, &reads, Form::Computed)?;
            }
        }
        for (field, place) in [
            ("havingQual", "HAVING"),
            ("limitOffset", "OFFSET"),
            ("limitCount", "LIMIT"),
        ] {
            if let Some(expression) = query.maybe(field)? {
                self.controlled(scope, place, [expression])?;
            }
        }
        Ok(())
    }
}

/// The view whose rule these first entries are of: OLD, with the permission check, and NEW.
///
/// Nobody's FROM makes such a pair: a view that FROM names is expanded, and these are not in FROM.
fn view_of_rule<'t>(range: &[Node<'t>]) -> Result<Option<(u32, Selected<'t>)>> {
    let [old, new, ..] = range else {
        return Ok(None);
    };
    let ruled = |entry: Node<'t>| -> Result<bool> {
        Ok(entry.number("rtekind")? == 0
            && entry.text("relkind")? == Some("v")
            && !entry.flag("inFromCl")?)
    };
    if ruled(*old)? && ruled(*new)? && old.oid("relid")? == new.oid("relid")? {
        return Ok(Some((
            old.oid("relid")?,
            Selected(old.numbers("selectedCols")?),
        )));
    }
    Ok(None)
}
