//! Everything the server would call to run the tree: functions, operators, and types by their own
//! functions. One pass over all nodes, whether the walk reaches them or not, so that nothing hides.

use crate::error::{Result, not_understood};
use crate::lineage::{Parameter, Site};
use crate::schema::Tag;
use crate::tree::{Node, Tree};
use crate::types;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) functions: BTreeSet<u32>,
    pub(crate) sites: BTreeSet<Site>,
    pub(crate) operators: BTreeSet<u32>,
    pub(crate) types: BTreeSet<u32>,
    pub(crate) params: BTreeSet<Parameter>,
}

/// The place of a call that nobody wrote as `name(…)`: a cast, an operator, an aggregate.
const UNWRITTEN: i64 = -2;
/// `funcformat` of one that was (`COERCE_EXPLICIT_CALL`).
const WRITTEN: i64 = 0;

pub(crate) fn of(tree: &Tree<'_>) -> Result<Calls> {
    let mut calls = Calls::default();
    for node in tree.all() {
        calls.note(node)?;
    }
    calls.functions.remove(&0); // "looked up when planned", or "none"
    calls.sites.retain(|site| site.0 != 0);
    calls.operators.remove(&0);
    Ok(calls)
}

impl Calls {
    fn unwritten(&mut self, functions: impl IntoIterator<Item = u32>) {
        for function in functions {
            self.functions.insert(function);
            self.sites.insert(Site(function, UNWRITTEN));
        }
    }

    fn note(&mut self, node: Node<'_>) -> Result<()> {
        match node.tag()? {
            Tag::FuncExpr => {
                let function = node.oid("funcid")?;
                let place = match node.number("funcformat")? {
                    WRITTEN => node.number("location")?,
                    _ => UNWRITTEN,
                };
                self.functions.insert(function);
                self.sites.insert(Site(function, place));
            }
            Tag::Aggref => self.unwritten([node.oid("aggfnoid")?]),
            Tag::WindowFunc => self.unwritten([node.oid("winfnoid")?]),
            Tag::TableSampleClause => self.unwritten([node.oid("tsmhandler")?]),
            Tag::OpExpr | Tag::DistinctExpr | Tag::NullIfExpr => {
                self.operators.insert(node.oid("opno")?);
                self.unwritten([node.oid("opfuncid")?]);
            }
            Tag::ScalarArrayOpExpr => {
                self.operators.insert(node.oid("opno")?);
                for field in ["opfuncid", "hashfuncid", "negfuncid"] {
                    self.unwritten([node.oid(field)?]);
                }
            }
            Tag::RowCompareExpr => self.operators.extend(node.oids("opnos")?),
            Tag::SortGroupClause => self
                .operators
                .extend([node.oid("eqop")?, node.oid("sortop")?]),
            Tag::WindowClause => {
                self.unwritten([node.oid("startInRangeFunc")?, node.oid("endInRangeFunc")?]);
            }
            Tag::CteCycleClause => drop(self.operators.insert(node.oid("cycle_mark_neop")?)),
            // Output function of the argument, input function of the result.
            Tag::CoerceViaIo => self
                .types
                .extend([types::type_of(node.node("arg")?)?, node.oid("resulttype")?]),
            // The checks of the domain.
            Tag::CoerceToDomain => drop(self.types.insert(node.oid("resulttype")?)),
            // The comparison of the type.
            Tag::MinMaxExpr => drop(self.types.insert(node.oid("minmaxtype")?)),
            // What becomes a part of XML or JSON does so by output functions and casts of its type.
            Tag::XmlExpr => {
                for argument in node.list("args")?.chain(node.list("named_args")?) {
                    self.types.insert(types::type_of(argument)?);
                }
            }
            Tag::JsonConstructorExpr => {
                for argument in node.list("args")? {
                    self.types.insert(types::type_of(argument)?);
                }
                self.types.insert(types::type_of(node)?);
            }
            Tag::JsonExpr => {
                self.types.insert(types::type_of(node)?);
                for argument in node.list("passing_values")? {
                    self.types.insert(types::type_of(argument)?);
                }
            }
            // A record is taken apart by the input functions of its columns.
            Tag::TableFunc => self.types.extend(node.oids("coltypes")?),
            Tag::RangeTblFunction => self.types.extend(node.oids("funccoltypes")?),
            Tag::Param if node.number("paramkind")? == 0 => {
                let (number, location) = (node.number("paramid")?, node.number("location")?);
                self.params.insert(Parameter {
                    number,
                    type_oid: node.oid("paramtype")?,
                    location,
                });
            }
            Tag::Param if node.number("paramkind")? != 2 => {
                return not_understood(
                    "the statement holds a parameter of a kind that is not on the list",
                );
            }
            _ => {}
        }
        Ok(())
    }
}
