//! Every node a rewritten SELECT may hold, with its fields in the order the server prints them.
//!
//! One table for versions 15 to 18, taken from what real servers of each version print and from the
//! structures of their headers. A field that only some versions have says so with `since` and `until`
//! (both inclusive). What is not here (planner nodes, raw parse nodes, utility statements, data
//! modification) is not read.

use crate::error::{Result, not_understood};
use crate::names::Place;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Where a node may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Alias,
    Behavior,
    Case,
    Cte,
    Cycle,
    Expr,
    Format,
    From,
    FromRoot,
    Function,
    Path,
    Perms,
    Plan,
    Query,
    Returning,
    Rte,
    Sample,
    Search,
    SetOp,
    Sets,
    Sort,
    TableFunc,
    Target,
    Window,
}

/// How a field's value is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A signed 32-bit number.
    Int,
    Oid,
    Bool,
    /// A number from 0 to this, inclusive.
    Enum(u8),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A position in the statement's text; no part of the digest.
    Location,
    /// A position that the lineage keeps, because something is written there later; no part of the digest.
    Place,
    /// An identifier, or `<>` for none.
    Name(Place),
    /// A list of identifiers, `<>` for none; `<>` may also stand in it (XMLTABLE's default namespace).
    Names(Place),
    /// The name of an operator, as a list.
    Operator,
    Ints,
    Oids,
    /// A set of small numbers, `(b 1 2)`.
    Set,
    /// Length and bytes of a constant.
    Datum,
    Node(Class),
    /// A node or `<>`.
    Maybe(Class),
    List(Class),
    /// A list in which `<>` may stand for an absent element.
    Holes(Class),
    /// A list of lists of expressions.
    Rows,
    /// What a grouping set holds: numbers of sort clauses, or further sets.
    Content,
    /// The one thing a plain SELECT prints here; the text says what anything else would be.
    Plain(&'static str, &'static str),
    /// `(b)`: the set that only a data modification fills.
    Untouched,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    since: u16,
    until: u16,
    /// For range table entries: the kinds (as bits) that print this field.
    pub(crate) entries: u16,
}

impl Field {
    const fn since(mut self, major: u16) -> Self {
        self.since = major;
        self
    }
    const fn until(mut self, major: u16) -> Self {
        self.until = major;
        self
    }
    const fn of(mut self, entries: u16) -> Self {
        self.entries = entries;
        self
    }
}

const fn f(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        since: 15,
        until: 18,
        entries: u16::MAX,
    }
}

/// One node of the table.
struct Entry {
    tag: Tag,
    printed: &'static str,
    class: Class,
    fields: &'static [Field],
}

/// A node as one server version prints it.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) tag: Tag,
    pub(crate) class: Class,
    pub(crate) fields: Vec<&'static Field>,
}

/// The table of one server version.
#[derive(Debug)]
pub(crate) struct Schema {
    nodes: HashMap<&'static str, Spec>,
}

impl Schema {
    pub(crate) fn node(&self, printed: &str) -> Option<&Spec> {
        self.nodes.get(printed)
    }

    fn new(major: u16) -> Self {
        let fields = |entry: &Entry| {
            entry
                .fields
                .iter()
                .filter(|f| f.since <= major && major <= f.until)
                .collect()
        };
        let nodes = NODES
            .iter()
            .map(|entry| {
                (
                    entry.printed,
                    Spec {
                        tag: entry.tag,
                        class: entry.class,
                        fields: fields(entry),
                    },
                )
            })
            .filter(|(_, spec)| !spec.fields.is_empty())
            .collect();
        Self { nodes }
    }
}

/// The table for a server of this major version.
pub(crate) fn of(major: u16) -> Result<&'static Schema> {
    static SCHEMAS: [OnceLock<Schema>; 4] = [const { OnceLock::new() }; 4];
    match major
        .checked_sub(15)
        .and_then(|n| SCHEMAS.get(usize::from(n)))
    {
        Some(slot) => Ok(slot.get_or_init(|| Schema::new(major))),
        None => not_understood(format!("PostgreSQL {major} is not supported: 15 to 18 are")),
    }
}

const RELATION: u16 = 1 << 0;
const SUBQUERY: u16 = 1 << 1;
const JOIN: u16 = 1 << 2;
const FUNCTION: u16 = 1 << 3;
const TABLEFUNC: u16 = 1 << 4;
const VALUES: u16 = 1 << 5;
const CTE: u16 = 1 << 6;
const GROUP: u16 = 1 << 9; // 18

use Class as C;
use Kind::{
    Bool, Content, Datum, Enum, Holes, Int, Ints, List, Location, Maybe, Name, Names, Node, Oid,
    Oids, Operator, Plain, Rows, Set, Untouched, Word,
};
use Place::{Column, Field as RowField, Other, Relation};

const WRITES: &str = "it changes data";
const LOCKS: &str = "it locks rows (FOR UPDATE or FOR SHARE)";
const UTILITY: &str = "it is a utility command";
const RELKINDS: &[&str] = &["r", "p", "v", "m", "f", "S", "t"];

macro_rules! nodes {
    ($($tag:ident $printed:literal $class:ident [$($field:expr),* $(,)?])*) => {
        /// The tags of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Tag { $($tag),* }
        static NODES: &[Entry] = &[$(Entry {
            tag: Tag::$tag, printed: $printed, class: Class::$class, fields: const { &[$($field),*] },
        }),*];
    };
}

nodes! {
    // ---- statements and what FROM holds
    Query "QUERY" Query [
        f("commandType", Plain("1", "it is not a SELECT")),
        f("querySource", Plain("0", "a rule rewrites it")),
        f("canSetTag", Bool),
        f("utilityStmt", Plain("<>", UTILITY)),
        f("resultRelation", Plain("0", WRITES)),
        f("hasAggs", Bool),
        f("hasWindowFuncs", Bool),
        f("hasTargetSRFs", Bool),
        f("hasSubLinks", Bool),
        f("hasDistinctOn", Bool),
        f("hasRecursive", Bool),
        f("hasModifyingCTE", Plain("false", WRITES)),
        f("hasForUpdate", Plain("false", LOCKS)),
        f("hasRowSecurity", Bool),
        f("hasGroupRTE", Bool).since(18),
        f("isReturn", Plain("false", "it is a function's body")),
        f("cteList", List(C::Cte)),
        f("rtable", List(C::Rte)),
        f("rteperminfos", List(C::Perms)).since(16),
        f("jointree", Node(C::FromRoot)),
        f("mergeActionList", Plain("<>", WRITES)).since(16),
        f("mergeUseOuterJoin", Plain("false", WRITES)).since(16).until(16),
        f("mergeTargetRelation", Plain("0", WRITES)).since(17),
        f("mergeJoinCondition", Plain("<>", WRITES)).since(17),
        f("targetList", List(C::Target)),
        f("override", Plain("0", WRITES)),
        f("onConflict", Plain("<>", WRITES)),
        f("returningOldAlias", Plain("<>", WRITES)).since(18),
        f("returningNewAlias", Plain("<>", WRITES)).since(18),
        f("returningList", Plain("<>", WRITES)),
        f("groupClause", List(C::Sort)),
        f("groupDistinct", Bool),
        f("groupingSets", List(C::Sets)),
        f("havingQual", Maybe(C::Expr)),
        f("windowClause", List(C::Window)),
        f("distinctClause", List(C::Sort)),
        f("sortClause", List(C::Sort)),
        f("limitOffset", Maybe(C::Expr)),
        f("limitCount", Maybe(C::Expr)),
        f("limitOption", Enum(1)),
        f("rowMarks", Plain("<>", LOCKS)),
        f("setOperations", Maybe(C::SetOp)),
        f("constraintDeps", Oids),
        f("withCheckOptions", Plain("<>", WRITES)),
        f("mergeActionList", Plain("<>", WRITES)).until(15),
        f("mergeUseOuterJoin", Plain("false", WRITES)).until(15),
        f("stmt_location", Location),
        f("stmt_len", Location),
    ]
    RangeTblEntry "RANGETBLENTRY" Rte [
        f("alias", Maybe(C::Alias)),
        f("eref", Node(C::Alias)),
        f("rtekind", Enum(9)),
        // a relation; for a subquery that was a view, the view
        f("subquery", Node(C::Query)).of(SUBQUERY),
        f("security_barrier", Bool).of(SUBQUERY),
        f("relid", Oid).of(RELATION).until(15),
        f("relid", Oid).of(RELATION | SUBQUERY).since(16),
        f("inh", Bool).of(RELATION | SUBQUERY).since(17),
        f("relkind", Word(RELKINDS)).of(RELATION),
        f("relkind", Word(&["<>", "v"])).of(SUBQUERY).since(16),
        f("rellockmode", Enum(1)).of(RELATION).until(15),
        f("rellockmode", Enum(1)).of(RELATION | SUBQUERY).since(16),
        f("tablesample", Maybe(C::Sample)).of(RELATION).until(16),
        f("perminfoindex", Int).of(RELATION | SUBQUERY).since(16),
        f("tablesample", Maybe(C::Sample)).of(RELATION).since(17),
        f("jointype", Enum(3)).of(JOIN),
        f("joinmergedcols", Int).of(JOIN),
        f("joinaliasvars", Holes(C::Expr)).of(JOIN),
        f("joinleftcols", Ints).of(JOIN),
        f("joinrightcols", Ints).of(JOIN),
        f("join_using_alias", Maybe(C::Alias)).of(JOIN),
        f("functions", List(C::Function)).of(FUNCTION),
        f("funcordinality", Bool).of(FUNCTION),
        f("tablefunc", Node(C::TableFunc)).of(TABLEFUNC),
        f("values_lists", Rows).of(VALUES),
        f("ctename", Name(Other)).of(CTE),
        f("ctelevelsup", Int).of(CTE),
        f("self_reference", Bool).of(CTE),
        f("coltypes", Oids).of(VALUES | CTE),
        f("coltypmods", Ints).of(VALUES | CTE),
        f("colcollations", Oids).of(VALUES | CTE),
        f("groupexprs", List(C::Expr)).of(GROUP).since(18),
        f("lateral", Bool),
        f("inh", Bool).until(16),
        f("inFromCl", Bool),
        f("requiredPerms", Enum(2)).until(15),
        f("checkAsUser", Oid).until(15),
        f("selectedCols", Set).until(15),
        f("insertedCols", Untouched).until(15),
        f("updatedCols", Untouched).until(15),
        f("extraUpdatedCols", Untouched).until(15),
        f("securityQuals", List(C::Expr)),
    ]
    RtePermissionInfo "RTEPERMISSIONINFO" Perms [
        f("relid", Oid).since(16),
        f("inh", Bool).since(16),
        f("requiredPerms", Enum(2)).since(16),
        f("checkAsUser", Oid).since(16),
        f("selectedCols", Set).since(16),
        f("insertedCols", Untouched).since(16),
        f("updatedCols", Untouched).since(16),
    ]
    Alias "ALIAS" Alias [f("aliasname", Name(Relation)), f("colnames", Names(Column))]
    RangeTblRef "RANGETBLREF" From [f("rtindex", Int)]
    JoinExpr "JOINEXPR" From [
        f("jointype", Enum(3)),
        f("isNatural", Bool),
        f("larg", Node(C::From)),
        f("rarg", Node(C::From)),
        f("usingClause", Names(Other)),
        f("join_using_alias", Maybe(C::Alias)),
        f("quals", Maybe(C::Expr)),
        f("alias", Maybe(C::Alias)),
        f("rtindex", Int),
    ]
    FromExpr "FROMEXPR" FromRoot [f("fromlist", List(C::From)), f("quals", Maybe(C::Expr))]
    RangeTblFunction "RANGETBLFUNCTION" Function [
        f("funcexpr", Node(C::Expr)),
        f("funccolcount", Int),
        f("funccolnames", Names(Column)),
        f("funccoltypes", Oids),
        f("funccoltypmods", Ints),
        f("funccolcollations", Oids),
        f("funcparams", Set),
    ]
    TableFunc "TABLEFUNC" TableFunc [
        f("functype", Enum(1)).since(17),
        f("ns_uris", List(C::Expr)),
        f("ns_names", Names(Other)),
        f("docexpr", Maybe(C::Expr)),
        f("rowexpr", Maybe(C::Expr)),
        f("colnames", Names(Column)),
        f("coltypes", Oids),
        f("coltypmods", Ints),
        f("colcollations", Oids),
        f("colexprs", Holes(C::Expr)),
        f("coldefexprs", Holes(C::Expr)),
        f("colvalexprs", Holes(C::Expr)).since(17),
        f("passingvalexprs", List(C::Expr)).since(17),
        f("notnulls", Set),
        f("plan", Maybe(C::Plan)).since(17),
        f("ordinalitycol", Int),
        f("location", Location),
    ]
    TableSampleClause "TABLESAMPLECLAUSE" Sample [
        f("tsmhandler", Oid), f("args", List(C::Expr)), f("repeatable", Maybe(C::Expr)),
    ]
    CommonTableExpr "COMMONTABLEEXPR" Cte [
        f("ctename", Name(Other)),
        f("aliascolnames", Names(Column)),
        f("ctematerialized", Enum(2)),
        f("ctequery", Node(C::Query)),
        f("search_clause", Maybe(C::Search)),
        f("cycle_clause", Maybe(C::Cycle)),
        f("location", Location),
        f("cterecursive", Bool),
        f("cterefcount", Int),
        f("ctecolnames", Names(Column)),
        f("ctecoltypes", Oids),
        f("ctecoltypmods", Ints),
        f("ctecolcollations", Oids),
    ]
    CteSearchClause "CTESEARCHCLAUSE" Search [
        f("search_col_list", Names(Other)),
        f("search_breadth_first", Bool),
        f("search_seq_column", Name(Other)),
        f("location", Location),
    ]
    CteCycleClause "CTECYCLECLAUSE" Cycle [
        f("cycle_col_list", Names(Other)),
        f("cycle_mark_column", Name(Other)),
        f("cycle_mark_value", Node(C::Expr)),
        f("cycle_mark_default", Node(C::Expr)),
        f("cycle_path_column", Name(Other)),
        f("location", Location),
        f("cycle_mark_type", Oid),
        f("cycle_mark_typmod", Int),
        f("cycle_mark_collation", Oid),
        f("cycle_mark_neop", Oid),
    ]
    SetOperationStmt "SETOPERATIONSTMT" SetOp [
        f("op", Enum(3)),
        f("all", Bool),
        f("larg", Node(C::SetOp)),
        f("rarg", Node(C::SetOp)),
        f("colTypes", Oids),
        f("colTypmods", Ints),
        f("colCollations", Oids),
        f("groupClauses", List(C::Sort)),
    ]

    // ---- output, grouping, order
    TargetEntry "TARGETENTRY" Target [
        f("expr", Node(C::Expr)),
        f("resno", Int),
        f("resname", Name(Column)),
        f("ressortgroupref", Int),
        f("resorigtbl", Oid),
        f("resorigcol", Int),
        f("resjunk", Bool),
    ]
    SortGroupClause "SORTGROUPCLAUSE" Sort [
        f("tleSortGroupRef", Int),
        f("eqop", Oid),
        f("sortop", Oid),
        f("reverse_sort", Bool).since(18),
        f("nulls_first", Bool),
        f("hashable", Bool),
    ]
    GroupingSet "GROUPINGSET" Sets [f("kind", Enum(4)), f("content", Content), f("location", Location)]
    WindowClause "WINDOWCLAUSE" Window [
        f("name", Name(Other)),
        f("refname", Name(Other)),
        f("partitionClause", List(C::Sort)),
        f("orderClause", List(C::Sort)),
        f("frameOptions", Int),
        f("startOffset", Maybe(C::Expr)),
        f("endOffset", Maybe(C::Expr)),
        f("runCondition", Plain("<>", "it was planned")).until(16),
        f("startInRangeFunc", Oid),
        f("endInRangeFunc", Oid),
        f("inRangeColl", Oid),
        f("inRangeAsc", Bool),
        f("inRangeNullsFirst", Bool),
        f("winref", Int),
        f("copiedOrder", Bool),
    ]

    // ---- expressions
    Var "VAR" Expr [
        f("varno", Int),
        f("varattno", Int),
        f("vartype", Oid),
        f("vartypmod", Int),
        f("varcollid", Oid),
        f("varnullingrels", Set).since(16),
        f("varlevelsup", Int),
        f("varreturningtype", Plain("0", WRITES)).since(18),
        f("varnosyn", Int),
        f("varattnosyn", Int),
        f("location", Location),
    ]
    Const "CONST" Expr [
        f("consttype", Oid),
        f("consttypmod", Int),
        f("constcollid", Oid),
        f("constlen", Int),
        f("constbyval", Bool),
        f("constisnull", Bool),
        f("location", Location),
        f("constvalue", Datum),
    ]
    Param "PARAM" Expr [
        f("paramkind", Enum(3)),
        f("paramid", Int),
        f("paramtype", Oid),
        f("paramtypmod", Int),
        f("paramcollid", Oid),
        f("location", Kind::Place),
    ]
    Aggref "AGGREF" Expr [
        f("aggfnoid", Oid),
        f("aggtype", Oid),
        f("aggcollid", Oid),
        f("inputcollid", Oid),
        f("aggtranstype", Oid),
        f("aggargtypes", Oids),
        f("aggdirectargs", List(C::Expr)),
        f("args", List(C::Target)),
        f("aggorder", List(C::Sort)),
        f("aggdistinct", List(C::Sort)),
        f("aggfilter", Maybe(C::Expr)),
        f("aggstar", Bool),
        f("aggvariadic", Bool),
        f("aggkind", Word(&["n", "o", "h"])),
        f("aggpresorted", Bool).since(16),
        f("agglevelsup", Int),
        f("aggsplit", Enum(0)),
        f("aggno", Int),
        f("aggtransno", Int),
        f("location", Location),
    ]
    GroupingFunc "GROUPINGFUNC" Expr [
        f("args", List(C::Expr)), f("refs", Ints), f("cols", Ints), f("agglevelsup", Int), f("location", Location),
    ]
    WindowFunc "WINDOWFUNC" Expr [
        f("winfnoid", Oid),
        f("wintype", Oid),
        f("wincollid", Oid),
        f("inputcollid", Oid),
        f("args", List(C::Expr)),
        f("aggfilter", Maybe(C::Expr)),
        f("runCondition", Plain("<>", "it was planned")).since(17),
        f("winref", Int),
        f("winstar", Bool),
        f("winagg", Bool),
        f("location", Location),
    ]
    SubscriptingRef "SUBSCRIPTINGREF" Expr [
        f("refcontainertype", Oid),
        f("refelemtype", Oid),
        f("refrestype", Oid),
        f("reftypmod", Int),
        f("refcollid", Oid),
        f("refupperindexpr", Holes(C::Expr)),
        f("reflowerindexpr", Holes(C::Expr)),
        f("refexpr", Node(C::Expr)),
        f("refassgnexpr", Plain("<>", WRITES)),
    ]
    FuncExpr "FUNCEXPR" Expr [
        f("funcid", Oid),
        f("funcresulttype", Oid),
        f("funcretset", Bool),
        f("funcvariadic", Bool),
        f("funcformat", Enum(3)),
        f("funccollid", Oid),
        f("inputcollid", Oid),
        f("args", List(C::Expr)),
        f("location", Location),
    ]
    NamedArgExpr "NAMEDARGEXPR" Expr [
        f("arg", Node(C::Expr)), f("name", Name(Other)), f("argnumber", Int), f("location", Location),
    ]
    OpExpr "OPEXPR" Expr [
        f("opno", Oid),
        f("opfuncid", Oid),
        f("opresulttype", Oid),
        f("opretset", Bool),
        f("opcollid", Oid),
        f("inputcollid", Oid),
        f("args", List(C::Expr)),
        f("location", Location),
    ]
    DistinctExpr "DISTINCTEXPR" Expr [
        f("opno", Oid),
        f("opfuncid", Oid),
        f("opresulttype", Oid),
        f("opretset", Bool),
        f("opcollid", Oid),
        f("inputcollid", Oid),
        f("args", List(C::Expr)),
        f("location", Location),
    ]
    NullIfExpr "NULLIFEXPR" Expr [
        f("opno", Oid),
        f("opfuncid", Oid),
        f("opresulttype", Oid),
        f("opretset", Bool),
        f("opcollid", Oid),
        f("inputcollid", Oid),
        f("args", List(C::Expr)),
        f("location", Location),
    ]
    ScalarArrayOpExpr "SCALARARRAYOPEXPR" Expr [
        f("opno", Oid),
        f("opfuncid", Oid),
        f("hashfuncid", Oid),
        f("negfuncid", Oid),
        f("useOr", Bool),
        f("inputcollid", Oid),
        f("args", List(C::Expr)),
        f("location", Location),
    ]
    BoolExpr "BOOLEXPR" Expr [
        f("boolop", Word(&["and", "or", "not"])), f("args", List(C::Expr)), f("location", Location),
    ]
    SubLink "SUBLINK" Expr [
        f("subLinkType", Enum(7)),
        f("subLinkId", Int),
        f("testexpr", Maybe(C::Expr)),
        f("operName", Operator),
        f("subselect", Node(C::Query)),
        f("location", Location),
    ]
    FieldSelect "FIELDSELECT" Expr [
        f("arg", Node(C::Expr)),
        f("fieldnum", Int),
        f("resulttype", Oid),
        f("resulttypmod", Int),
        f("resultcollid", Oid),
    ]
    RelabelType "RELABELTYPE" Expr [
        f("arg", Node(C::Expr)),
        f("resulttype", Oid),
        f("resulttypmod", Int),
        f("resultcollid", Oid),
        f("relabelformat", Enum(3)),
        f("location", Location),
    ]
    CoerceViaIo "COERCEVIAIO" Expr [
        f("arg", Node(C::Expr)),
        f("resulttype", Oid),
        f("resultcollid", Oid),
        f("coerceformat", Enum(3)),
        f("location", Location),
    ]
    ArrayCoerceExpr "ARRAYCOERCEEXPR" Expr [
        f("arg", Node(C::Expr)),
        f("elemexpr", Node(C::Expr)),
        f("resulttype", Oid),
        f("resulttypmod", Int),
        f("resultcollid", Oid),
        f("coerceformat", Enum(3)),
        f("location", Location),
    ]
    ConvertRowtypeExpr "CONVERTROWTYPEEXPR" Expr [
        f("arg", Node(C::Expr)), f("resulttype", Oid), f("convertformat", Enum(3)), f("location", Location),
    ]
    CollateExpr "COLLATEEXPR" Expr [f("arg", Node(C::Expr)), f("collOid", Oid), f("location", Location)]
    CaseExpr "CASEEXPR" Expr [
        f("casetype", Oid),
        f("casecollid", Oid),
        f("arg", Maybe(C::Expr)),
        f("args", List(C::Case)),
        f("defresult", Maybe(C::Expr)),
        f("location", Location),
    ]
    CaseWhen "CASEWHEN" Case [f("expr", Node(C::Expr)), f("result", Node(C::Expr)), f("location", Location)]
    CaseTestExpr "CASETESTEXPR" Expr [f("typeId", Oid), f("typeMod", Int), f("collation", Oid)]
    ArrayExpr "ARRAYEXPR" Expr [
        f("array_typeid", Oid),
        f("array_collid", Oid),
        f("element_typeid", Oid),
        f("elements", List(C::Expr)),
        f("multidims", Bool),
        f("list_start", Location).since(18),
        f("list_end", Location).since(18),
        f("location", Location),
    ]
    RowExpr "ROWEXPR" Expr [
        f("args", List(C::Expr)),
        f("row_typeid", Oid),
        f("row_format", Enum(3)),
        f("colnames", Names(RowField)),
        f("location", Location),
    ]
    RowCompareExpr "ROWCOMPAREEXPR" Expr [
        f("rctype", Enum(6)).until(17),
        f("cmptype", Enum(6)).since(18),
        f("opnos", Oids),
        f("opfamilies", Oids),
        f("inputcollids", Oids),
        f("largs", List(C::Expr)),
        f("rargs", List(C::Expr)),
    ]
    CoalesceExpr "COALESCEEXPR" Expr [
        f("coalescetype", Oid), f("coalescecollid", Oid), f("args", List(C::Expr)), f("location", Location),
    ]
    MinMaxExpr "MINMAXEXPR" Expr [
        f("minmaxtype", Oid),
        f("minmaxcollid", Oid),
        f("inputcollid", Oid),
        f("op", Enum(1)),
        f("args", List(C::Expr)),
        f("location", Location),
    ]
    SqlValueFunction "SQLVALUEFUNCTION" Expr [
        f("op", Enum(14)), f("type", Oid), f("typmod", Int), f("location", Location),
    ]
    XmlExpr "XMLEXPR" Expr [
        f("op", Enum(7)),
        f("name", Name(Other)),
        f("named_args", List(C::Expr)),
        f("arg_names", Names(Other)),
        f("args", List(C::Expr)),
        f("xmloption", Enum(1)),
        f("indent", Bool).since(16),
        f("type", Oid),
        f("typmod", Int),
        f("location", Location),
    ]
    NullTest "NULLTEST" Expr [
        f("arg", Node(C::Expr)), f("nulltesttype", Enum(1)), f("argisrow", Bool), f("location", Location),
    ]
    BooleanTest "BOOLEANTEST" Expr [f("arg", Node(C::Expr)), f("booltesttype", Enum(5)), f("location", Location)]
    CoerceToDomain "COERCETODOMAIN" Expr [
        f("arg", Node(C::Expr)),
        f("resulttype", Oid),
        f("resulttypmod", Int),
        f("resultcollid", Oid),
        f("coercionformat", Enum(3)),
        f("location", Location),
    ]
    CoerceToDomainValue "COERCETODOMAINVALUE" Expr [
        f("typeId", Oid), f("typeMod", Int), f("collation", Oid), f("location", Location),
    ]

    // ---- SQL/JSON
    JsonFormat "JSONFORMAT" Format [
        f("format_type", Enum(2)).since(16), f("encoding", Enum(3)).since(16), f("location", Location).since(16),
    ]
    JsonReturning "JSONRETURNING" Returning [
        f("format", Maybe(C::Format)).since(16), f("typid", Oid).since(16), f("typmod", Int).since(16),
    ]
    JsonValueExpr "JSONVALUEEXPR" Expr [
        f("raw_expr", Node(C::Expr)).since(16),
        f("formatted_expr", Maybe(C::Expr)).since(16),
        f("format", Maybe(C::Format)).since(16),
    ]
    JsonConstructorExpr "JSONCONSTRUCTOREXPR" Expr [
        f("type", Enum(7)).since(16),
        f("args", List(C::Expr)).since(16),
        f("func", Maybe(C::Expr)).since(16),
        f("coercion", Maybe(C::Expr)).since(16),
        f("returning", Node(C::Returning)).since(16),
        f("absent_on_null", Bool).since(16),
        f("unique", Bool).since(16),
        f("location", Location).since(16),
    ]
    JsonIsPredicate "JSONISPREDICATE" Expr [
        f("expr", Node(C::Expr)).since(16),
        f("format", Maybe(C::Format)).since(16),
        f("item_type", Enum(3)).since(16),
        f("unique_keys", Bool).since(16),
        f("location", Location).since(16),
    ]
    JsonExpr "JSONEXPR" Expr [
        f("op", Enum(3)).since(17),
        f("column_name", Name(Column)).since(17),
        f("formatted_expr", Node(C::Expr)).since(17),
        f("format", Maybe(C::Format)).since(17),
        f("path_spec", Node(C::Expr)).since(17),
        f("returning", Maybe(C::Returning)).since(17),
        f("passing_names", Names(Other)).since(17),
        f("passing_values", List(C::Expr)).since(17),
        f("on_empty", Maybe(C::Behavior)).since(17),
        f("on_error", Maybe(C::Behavior)).since(17),
        f("use_io_coercion", Bool).since(17),
        f("use_json_coercion", Bool).since(17),
        f("wrapper", Enum(3)).since(17),
        f("omit_quotes", Bool).since(17),
        f("collation", Oid).since(17),
        f("location", Location).since(17),
    ]
    JsonBehavior "JSONBEHAVIOR" Behavior [
        f("btype", Enum(8)).since(17),
        f("expr", Maybe(C::Expr)).since(17),
        f("coerce", Bool).since(17),
        f("location", Location).since(17),
    ]
    JsonTablePath "JSONTABLEPATH" Path [f("value", Node(C::Expr)).since(17), f("name", Name(Other)).since(17)]
    JsonTablePathScan "JSONTABLEPATHSCAN" Plan [
        f("path", Node(C::Path)).since(17),
        f("errorOnError", Bool).since(17),
        f("child", Maybe(C::Plan)).since(17),
        f("colMin", Int).since(17),
        f("colMax", Int).since(17),
    ]
    JsonTableSiblingJoin "JSONTABLESIBLINGJOIN" Plan [
        f("lplan", Node(C::Plan)).since(17), f("rplan", Node(C::Plan)).since(17),
    ]
}
