//! Type and type modifier of an expression, as the server's `exprType` and `exprTypmod` give them.

use crate::error::{Result, inconsistent, not_understood};
use crate::schema::Tag;
use crate::tree::{Node, unexpected};

const BOOL: u32 = 16;
const INT4: u32 = 23;
const TEXT: u32 = 25;
const XML: u32 = 142;
const VARCHAR: u32 = 1043;
const IS_XMLSERIALIZE: i64 = 6;
const IS_DOCUMENT: i64 = 7;

/// The arrays of the built-in types, for ARRAY(SELECT …), whose own type the tree does not say.
const ARRAYS: [(u32, u32); 36] = [
    (16, 1000),
    (17, 1001),
    (18, 1002),
    (19, 1003),
    (20, 1016),
    (21, 1005),
    (23, 1007),
    (25, 1009),
    (26, 1028),
    (114, 199),
    (142, 143),
    (600, 1017),
    (650, 651),
    (700, 1021),
    (701, 1022),
    (790, 791),
    (829, 1040),
    (869, 1041),
    (774, 775),
    (1042, 1014),
    (1043, 1015),
    (1082, 1182),
    (1083, 1183),
    (1114, 1115),
    (1184, 1185),
    (1186, 1187),
    (1266, 1270),
    (1560, 1561),
    (1562, 1563),
    (1700, 1231),
    (2205, 2210),
    (2249, 2287),
    (2950, 2951),
    (3802, 3807),
    (3904, 3905),
    (4072, 4073),
];

/// Whether a value of one type is sent byte for byte as the other, without a conversion.
pub(crate) fn same_bytes(given: u32, wanted: u32) -> bool {
    given == wanted || matches!((given, wanted), (TEXT, VARCHAR) | (VARCHAR, TEXT))
}

/// The type of an expression.
pub(crate) fn type_of(node: Node<'_>) -> Result<u32> {
    match node.tag()? {
        Tag::Var => node.oid("vartype"),
        Tag::Const => node.oid("consttype"),
        Tag::Param => node.oid("paramtype"),
        Tag::Aggref => node.oid("aggtype"),
        Tag::WindowFunc => node.oid("wintype"),
        Tag::SubscriptingRef => node.oid("refrestype"),
        Tag::FuncExpr => node.oid("funcresulttype"),
        Tag::OpExpr | Tag::DistinctExpr | Tag::NullIfExpr => node.oid("opresulttype"),
        Tag::FieldSelect
        | Tag::RelabelType
        | Tag::CoerceViaIo
        | Tag::ArrayCoerceExpr
        | Tag::ConvertRowtypeExpr
        | Tag::CoerceToDomain => node.oid("resulttype"),
        Tag::CaseExpr => node.oid("casetype"),
        Tag::CaseTestExpr | Tag::CoerceToDomainValue => node.oid("typeId"),
        Tag::ArrayExpr => node.oid("array_typeid"),
        Tag::RowExpr => node.oid("row_typeid"),
        Tag::CoalesceExpr => node.oid("coalescetype"),
        Tag::MinMaxExpr => node.oid("minmaxtype"),
        Tag::SqlValueFunction => node.oid("type"),
        Tag::NamedArgExpr | Tag::CollateExpr => type_of(node.node("arg")?),
        Tag::GroupingFunc => Ok(INT4),
        Tag::ScalarArrayOpExpr
        | Tag::BoolExpr
        | Tag::RowCompareExpr
        | Tag::NullTest
        | Tag::BooleanTest
        | Tag::JsonIsPredicate => Ok(BOOL),
        Tag::XmlExpr => Ok(match node.number("op")? {
            IS_DOCUMENT => BOOL,
            IS_XMLSERIALIZE => TEXT,
            _ => XML,
        }),
        Tag::SubLink => match (node.number("subLinkType")?, subselect_target(node)?) {
            (4, Some(target)) => type_of(target),
            (6, Some(target)) => array_of(type_of(target)?),
            (0..=3, _) => Ok(BOOL),
            _ => Err(unexpected(node)),
        },
        Tag::JsonValueExpr => type_of(
            node.maybe("formatted_expr")?
                .map_or_else(|| node.node("raw_expr"), Ok)?,
        ),
        Tag::JsonConstructorExpr => node.node("returning")?.oid("typid"),
        Tag::JsonExpr => node
            .maybe("returning")?
            .ok_or_else(|| inconsistent("JSON without a type"))?
            .oid("typid"),
        _ => Err(unexpected(node)),
    }
}

/// The type modifier of an expression, -1 where it has none.
pub(crate) fn typmod_of(node: Node<'_>) -> Result<i32> {
    match node.tag()? {
        Tag::Var => node.typmod("vartypmod"),
        Tag::Const => node.typmod("consttypmod"),
        Tag::Param => node.typmod("paramtypmod"),
        Tag::SubscriptingRef => node.typmod("reftypmod"),
        Tag::FuncExpr => length_coercion(node),
        Tag::FieldSelect | Tag::RelabelType | Tag::ArrayCoerceExpr | Tag::CoerceToDomain => {
            node.typmod("resulttypmod")
        }
        Tag::CaseTestExpr | Tag::CoerceToDomainValue => node.typmod("typeMod"),
        Tag::SqlValueFunction => node.typmod("typmod"),
        Tag::NamedArgExpr | Tag::CollateExpr => typmod_of(node.node("arg")?),
        Tag::NullIfExpr => node.list("args")?.next().map_or(Ok(-1), typmod_of),
        Tag::CaseExpr => match node.maybe("defresult")? {
            Some(default) => {
                let results = node
                    .list("args")?
                    .map(|when| when.node("result"))
                    .collect::<Result<Vec<_>>>()?;
                agreed(node, std::iter::once(default).chain(results))
            }
            None => Ok(-1),
        },
        Tag::CoalesceExpr | Tag::MinMaxExpr => agreed(node, node.list("args")?),
        Tag::ArrayExpr if !node.flag("multidims")? => {
            let element = node.oid("element_typeid")?;
            agreed_as(element, node.list("elements")?)
        }
        Tag::SubLink => match (node.number("subLinkType")?, subselect_target(node)?) {
            (4 | 6, Some(target)) => typmod_of(target),
            _ => Ok(-1),
        },
        Tag::JsonConstructorExpr => node.node("returning")?.typmod("typmod"),
        Tag::JsonExpr => node
            .maybe("returning")?
            .map_or(Ok(-1), |r| r.typmod("typmod")),
        _ => Ok(-1),
    }
}

fn agreed<'t>(node: Node<'t>, parts: impl Iterator<Item = Node<'t>>) -> Result<i32> {
    agreed_as(type_of(node)?, parts)
}

/// The type modifier on which all parts agree, if all are of this type.
fn agreed_as<'t>(kind: u32, parts: impl Iterator<Item = Node<'t>>) -> Result<i32> {
    let mut common = None;
    for part in parts {
        let typmod = if type_of(part)? == kind {
            typmod_of(part)?
        } else {
            -1
        };
        if typmod < 0 || common.is_some_and(|c| c != typmod) {
            return Ok(-1);
        }
        common = Some(typmod);
    }
    Ok(common.unwrap_or(-1))
}

/// A cast that is a function takes its type modifier as the second argument.
fn length_coercion(node: Node<'_>) -> Result<i32> {
    let arguments: Vec<_> = node.list("args")?.collect();
    let cast = matches!(node.number("funcformat")?, 1 | 2);
    let (true, [_, second] | [_, second, _]) = (cast, arguments.as_slice()) else {
        return Ok(-1);
    };
    let known = second.tag()? == Tag::Const
        && second.oid("consttype")? == INT4
        && !second.flag("constisnull")?;
    if !known {
        return Ok(-1);
    }
    // The low half of the Datum, as a little-endian server prints it.
    Ok((second.number("constvalue")? & 0xffff_ffff) as u32 as i32)
}

fn subselect_target(node: Node<'_>) -> Result<Option<Node<'_>>> {
    node.node("subselect")?
        .list("targetList")?
        .next()
        .map(|t| t.node("expr"))
        .transpose()
}

fn array_of(element: u32) -> Result<u32> {
    if ARRAYS.iter().any(|(_, array)| *array == element) {
        return Ok(element); // an array of arrays is one array of more dimensions
    }
    match ARRAYS.iter().find(|(e, _)| *e == element) {
        Some((_, array)) => Ok(*array),
        None => not_understood(
            "ARRAY(SELECT …) over this type is not understood: write array_agg(…), or cast to text first",
        ),
    }
}
