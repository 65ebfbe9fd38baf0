//! Aggregates of which a policy may demand a least number of values: `avg(column)` over one plain table,
//! with `HAVING count(column) >= 10`.
//!
//! A column read so is reported with that number, beside its ordinary uses. The query level has to be as
//! plain as this: FROM is one table of the statement's own text (or a sub-select that only lists columns
//! of one), no join, no set-returning function, no grouping sets, no window, no sub-query, nothing of an
//! outer query; the aggregate is one of PostgreSQL's own counts, sums, means and variances by its OID,
//! over the bare column, without DISTINCT, ORDER BY or FILTER. What HAVING computes of such an aggregate
//! beside that count is an ordinary use: the server evaluates it for small groups, too.

use crate::equality::{conjuncts, own_column, unlabelled};
use crate::error::{Result, inconsistent};
use crate::expression::Context;
use crate::graph::{Form, Reads};
use crate::lineage::{Column, Source};
use crate::query::view_of_rule;
use crate::schema::Tag;
use crate::tree::Node;
use crate::walk::{ScopeId, Walk, attribute_number};
use std::rc::Rc;

const COUNT: u32 = 2147; // count("any")
/// avg, sum, variance, var_samp, var_pop, stddev, stddev_samp and stddev_pop of int8, int4, int2, numeric,
/// float4 and float8.
const OF_NUMBERS: [std::ops::RangeInclusive<u32>; 7] = [
    2100..=2105,
    2107..=2111,
    2114..=2114,
    2148..=2159,
    2641..=2646,
    2712..=2723,
    2724..=2729,
];
/// The use of a column in `HAVING count(column) >= 10`, which no other use is called.
const FLOOR: &str = "HAVING count";
const INT4: u32 = 23;
const INT8: u32 = 20;
/// int8 >= int8, int8 >= int4
const AT_LEAST: [u32; 2] = [415, 430];

/// A query level whose aggregates are over the rows of one table.
pub(crate) struct Level {
    /// The number of its one item of FROM.
    entry: usize,
    relation: u32,
    reference: usize,
    /// For a sub-select that lists columns: the table's column behind each of its own.
    columns: Option<Vec<Option<i16>>>,
    /// By HAVING: a column, and how many of its values each group has at least.
    floors: Vec<(i16, u32)>,
}

impl Level {
    /// The table's own number of a bare column of this level.
    fn attribute(&self, node: Node<'_>) -> Result<Option<i16>> {
        let node = unlabelled(node)?;
        if !own_column(node)? || node.index("varno")? != self.entry {
            return Ok(None);
        }
        let number = node.index("varattno")?;
        match &self.columns {
            None => attribute_number(node.number("varattno")?).map(Some),
            Some(columns) => Ok(columns.get(number - 1).copied().flatten()),
        }
    }

    fn floor(&self, attribute: i16) -> u32 {
        let of = |floor: &&(i16, u32)| floor.0 == attribute;
        self.floors
            .iter()
            .filter(of)
            .map(|floor| floor.1)
            .max()
            .unwrap_or(0)
    }

    fn source(&self, attribute: i16) -> Source {
        let column = Column(self.relation, attribute);
        Source(column, Some(self.reference), Some(self.floor(attribute)))
    }
}

impl<'t> Walk<'t> {
    /// What an aggregate in a target list reads, if it is one of those.
    pub(crate) fn aggregated(&mut self, at: Context, node: Node<'t>) -> Result<Option<Source>> {
        let oid = node.oid("aggfnoid")?;
        let listed = oid == COUNT || OF_NUMBERS.iter().any(|range| range.contains(&oid));
        let Some(argument) = plain_argument(node)?.filter(|_| at.target && listed) else {
            return Ok(None);
        };
        let Some(level) = self.level(at.scope)? else {
            return Ok(None);
        };
        Ok(level
            .attribute(argument)?
            .map(|attribute| level.source(attribute)))
    }

    /// HAVING: the counts that are a floor stand alone, everything else is an ordinary use.
    pub(crate) fn having(&mut self, scope: ScopeId, condition: Node<'t>) -> Result<()> {
        let level = self.level(scope)?;
        let mut rest = Vec::new();
        for conjunct in conjuncts(Some(condition))? {
            let floor = match &level {
                Some(level) => floor(level, conjunct)?,
                None => None,
            };
            let (Some(level), Some((attribute, _))) = (&level, floor) else {
                rest.push(conjunct);
                continue;
            };
            // Visited like any other, for the checks that go with it.
            self.expression(Context::of(scope), conjunct, &mut Reads::default())?;
            let column = self.graph.column(level.source(attribute))?;
            let reads = Reads {
                columns: vec![column],
                slots: Vec::new(),
            };
            let control = self.control_apart(FLOOR, None)?;
            self.graph.fill(control, &reads, Form::Computed)?;
        }
        self.controlled(scope, "HAVING", rest).map(drop)
    }

    fn level(&mut self, scope: ScopeId) -> Result<Option<Rc<Level>>> {
        if let Some(known) = &self.scope(scope)?.level {
            return Ok(known.clone());
        }
        let query = self.scope(scope)?.query;
        let mut found = None;
        if self.scope(scope)?.origin.own() && is_plain(query)? && !reads_outwards(query)? {
            found = self.base(query)?;
        }
        if let (Some(level), Some(condition)) = (&mut found, query.maybe("havingQual")?) {
            for conjunct in conjuncts(Some(condition))? {
                level.floors.extend(floor(level, conjunct)?);
            }
        }
        let level = found.map(Rc::new);
        self.scope_mut(scope)?.level = Some(level.clone());
        Ok(level)
    }

    /// The one table of a query level, directly or through a sub-select that only lists its columns.
    fn base(&mut self, query: Node<'t>) -> Result<Option<Level>> {
        let Some((entry, item)) = only_item(query)? else {
            return Ok(None);
        };
        match item.number("rtekind")? {
            0 => {
                let plain = matches!(item.text("relkind")?, Some("r" | "p" | "m"))
                    && item.maybe("tablesample")?.is_none();
                if !plain {
                    return Ok(None);
                }
                let relation = item.oid("relid")?;
                let selected = self.selected(query, item)?;
                Ok(Some(Level {
                    entry,
                    relation,
                    reference: self.reference(relation, item, selected)?,
                    columns: None,
                    floors: Vec::new(),
                }))
            }
            1 => {
                let inner = item.node("subquery")?;
                let first: Vec<_> = inner.list("rtable")?.take(2).collect();
                let view = if self.major == 15 {
                    view_of_rule(&first)?.is_some()
                } else {
                    item.oid("relid")? != 0
                };
                if view || item.flag("lateral")? || !only_lists(inner)? {
                    return Ok(None);
                }
                let Some(below) = self.base(inner)? else {
                    return Ok(None);
                };
                let mut columns = Vec::new();
                for target in inner.list("targetList")? {
                    columns.push(below.attribute(target.node("expr")?)?);
                }
                Ok(Some(Level {
                    entry,
                    columns: Some(columns),
                    ..below
                }))
            }
            _ => Ok(None),
        }
    }
}

/// `count(column) >= 10`, with the column and the number.
fn floor(level: &Level, node: Node<'_>) -> Result<Option<(i16, u32)>> {
    if node.tag()? != Tag::OpExpr || !AT_LEAST.contains(&node.oid("opno")?) {
        return Ok(None);
    }
    let mut arguments = node.list("args")?;
    let (Some(count), Some(least), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Ok(None);
    };
    if count.tag()? != Tag::Aggref || count.oid("aggfnoid")? != COUNT {
        return Ok(None);
    }
    let (Some(argument), Some(least)) = (plain_argument(count)?, number(least)?) else {
        return Ok(None);
    };
    Ok(level
        .attribute(argument)?
        .map(|attribute| (attribute, least)))
}

/// A literal that counts something.
fn number(node: Node<'_>) -> Result<Option<u32>> {
    if node.tag()? != Tag::Const || node.flag("constisnull")? {
        return Ok(None);
    }
    let value = node.number("constvalue")?;
    Ok(match node.oid("consttype")? {
        // The low half of the Datum, as a little-endian server prints it.
        INT4 => u32::try_from((value & 0xffff_ffff) as u32 as i32).ok(),
        INT8 => u32::try_from(value).ok(),
        _ => None,
    })
}

/// The one argument of an aggregate that has nothing else to it.
fn plain_argument(node: Node<'_>) -> Result<Option<Node<'_>>> {
    let plain = node.number("agglevelsup")? == 0
        && node.text("aggkind")? == Some("n")
        && !node.flag("aggstar")?
        && !node.flag("aggvariadic")?
        && node.maybe("aggfilter")?.is_none()
        && none(node, &["aggdirectargs", "aggorder", "aggdistinct"])?;
    let mut arguments = node.list("args")?;
    match (arguments.next(), arguments.next()) {
        (Some(target), None) if plain => target.node("expr").map(Some),
        _ => Ok(None),
    }
}

fn none(node: Node<'_>, lists: &[&'static str]) -> Result<bool> {
    for &field in lists {
        if node.list(field)?.next().is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A level that may group, choose and sort its rows, and does nothing else with them.
fn is_plain(query: Node<'_>) -> Result<bool> {
    Ok(!query.flag("hasWindowFuncs")?
        && !query.flag("hasTargetSRFs")?
        && !query.flag("hasSubLinks")?
        && query.maybe("setOperations")?.is_none()
        && none(
            query,
            &["cteList", "groupingSets", "windowClause", "distinctClause"],
        )?)
}

/// A level that lists columns and does nothing else.
fn only_lists(query: Node<'_>) -> Result<bool> {
    Ok(is_plain(query)?
        && !query.flag("hasAggs")?
        && query.node("jointree")?.maybe("quals")?.is_none()
        && query.maybe("havingQual")?.is_none()
        && query.maybe("limitOffset")?.is_none()
        && query.maybe("limitCount")?.is_none()
        && none(query, &["groupClause", "sortClause"])?)
}

/// The one item of FROM, with its number in the range table.
fn only_item(query: Node<'_>) -> Result<Option<(usize, Node<'_>)>> {
    let mut items = query.node("jointree")?.list("fromlist")?;
    let (Some(item), None) = (items.next(), items.next()) else {
        return Ok(None);
    };
    if item.tag()? != Tag::RangeTblRef {
        return Ok(None);
    }
    let entry = item.index("rtindex")?;
    let node = entry
        .checked_sub(1)
        .map(|at| Ok(query.list("rtable")?.nth(at)));
    let node = node
        .transpose()?
        .flatten()
        .ok_or_else(|| inconsistent("FROM names an entry that is not there"))?;
    Ok(none(node, &["securityQuals"])?.then_some((entry, node)))
}

/// Whether anything in the query is a column of one further out.
fn reads_outwards(query: Node<'_>) -> Result<bool> {
    let mut open = vec![query];
    while let Some(node) = open.pop() {
        if node.tag()? == Tag::Var && node.number("varlevelsup")? > 0 {
            return Ok(true);
        }
        open.extend(node.children()?);
    }
    Ok(false)
}
