"""Step 4: from lineage to one treatment an output column, or a refusal that says what to write.

The rule for whatever runs: a protected column may appear as a bare output column, in the uses that
the options of its rule allow (permitted.py), and in no other way. Every other use (an expression, a
predicate, a join, grouping, ordering, a limit, a mention that is not selected, arms of a UNION with
different treatments) is refused. With `expressions = "mask-at-source"` a statement of such uses has
been rewritten before it comes here, and the rule is the proof that the rewriting holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from gateway.errors import OutOfScope, ProtectedUse
from gateway.model import (
    Analysis,
    Column,
    ColumnDecision,
    Decision,
    Grant,
    Output,
    Permitted,
    Shape,
    Treatment,
)
from gateway.policy.beside import check_row_values
from gateway.policy.permitted import Leave, advice, leave, options_of, treatment_of
from gateway.policy.rules import Policy
from gateway.treatments import companions

#: How often one statement may select the same protected column.
_MOST_REPEATED = 4
#: Column types whose text the detectors read when `text = "scan"`.
_TEXT_KINDS = frozenset({"text", "json", "jsonb", "enum"})


def decide(grant: Grant, analysis: Analysis, policy: Policy) -> Decision:
    """One treatment for each output column of the statement, with its reason.

    Raises OutOfScope when a relation is outside the grant, ProtectedUse when a protected column is
    used otherwise than as a bare output column.
    """
    return policy.once(
        lambda: _decided(grant, analysis, policy), decide, analysis.shape, grant.tables
    )


def _decided(grant: Grant, analysis: Analysis, policy: Policy) -> Decision:
    check_scope(grant, analysis, policy)
    allowed = leave(analysis, policy)
    for use in (*analysis.control, *analysis.mentions):
        if treatment_of(use.column, analysis, policy)[0].protects and not allowed.admits(use):
            raise misuse(use.column, analysis, policy, use.where)
    _check_repetition(analysis, policy, allowed)
    columns = tuple(treat(output, analysis, policy, allowed) for output in analysis.outputs)
    check_row_values(analysis, policy)
    permitted = allowed.used()
    named = {use.column for use in (*analysis.control, *analysis.mentions)}
    given = (*analysis.outputs, *analysis.beside)
    named |= {column for output in given for column in output.columns}
    return Decision(
        columns=tuple(_with_row(place, one, analysis) for place, one in enumerate(columns)),
        policy_hash=policy.hash,
        notes=(*analysis.notes, *_notes(permitted)),
        permitted=permitted,
        opened=bool(permitted) or any(_shown(column, analysis, policy) for column in named),
    )


def _with_row(place: int, decided: ColumnDecision, analysis: Analysis) -> ColumnDecision:
    if not companions(decided.treatment):
        return decided
    # `check_row_values` has seen that each is one whole column.
    others = [analysis.given(other).columns[0].name for other in analysis.rows[place]]
    return replace(decided, reason=f"{decided.reason}, with {', '.join(others)} of its row")


def _notes(permitted: Iterable[Permitted]) -> Iterable[str]:
    for one in permitted:
        if one.option == "lookup":
            yield (
                f"{one.columns[0]} was looked up by ${one.parameter}; rule {one.rule} answers "
                f"{one.per_hour} lookups an hour"
            )


def _check_repetition(analysis: Analysis, policy: Policy, allowed: Leave) -> None:
    """A protected column many times over in one row would tell, by the limit on a row's bytes, how
    long its value is."""
    times = Counter(
        column
        for output in analysis.outputs
        for column in output.columns
        if not allowed.admits_output(column, output.sources)
    )
    for column, count in times.items():
        treatment, reason = treatment_of(column, analysis, policy)
        if count > _MOST_REPEATED and treatment.protects:
            raise ProtectedUse(
                f"{column} is protected ({reason}) and is selected {count} times",
                hint=f"select it at most {_MOST_REPEATED} times",
            )


def check_scope(grant: Grant, analysis: Analysis, policy: Policy) -> None:
    """Raises OutOfScope when the statement names a relation that the grant does not cover."""
    if "*" in grant.tables:
        outside = [name for name in analysis.tables if not _classified(name, analysis, policy)]
        scope = "every table the policy classifies"
    else:
        outside = [name for name in analysis.tables if name not in grant.tables]
        scope = ", ".join(grant.tables)
    if outside:
        raise OutOfScope(
            f"{', '.join(sorted(outside))} is outside the grant, which covers {scope}",
            hint="ask for a grant that names it: POST /v1/grants",
        )


def _classified(name: str, analysis: Analysis, policy: Policy) -> bool:
    schema, _, table = name.partition(".")
    return policy.classifies(schema, table) or name in analysis.views


def treat(output: Output, analysis: Analysis, policy: Policy, allowed: Leave) -> ColumnDecision:
    """The treatment of one output column. Raises ProtectedUse when there is none."""
    found = [(column, *treatment_of(column, analysis, policy)) for column in output.columns]
    names = tuple(str(column) for column in output.columns)
    protected = [
        entry
        for entry in found
        if entry[1].protects and not allowed.admits_output(entry[0], output.sources)
    ]
    if not protected:
        return _masked(output, _clear(output, analysis, policy))
    column, treatment, reason = protected[0]
    if treatment.name == "deny":
        raise denied(column, reason)
    if not passes(output, treatment):
        raise misuse(column, analysis, policy, f"an expression (output column {output.name!r})")
    if any(entry[1] != treatment for entry in found):
        raise ProtectedUse(
            f"output column {output.name!r} mixes {', '.join(names)}, whose treatments differ",
            hint="select them as separate columns, or in separate statements",
        )
    return _masked(output, ColumnDecision(output.name, treatment, _because(reason, found), names))


def passes(output: Output, treatment: Treatment) -> bool:
    """Whether a protected column that makes up this output may come, treated: as it is, or as its
    text; but of the text of a date nobody tells the year, and nobody moves it."""
    if treatment.name in ("year", "shift"):
        return output.shape is Shape.BARE
    return output.shape is not Shape.COMPUTED


def _masked(output: Output, decision: ColumnDecision) -> ColumnDecision:
    """The decision, with what it owes to columns that were NULL at their source."""
    if not output.masked:
        return decision
    names = tuple(str(column) for column in output.masked)
    reason = f"{', '.join(names)} NULL at source; {decision.reason}"
    if output.blank and not output.columns:
        # Nothing but NULL can come; the kernel makes sure of it.
        return ColumnDecision(output.name, Treatment("null"), reason, (), names)
    return replace(decision, reason=reason, masked_at_source=names)


def _clear(output: Output, analysis: Analysis, policy: Policy) -> ColumnDecision:
    names = tuple(str(column) for column in output.columns)
    kind = _innermost_kind(output)
    told = list(dict.fromkeys(filter(None, (_told(c, analysis, policy) for c in output.columns))))
    # Somebody who may see a value sees it: detectors read only what else is in the column.
    seen = bool(names) and all(_shown(column, analysis, policy) for column in output.columns)
    # And they would take a date that the statement itself has written out for one of a text.
    read = output.free_text and not seen
    scanned = policy.scan_clear_text and kind in _TEXT_KINDS and read
    reason = "; ".join(told) or ("clear" if names else "computed without a table's column")
    if scanned:
        reason += ", and its text is scanned"
    options: dict[str, Any] = {"scan": scanned}
    if scanned and output.shape is Shape.COMPUTED:
        # Dates and numbers that the server wrote into it are those of clear columns.
        options |= dict.fromkeys(sorted(output.written), True)
        if output.forms and "times" in output.written:
            options["forms"] = list(output.forms)
    return ColumnDecision(output.name, Treatment("clear", options), reason, names)


def _told(column: Column, analysis: Analysis, policy: Policy) -> str:
    """Why a column that a rule protects comes clear: it is shown, or aggregated."""
    treatment, reason = treatment_of(column, analysis, policy)
    if treatment.protects:
        least = options_of(column, analysis, policy)[0].aggregate
        return f"an aggregate over at least {least} values of {column} ({reason})"
    if not _shown(column, analysis, policy):
        return ""
    return reason if "shown to" in reason else f"{reason}, made of what is shown to the caller"


def _shown(column: Column, analysis: Analysis, policy: Policy) -> bool:
    return policy.shows(column, analysis.related.get(column, ()), analysis.inherited)


def _innermost_kind(output: Output) -> str:
    kind = output.type
    while kind.get("kind") == "array":
        kind = kind["element"]
    return str(kind.get("kind"))


def _because(reason: str, found: Iterable[tuple[Column, Treatment, str]]) -> str:
    reasons = dict.fromkeys([reason, *(entry[2] for entry in found)])
    return "; ".join(reasons)


def denied(column: Column, reason: str) -> ProtectedUse:
    """The refusal of a column that nobody may select."""
    return ProtectedUse(
        f"{column} may not be selected ({reason})",
        hint=f"leave {column.name} out of the select list",
    )


def misuse(column: Column, analysis: Analysis, policy: Policy, where: str) -> ProtectedUse:
    """The refusal of a use of a protected column, with what to write instead."""
    treatment, reason = treatment_of(column, analysis, policy)
    hints = {
        "deny": f"leave {column.name} out of the statement",
        "unused mention": f"name the columns you need instead of * and leave {column.name} out",
    }
    if " view " in where:
        hints[where] = "the view's own query uses it: read the tables that the view is made from"
    if where.startswith("the bounds of the partition"):
        hints[where] = "read the table that it is a partition of"
    hint = hints.get(treatment.name) or hints.get(
        where,
        f"select {column.name} as a plain column (it comes back as {treatment.name}) and use "
        "columns that are clear for filtering, joining, grouping and ordering",
    )
    instead = advice(column, analysis, policy)
    if instead:
        hint = f"{hint}. {instead}"
    return ProtectedUse(f"{column} is protected ({reason}) and is used in {where}", hint=hint)
