//! Conjuncts that are an equality and nothing else: `column = $1`, `column = 'x'`, `a.column = b.column`.
//!
//! A policy may allow such a use of a protected column and no other, so one is told apart from the rest
//! of its WHERE or ON only when nothing can hang on it but which rows are equal: a top-level conjunct of
//! a WHERE or of an inner join's ON in the statement's own text, PostgreSQL's own equality of two plain
//! types by its OID, under a collation that came with the server, between columns of that very query
//! level and at most one value. An outer join is not among them: its unmatched rows come in an order
//! that the server makes of the values. Everything else stays an ordinary use.

use crate::error::{Result, inconsistent};
use crate::expression::Context;
use crate::graph::{Form, Reads, SlotId};
use crate::schema::Tag;
use crate::tree::Node;
use crate::walk::{ScopeId, Walk};

/// `=` of int2, int4, int8 and between them, name, text, oid, bpchar, date, inet, macaddr, timestamptz,
/// numeric, timestamp, uuid, macaddr8 and enums. Equal means the same value in each of them.
const EQUALS: [u32; 22] = [
    15, 93, 94, 96, 98, 410, 416, 532, 533, 607, 1054, 1093, 1201, 1220, 1320, 1752, 1862, 1868,
    2060, 2972, 3362, 3516,
];
/// Objects below this came with the server; a collation that ignores case or accents never does.
const FIRST_USER_OID: u32 = 16384;
const INNER: i64 = 0;

/// What a column is compared with, if not with a column.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Given {
    Parameter(i64),
    Constant,
}

/// A conjunct that was told apart; its columns are read through slots of their own.
pub(crate) struct EqualitySlots {
    pub(crate) columns: Vec<SlotId>,
    pub(crate) given: Option<Given>,
}

enum Side<'t> {
    Column(Node<'t>),
    Given(Given),
}

impl<'t> Walk<'t> {
    /// The qualification of a FROM or of a join; the conjuncts that are equalities stand alone.
    pub(crate) fn qualified(
        &mut self,
        scope: ScopeId,
        place: &'static str,
        join: i64,
        condition: Option<Node<'t>>,
    ) -> Result<()> {
        let apart = join == INNER && self.scope(scope)?.origin.own();
        let mut rest = Vec::new();
        for conjunct in conjuncts(condition)? {
            match equality(conjunct)? {
                Some((columns, given)) if apart => self.equal(scope, place, &columns, given)?,
                _ => rest.push(conjunct),
            }
        }
        self.controlled(scope, place, rest).map(drop)
    }

    fn equal(
        &mut self,
        scope: ScopeId,
        place: &'static str,
        columns: &[Node<'t>],
        given: Option<Given>,
    ) -> Result<()> {
        let number = self.equalities.len();
        let mut slots = Vec::new();
        let mut both = Reads::default();
        for &column in columns {
            let mut reads = Reads::default();
            let form = self.expression(Context::of(scope), column, &mut reads)?;
            let slot = self.graph.slot()?;
            self.graph.fill(slot, &reads, form)?;
            both.slots.push(slot);
            slots.push(slot);
        }
        let control = self.control_apart(place, Some(number))?;
        self.graph.fill(control, &both, Form::Computed)?;
        self.equalities.push(EqualitySlots {
            columns: slots,
            given,
        });
        Ok(())
    }
}

/// The parts of a condition that must all hold, in order.
pub(crate) fn conjuncts(condition: Option<Node<'_>>) -> Result<Vec<Node<'_>>> {
    let mut found = Vec::new();
    let mut open: Vec<Node<'_>> = condition.into_iter().collect();
    while let Some(node) = open.pop() {
        if node.tag()? == Tag::BoolExpr && node.text("boolop")? == Some("and") {
            let at = open.len();
            open.extend(node.list("args")?);
            open.get_mut(at..)
                .ok_or_else(|| inconsistent("args"))?
                .reverse();
        } else {
            found.push(node);
        }
    }
    Ok(found)
}

/// The one or two columns of a conjunct that compares them, and the value.
fn equality(node: Node<'_>) -> Result<Option<(Vec<Node<'_>>, Option<Given>)>> {
    if node.tag()? != Tag::OpExpr
        || !EQUALS.contains(&node.oid("opno")?)
        || node.flag("opretset")?
        || node.oid("inputcollid")? >= FIRST_USER_OID
    {
        return Ok(None);
    }
    let mut arguments = node.list("args")?;
    let (Some(left), Some(right), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Ok(None);
    };
    Ok(match (side(left)?, side(right)?) {
        (Some(Side::Column(a)), Some(Side::Column(b))) => Some((vec![a, b], None)),
        (Some(Side::Column(column)), Some(Side::Given(given)))
        | (Some(Side::Given(given)), Some(Side::Column(column))) => {
            Some((vec![column], Some(given)))
        }
        _ => None,
    })
}

/// A column of this query level, or a value; either may be relabelled, and nothing else.
fn side(argument: Node<'_>) -> Result<Option<Side<'_>>> {
    let node = unlabelled(argument)?;
    Ok(match node.tag()? {
        Tag::Var if own_column(node)? => Some(Side::Column(argument)),
        Tag::Const => Some(Side::Given(Given::Constant)),
        Tag::Param if node.number("paramkind")? == 0 => {
            Some(Side::Given(Given::Parameter(node.number("paramid")?)))
        }
        _ => None,
    })
}

/// What is below the relabelling.
pub(crate) fn unlabelled(mut node: Node<'_>) -> Result<Node<'_>> {
    while node.tag()? == Tag::RelabelType {
        node = node.node("arg")?;
    }
    Ok(node)
}

/// A column, not a whole row, of an entry of this query level.
pub(crate) fn own_column(node: Node<'_>) -> Result<bool> {
    Ok(node.tag()? == Tag::Var && node.number("varlevelsup")? == 0 && node.number("varattno")? > 0)
}
