"""The nouns every room shares: frozen values, no behaviour that reaches outside.

Rooms do not import each other; they speak in these. Times are timezone-aware UTC. An identifier of
a relation or a type is PostgreSQL's OID; a column is (relation OID, attribute number).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Identity:
    """One authenticated agent or person: issuer + subject, never a shared account."""

    issuer: str
    subject: str
    name: str  # what people read; the identity claim's value
    groups: frozenset[str]
    actor: str | None  # RFC 8693 `act`: the person an agent works for
    token_fingerprint: str  # BLAKE3 of the token or credential, hex; itself it is never kept
    expires_at: datetime
    # RFC 7638 thumbprint of the key that the token is bound to, whose possession was proven with
    # the request; None: whoever has the token can send it.
    jkt: str | None = None
    credential: str = "token"  # or "saml": a sign-in of this gateway's

    @property
    def key(self) -> str:
        """The unique name of this identity in grants and records."""
        return f"{self.issuer}#{self.subject}"


@dataclass(frozen=True, slots=True)
class Call:
    """What of a request a proof of possession is about (RFC 9449, section 4.2)."""

    method: str
    path: str  # as sent, escapes and all, without the query
    proofs: tuple[str, ...] = field(default=(), repr=False)  # its DPoP fields


@dataclass(frozen=True, slots=True)
class Credential:
    """What the head of a request says about who sends it; nothing of it is checked yet."""

    authorization: str | None = field(repr=False)
    call: Call


class GrantState(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave for one identity to read some tables of one connection for a limited time."""

    id: str
    identity: str  # Identity.key
    connection: str
    tables: tuple[str, ...]  # "schema.table", resolved at request; ("*",) = all classified tables
    purpose: str
    state: GrantState
    requested_at: datetime
    duration_s: int
    not_before: datetime | None  # set when it becomes active
    expires_at: datetime | None
    max_rows: int | None  # rows released over the life of the grant; None = no limit
    rows_released: int = 0
    # Identity.key of the last approver, denier or revoker; "auto:RULE" or "break-glass:RULE"
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    ticket: str | None = None
    begins_at: datetime | None = None  # asked for: not before this
    hours: tuple[str, ...] = ()  # of the week, in UTC: "mon-fri 08:00-18:00"; none = all
    approvals_needed: int = 1
    approvals: tuple[str, ...] = ()  # Identity.key of each who approved
    break_glass: bool = False  # began without anybody's approval
    renews: str | None = None  # the grant whose scope it asks for again
    columns: tuple[tuple[str, tuple[str, ...]], ...] = ()  # of tables of which not all are granted
    # Of tables of which not all rows are granted: conditions, all of which a row has to meet.
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    statement: str | None = None  # no other text is run
    parameters: str | None = None  # nor with others than these, as JSON
    max_bytes: int | None = None  # released over the life of the grant
    bytes_released: int = 0
    max_concurrent: int | None = None
    max_per_minute: int | None = None
    database: str | None = None  # that it was asked for; None for grants of earlier versions

    @property
    def predicates(self) -> tuple[tuple[str, str], ...]:
        """Its filters, of each table as one text."""
        return tuple((table, all_of(conditions)) for table, conditions in self.filters)


def all_of(conditions: Sequence[str]) -> str:
    """The predicate that holds where each of these does; each must be one for itself."""
    if len(conditions) == 1:
        return conditions[0]
    return " AND ".join(f"({condition})" for condition in conditions)


@dataclass(frozen=True, slots=True)
class Column:
    """A base column as the catalog knows it."""

    relation: int
    attnum: int
    schema: str
    table: str
    name: str
    type_oid: int

    def __hash__(self) -> int:
        return hash((self.relation, self.attnum))  # columns stand in many sets

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}.{self.name}"


@dataclass(frozen=True, slots=True)
class Reference:
    """A relation as the statement's own FROM names it; items of one relation and alias are one."""

    relation: int
    schema: str
    table: str
    alias: str  # the table's name where the text gives none
    view: bool
    named: frozenset[int]  # the relation's attributes that are read through it
    columns: tuple[str, ...] = field(default=(), compare=False)  # their names


@dataclass(frozen=True, slots=True)
class Source:
    """A base column, and the reference it is read through; None where no text names one."""

    column: Column
    reference: Reference | None
    # Where it is read only through a plain aggregate over its one table: how many of its values
    # each group has by HAVING, 0 if HAVING does not say.
    values: int | None = None


@dataclass(frozen=True, slots=True)
class Equality:
    """A conjunct of WHERE or of an inner join's ON that is `column = $1`, `column = 'x'` or
    `column = column`, by PostgreSQL's own equality, and nothing else."""

    columns: tuple[Source | None, ...]  # None: not one base column, unchanged
    parameter: int | None = None  # the n of $n as the agent sent it
    constant: bool = False  # compared with a value, a parameter's or the text's own


@dataclass(frozen=True, slots=True)
class Hidden:
    """A protected column that is NULL inside one reference, and the uses that make it so.

    Without uses it is a bare one: it stays, unless the rewriting itself has to use it.
    """

    reference: Reference
    column: Column
    uses: tuple[str, ...]  # "WHERE", "an expression (output column 'upper')", …
    reason: str  # why the column is protected
    advice: str = ""  # what its options allow instead


@dataclass(frozen=True, slots=True)
class RowValues:
    """Columns of the row that a text comes from: their values are masked wherever it holds them."""

    output: int  # the text's place among `Analysis.outputs`
    reference: Reference  # through which the text is read
    columns: tuple[str, ...]  # of the same relation


class Shape(StrEnum):
    """How base columns reach an output column."""

    BARE = "bare"  # a Var or relabelled Var all the way down
    TEXT = "text"  # bare, then cast to its text form by the type's output function
    COMPUTED = "computed"


@dataclass(frozen=True, slots=True)
class Output:
    """One output column of an analysed statement."""

    name: str
    type: Mapping[str, Any]  # the decoder's column type; see _kernel.pyi, `MaskedStream`
    shape: Shape
    columns: tuple[Column, ...]  # OUT(c): every base column whose value reaches it
    sources: tuple[Source, ...] = ()  # the same, each with the reference it is read through
    masked: tuple[Column, ...] = ()  # those that would reach it, had they not been NULL at source
    blank: bool = False  # it would be one of those, unchanged: nothing but NULL can come
    # A text in it may have been typed by somebody else: a column or the catalog holds it. False
    # when it is made of numbers, times and the statement's own words alone.
    free_text: bool = True
    # What else the server has written into such a text, from columns that hold no text: "times",
    # "numbers". Empty where the text may hold a document that somebody wrote.
    written: frozenset[str] = frozenset()
    forms: tuple[str, ...] = ()  # of to_char, in which the statement may have had dates written


@dataclass(frozen=True, slots=True)
class Use:
    """A base column that decides which rows come, how many, or in which order; or is only named."""

    column: Column
    where: str  # "WHERE", "JOIN", "GROUP BY", "ORDER BY", "DISTINCT", … or "unused mention"
    references: tuple[Reference | None, ...] = ()  # through which it is read
    equality: int | None = None  # the one of `Analysis.equalities` that this use is
    values: int | None = None  # as in Source


@dataclass(frozen=True, slots=True)
class Question:
    """A query about relations, to be asked along with a Parse.

    It has one parameter, an array of their OIDs, and its rows are an OID and a text. It is prepared
    once a session, under `name`.
    """

    name: str
    query: str
    most: int  # not asked about more relations than these


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the server answered to Parse and Describe of one statement; nothing has been run."""

    tree: str  # the detail of "rewritten parse tree:"; holds literals, never logged
    names: tuple[str, ...]  # of the output columns, from RowDescription
    type_oids: tuple[int, ...]  # the same columns' types, domains as their base types
    parameters: tuple[int, ...]  # the type OID of each $n
    named: frozenset[int]  # OIDs of the relations in the tree, found without reading it
    told: Mapping[int, str]  # the answer to a question about them


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one statement does, as PostgreSQL's own tree says it."""

    text: str  # as the agent sent it
    server_text: str  # what will run: parameters inlined, casts to text added
    server_tree: str  # digest of the approved tree without locations, hex; never the tree
    outputs: tuple[Output, ...]
    control: tuple[Use, ...]
    mentions: tuple[Use, ...]
    tables: tuple[str, ...]  # "schema.table" of every relation the agent's text reads
    # Those of `tables` that are views: their columns are traced to the tables below.
    views: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    # For each base column above, the columns whose protection it shares: same-named columns of
    # inheritance parents, children and partitions, the columns a generated one is computed from,
    # the sources of a materialised view's column. The strictest treatment of all of them holds.
    related: Mapping[Column, tuple[Column, ...]] = field(default_factory=dict)
    # Those of them that hold the very same values: parents, children, partitions.
    inherited: frozenset[Column] = frozenset()
    # System catalogs read; each column used is on the list of sql/catalogs.py and appears in no
    # output's `columns`, as no policy rules it.
    catalogs: tuple[str, ...] = ()
    filled_text: str = ""  # parameters inlined, no casts to text yet
    references: tuple[Reference, ...] = ()
    equalities: tuple[Equality, ...] = ()
    # Columns that are named where they go nowhere, while they are used through another reference.
    idle: tuple[Source, ...] = ()
    # Columns that are NULL in what will run, when it is not what the agent sent.
    hidden: tuple[Hidden, ...] = ()
    # Outputs that the server gives behind `outputs`, for the kernel to look at and nobody to get.
    beside: tuple[Output, ...] = ()
    # For an output the places, among `outputs` and `beside` together, of columns of the same row.
    rows: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    # OIDs of all that the plan of the statement may read: its relations and what inherits from them
    relations: frozenset[int] = frozenset()
    # Columns by which a grant's filters choose rows; none of them may be NULL in what will run.
    kept_by: frozenset[Column] = frozenset()
    # Analyses of one shape differ in `text`, `server_text`, `server_tree` and `filled_text` alone.
    # What is made by `replace` has none.
    shape: object = field(default=None, init=False, compare=False, repr=False)

    def take_shape(self, shape: object) -> None:
        """`shape` is equal to those of such analyses, and to no other's."""
        object.__setattr__(self, "shape", shape)

    def given(self, place: int) -> Output:
        """The output at that place of what the server gives."""
        return (*self.outputs, *self.beside)[place]


@dataclass(frozen=True, slots=True)
class Treatment:
    """What happens to a column's values; the names are those of docs/policy.md."""

    name: str  # clear redact null partial token fpe year zip3 bucket scan deny
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def protects(self) -> bool:
        return self.name != "clear"


@dataclass(frozen=True, slots=True)
class ColumnDecision:
    """The treatment of one output column, and the sentence that says why."""

    name: str
    treatment: Treatment
    reason: str
    columns: tuple[str, ...]  # "schema.table.column"
    masked_at_source: tuple[str, ...] = ()  # those that were NULL before anything was computed


@dataclass(frozen=True, slots=True)
class Permitted:
    """A use of a protected column that its rule's options allow."""

    option: str  # lookup, join or aggregate
    columns: tuple[str, ...]  # "schema.table.column"
    rule: str  # the pattern that says so; lookups are counted by it
    parameter: int | None = None  # a lookup's $n
    per_hour: int = 0  # a lookup's


@dataclass(frozen=True, slots=True)
class Decision:
    """Step 4's answer: one treatment an output column."""

    columns: tuple[ColumnDecision, ...]
    policy_hash: str
    notes: tuple[str, ...] = ()
    permitted: tuple[Permitted, ...] = ()
    # A protected column is read as its options allow: compared, aggregated, or shown to the caller.
    opened: bool = False

    @property
    def raw(self) -> bool:
        """Whether the database must read a protected column's values: for the kernel to mask, or
        as its options allow."""
        # An output that was NULL at source is made of no column.
        return self.opened or any(
            column.treatment.protects and column.columns for column in self.columns
        )


@dataclass(frozen=True, slots=True)
class RecordRef:
    """Where a durable record stands in its session: what a receipt names."""

    index: int
    hash: str  # h_i of the chain, hex
    ts: str  # the record's own time, RFC 3339 UTC with microseconds
    leaf: int | None = None  # of the ledger, where the record has one of its own


@dataclass(frozen=True, slots=True)
class LedgerLeaf:
    """One leaf of the ledger with its proof of inclusion in the checkpoint beside it."""

    index: int
    data: bytes
    proof: tuple[bytes, ...]  # RFC 6962 audit path, 32 bytes each, from the leaf up


@dataclass(frozen=True, slots=True)
class SessionFiles:
    """Everything the log knows of one session, as bytes that prove themselves."""

    session_id: str
    origin: str
    key: str  # the verifier key of the checkpoint's signature, C2SP vkey form
    records: bytes  # session.jsonl: the stored lines, each with its LF
    leaves: tuple[LedgerLeaf, ...]  # boot, open, newest commit, close or recovery
    consistency: tuple[bytes, ...]  # from the checkpoint the session was opened at to `checkpoint`
    checkpoint: bytes  # C2SP signed note, with the cosignatures of witnesses
    closed: bool
    #: A size that an auditor remembers, and the proof that `checkpoint` goes on from it.
    since: tuple[int, tuple[bytes, ...]] | None = None
    #: The epoch that signed `checkpoint`: its certificate, and the last leaf, which names it.
    epoch: tuple[LedgerLeaf, ...] = ()


class LogPlace(NamedTuple):
    """A place in the write-ahead file: behind `line` lines of the frame at `offset`."""

    segment: int  # the segment's first batch, which names it
    offset: int
    line: int


@dataclass(frozen=True, slots=True)
class DurableRecord:
    """A record that no crash takes away, as a reader of the log gets it."""

    place: LogPlace  # behind it
    sid: str
    record: Mapping[str, Any]
    hash: str  # h_i of the chain, hex
    leaf: str | None  # RFC 6962 leaf hash of the leaf that was made with it, hex
