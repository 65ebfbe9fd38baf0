"""What the catalog says of everything a tree names, asked in the transaction that parsed it.

Parse holds locks on the relations, so the answers are those the tree was made from. Besides names
and types it gives the closure of protection: columns that hold, wholly or in part, the same values
by inheritance, partitioning or generation. Refuses names that are not plain, and relations that the
catalog does not know.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gateway.errors import NotUnderstood
from gateway.model import Column, Question
from gateway.sql.server import Server
from gateway.sql.size import MAX_TABLES
from gateway.sql.statement import acceptable_heading, acceptable_name
from gateway.sql.types import FIRST_USER_OID, TypeFact

Key = tuple[int, int]  # relation OID, attribute number


@dataclass(frozen=True, slots=True)
class Attribute:
    number: int
    name: str
    type_oid: int
    dimensions: int


@dataclass(frozen=True, slots=True)
class Relation:
    oid: int
    schema: str
    table: str
    kind: str  # pg_class.relkind
    temporary: bool
    row_security: bool
    family: bool  # it has parents or children
    partition: bool  # its rows are those within the bounds of a parent's key
    generated: frozenset[int]  # attributes computed from others
    attributes: Mapping[int, Attribute]
    _columns: dict[int, Column] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"

    def column(self, number: int) -> Column:
        found = self._columns.get(number)
        if found is None:
            named = self.attribute(number)
            found = Column(self.oid, number, self.schema, self.table, named.name, named.type_oid)
            self._columns[number] = found
        return found

    def attribute(self, number: int) -> Attribute:
        found = self.attributes.get(number)
        if found is None:
            raise NotUnderstood(f"{self.name} has no column number {number}")
        return found


# One round trip for every statement, so it is kept lean: every relation is one text.
_RELATIONS = """
SELECT c.oid, pg_catalog.json_build_array(n.nspname, c.relname, c.relkind,
  c.relpersistence = 't', c.relrowsecurity,
  c.relhassubclass OR EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid),
  c.relispartition,
  a.numbers, a.names, a.types, a.dimensions, a.generated)::pg_catalog.text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
LATERAL (
  SELECT pg_catalog.array_agg(a.attnum) AS numbers, pg_catalog.array_agg(a.attname) AS names,
    pg_catalog.array_agg(a.atttypid) AS types, pg_catalog.array_agg(a.attndims) AS dimensions,
    pg_catalog.array_agg(a.attgenerated) AS generated
  FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) a
WHERE c.oid = ANY($1::pg_catalog.oid[])
"""
#: What `described` reads, to be asked along with a Parse.
RELATIONS = Question("maskgate_relations", _RELATIONS, MAX_TABLES)

# Columns with the same values: those of the same name one step up or down the inheritance tree (the
# steps together reach every partition), and those that a generated column is computed from.
_KIN = """
WITH RECURSIVE kin (root, root_number, relation, number) AS (
  SELECT u.relation, u.number, u.relation, u.number
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.int2[]))
    AS u(relation, number)
  UNION
  SELECT k.root, k.root_number, s.relation, s.number FROM kin k, LATERAL (
    SELECT b.attrelid, b.attnum
    FROM (SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = k.relation
          UNION ALL
          SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = k.relation) n(oid)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = k.relation AND a.attnum = k.number
    JOIN pg_catalog.pg_attribute b ON b.attrelid = n.oid AND b.attname = a.attname
     AND b.attnum > 0 AND NOT b.attisdropped
    UNION ALL
    SELECT d.refobjid, d.refobjsubid::pg_catalog.int2
    FROM pg_catalog.pg_attrdef e
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
     AND d.objid = e.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
     AND d.refobjid = e.adrelid AND d.refobjsubid > 0
    WHERE e.adrelid = k.relation AND e.adnum = k.number
  ) s(relation, number)
)
SELECT k.root, k.root_number, k.relation, k.number, n.nspname, c.relname, a.attname, a.atttypid
FROM kin k JOIN pg_catalog.pg_class c ON c.oid = k.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = k.relation AND a.attnum = k.number
WHERE (k.root, k.root_number) <> (k.relation, k.number)
ORDER BY n.nspname, c.relname, a.attname
"""

# The columns in the keys of a partition's ancestors. The server notes those inside an expression as
# depending on their table; where it notes none, every column may decide.
_KEYS = """
SELECT u.oid AS partition, p.partrelid AS ancestor,
  ARRAY(SELECT n FROM pg_catalog.unnest(p.partattrs::pg_catalog.int2[]) AS n WHERE n > 0
        UNION
        SELECT d.objsubid::pg_catalog.int2 FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = p.partrelid
          AND d.refclassid = d.classid AND d.refobjid = p.partrelid
          AND d.objsubid > 0 AND d.refobjsubid = 0) AS numbers,
  0 = ANY (p.partattrs::pg_catalog.int2[]) AS computed
FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS u(oid),
LATERAL pg_catalog.pg_partition_ancestors(u.oid) AS k(relid)
JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = k.relid
WHERE k.relid <> u.oid
"""

_DESCENDANTS = """
WITH RECURSIVE below (root, oid) AS (
  SELECT u.oid, u.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS u(oid)
  UNION
  SELECT b.root, i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.oid
)
SELECT b.root, b.oid FROM below b WHERE b.root <> b.oid
"""

# One type's facts. A range brings its canonical and difference functions and its order, a domain
# the functions of its checks; an enum, a row, an array are read by the server and their parts' own.
_FACT = """
SELECT pg_catalog.json_build_array(
  t.oid::pg_catalog.int8, n.nspname || '.' || t.typname, t.typtype,
  CASE WHEN e.typarray = t.oid THEN t.typelem::pg_catalog.int8 ELSE 0 END,
  t.typbasetype::pg_catalog.int8, t.typtypmod,
  ARRAY(SELECT a.atttypid::pg_catalog.int8 FROM pg_catalog.pg_attribute a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        UNION SELECT r.rngsubtype::pg_catalog.int8 FROM pg_catalog.pg_range r
        WHERE t.oid IN (r.rngtypid, r.rngmultitypid)),
  ARRAY(SELECT l.enumlabel FROM pg_catalog.pg_enum l WHERE l.enumtypid = t.oid
        ORDER BY l.enumsortorder),
  t.typinput >= 16384 OR t.typoutput >= 16384 OR t.typsend >= 16384 OR t.typreceive >= 16384
    OR t.typsubscript >= 16384
    OR EXISTS (SELECT FROM pg_catalog.pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
               AND (r.rngcanonical >= 16384 OR r.rngsubdiff >= 16384 OR r.rngsubopc >= 16384)),
  EXISTS (SELECT FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_depend d
               ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = k.oid
               AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refobjid >= 16384
               WHERE k.contypid = t.oid),
  t.typtype = 'b' AND EXISTS (
    SELECT FROM pg_catalog.pg_proc o, pg_catalog.pg_proc s, pg_catalog.pg_proc i
    WHERE o.oid = t.typoutput AND o.prolang = 12 AND o.prosrc = 'textout'
      AND s.oid = t.typsend AND s.prolang = 12 AND s.prosrc = 'textsend'
      AND i.oid = t.typinput AND i.prolang = 12 AND i.prosrc = 'textin')) AS fact
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
"""
_BUILT_IN = f"{_FACT} WHERE t.oid < 16384"
_USERS = f"""
WITH RECURSIVE seen (oid) AS (
  SELECT u.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS u(oid)
  UNION
  SELECT p.oid FROM seen s JOIN pg_catalog.pg_type t ON t.oid = s.oid, LATERAL (
    SELECT t.typelem UNION ALL SELECT t.typbasetype
    UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
              WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0
                AND NOT a.attisdropped
    UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r
              WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
  ) p(oid) WHERE p.oid >= 16384
)
{_FACT} WHERE t.oid IN (SELECT seen.oid FROM seen)
"""  # noqa: S608 made of constants


_SCHEMAS = """
SELECT u.name, n.nspname FROM pg_catalog.unnest($1::pg_catalog.text[]) AS u(name)
JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(pg_catalog.quote_ident(u.name))
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
"""


async def built_in_types(server: Server) -> Mapping[int, TypeFact]:
    """The types that came with the server; the same while a session lives."""
    return {f.oid: f for f in (_type(row) for row in await server.fetch(_BUILT_IN))}


async def user_types(server: Server, oids: Iterable[int]) -> Mapping[int, TypeFact]:
    """The users' types among `oids`, with all they are made of; asks only when there are any."""
    wanted = sorted({oid for oid in oids if oid >= FIRST_USER_OID})
    if not wanted:
        return {}
    return {f.oid: f for f in (_type(row) for row in await server.fetch(_USERS, wanted))}


async def relations(server: Server, oids: Collection[int]) -> dict[int, Relation]:
    """Every relation of `oids`; one that the catalog does not know, or cannot name, is refused."""
    rows = await server.fetch(_RELATIONS, sorted(oids))
    return described({row[0]: row[1] for row in rows}, oids)


def described(said: Mapping[int, str], oids: Iterable[int]) -> dict[int, Relation]:
    """Every relation of `oids` as the catalog just told of it; see `relations`."""
    found = {}
    for oid in oids:
        if oid not in said:
            raise NotUnderstood(f"the relation with OID {oid} is not in the catalog")
        found[oid] = _relation(oid, said[oid])
    return found


async def descendants(
    server: Server, relations: Mapping[int, Relation]
) -> frozenset[tuple[int, int]]:
    """Each of `relations` with each that inherits from it: what a plan of it may read.

    Parse's lock on a parent does not keep new children away.
    """
    parents = sorted(oid for oid, relation in relations.items() if relation.family)
    below = await server.fetch(_DESCENDANTS, parents) if parents else []
    return frozenset((row["root"], row["oid"]) for row in below)


async def schemas(names: Collection[str], server: Server) -> Mapping[str, str]:
    """Where the server finds each relation that a text names without a schema."""
    rows = await server.fetch(_SCHEMAS, sorted(names)) if names else []
    return {row["name"]: row["nspname"] for row in rows}


async def kin(
    server: Server, used: Iterable[Key], known: Mapping[int, Relation]
) -> dict[Key, list[Column]]:
    """For each used column those that share its protection; asks only when there can be any."""
    wanted = sorted(
        key for key in used if known[key[0]].family or key[1] in known[key[0]].generated
    )
    shared: dict[Key, list[Column]] = {}
    if wanted:
        for row in await server.fetch(_KIN, [r for r, _ in wanted], [n for _, n in wanted]):
            root, root_number, *column = row.values()
            shared.setdefault((root, root_number), []).append(Column(*column))
    return shared


async def bounds(
    server: Server, found: Iterable[int], known: dict[int, Relation]
) -> list[tuple[int, Key]]:
    """Each partition among `found` with each column that decides which rows are in it.

    Relations that are met on the way are added to `known`; asks only when there are partitions.
    """
    partitions = sorted(oid for oid in found if known[oid].partition)
    if not partitions:
        return []
    rows = await server.fetch(_KEYS, partitions)
    known |= await relations(server, {row["ancestor"] for row in rows} - set(known))
    decide = []
    for row in rows:
        every = known[row["ancestor"]].attributes
        numbers = set(row["numbers"])
        if row["computed"] and not numbers:
            numbers = set(every)
        decide += [(row["partition"], (row["ancestor"], number)) for number in sorted(numbers)]
    return decide


def _check_names(relation: Relation) -> None:
    """Names of the catalog obey the rule for names in a statement, whoever made them."""
    own = acceptable_name(relation.schema) and acceptable_name(relation.table)
    if not own or not all(acceptable_heading(a.name) for a in relation.attributes.values()):
        raise NotUnderstood(
            f"the table with OID {relation.oid} or one of its columns has a name that holds a "
            "character that no name may hold",
            hint="have the table read through a view with plain names",
        )


@lru_cache(maxsize=512)
def _relation(oid: int, said: str) -> Relation:
    """What `said` means. It is kept by the text itself, which the catalog is asked for each time:
    nothing in it can be older than the answer."""
    schema, table, kind, temporary, row_security, family, partition, *columns = json.loads(said)
    # A relation without columns has no arrays, and an OID is a string in JSON.
    numbers, names, types, dimensions, generated = (part or () for part in columns)
    attributes = map(Attribute, numbers, names, map(int, types), dimensions)
    found = Relation(
        oid=oid,
        schema=schema,
        table=table,
        kind=kind,
        temporary=temporary,
        row_security=row_security,
        family=family,
        partition=partition,
        generated=frozenset(n for n, how in zip(numbers, generated, strict=True) if how),
        attributes={one.number: one for one in attributes},
    )
    _check_names(found)
    return found


def _type(row: Any) -> TypeFact:
    oid, name, typtype, element, base, typmod, parts, labels, *flags = json.loads(row["fact"])
    return TypeFact(oid, name, typtype, element, base, typmod, tuple(parts), tuple(labels), *flags)
