"""The compiled half of maskgate. Strings of JSON cross the boundary for plans and reports; rows
never cross it unmasked.

Column type (used in `Output.type` and in a stream's plan) is a JSON object with "kind", one of

    bool int2 int4 int8 float4 float8 numeric text bytea date time timetz timestamp timestamptz
    interval uuid json jsonb enum oid inet cidr macaddr macaddr8 bit array

plus "precision" and "scale" for numeric when the typmod has them (Arrow decimal128 when
1 <= p <= 38 and 0 <= s <= p, else text), "labels" (in sort order) for enum, and "element" (a column
type) for array. `text` stands for every type whose binary form is its UTF-8 text (text, varchar,
bpchar, name, "char", xml, citext). A domain is sent as its base type. Everything else is cast to
text by the server before it is streamed.

Treatment is a JSON object: {"name": "clear", "scan": bool, "times": bool,
"numbers": bool, "forms": [str]} (the last three may be left out: dates in the server's form or in one
of these forms of to_char, and the numbers of a JSON document, are spared by the scan) | {"name": "redact", "label": str} |
{"name": "null"} | {"name": "partial", "first": int, "last": int, "char": str} |
{"name": "token", "domain": str, "key_id": str} | {"name": "year"} |
{"name": "shift", "domain": str, "key_id": str, "days": int} (the days may be left out: 365; it takes
"row", the index of the subject's column) | {"name": "fpe", "domain": str, "key_id": str, "radix": 10|36, "letters": "upper"|"lower",
"separators": str} (the last three may be left out: 10, "upper", "") |
{"name": "zip3", "census": 2000|2010|2020} | {"name": "bucket", "width": int, "origin": int} (the
origin may be left out) | {"name": "bucket", "edges": [int]} | {"name": "scan", "detectors": [str],
"patterns": [str]} (either may be left out: every one of DETECTORS, every name of the Patterns).
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Self, final

__all__ = [
    "DETECTORS",
    "LABELS",
    "ArrowMasker",
    "Chunk",
    "CopyMessages",
    "CopyReader",
    "MaskedBatch",
    "MaskedStream",
    "Patterns",
    "__version__",
    "canonical",
    "digest",
    "lineage",
    "parts",
    "relations_named",
    "verify_bundle",
]

DETECTORS: tuple[str, ...]
"""The names of what `scan` tells: `name`, `date`, … Reports count by them, and by `row`."""

LABELS: tuple[str, ...]
"""Everything that `scan` can write in the place of what it finds: `[NAME]`, `[DATE]`, …"""

__version__: str

def canonical(value: object) -> bytes:
    """The one spelling (RFC 8785) of strings, booleans, None, integers of magnitude below 2^53, lists,
    tuples and mappings from strings.

    Raises gateway.errors.InvalidRequest for everything else, for text that is not Unicode, and for more
    than 64 levels.
    """

def digest(tree: str, server_major: int) -> str:
    """The digest that `lineage` gives of the tree. Trees of one digest differ in the places of the text
    alone: they name the same relations, and all else that `lineage` says of them is the same.

    Raises as `lineage` does, but for what is read and has no lineage.
    """

def lineage(tree: str, server_major: int, *, stored: bool = False) -> str:
    """Lineage of one analysed query as a JSON object.

    `tree` is the detail of PostgreSQL's "rewritten parse tree:" notice, to the byte (its last newline
    included), and `server_major` 15 to 18. With `stored` it is the `ev_action` of a view in
    `pg_rewrite`, in which the views it reads are left as relations.

    {"outputs": [{"name": str, "type_oid": int, "typmod": int, "shape": "bare"|"text"|"computed",
                  "columns": [[relation_oid, attnum], ...],
                  "sources": [source, ...]}, ...],
     "control": [{"column": [relation_oid, attnum], "use": "WHERE"|"JOIN"|...,
                  "through_view": oid|null, "references": [reference, ...],
                  "equality": index|null, "values": int|null}, ...],
     "mentions": [{"column": [...], "use": "unused mention", "references": [...]}, ...],
     "idle": [source, ...],
     "equalities": [{"columns": [source|null, ...], "parameter": n|null, "constant": bool}, ...],
     "relations": [{"oid": int, "kind": "r"|"v"|..., "direct": bool, "selected": [attnum, ...]}, ...],
     "references": [{"relation": int, "alias": str, "selected": [attnum, ...]}, ...],
     "functions": [oid, ...], "calls": [[oid, location], ...], "operators": [oid, ...], "types": [oid, ...],
     "params": [{"number": int, "type_oid": int, "location": int}, ...],
     "row_security": bool,
     "digest": hex digest of the tree with location fields removed}

    attnum 0 is the whole row. A mention is a column that the statement's own text names and that
    reaches neither output nor control, or any column of an expression whose value goes nowhere: it is
    evaluated all the same. `through_view` is the innermost view in whose body a control use stands,
    null for the statement's own text. `relations[].direct`: named by the statement itself rather than
    through a view or a policy; `selected`: the attributes for which the server will then ask the SELECT
    right, a view's own attributes for a view. `references`: the relations as the items of the
    statement's own FROM clauses name them, items of one relation and one alias as one; elsewhere a
    reference is an index into that list, null where a policy of row security reads. What a view's body
    reads belongs to the reference to the view. `idle`: columns that are named through a reference where
    they go nowhere, and are used through another.

    A source is [[relation_oid, attnum], reference, values]. `values` is null but where the column is
    read only through a count, sum, mean or variance over one plain table: then how many of its values
    HAVING says that each group has at least, 0 if it does not say; the count in HAVING that says it is
    the use "HAVING count". `equalities`: conjuncts of WHERE and of inner joins' ON in the statement's
    own text that are PostgreSQL's own equality between one or two columns of that query level and at
    most one value, and nothing else, in the order of the walk; a column is null there unless it is one
    base column, unchanged. A control use that is such a conjunct names it by its index.

    `functions` holds each function OID that the tree names:
    plain, operator, aggregate, window, cast and sampling functions (support functions of aggregates
    and sort operators are the catalog's to say); `calls` each of them with every place that it is called
    at: the byte at which a call written as name(…) begins, -1 in what the catalog stores (a view's body,
    a policy), -2 for a cast, an operator, an aggregate; `types` each type whose own functions (input, output,
    comparison, domain check, conversion to JSON or XML) are called without being named.

    Raises gateway.errors.StatementRefused when the tree is not one plain SELECT, and
    gateway.errors.NotUnderstood for any tag, field or kind not on this server version's list.
    """

def relations_named(tree: bytes) -> list[int]:
    """The OIDs of the relations that a tree as the server sent it seems to name, each once, in
    order: found without reading it, so that the catalog can be asked about them meanwhile. None
    that it names is missing."""

def parts(tree: str) -> tuple[int, int]:
    """How many range table entries and how many queries a tree seems to hold; never fewer than it
    does."""

@final
class Patterns:
    """What a policy looks for in texts beside the detectors, compiled; streams share it.

    `definitions` is a JSON list: {"name": str, "label": str, "clear": bool} with "regex": str or
    "words": [str]. What `clear` is false for is not looked for under the treatment clear. Reports count by
    name; `[LABEL]` stands in the place of what is found.

    Raises gateway.errors.ConfigurationError, which begins with the name of the definition where it is
    about one, and quotes no word.
    """

    def __new__(cls, definitions: str) -> Self: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def labels(self) -> tuple[str, ...]:
        """With their brackets."""

@final
class Chunk:
    """Bytes that may leave, with what the log must say of them."""

    @property
    def data(self) -> bytes: ...
    @property
    def rows(self) -> int: ...
    @property
    def digest(self) -> str:
        """BLAKE3 of `data`, hex."""

@final
class CopyMessages:
    """What the server sends from a COPY's query to its ReadyForQuery, cut anywhere.

    `most_of_a_row` and `most_of_another` are bytes of one message's body. Rows are not held: what
    has come of one is given on.
    """

    def __new__(cls, most_of_a_row: int, most_of_another: int) -> Self: ...
    def receive(self, data: bytes) -> tuple[bytes, list[tuple[int, bytes]], int]:
        """The rows' bytes in `data`, joined; the other messages that became whole, each with its
        kind; and how many bytes of `data` were read, which is all unless the end is among them.

        Raises gateway.errors.UpstreamFailed for what is no message, is too long, or is a row where
        none may be; nothing more is read then."""

    @property
    def ended(self) -> bool:
        """ReadyForQuery has come."""

    @property
    def row_too_long(self) -> bool:
        """It was a row that was too long."""

@final
class CopyReader:
    """A thread that reads the rows of a COPY from their socket while nobody else does.

    `socket` is a file descriptor of a stream socket that is given away: nobody else closes it or
    reads from what it stands for meanwhile, and the messages are read by nobody else either. The
    socket blocks until `join`, and does not afterwards.
    """

    def __new__(cls, socket: int, messages: CopyMessages) -> Self: ...
    def stop(self) -> None:
        """Nothing more is read or taken. From any thread, any number of times."""

    def join(self) -> tuple[list[tuple[int, bytes]], bytes, bool]:
        """Stop, and wait for the thread: once. The other messages that came, what came after the
        end, and whether the session has ended.

        Raises gateway.errors.UpstreamFailed as `CopyMessages.receive` does."""

@final
class MaskedStream:
    """COPY BINARY bytes in, masked and encoded chunks out; raw values exist only inside.

    `plan` is a JSON object:
    {"format": "arrow"|"ndjson"|"csv", "metadata": {str: str}, "infinity": "error"|"null",
     "limit_rows": int|null,
     "columns": [{"name": str, "type": column type, "treatment": treatment,
                  "metadata": {str: str}, "hidden": bool, "row": [int, ...]}, ...]}
    `token_key` is 32 bytes.

    `metadata`, `hidden` and `row` may be left out. A hidden column is decoded to be looked at by
    others and is in no schema, head, chunk or report; at least one column is shown. `row` stands on a
    column of strings, of JSON or of lists of strings that is scanned: the values of these columns of
    the plan, in the same row and before their own treatment, are masked in its text too (counted under
    the detector "row"), in whichever case, accents and separators they are written there. They are of
    text, enums, whole numbers, UUIDs or arrays of those.
    Chunks are cut by row count and by masked size alone.

    Raises gateway.errors.InvalidRequest for a treatment that the type cannot take, or a `row` that
    names no such column (when made),
    gateway.errors.Unrepresentable for a value without an Arrow form, and
    gateway.errors.UpstreamFailed for bytes that are not the promised COPY stream. Chunks that were
    full before the error are given out first; after it every `head`, `feed` and `finish` raises the
    same again, while `rows` and `report` still tell what happened.
    """

    def __new__(cls, plan: str, token_key: bytes, patterns: Patterns | None = None) -> Self: ...
    def head(self) -> Chunk:
        """The bytes before the first row (Arrow schema message, CSV header, nothing for NDJSON)."""

    def feed(self, data: bytes | bytearray | memoryview) -> list[Chunk]:
        """Take the next COPY bytes (any split), give the chunks that are full. Releases the GIL.

        `bytes` are read in place; any other buffer (asyncpg gives bytearrays) is copied first."""

    def feed_all(self, pieces: Sequence[bytes | bytearray]) -> list[Chunk]:
        """As `feed` of one after the other, without taking the GIL in between."""

    def feed_from(self, reader: CopyReader) -> list[Chunk]:
        """As `feed` of what the reader reads, until a chunk is full; none when no more come, the
        reader was stopped or the row limit is reached. Blocks without the GIL."""

    def finish(self) -> list[Chunk]:
        """The rest and the end-of-stream marker; an error if the COPY trailer has not come and the
        row limit was not reached."""

    @property
    def rows(self) -> int:
        """Rows given out so far."""

    @property
    def truncated(self) -> bool:
        """`limit_rows` was reached and at least one more row came: feed nothing more."""

    def report(self) -> str:
        """JSON: {"cells_masked": {column name: {treatment: n}}, "detectors": {column name:
        {detector: {"cells": n, "spans": n}}}, "infinities": n} so far."""

@final
class ArrowMasker:
    """Record batches in, masked record batches out, by Arrow's C data interface.

    `schema` has `__arrow_c_schema__`; `plan` is a JSON list with an object for each of its fields:
    {"treatment": worded as in `MaskedStream`'s plan, or null for a column that is only looked at,
     "row": [places of the columns that its scan or shift needs from the same row]}.
    `token_key` is 32 bytes. Metadata does not come through, but for the extension names arrow.json
    and arrow.uuid.

    Raises gateway.errors.InvalidRequest when made, for a treatment that the type cannot take. May be
    used by several threads; one batch is masked at a time.
    """

    def __new__(
        cls, schema: object, plan: str, token_key: bytes, patterns: Patterns | None = None
    ) -> Self: ...
    def __arrow_c_schema__(self) -> object:
        """The schema of what comes out, each field with `maskgate.treatment` in its metadata."""

    def mask(self, batch: object) -> MaskedBatch:
        """The masked batch of an object with `__arrow_c_array__`. Releases the GIL.

        Raises gateway.errors.InvalidRequest for another schema than announced, and for offsets, keys and
        text that are not what the type says. The lengths of buffers cannot be
        checked here: the interface does not tell them."""

    def report(self) -> str:
        """JSON: `cells_masked` and `detectors` as in `MaskedStream.report`, so far."""

@final
class MaskedBatch:
    """What `ArrowMasker.mask` gives: pyarrow.record_batch, polars.from_arrow and others take it."""

    def __arrow_c_array__(
        self, requested_schema: object | None = None
    ) -> tuple[object, object]: ...
    def __len__(self) -> int: ...

def verify_bundle(
    bundle: str | PathLike[str],
    trust: str | PathLike[str] | None,
    *,
    listing: bool,
    say: Callable[[str], object],
    remember: str | PathLike[str] | None = None,
    receipts: str | PathLike[str] | None = None,
) -> tuple[int, str]:
    """Judge an evidence bundle by the second verifier. Releases the GIL.

    `say` is called with a line for each step that passed, and with `listing` for each record of a
    bundle in which nothing is wrong; what it raises is raised. `remember` is the auditor's file of
    checkpoints, which a new one is added to; `receipts` a file or a directory. The verdict, which is
    the exit code of auditor/verify.py (0 verified and anchored, 1 tampered, 2 incomplete or not
    anchored, 3 usage: a file cannot be read, or the trust file is none), and the sentence that says
    why."""
