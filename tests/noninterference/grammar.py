"""Statements made at random from the grammar of SELECT, typed, and the same for the same seed.

Every construct that can carry a value from a column into an answer has its place here: it is the
generator's task to write what nobody thought of, and not to know whether it is admitted. The
flavour of a statement decides how often an expression touches a protected column.
"""

from __future__ import annotations

from dataclasses import dataclass

from noninterference.expressions import Expressions
from noninterference.relations import PLAIN, TABLES, Column, Scope, Source
from noninterference.rules import AGGREGATE, ROWS, UNORDERED, WINDOW
from noninterference.tree import Node, clause, listed

#: Names of columns as reports have them.
_HEADINGS = ('"{} %"', '"2024 ({})"', '"{}, all/€"', '"#{}.a-b"')


@dataclass
class Statement:
    """One generated statement. `ordered`: its ORDER BY leaves no two rows to choose between.
    `sensitive`: something in it depends on an order that nothing settles."""

    tree: Node
    seed: int
    flavour: str
    ordered: bool = False
    sensitive: bool = False

    @property
    def sql(self) -> str:
        return str(self.tree)


def write(seed: int, major: int, flavour: str | None = None) -> Statement:
    """The statement of a seed for a server of this major version."""
    return _Writer(seed, major, flavour).statement()


class _Writer(Expressions):
    def statement(self) -> Statement:
        query, columns, ordered = self._query(2, None, Scope(), top=True)
        plain = all(c.type not in UNORDERED and not c.protected for c in columns)
        if not ordered and plain and self._chance(0.4):
            # Rows that are equal in every column may change places unseen.
            every = ", ".join(str(number) for number in range(1, len(columns) + 1))
            query = Node("query", ("select * from (", query, f") t order by {every}"))
            ordered = True
        return Statement(query, self._seed, self._flavour, ordered, self._sensitive)

    # ---- queries

    def _inner_query(self, types: list[str] | None, around: Scope) -> Node:
        return self._query(0, types, around)[0]

    def _query(
        self,
        depth: int,
        types: list[str] | None,
        scope: Scope,
        *,
        top: bool = False,
        named: bool = True,
    ) -> tuple[Node, tuple[Column, ...], bool]:
        """A query; its columns; whether its order is settled. `named`: it may begin with WITH."""
        shape = self._random.random() if named else self._random.uniform(0.16, 1)
        kept = len(self._ctes)
        if depth > 0 and shape < 0.16 and self._fuel > 3:
            query, columns, ordered = self._with(depth, types, scope, top)
        elif depth > 0 and shape < 0.28:
            query, columns = self._set_operation(depth, types, scope)
            ordered = False
        elif shape < 0.31:
            query, columns = self._values(types, scope)
            ordered = False
        else:
            query, columns, ordered = self._select(depth, types, scope, top)
        del self._ctes[kept:]
        return query, columns, ordered

    def _with(
        self, depth: int, types: list[str] | None, scope: Scope, top: bool
    ) -> tuple[Node, tuple[Column, ...], bool]:
        if self._chance(0.3):
            name, body, columns = self._recursive(scope)
            recursive = "recursive "
        else:
            body, columns, _ = self._query(depth - 1, None, scope)
            name, recursive = self._name("c"), ""
        named = ", ".join(column.name for column in columns)
        how = self._random.choice(["", "", "materialized ", "not materialized "])
        head = clause(f"with {recursive}{name}({named}) as {how}(", body, ") ")
        self._ctes.append((name, columns))
        query, given, ordered = self._query(depth - 1, types, scope, top=top, named=False)
        return Node("query", (head, "(", query, ")")), given, ordered

    def _recursive(self, scope: Scope) -> tuple[str, Node, tuple[Column, ...]]:
        """A number that grows and a value that goes with it, or steps from key to key."""
        name, types = self._name("c"), ["int", self._type()]
        start, columns, _ = self._select(0, types, scope, False)
        value = columns[1]
        step = Source(name, columns)
        inner = Scope([step], scope.own + scope.outer)
        grown = (
            self._expression(value.type, 1, inner) if self._chance(0.3) else f"{name}.{value.name}"
        )
        union = (
            self._random.choice(["union all", "union"])
            if value.type not in UNORDERED
            else "union all"
        )
        stop = clause(" and ", self._expression("bool", 1, inner))
        body = Node(
            "query",
            ("(", start, f") {union} select {name}.{columns[0].name} + 1, ", grown, f" from {name}"
             f" where {name}.{columns[0].name} < {self._random.randint(1, 5)}", stop),
        )  # fmt: skip
        return name, body, columns

    def _set_operation(
        self, depth: int, types: list[str] | None, scope: Scope
    ) -> tuple[Node, tuple[Column, ...]]:
        types = types or self._types()
        operation = self._random.choice(
            [
                "union all",
                "union all",
                "union",
                "intersect",
                "except",
                "except all",
                "intersect all",
            ]
        )
        if UNORDERED.intersection(types):
            operation = "union all"
        left, columns, _ = self._select(depth - 1, types, scope, False)
        right, others, _ = self._select(depth - 1, types, scope, False)
        tail = (
            clause(" order by 1") if types[0] not in UNORDERED and self._chance(0.3) else clause()
        )
        merged = tuple(
            Column(one.name, one.type, one.protected or other.protected)
            for one, other in zip(columns, others, strict=True)
        )
        return Node("query", ("(", left, f") {operation} (", right, ")", tail)), merged

    def _values(self, types: list[str] | None, scope: Scope) -> tuple[Node, tuple[Column, ...]]:
        types = types or self._types()
        inner = Scope([], scope.own + scope.outer)
        before = self._touched
        rows = [
            Node("item", ("(", listed([self._expression(t, 1, inner) for t in types]), ")"))
            for _ in range(self._random.randint(1, 2))
        ]
        touched = self._touched > before
        columns = tuple(Column(f"column{n}", t, touched) for n, t in enumerate(types, 1))
        return Node("query", ("values ", listed(rows))), columns

    def _types(self) -> list[str]:
        return [self._type() for _ in range(self._random.randint(1, 3))]

    def _select(
        self, depth: int, types: list[str] | None, scope: Scope, top: bool
    ) -> tuple[Node, tuple[Column, ...], bool]:
        with self._place_of(showing=False):
            return self._selecting(depth, types, Scope([], scope.own + scope.outer), top)

    def _selecting(
        self, depth: int, types: list[str] | None, own: Scope, top: bool
    ) -> tuple[Node, tuple[Column, ...], bool]:
        source = self._from(depth, own)
        where: Node = clause()
        if self._chance(0.5):
            where = clause(" where ", self._expression("bool", 2, own))
        kind = self._random.random()
        if kind < 0.2 and own.own:
            items, columns, tail = self._grouped(types, own)
            return self._built("", items, source, where, tail), columns, False
        rows = types is None and self._chance(0.08)
        windows = kind < 0.32 and own.own
        with self._place_of(showing=not windows and not rows):
            items, columns = self._items(types, own, bool(windows), rows, top)
        head, tail, ordered = "", clause(), False
        keys = [f"{s.alias}.{s.key}" for s in own.own if s.key is not None]
        total = bool(keys) and len(keys) == len(own.own) and not rows
        end = self._random.random()
        if end < 0.1 and not UNORDERED.intersection(c.type for c in columns):
            head = "distinct "
        elif end < 0.16 and own.own:
            head_node = clause("distinct on (", self._key(own), ") ")
            self._sensitive = True
            return self._built(head_node, items, source, where, clause()), columns, False
        elif end < 0.6:
            by: list[str | Node] = []
            if self._chance(0.5):
                by.append(self._sort_key(own, columns))
            if total and self._chance(0.85):
                by += keys
                ordered = True
            if by:
                tail = clause(" order by ", listed(by))
        if self._chance(0.15):
            tail = Node("clause", (tail, self._limit(own, ordered)))
        return self._built(head, items, source, where, tail), columns, ordered

    @staticmethod
    def _built(head: str | Node, items: Node, source: Node, where: Node, tail: Node) -> Node:
        return Node("query", ("select ", head, items, source, where, tail))

    def _limit(self, own: Scope, ordered: bool) -> Node:
        self._sensitive = self._sensitive or not ordered
        around = Scope([], own.outer)
        count: str | Node = str(self._random.randint(0, 9))
        if self._chance(0.35):
            count = Node("item", ("(", self._expression("int", 2, around), ")"))
        if self._chance(0.2):
            return clause(" offset ", count)
        return clause(" limit ", count)

    def _sort_key(self, own: Scope, columns: tuple[Column, ...]) -> str | Node:
        direction = self._random.choice(["", " desc", " nulls first", " desc nulls last"])
        if self._chance(0.3):
            places = [n for n, c in enumerate(columns, 1) if c.type not in UNORDERED]
            clear = [n for n in places if not columns[n - 1].protected]
            if clear or (places and self._hit()):
                return f"{self._random.choice(clear or places)}{direction}"
        return Node("item", (self._key(own), direction))

    def _items(
        self, types: list[str] | None, own: Scope, windows: bool, rows: bool, top: bool
    ) -> tuple[Node, tuple[Column, ...]]:
        count = self._random.randint(1, 5)
        made = []
        for wanted in types or [None] * count:
            before = self._touched
            bare = self._bare(wanted, own) if self._chance(0.6 if top else 0.5) else None
            if bare is not None:
                node, kind = bare
            else:
                kind = wanted or self._type(own)
                if rows and wanted is None and (rule := self._rule(ROWS, kind)):
                    rows = False
                    node = self._fill(rule, 2, own)
                elif windows and (rule := self._rule(WINDOW, kind)):
                    node = self._fill(rule, 1, own)
                elif self._chance(0.12):
                    node = Node(kind, ("(", self._sub_query("s", [kind], own), ")"))
                else:
                    node = self._expression(kind, 2, own)
            made.append(self._named(node, kind, before))
        return listed([item for item, _ in made]), tuple(column for _, column in made)

    def _named(self, node: Node, kind: str, touched: int) -> tuple[Node, Column]:
        """An item of a select list under a name of its own, and the column that it makes. `touched`
        were the protected columns named before it."""
        name = self._name("x")
        if self._chance(0.08):
            name = self._random.choice(_HEADINGS).format(name)
        return Node("item", (node, f" as {name}")), Column(name, kind, self._touched > touched)

    def _bare(self, wanted: str | None, own: Scope) -> tuple[Node, str] | None:
        """A column and nothing else: protected ones pass masked."""
        found = [
            (source, column)
            for source in own.own
            for column in source.columns
            if wanted in (None, column.type)
        ]
        if not found:
            return None
        source, column = self._random.choice(found)
        self._touched += column.protected
        return Node(column.type, (f"{source.alias}.{column.name}",)), column.type

    def _grouped(
        self, types: list[str] | None, own: Scope
    ) -> tuple[Node, tuple[Column, ...], Node]:
        keys = [self._key(own) for _ in range(self._random.randint(0, 2))]
        if self._chance(0.25):
            keys = self._fixed(own) or keys
        inside = Scope(own.own, own.outer, grouped=True)
        made = []
        for wanted in types or [None] * self._random.randint(1, 3):
            before = self._touched
            kind = wanted or self._type(own)
            matching = [node for node in keys if node.kind == kind]
            if matching and self._chance(0.5):
                node = self._random.choice(matching)
            elif rule := self._rule(AGGREGATE, kind):
                with self._place_of(showing=True):
                    node = self._fill(rule, 1, own)
            else:
                node = self._expression(kind, 1, inside)
            made.append(self._named(node, kind, before))
        tail: list[str | Node] = []
        if keys:
            named = listed(keys)
            how = self._random.random()
            if how < 0.6:
                tail.append(clause(" group by ", named))
            elif how < 0.7:
                tail.append(clause(" group by rollup (", named, ")"))
            elif how < 0.8:
                tail.append(clause(" group by cube (", named, ")"))
            else:
                tail.append(clause(" group by grouping sets ((", named, "), ())"))
        if self._chance(0.3):
            rule = self._rule(AGGREGATE, "int")
            if rule is not None:
                tail.append(clause(" having ", self._fill(rule, 1, own), " > 1"))
        columns = tuple(column for _, column in made)
        if self._chance(0.3) and columns[0].type not in UNORDERED:
            tail.append(clause(" order by 1"))
        return listed([item for item, _ in made]), columns, Node("clause", tuple(tail))

    def _fixed(self, own: Scope) -> list[Node]:
        """A source's key, and some of the columns that it fixes."""
        source = self._random.choice(own.own)
        if source.key is None:
            return []
        ordered = [c for c in source.columns if c.type not in UNORDERED]
        some = self._random.sample(ordered, min(len(ordered), self._random.randint(1, 3)))
        self._touched += any(column.protected for column in some)
        named = [Node(c.type, (f"{source.alias}.{c.name}",)) for c in some]
        return [Node("int", (f"{source.alias}.{source.key}",)), *named]

    # ---- FROM

    def _from(self, depth: int, own: Scope) -> Node:
        if self._chance(0.03):
            return clause()
        source: Node = self._source(depth, own)
        for _ in range(self._random.choice([0, 0, 0, 1, 1, 2])):
            self._fuel -= 1
            kind = self._random.choice(
                ["join", "left join", "right join", "full join", "cross join", ",", "using"]
            )
            left = list(own.own)
            right = self._source(depth, own, lateral=kind not in ("right join", "full join"))
            if kind == "cross join":
                source = Node("from", (source, " cross join ", right))
            elif kind == ",":
                source = Node("from", (source, ", ", right))
                break  # what comes after a comma does not see what stands before it
            elif kind == "using" and (shared := self._shared(left, own.own[-1])):
                name = self._random.choice(shared)
                source = Node("from", (source, " join ", right, f" using ({name})"))
            elif kind == "full join":
                on = self._equality(left, own.own[-1]) or Node("bool", ("true",))
                source = Node("from", (source, " full join ", right, " on ", on))
            else:
                kind = "join" if kind == "using" else kind
                on = self._equality(left, own.own[-1]) if self._chance(0.6) else None
                on = on or self._expression("bool", 1, own)
                source = Node("from", (source, f" {kind} ", right, " on ", on))
        return Node("clause", (" from ", source))

    def _shared(self, left: list[Source], right: Source) -> list[str]:
        """Clear column names that both sides have once, with one type."""
        mine = {(c.name, c.type) for c in right.columns if not c.protected or self._hit()}
        names = [c.name for source in left for c in source.columns]
        return sorted(
            c.name
            for source in left
            for c in source.columns
            if (c.name, c.type) in mine
            and names.count(c.name) == 1
            and c.type not in UNORDERED
            and (not c.protected or self._hit())
        )

    def _equality(self, left: list[Source], right: Source) -> Node | None:
        pairs = [
            (f"{source.alias}.{one.name}", f"{right.alias}.{other.name}")
            for source in left
            for one in source.columns
            for other in right.columns
            if one.type == other.type
            and one.type in ("int", "text", "big", "uuid")
            and (not (one.protected or other.protected) or self._hit())
        ]
        if not pairs:
            return None
        one, other = self._random.choice(pairs)
        return Node("bool", (f"{one} = {other}",))

    def _source(self, depth: int, own: Scope, lateral: bool = False) -> Node:
        alias = self._name("t")
        shape = self._random.random()
        visible = [n for n, _ in self._ctes]
        if visible and shape < 0.55:
            name, columns = self._random.choice(self._ctes)
            own.own.append(Source(alias, columns))
            return Node("from", (f"{name} {alias}",))
        if depth > 0 and shape < 0.36 and self._fuel > 0:
            self._fuel -= 2
            side = lateral and self._chance(0.5)
            around = Scope(own.own if side else [], own.outer)
            query, columns, _ = self._query(depth - 1, None, around)
            names = ", ".join(f"y{n}" for n in range(1, len(columns) + 1))
            renamed = tuple(Column(f"y{n}", c.type, c.protected) for n, c in enumerate(columns, 1))
            own.own.append(Source(alias, renamed))
            word = "lateral " if side else ""
            return Node("from", (f"{word}(", query, f") {alias}({names})"))
        if shape > 0.93:
            return self._function(alias, own, lateral)
        name = self._random.choice(PLAIN if self._chance(0.7) else list(TABLES))
        columns = TABLES[name]
        if columns[0].protected and not self._hit():
            name, columns = "visit", TABLES["visit"]
        key = next((c.name for c in columns if c.name in ("id", "person_id")), None)
        own.own.append(Source(alias, columns, key))
        return Node("from", (f"{name} {alias}",))

    def _function(self, alias: str, own: Scope, lateral: bool) -> Node:
        """A function in FROM; its arguments decide how many rows there are."""
        inner = Scope(own.own if lateral else [], own.outer)
        before = self._touched
        shape = self._random.choice(["rows", "rows", "rows from", "recordset", "table", "xml"])
        if shape == "xml" and self._major != 17:
            shape = "table"  # only that wheel is built with libxml
        if shape == "table" and self._major < 17:
            shape = "recordset"
        if shape == "rows":
            kind = self._random.choice([name for name, found in ROWS.items() if found])
            rule = self._rule(ROWS, kind)
            node, columns = self._fill(rule, 1, inner) if rule else "", [("y1", kind)]
            body: tuple[str | Node, ...] = (node, f" {alias}(y1)")
            if kind == "date":
                body = ("generate_series(1, 2)", f" {alias}(y1)")
                columns = [("y1", "int")]
        elif shape == "rows from":
            one, two = self._expression("ints", 1, inner), self._expression("texts", 1, inner)
            body = (
                "rows from (unnest(",
                one,
                "), unnest(",
                two,
                f")) with ordinality {alias}(y1, y2, y3)",
            )
            columns = [("y1", "int"), ("y2", "text"), ("y3", "big")]
        elif shape == "recordset":
            node = self._expression("json", 1, inner)
            body = ("jsonb_to_recordset(", node, f") as {alias}(k int, plan text)")
            columns = [("k", "int"), ("plan", "text")]
        elif shape == "table":
            node = self._expression("json", 1, inner)
            body = ("json_table(", node, ", '$' columns (y1 for ordinality, k int path '$.k', "
                    f"plan text path '$.plan')) {alias}")  # fmt: skip
            columns = [("y1", "int"), ("k", "int"), ("plan", "text")]
        else:
            node = self._expression("text", 1, inner)
            body = ("xmltable('/a/b' passing xmlparse(content ", node,
                    f") columns y1 for ordinality, y2 text path '.') {alias}")  # fmt: skip
            columns = [("y1", "int"), ("y2", "text")]
        touched = self._touched > before
        own.own.append(Source(alias, tuple(Column(n, t, touched) for n, t in columns)))
        return Node("from", ("lateral " if lateral else "", *body))
